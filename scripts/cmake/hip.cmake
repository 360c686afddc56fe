# Chooses the compiler of the HIP sources in src/hip and the GPUs to compile for.
#
# HIPGPT_HIP_PLATFORM and HIPGPT_HIP_ARCHITECTURES set the platform and the architectures; by default they follow from the
# GPUs in this machine. Without a GPU, no kernels are compiled, since they could not run. Defines
#   hipgpt_hip                                    a target that compiles the kernels, on the platforms amd and nvidia
#   hipgpt_add_hip(<target>)                      adds the HIP device of the chosen platform to a library
#   hipgpt_add_emulated_hip(<target> <wave size>) adds the HIP device that is emulated on the CPU to a library
#   hipgpt_hip_link_libraries                     the libraries that a program also needs, as linker names
#   hipgpt_hip_link_directory                     the folder of these libraries
set(HIPGPT_HIP_PLATFORM auto CACHE STRING 
  "Where the HIP sources run: auto (on the GPUs in this machine), amd, nvidia, emulated (on the CPU) or none")
set_property(CACHE HIPGPT_HIP_PLATFORM PROPERTY STRINGS auto amd nvidia emulated none)
set(HIPGPT_HIP_ARCHITECTURES "" CACHE STRING
  "GPUs to compile for, for example gfx90a;gfx942 or sm_90. Empty: CMAKE_HIP_ARCHITECTURES, AMDGPU_TARGETS or GPU_TARGETS, \
the GPUs in this machine, or a default list")
set(HIPGPT_WAVE_SIZE 32 CACHE STRING "Lanes of a wave on the emulated platform: 32 or 64")
mark_as_advanced(HIPGPT_WAVE_SIZE)

set(hipgpt_hip_sources # the slowest first
  matmul.cpp attention_backward_bf16.cpp attention_bf16.cpp attention_backward.cpp attention.cpp attention_backward_sm90.cpp
  attention_sm90.cpp softmax_cross_entropy.cpp layernorm.cpp fused_linear.cpp attention_cached.cpp column_sums.cpp sampling.cpp embedding.cpp dropout.cpp
  adamw.cpp copy.cpp hip_device.cpp)
if(HIPGPT_TESTS)  # no program contains the kernels of the guide's ladders
  list(APPEND hipgpt_hip_sources ladder/attention.cpp ladder/layernorm.cpp ladder/matmul.cpp)
endif()
list(TRANSFORM hipgpt_hip_sources PREPEND ${PROJECT_SOURCE_DIR}/src/hip/)
list(APPEND hipgpt_hip_sources ${PROJECT_SOURCE_DIR}/src/comm/gpu_communicator.cpp)

# ---- 1. The compilers. hipgpt_check_<platform>(<result>): why it cannot compile kernels, or empty -------------------

# hipcc is the C++ compiler of the whole build, or compiles only the kernels.
set(hipgpt_wrong_folder "")
if(CMAKE_CXX_COMPILER MATCHES "hipcc[^/]*$")
  set(hipgpt_hipcc ${CMAKE_CXX_COMPILER})
else()
  # Another hipcc than the one that the user named would be a surprise, and hipcc itself reads these variables.
  foreach(variable ROCM_PATH HIP_PATH)
    if(NOT "$ENV{${variable}}" STREQUAL "" AND NOT EXISTS "$ENV{${variable}}/bin/hipcc")
      set(hipgpt_wrong_folder "${variable}=$ENV{${variable}} has no bin/hipcc; correct or unset it")
    endif()
  endforeach()
  find_program(hipgpt_hipcc hipcc HINTS $ENV{ROCM_PATH}/bin $ENV{HIP_PATH}/bin PATHS /opt/rocm/bin)
endif()

