# What makes a mistake with memory end a program before it can be used, and two builds of one commit the same bytes.
#
# Adds to hipgpt_options, and defines hipgpt_harden_program(<target>). Code for GPUs is not touched: those compilers are not
# called with hipgpt_options.
include(CheckCXXSourceCompiles)
include(CheckPIESupported)
check_pie_supported(LANGUAGES CXX)

# Checked versions of memcpy() and its like, where the compiler knows the size of an object: with 3 also one that is known at
# run time alone. They take optimised code. A distribution's compiler may define the macro itself.
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

# A canary before the return address of functions with arrays. Not with AddressSanitizer, which finds more, and whose own
# stack GCC aligns too little where both are asked for.
if(NOT HIPGPT_SANITIZE)
  target_compile_options(hipgpt_options INTERFACE -fstack-protector-strong)
endif()

# An archive without times and owners, which is not the default of every ar.
set(CMAKE_CXX_ARCHIVE_CREATE "<CMAKE_AR> qcD <TARGET> <LINK_FLAGS> <OBJECTS>")
set(CMAKE_CXX_ARCHIVE_APPEND "<CMAKE_AR> qD <TARGET> <LINK_FLAGS> <OBJECTS>")
set(CMAKE_CXX_ARCHIVE_FINISH "<CMAKE_RANLIB> -D <TARGET>")

# At a random address, with the tables of the dynamic linker read-only, and with one RUNPATH for the build and the installation.
# CMake would otherwise pad that of the build with an empty entry, which is the working folder: programs would load libraries
# from there.
function(hipgpt_harden_program target)
  set_target_properties(${target} PROPERTIES POSITION_INDEPENDENT_CODE ON
    BUILD_WITH_INSTALL_RPATH ON INSTALL_RPATH_USE_LINK_PATH ON)
  target_link_options(${target} PRIVATE LINKER:-z,relro,-z,now,-z,noexecstack)
endfunction()
