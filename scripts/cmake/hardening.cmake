# Makes a program end at a memory error before an attacker can use it, and makes builds of one commit reproducible.
#
# Adds options to hipgpt_options, and defines hipgpt_harden_program(<target>). GPU code is not affected, because its compilers
# are not called with hipgpt_options.
include(CheckCXXSourceCompiles)
include(CheckPIESupported)
check_pie_supported(LANGUAGES CXX)

# Uses checked versions of memcpy() and similar functions if the compiler knows the size of an object. Level 3 also covers
# sizes that are known only at run time. The checks require optimised code. A distribution's compiler may define the macro.
if(NOT HIPGPT_SANITIZE)
  set(CMAKE_REQUIRED_FLAGS "-O2 -Werror -U_FORTIFY_SOURCE -D_FORTIFY_SOURCE=3")
  check_cxx_source_compiles("#include <cstring>\nint main() { return static_cast<int>(std::strlen(\"\")); }"
    hipgpt_has_fortify_3)
  unset(CMAKE_REQUIRED_FLAGS)
  set(level 2)
  if(hipgpt_has_fortify_3)
    set(level 3)
  endif()
  target_compile_options(hipgpt_options INTERFACE
    "$<$<CONFIG:Release,RelWithDebInfo,MinSizeRel>:SHELL:-U_FORTIFY_SOURCE -D_FORTIFY_SOURCE=${level}>")
endif()

target_compile_options(hipgpt_options INTERFACE ${hipgpt_prefix_maps})

# Places a canary before the return address of functions with arrays. AddressSanitizer finds more, and with both options GCC
# does not align its stack sufficiently, so a sanitized build has no canaries.
if(NOT HIPGPT_SANITIZE)
  target_compile_options(hipgpt_options INTERFACE -fstack-protector-strong)
endif()

# Archives contain no times and owners. This is not the default of every ar.
set(CMAKE_CXX_ARCHIVE_CREATE "<CMAKE_AR> qcD <TARGET> <LINK_FLAGS> <OBJECTS>")
set(CMAKE_CXX_ARCHIVE_APPEND "<CMAKE_AR> qD <TARGET> <LINK_FLAGS> <OBJECTS>")
set(CMAKE_CXX_ARCHIVE_FINISH "<CMAKE_RANLIB> -D <TARGET>")

# The program is loaded at a random address, and the tables of the dynamic linker are read-only. The build and the
# installation have the same RUNPATH. Otherwise CMake would pad the build's RUNPATH with an empty entry, which means the
# working folder, and programs would load libraries from there.
function(hipgpt_harden_program target)
  set_target_properties(${target} PROPERTIES POSITION_INDEPENDENT_CODE ON
    BUILD_WITH_INSTALL_RPATH ON INSTALL_RPATH_USE_LINK_PATH ON)
  target_link_options(${target} PRIVATE LINKER:-z,relro,-z,now,-z,noexecstack)
endfunction()