function(hipgpt_check_amd result)
  set(reason "hipcc was not found")
  if(hipgpt_wrong_folder)
    set(reason "${hipgpt_wrong_folder}")
  elseif(hipgpt_hipcc)
    get_filename_component(directory ${hipgpt_hipcc} REALPATH)
    get_filename_component(directory ${directory} DIRECTORY)
    find_library(hipgpt_amdhip64 amdhip64 HINTS ${directory}/../lib PATHS /opt/rocm/lib)
    set(reason "the library amdhip64 of ${hipgpt_hipcc} was not found")
    if(hipgpt_amdhip64)
      execute_process(COMMAND ${CMAKE_COMMAND} -E env HIP_PLATFORM=amd ${hipgpt_hipcc} --version
        RESULT_VARIABLE status OUTPUT_VARIABLE text ERROR_QUIET)
      set(reason "${hipgpt_hipcc} does not run")
      if(status EQUAL 0 AND text MATCHES "HIP version: ([0-9]+\\.[0-9]+)")
        set(hipgpt_amd_compiler "hipcc ${CMAKE_MATCH_1}" PARENT_SCOPE)
        set(reason "")
      endif()
    endif()
  endif()
  set(${result} "${reason}" PARENT_SCOPE)
endfunction()

if(CMAKE_CUDA_COMPILER)
  set(hipgpt_nvcc ${CMAKE_CUDA_COMPILER})
else()
  find_program(hipgpt_nvcc NAMES $ENV{CUDACXX} nvcc PATHS /usr/local/cuda/bin)
endif()

function(hipgpt_check_nvidia result)
  set(reason "nvcc was not found")
  if(hipgpt_nvcc)
    execute_process(COMMAND ${hipgpt_nvcc} --version RESULT_VARIABLE status OUTPUT_VARIABLE text ERROR_QUIET)
    set(reason "${hipgpt_nvcc} does not run")
    if(status EQUAL 0 AND text MATCHES "release ([0-9]+\\.[0-9]+)")
      set(version ${CMAKE_MATCH_1})
      set(reason "")
      if(version VERSION_LESS 12)
        set(reason "${hipgpt_nvcc} belongs to CUDA ${version}, and C++20 requires CUDA 12.0 or newer")
      elseif(NOT DEFINED hipgpt_nvcc_works)
        # nvcc supports only some versions of each C++ compiler. This check fails early instead of during the build.
        file(WRITE ${PROJECT_BINARY_DIR}/CMakeFiles/nvcc.cu "#include <string>\n__global__ void kernel() {}\n")
        execute_process(
          COMMAND ${hipgpt_nvcc} -std=c++20 -ccbin ${CMAKE_CXX_COMPILER} -c ${PROJECT_BINARY_DIR}/CMakeFiles/nvcc.cu
                  -o ${PROJECT_BINARY_DIR}/CMakeFiles/nvcc.o
          RESULT_VARIABLE status OUTPUT_QUIET ERROR_QUIET)
        string(COMPARE EQUAL "${status}" "0" works)
        set(hipgpt_nvcc_works ${works} CACHE INTERNAL "")
      endif()
      if(NOT reason AND NOT hipgpt_nvcc_works)
        set(reason "${hipgpt_nvcc} does not work with ${CMAKE_CXX_COMPILER}")
      endif()
      set(hipgpt_nvidia_compiler "nvcc ${version}" PARENT_SCOPE)
    endif()
  endif()
  set(${result} "${reason}" PARENT_SCOPE)
endfunction()

# hipgpt_amd_knows(<architecture> <result>): true if hipcc compiles an empty file for it. hipcc has no list of architectures.
function(hipgpt_amd_knows architecture result)
  if(NOT DEFINED hipgpt_hipcc_knows_${architecture})
    file(WRITE ${PROJECT_BINARY_DIR}/CMakeFiles/empty.cpp "")
    execute_process(
      COMMAND ${CMAKE_COMMAND} -E env HIP_PLATFORM=amd ${hipgpt_hipcc} -x hip --offload-arch=${architecture}
              -c ${PROJECT_BINARY_DIR}/CMakeFiles/empty.cpp -o ${PROJECT_BINARY_DIR}/CMakeFiles/empty.o
      RESULT_VARIABLE status OUTPUT_QUIET ERROR_QUIET)
    string(COMPARE EQUAL "${status}" "0" known)
    set(hipgpt_hipcc_knows_${architecture} ${known} CACHE INTERNAL "")
  endif()
  set(${result} ${hipgpt_hipcc_knows_${architecture}} PARENT_SCOPE)
endfunction()

