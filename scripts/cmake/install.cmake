# `cmake --install build --prefix DIR` installs the executables with their completions and manual pages, the library with its
# headers, and the files for find_package(hipgpt).
# A consumer writes find_package(hipgpt), links hipgpt::hipgpt and includes <hipgpt/gpt_model.h>.
include(GNUInstallDirs)
include(CMakePackageConfigHelpers)

# A consumer links these libraries in addition to libhipgpt.a, which already contains the header-only ones. Libraries that
# this build compiled are installed too; the others are searched for where this build found them.
set(hipgpt_link_names openblas fmt utf8proc)
set(hipgpt_link_directories "")
foreach(name IN LISTS hipgpt_link_names)
  if(TARGET hipgpt_${name})
    install(FILES $<TARGET_FILE:hipgpt_${name}> DESTINATION ${CMAKE_INSTALL_LIBDIR}/hipgpt)
  elseif(TARGET hipgpt_${name}_build)
    install(FILES ${CMAKE_BINARY_DIR}/_deps/${name}-install/lib/lib${name}.a DESTINATION ${CMAKE_INSTALL_LIBDIR}/hipgpt)
  elseif(hipgpt_${name}_library)
    get_filename_component(directory ${hipgpt_${name}_library} DIRECTORY)
    list(APPEND hipgpt_link_directories ${directory})
  endif()
endforeach()
# OpenBLAS has another name on systems that keep its builds in one folder (openblaso, openblasp).
if(hipgpt_openblas_library)
  get_filename_component(openblas_name ${hipgpt_openblas_library} NAME_WE)
  string(REGEX REPLACE "^lib" "" openblas_name ${openblas_name})
  list(TRANSFORM hipgpt_link_names REPLACE "^openblas$" ${openblas_name})
endif()

# The GPU runtime.
list(APPEND hipgpt_link_names ${hipgpt_hip_link_libraries})
list(APPEND hipgpt_link_directories ${hipgpt_hip_link_directory})

add_library(hipgpt::hipgpt ALIAS hipgpt) # the same name for projects that use add_subdirectory()

install(FILES ${PROJECT_SOURCE_DIR}/LICENSE ${CMAKE_CURRENT_LIST_DIR}/THIRD_PARTY_NOTICES
  DESTINATION ${CMAKE_INSTALL_DATAROOTDIR}/doc/hipgpt)
install(TARGETS hipgpt ARCHIVE DESTINATION ${CMAKE_INSTALL_LIBDIR})
install(DIRECTORY ${PROJECT_SOURCE_DIR}/include/ DESTINATION ${CMAKE_INSTALL_INCLUDEDIR}/hipgpt FILES_MATCHING PATTERN "*.h")
foreach(executable train_gpt generate)
  if(TARGET ${executable})
    install(TARGETS ${executable} RUNTIME DESTINATION ${CMAKE_INSTALL_BINDIR})
  endif()
endforeach()
# Programs find the module from their own folder.
file(RELATIVE_PATH module_folder ${CMAKE_INSTALL_FULL_BINDIR} ${CMAKE_INSTALL_FULL_LIBDIR}/hipgpt/modules)
set_property(SOURCE ${PROJECT_SOURCE_DIR}/src/comm/mpi.cpp APPEND PROPERTY COMPILE_DEFINITIONS HIPGPT_MODULE_FOLDER="${module_folder}")
if(TARGET hipgpt_mpi)
  install(TARGETS hipgpt_mpi LIBRARY DESTINATION ${CMAKE_INSTALL_LIBDIR}/hipgpt/modules)
endif()

# hipgpt_install_text(<program> <folder> <file> <arguments>...): installs what the program prints. A program that was compiled for
# another machine does not run here; then the file is left out.
function(hipgpt_install_text program folder file)
  set(path ${PROJECT_BINARY_DIR}/share/${file})
  install(CODE "execute_process(COMMAND \"$<TARGET_FILE:${program}>\" ${ARGN} OUTPUT_FILE \"${path}\" RESULT_VARIABLE status)
if(NOT status EQUAL 0)
  message(STATUS \"HipGPT: ${program} does not run here, so ${file} is not installed\")
  file(REMOVE \"${path}\")
endif()")
  install(FILES ${path} DESTINATION ${folder} OPTIONAL)
endfunction()

file(MAKE_DIRECTORY ${PROJECT_BINARY_DIR}/share)
foreach(program train_gpt generate)
  hipgpt_install_text(${program} ${CMAKE_INSTALL_MANDIR}/man1 ${program}.1 --man)
  hipgpt_install_text(${program} ${CMAKE_INSTALL_DATADIR}/bash-completion/completions ${program} --completions bash)
  hipgpt_install_text(${program} ${CMAKE_INSTALL_DATADIR}/zsh/site-functions _${program} --completions zsh)
  hipgpt_install_text(${program} ${CMAKE_INSTALL_DATADIR}/fish/vendor_completions.d ${program}.fish --completions fish)
endforeach()

set(hipgpt_config_dir ${CMAKE_INSTALL_LIBDIR}/cmake/hipgpt)
set(hipgpt_archive ${CMAKE_INSTALL_LIBDIR}/${CMAKE_STATIC_LIBRARY_PREFIX}hipgpt${CMAKE_STATIC_LIBRARY_SUFFIX})
set(hipgpt_library_dir ${CMAKE_INSTALL_LIBDIR}/hipgpt)
configure_package_config_file(${CMAKE_CURRENT_LIST_DIR}/hipgptConfig.cmake.in ${PROJECT_BINARY_DIR}/hipgptConfig.cmake
  INSTALL_DESTINATION ${hipgpt_config_dir}
  PATH_VARS CMAKE_INSTALL_INCLUDEDIR hipgpt_archive hipgpt_library_dir
)
write_basic_package_version_file(${PROJECT_BINARY_DIR}/hipgptConfigVersion.cmake COMPATIBILITY SameMinorVersion)
install(FILES ${PROJECT_BINARY_DIR}/hipgptConfig.cmake ${PROJECT_BINARY_DIR}/hipgptConfigVersion.cmake
  DESTINATION ${hipgpt_config_dir})
