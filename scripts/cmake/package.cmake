# `cpack -G DEB`, in the build folder, makes a Debian package of what `cmake --install` installs.
set(CPACK_PACKAGE_NAME hipgpt)
set(CPACK_PACKAGE_VENDOR "The HipGPT authors")
set(CPACK_PACKAGE_CONTACT "The HipGPT authors <root@localhost>" CACHE STRING
  "Who maintains the package that cpack makes: NAME <ADDRESS>")
set(CPACK_PACKAGE_DESCRIPTION_SUMMARY "trains and runs GPT-2, with kernels written in HIP")
set(CPACK_PACKAGE_DESCRIPTION "\
train_gpt trains a byte-level BPE tokenizer and a GPT-2 on any text, and
generate continues a prompt. Both read and write Hugging Face's models. They
run on any CPU and, if they were built for one, on a GPU. The library of the
same name and its headers are included.")
set(CPACK_GENERATOR DEB)
set(CPACK_PACKAGING_INSTALL_PREFIX /usr)
set(CPACK_STRIP_FILES ON)
set(CPACK_VERBATIM_VARIABLES ON)
set(CPACK_DEBIAN_FILE_NAME DEB-DEFAULT)
set(CPACK_DEBIAN_PACKAGE_SECTION science)
set(CPACK_DEBIAN_PACKAGE_SHLIBDEPS ON)
# The programs look for OpenBLAS in the folder of the build that they were linked with, because its OpenMP build is not safe here.
if(hipgpt_openblas_library MATCHES "/openblas-(pthread|serial)/")
  set(CPACK_DEBIAN_PACKAGE_DEPENDS libopenblas0-${CMAKE_MATCH_1})
endif()
set(CPACK_PRE_BUILD_SCRIPTS ${CMAKE_CURRENT_LIST_DIR}/debian.cmake)
include(CPack)