function(hipgpt_nvidia_knows architecture result)
  execute_process(COMMAND ${hipgpt_nvcc} --list-gpu-code OUTPUT_VARIABLE text)
  string(REGEX MATCH "(^|\n)${architecture}\n" known "${text}")
  set(${result} ${known} PARENT_SCOPE)
endfunction()

# hipgpt_keep_known(<platform> <list>): removes the architectures that the compiler does not know.
function(hipgpt_keep_known platform list)
  set(known "")
  foreach(architecture IN LISTS ${list})
    cmake_language(CALL hipgpt_${platform}_knows ${architecture} knows)
    if(knows)
      list(APPEND known ${architecture})
    endif()
  endforeach()
  set(${list} "${known}" PARENT_SCOPE)
endfunction()

# ---- 2. The platform: the requested one, or that of the GPU in this machine ------------------------------------------

include(${CMAKE_CURRENT_LIST_DIR}/find_gpus.cmake)

# hipgpt_for_gpus_here(<platform>): sets hipgpt_platform and hipgpt_architectures if there are GPUs of this platform and their
# kernels can be compiled. If they cannot, it sets hipgpt_platform_reason.
function(hipgpt_for_gpus_here platform)
  cmake_language(CALL hipgpt_find_${platform}_gpus gpus)
  if(NOT gpus)
    return()
  endif()
  cmake_language(CALL hipgpt_check_${platform} reason)
  set(known "")
  if(NOT reason)
    set(known ${gpus})
    hipgpt_keep_known(${platform} known)
    set(reason "${hipgpt_${platform}_compiler} does not know it")
  endif()
  if(known)
    set(hipgpt_platform ${platform} PARENT_SCOPE)
    set(hipgpt_architectures ${known} PARENT_SCOPE)
    set(hipgpt_platform_reason "${hipgpt_${platform}_compiler}, for the GPU in this machine" PARENT_SCOPE)
  else()
    list(JOIN gpus ", " gpus)
    set(hipgpt_platform_reason "this machine has a GPU ${gpus}, but ${reason}" PARENT_SCOPE)
  endif()
endfunction()

# The requested architectures, also under the names that other projects with HIP have for them.
set(hipgpt_requested "")
foreach(variable HIPGPT_HIP_ARCHITECTURES CMAKE_HIP_ARCHITECTURES AMDGPU_TARGETS GPU_TARGETS)
  set(architectures ${${variable}})
  if(architectures AND NOT hipgpt_requested AND NOT architectures STREQUAL "native")
    set(hipgpt_requested ${architectures})
    set(hipgpt_requested_by ${variable})
  endif()
endforeach()
set(hipgpt_requested_platform "")
foreach(architecture IN LISTS hipgpt_requested)
  if(architecture MATCHES "^gfx[0-9a-f]+(:[a-z]+[-+])*$")
    list(APPEND hipgpt_requested_platform amd)
  elseif(architecture MATCHES "^sm_[0-9]+[af]?$")
    list(APPEND hipgpt_requested_platform nvidia)
  else()
    message(FATAL_ERROR "${hipgpt_requested_by}: '${architecture}' is not a GPU; "
                        "give a list such as \"gfx90a;gfx1100\" or \"sm_80;sm_90\"")
  endif()
endforeach()
list(REMOVE_DUPLICATES hipgpt_requested_platform)
if(hipgpt_requested_platform MATCHES ";")
  message(FATAL_ERROR "${hipgpt_requested_by}=${hipgpt_requested}: a build is for AMD's GPUs or for NVIDIA's; name one kind")
endif()

set(hipgpt_platform none)
set(hipgpt_platform_reason "")
set(hipgpt_architectures "")
if(NOT HIPGPT_HIP_PLATFORM STREQUAL "auto")
  set(hipgpt_platform ${HIPGPT_HIP_PLATFORM})
  set(hipgpt_platform_reason "by HIPGPT_HIP_PLATFORM")
  if(NOT hipgpt_platform MATCHES "^(amd|nvidia|emulated|none)$")
    message(FATAL_ERROR "HIPGPT_HIP_PLATFORM=${hipgpt_platform}: unknown platform; choose auto, amd, nvidia, emulated or none")
  endif()
elseif(HIPGPT_SANITIZE)
  set(hipgpt_platform_reason "GPU runtimes do not work with sanitizers")
