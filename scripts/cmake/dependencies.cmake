# Finds the libraries that HipGPT depends on. CMake uses an installed library (scripts/install_deps.sh installs all of them).
# Otherwise it downloads the library as a Git commit, whose name is the hash of its content, and builds it. The licences are
# in THIRD_PARTY_NOTICES.
#
# Defines: nlohmann_json::nlohmann_json  CLI11::CLI11  fmt::fmt  hipgpt::utf8proc  hipgpt::xxhash  hipgpt::openblas
#          Threads::Threads  and, for the tests, GTest::gtest and GTest::gtest_main.
set(HIPGPT_DOWNLOAD_DEPENDENCIES AUTO CACHE STRING
  "AUTO: download the libraries that are not installed. ALWAYS: ignore the installed ones. NEVER: stop if one is missing")
set_property(CACHE HIPGPT_DOWNLOAD_DEPENDENCIES PROPERTY STRINGS AUTO ALWAYS NEVER)

include(FetchContent)

# ---- 1. The dependencies: a target, the Debian package that has it, and the commit of a release to build it from otherwise.

# hipgpt_dependency(<name> <target> <Debian package> <Git repository> <release> <commit>)
set(hipgpt_dependencies "")
macro(hipgpt_dependency name target package repository release commit)
  list(APPEND hipgpt_dependencies ${name})
  set(hipgpt_${name}_target ${target})
  set(hipgpt_${name}_package ${package})
  set(hipgpt_${name}_release ${release})
  set(hipgpt_${name}_repository ${repository})
  FetchContent_Declare(${name}
    GIT_REPOSITORY ${repository}
    GIT_TAG ${commit} # ${release}
    GIT_SUBMODULES ""
    SOURCE_SUBDIR no-such-folder # only downloads; the functions in part 3 build the sources
  )
endmacro()