elseif(hipgpt_requested)
  set(hipgpt_platform ${hipgpt_requested_platform})
  set(hipgpt_platform_reason "by ${hipgpt_requested_by}")
elseif(CMAKE_CXX_COMPILER MATCHES "hipcc[^/]*$")
  set(hipgpt_platform amd)
  set(hipgpt_platform_reason "which is the C++ compiler")
else()
  hipgpt_for_gpus_here(amd)
  if(hipgpt_platform STREQUAL "none")
    hipgpt_for_gpus_here(nvidia)
  endif()
  if(NOT hipgpt_platform_reason AND hipgpt_wrong_folder)
    set(hipgpt_platform_reason "${hipgpt_wrong_folder}")
    message(WARNING "This build has no GPU kernels: ${hipgpt_wrong_folder}")
  elseif(NOT hipgpt_platform_reason)
    set(hipgpt_platform_reason "no GPU found in this machine")
  endif()
endif()

if(hipgpt_platform MATCHES "^(amd|nvidia)$" AND NOT hipgpt_architectures)
  cmake_language(CALL hipgpt_check_${hipgpt_platform} reason)
  if(reason)
    message(FATAL_ERROR "HIPGPT_HIP_PLATFORM=${hipgpt_platform}: ${reason}")
  endif()
  string(PREPEND hipgpt_platform_reason "${hipgpt_${hipgpt_platform}_compiler}, ")
endif()

# ---- 3. The architectures: the requested ones, those of the GPUs in this machine, or a default list ------------------

if(hipgpt_requested AND hipgpt_platform MATCHES "^(amd|nvidia)$")
  if(NOT hipgpt_requested_platform STREQUAL hipgpt_platform)
    message(FATAL_ERROR "${hipgpt_requested_by}=${hipgpt_requested}: the platform ${hipgpt_platform} has no such GPUs")
  endif()
  set(hipgpt_architectures ${hipgpt_requested})
  hipgpt_keep_known(${hipgpt_platform} hipgpt_architectures)
  list(REMOVE_ITEM hipgpt_requested "" ${hipgpt_architectures})
  if(hipgpt_requested)
    message(FATAL_ERROR "${hipgpt_requested_by}: ${hipgpt_${hipgpt_platform}_compiler} does not know '${hipgpt_requested}'; "
                        "remove it from the list, or use a newer compiler")
  endif()
endif()
if(NOT hipgpt_architectures AND hipgpt_platform MATCHES "^(amd|nvidia)$")
  cmake_language(CALL hipgpt_find_${hipgpt_platform}_gpus hipgpt_architectures)
  hipgpt_keep_known(${hipgpt_platform} hipgpt_architectures)
endif()
if(NOT hipgpt_architectures AND hipgpt_platform STREQUAL "amd")
  set(hipgpt_architectures gfx90a gfx942 gfx950 gfx1030 gfx1100 gfx1151 gfx1201)
  hipgpt_keep_known(amd hipgpt_architectures)
  if(NOT gfx942 IN_LIST hipgpt_architectures)
    list(APPEND hipgpt_architectures gfx940)  # what older compilers support of that family
    hipgpt_keep_known(amd hipgpt_architectures)
  endif()
elseif(NOT hipgpt_architectures AND hipgpt_platform STREQUAL "nvidia")
  set(hipgpt_architectures sm_80 sm_90)
  hipgpt_keep_known(nvidia hipgpt_architectures)
endif()

list(JOIN hipgpt_architectures " " text)
if(text)
  string(PREPEND text ", ")
endif()
if(hipgpt_platform STREQUAL "none" AND NOT HIPGPT_SANITIZE)
  set(text "; -DHIPGPT_HIP_PLATFORM=amd or nvidia compiles kernels")
endif()
message(STATUS "HIP platform: ${hipgpt_platform} (${hipgpt_platform_reason})${text}")

# ---- 4. The HIP device of each platform ---------------------------------------------------------------------

# The message for a GPU without kernels names these.
list(JOIN hipgpt_architectures ", " hipgpt_built_architectures)

set(hipgpt_hip_link_libraries "")
set(hipgpt_hip_link_directory "")

# amd: one rule that calls hipcc. CMake's HIP language requires Clang instead, and does not find the ROCm of Debian and Ubuntu.
# This rule is the same for every release, and for hipcc, g++ and clang++ as the C++ compiler of the build.
function(hipgpt_compile_amd)
  set(objects "")
  set(flags -std=c++20 -fPIC -Wall -Wextra "-DHIPGPT_BUILT_ARCHITECTURES=\"${hipgpt_built_architectures}\"" ${hipgpt_prefix_maps})
  list(TRANSFORM hipgpt_architectures PREPEND --offload-arch= OUTPUT_VARIABLE architectures)
  # The include folders of the core, as -I options. /usr/include is left out: it must not precede the compiler's own folders.
  set(includes "$<FILTER:$<TARGET_PROPERTY:hipgpt_core,INCLUDE_DIRECTORIES>,EXCLUDE,^/usr/include$>")
  string(TOUPPER "${CMAKE_BUILD_TYPE}" build_type)
  separate_arguments(build_type_flags UNIX_COMMAND "${CMAKE_CXX_FLAGS_${build_type}}")
  foreach(source IN LISTS hipgpt_hip_sources)
    get_filename_component(name ${source} NAME)
    list(LENGTH objects place)
    set(object ${PROJECT_BINARY_DIR}/hip/${place}-${name}.o) # Ninja builds them in the order of their names
    add_custom_command(OUTPUT ${object}
      COMMAND ${CMAKE_COMMAND} -E env HIP_PLATFORM=amd ${hipgpt_hipcc} -x hip ${architectures} ${flags} ${build_type_flags}
              "-I$<JOIN:${includes},;-I>" -MD -MF ${object}.d -c ${source} -o ${object}
      DEPENDS ${source}
      DEPFILE ${object}.d
      COMMENT "Compiling ${name} for AMD GPUs"
      COMMAND_EXPAND_LISTS VERBATIM)
    list(APPEND objects ${object})
  endforeach()
  file(MAKE_DIRECTORY ${PROJECT_BINARY_DIR}/hip)
  set_source_files_properties(${objects} PROPERTIES EXTERNAL_OBJECT ON GENERATED ON)
  add_custom_target(hipgpt_hip DEPENDS ${objects})
  set(hipgpt_hip_objects ${objects} PARENT_SCOPE)
endfunction()

function(hipgpt_add_amd_hip target)
  add_dependencies(${target} hipgpt_hip)
  target_sources(${target} PRIVATE ${hipgpt_hip_objects})
  target_link_libraries(${target} PRIVATE ${hipgpt_amdhip64})
endfunction()

# nvidia: CMake's CUDA language, with src/platform/nvidia/hip/hip_runtime.h instead of HIP's header. This is a macro, because
# languages and properties of sources belong to a folder, not to a function.
macro(hipgpt_compile_nvidia)
  # These two have no kernels and do not need nvcc, which cannot compile every release of fmt.
  set(hipgpt_kernel_sources ${hipgpt_hip_sources})
  list(FILTER hipgpt_kernel_sources EXCLUDE REGEX "/(hip_device|gpu_communicator)\\.cpp$")
  set_source_files_properties(${hipgpt_kernel_sources} PROPERTIES LANGUAGE CUDA)
  add_library(hipgpt_hip OBJECT ${hipgpt_hip_sources})
  target_include_directories(hipgpt_hip PRIVATE src/platform/nvidia
                                                   $<TARGET_PROPERTY:hipgpt_core,INCLUDE_DIRECTORIES>)
  list(JOIN hipgpt_prefix_maps "," prefix_maps)
  target_compile_options(hipgpt_hip PRIVATE
    "$<$<COMPILE_LANGUAGE:CXX>:-Wall;-Wextra;${hipgpt_prefix_maps}>"
    "$<$<COMPILE_LANGUAGE:CUDA>:-Xcompiler=-Wall,-Wextra,${prefix_maps}>")
  target_compile_definitions(hipgpt_hip PRIVATE HIPGPT_BUILT_ARCHITECTURES="${hipgpt_built_architectures}")
  target_link_libraries(hipgpt_hip PRIVATE CUDA::cudart_static)
  # Compiles machine code for each architecture, and PTX of the last one for newer GPUs. Hopper's own instructions exist only
  # in machine code for sm_90a.
  list(TRANSFORM hipgpt_architectures REPLACE "^sm_(.*)" "\\1-real" OUTPUT_VARIABLE architectures)
  list(GET hipgpt_architectures -1 last)
  string(REGEX REPLACE "^sm_([0-9]+).*" "\\1-virtual" last "${last}")
  list(TRANSFORM architectures REPLACE "^90-real" "90a-real")
  list(APPEND architectures ${last})
  set_target_properties(hipgpt_hip PROPERTIES CUDA_STANDARD 20 CUDA_EXTENSIONS OFF
    CUDA_ARCHITECTURES "${architectures}" POSITION_INDEPENDENT_CODE ON)