hipgpt_dependency(nlohmann_json nlohmann_json::nlohmann_json nlohmann-json3-dev
  https://github.com/nlohmann/json.git 3.11.3 9cca280a4d0ccf0c08f47a99aa71d1b0e52f8d03)
hipgpt_dependency(CLI11 CLI11::CLI11 libcli11-dev
  https://github.com/CLIUtils/CLI11.git 2.4.2 6c7b07a878ad834957b98d0f9ce1dbe0cb204fc9)
hipgpt_dependency(fmt fmt::fmt libfmt-dev
  https://github.com/fmtlib/fmt.git 11.2.0 40626af88bd7df9a5fb80be7b25ac85b122d6c21)
hipgpt_dependency(utf8proc hipgpt::utf8proc libutf8proc-dev
  https://github.com/JuliaStrings/utf8proc.git 2.9.0 34db3f7954e9298e89f42641ac78e0450f80a70d)
hipgpt_dependency(xxhash hipgpt::xxhash libxxhash-dev
  https://github.com/Cyan4973/xxHash.git 0.8.2 bbb27a5efb85b92a0486cf361a8635715a53f6ba)
hipgpt_dependency(openblas hipgpt::openblas libopenblas-pthread-dev
  https://github.com/OpenMathLib/OpenBLAS.git 0.3.28 5ef8b1964658f9cb6a6324a06f6a1a022609b0c5)
if(HIPGPT_TESTS)
  hipgpt_dependency(GTest GTest::gtest_main libgtest-dev
    https://github.com/google/googletest.git 1.14.0 f8d7d77c06936315286eb55f8de22cd23c188571)
endif()

# ---- 2. Installed libraries. A package without a CMake configuration is found by its header and its library.

# hipgpt_find_library(<name> <header> [<library>] [PATH_SUFFIXES ...]): sets hipgpt_<name>_include and hipgpt_<name>_library,
# and defines the target of the dependency if it finds both. Without <library>, the header is enough.
function(hipgpt_find_library name header)
  cmake_parse_arguments(PARSE_ARGV 2 arg "" "" "PATH_SUFFIXES")
  set(library ${arg_UNPARSED_ARGUMENTS})
  find_path(hipgpt_${name}_include NAMES ${header} PATH_SUFFIXES ${arg_PATH_SUFFIXES})
  mark_as_advanced(hipgpt_${name}_include)
  set(usable ${hipgpt_${name}_include})
  if(library)
    find_library(hipgpt_${name}_library NAMES ${library} PATH_SUFFIXES ${arg_PATH_SUFFIXES})
    mark_as_advanced(hipgpt_${name}_library)
    if(NOT hipgpt_${name}_library)
      set(usable FALSE)
    endif()
  endif()
  if(usable)
    add_library(${hipgpt_${name}_target} INTERFACE IMPORTED)
    target_include_directories(${hipgpt_${name}_target} INTERFACE ${hipgpt_${name}_include})
    target_link_libraries(${hipgpt_${name}_target} INTERFACE ${hipgpt_${name}_library})
  endif()
endfunction()

if(NOT HIPGPT_DOWNLOAD_DEPENDENCIES STREQUAL "ALWAYS")
  find_package(nlohmann_json 3.9 QUIET)
  find_package(CLI11 2.1 QUIET)
  find_package(fmt 8 QUIET)
  if(HIPGPT_TESTS)
    find_package(GTest QUIET)
  endif()
  hipgpt_find_library(utf8proc utf8proc.h utf8proc)
  hipgpt_find_library(xxhash xxhash.h)
  # OpenBLAS has three builds: with its own threads, serial, and with OpenMP. HipGPT calls it from several threads at once.
  # That is safe only in the first two: the OpenMP build protects its buffers only between threads of OpenMP.
  hipgpt_find_library(openblas openblas_config.h openblasp openblas
    PATH_SUFFIXES openblas-pthread openblas-serial openblas)
endif()

set(THREADS_PREFER_PTHREAD_FLAG ON)
find_package(Threads REQUIRED)

# ---- 3. The other libraries: download them, and build the parts that HipGPT uses. <source> is the folder of the sources.

function(hipgpt_build_nlohmann_json source)
  add_library(nlohmann_json::nlohmann_json INTERFACE IMPORTED GLOBAL)
  target_include_directories(nlohmann_json::nlohmann_json INTERFACE ${source}/single_include)
endfunction()

function(hipgpt_build_CLI11 source)
  add_library(CLI11::CLI11 INTERFACE IMPORTED GLOBAL)
  target_include_directories(CLI11::CLI11 INTERFACE ${source}/include)
endfunction()

function(hipgpt_build_xxhash source)
  add_library(hipgpt::xxhash INTERFACE IMPORTED GLOBAL)
  target_include_directories(hipgpt::xxhash INTERFACE ${source})
endfunction()

# hipgpt_add_static(<target> <name> <include folder> <sources>...): the static library lib<name>.a, without HipGPT's warnings.
function(hipgpt_add_static target name include)
  add_library(hipgpt_${name} STATIC ${ARGN})
  add_library(${target} ALIAS hipgpt_${name})
  set_target_properties(hipgpt_${name} PROPERTIES OUTPUT_NAME ${name} POSITION_INDEPENDENT_CODE ON)
  target_include_directories(hipgpt_${name} SYSTEM PUBLIC ${include})
endfunction()

function(hipgpt_build_fmt source)
  hipgpt_add_static(fmt::fmt fmt ${source}/include ${source}/src/format.cc ${source}/src/os.cc)
endfunction()

function(hipgpt_build_utf8proc source)
  hipgpt_add_static(hipgpt::utf8proc utf8proc ${source} ${source}/utf8proc.c)
  target_compile_definitions(hipgpt_utf8proc PUBLIC UTF8PROC_STATIC)
endfunction()

function(hipgpt_build_GTest source)
  hipgpt_add_static(GTest::gtest gtest ${source}/googletest/include ${source}/googletest/src/gtest-all.cc)
  target_include_directories(hipgpt_gtest PRIVATE ${source}/googletest)
  target_link_libraries(hipgpt_gtest PUBLIC Threads::Threads)
  hipgpt_add_static(GTest::gtest_main gtest_main ${source}/googletest/include ${source}/googletest/src/gtest_main.cc)
  target_link_libraries(hipgpt_gtest_main PUBLIC GTest::gtest)
endfunction()

# Builds only single-precision BLAS with its C interface: no LAPACK, no Fortran, no tests. It is built for the
# processor of this machine, or with kernels for every processor, chosen at run time, which takes long.
option(HIPGPT_PORTABLE_OPENBLAS "If OpenBLAS is built here, build it for every processor" OFF)
function(hipgpt_build_openblas source)
  include(ExternalProject)
  set(prefix ${CMAKE_BINARY_DIR}/_deps/openblas-install)
  set(processor -DDYNAMIC_ARCH=OFF)
  if(HIPGPT_PORTABLE_OPENBLAS)
    set(processor -DDYNAMIC_ARCH=ON -DNUM_THREADS=64)
  endif()
  ExternalProject_Add(hipgpt_openblas_build
    SOURCE_DIR ${source}
    BINARY_DIR ${CMAKE_BINARY_DIR}/_deps/openblas-build
    DOWNLOAD_COMMAND ""
    CMAKE_ARGS -DCMAKE_BUILD_TYPE=Release -DCMAKE_C_COMPILER=${CMAKE_C_COMPILER} -DCMAKE_POSITION_INDEPENDENT_CODE=ON
      -DCMAKE_INSTALL_PREFIX=${prefix} -DCMAKE_INSTALL_LIBDIR=lib -DCMAKE_POLICY_VERSION_MINIMUM=3.5 -Wno-dev
      -DBUILD_STATIC_LIBS=ON -DBUILD_SHARED_LIBS=OFF -DBUILD_SINGLE=ON -DBUILD_WITHOUT_LAPACK=ON -DNOFORTRAN=ON
      -DBUILD_TESTING=OFF -DUSE_THREAD=OFF -DUSE_LOCKING=ON ${processor}
    BUILD_COMMAND ${CMAKE_COMMAND} --build . --target openblas_static
    BUILD_BYPRODUCTS ${prefix}/lib/libopenblas.a
    LOG_CONFIGURE ON LOG_BUILD ON LOG_INSTALL ON LOG_OUTPUT_ON_FAILURE ON
  )
  file(MAKE_DIRECTORY ${prefix}/include/openblas) # CMake requires the include folder of a target to exist at configuration
  add_library(hipgpt::openblas INTERFACE IMPORTED GLOBAL)
  add_dependencies(hipgpt::openblas hipgpt_openblas_build)
  target_include_directories(hipgpt::openblas INTERFACE ${prefix}/include/openblas)
  target_link_libraries(hipgpt::openblas INTERFACE ${prefix}/lib/libopenblas.a Threads::Threads m)
endfunction()

# hipgpt_can_download(<name> <result>): true if the sources are already downloaded or their repository answers.
function(hipgpt_can_download name result)
  string(TOUPPER ${name} upper)
  string(TOLOWER ${name} lower)
  set(${result} TRUE PARENT_SCOPE)
  if(HIPGPT_DOWNLOAD_DEPENDENCIES STREQUAL "NEVER")
    set(${result} FALSE PARENT_SCOPE)
  elseif(NOT FETCHCONTENT_SOURCE_DIR_${upper} AND NOT IS_DIRECTORY ${FETCHCONTENT_BASE_DIR}/${lower}-src/.git)
    find_package(Git QUIET)
    if(Git_FOUND)
      execute_process(COMMAND ${GIT_EXECUTABLE} ls-remote --quiet ${hipgpt_${name}_repository} HEAD
        TIMEOUT 30 RESULT_VARIABLE status OUTPUT_QUIET ERROR_QUIET)
    endif()
    if(NOT Git_FOUND OR NOT status EQUAL 0)
      set(${result} FALSE PARENT_SCOPE)
    endif()
  endif()
endfunction()

set(hipgpt_installed "")
set(hipgpt_downloaded "")
set(missing "")
foreach(name IN LISTS hipgpt_dependencies)
  if(TARGET ${hipgpt_${name}_target})
    list(APPEND hipgpt_installed ${name})
  else()
    hipgpt_can_download(${name} can_download)
    if(can_download)
      list(APPEND hipgpt_downloaded ${name})
    else()
      list(APPEND missing ${name})
    endif()
  endif()
endforeach()

if(missing)
  set(packages "")
  foreach(name IN LISTS missing)
    list(APPEND packages ${hipgpt_${name}_package})
  endforeach()
  list(JOIN missing ", " missing)
  list(JOIN packages " " packages)
  message(FATAL_ERROR "HipGPT needs libraries that are not installed and cannot be downloaded from here: ${missing}.\n"
    "On Debian or Ubuntu, run ./scripts/install_deps.sh, or apt-get install ${packages}")
endif()

if(hipgpt_downloaded)
  enable_language(C) # for utf8proc and OpenBLAS; CMake requires this call outside a function
endif()
foreach(name IN LISTS hipgpt_downloaded)
  message(STATUS "${name}: building release ${hipgpt_${name}_release} from ${hipgpt_${name}_repository}")
  FetchContent_MakeAvailable(${name})
  FetchContent_GetProperties(${name} SOURCE_DIR source)
  cmake_language(CALL hipgpt_build_${name} ${source})
endforeach()

foreach(kind installed downloaded)
  list(JOIN hipgpt_${kind} ", " names)
  if(names)
    message(STATUS "Libraries ${kind}: ${names}")
  endif()
endforeach()