endmacro()

function(hipgpt_add_nvidia_hip target)
  target_sources(${target} PRIVATE $<TARGET_OBJECTS:hipgpt_hip>)
  # The runtime is static, so that a program starts on a machine without CUDA and reports that it finds no GPU.
  target_link_libraries(${target} PRIVATE CUDA::cudart_static)
endfunction()

function(hipgpt_add_none_hip target)
  set(reason "${hipgpt_platform_reason}")
  if(HIPGPT_HIP_PLATFORM STREQUAL "none")
    string(APPEND reason "=none")
  else()
    string(APPEND reason " when it was configured")
  endif()
  target_sources(${target} PRIVATE ${PROJECT_SOURCE_DIR}/src/platform/none/no_hip_device.cpp
                                   ${PROJECT_SOURCE_DIR}/src/comm/no_gpu_communicator.cpp)
  target_compile_definitions(${target} PRIVATE HIPGPT_NO_HIP_REASON="${reason}")
endfunction()

function(hipgpt_add_emulated_hip target wave_size)
  set(emulator block.cpp device.cpp fault.cpp fiber.cpp grid.cpp memory.cpp stream.cpp)
  list(TRANSFORM emulator PREPEND ${PROJECT_SOURCE_DIR}/src/platform/emulated/)
  target_sources(${target} PRIVATE ${hipgpt_hip_sources} ${emulator})
  target_include_directories(${target} PRIVATE ${PROJECT_SOURCE_DIR}/src/platform/emulated ${PROJECT_SOURCE_DIR}/include
                                               ${PROJECT_SOURCE_DIR}/src)
  target_compile_definitions(${target} PRIVATE HIPGPT_WAVE_SIZE=${wave_size} HIPGPT_BUILT_ARCHITECTURES="emulated")
  target_compile_options(${target} PRIVATE -Wno-unknown-pragmas)  # only GPU compilers know `unroll`
endfunction()

if(hipgpt_platform STREQUAL "nvidia")
  set(CMAKE_CUDA_COMPILER ${hipgpt_nvcc})
  set(CMAKE_CUDA_HOST_COMPILER ${CMAKE_CXX_COMPILER})
  set(CMAKE_CUDA_ARCHITECTURES OFF)  # each target sets its own
  enable_language(CUDA)
  if(NOT CMAKE_CUDA20_STANDARD_COMPILE_OPTION)
    set(CMAKE_CUDA20_STANDARD_COMPILE_OPTION -std=c++20)  # CMake 3.25 does not know that nvcc has it
  endif()
  find_package(CUDAToolkit REQUIRED)
  set(hipgpt_hip_link_libraries cudart_static)
  get_filename_component(hipgpt_hip_link_directory ${CUDA_cudart_static_LIBRARY} DIRECTORY)
  hipgpt_compile_nvidia()
elseif(hipgpt_platform STREQUAL "amd")
  set(hipgpt_hip_link_libraries amdhip64)
  get_filename_component(hipgpt_hip_link_directory ${hipgpt_amdhip64} DIRECTORY)
  hipgpt_compile_amd()
endif()
mark_as_advanced(hipgpt_hipcc hipgpt_amdhip64 hipgpt_nvcc)

macro(hipgpt_add_hip target)
  if(hipgpt_platform STREQUAL "emulated")
    hipgpt_add_emulated_hip(${target} ${HIPGPT_WAVE_SIZE})
  else()
    cmake_language(CALL hipgpt_add_${hipgpt_platform}_hip ${target})
  endif()
endmacro()
