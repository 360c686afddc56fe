# cpack runs this script on the installed files before it packs them, so that they are where Debian expects them.
set(share ${CPACK_TEMPORARY_INSTALL_DIRECTORY}/usr/share)
if(NOT IS_DIRECTORY ${share})
  message(FATAL_ERROR "debian.cmake: no installed files in ${share}")
endif()

file(RENAME ${share}/doc/hipgpt/LICENSE ${share}/doc/hipgpt/copyright)
file(RENAME ${share}/zsh/site-functions ${share}/zsh/vendor-completions)

string(TIMESTAMP date "%a, %d %b %Y %H:%M:%S +0000" UTC) # SOURCE_DATE_EPOCH, if it is set
file(WRITE ${share}/doc/hipgpt/changelog
  "hipgpt (${CPACK_PACKAGE_VERSION}) unstable; urgency=medium\n\n  * Built from the project's own sources.\n\n"
  " -- ${CPACK_PACKAGE_CONTACT}  ${date}\n")
file(GLOB compressed ${share}/man/man1/*.1 ${share}/doc/hipgpt/changelog)
execute_process(COMMAND gzip -9n ${compressed} COMMAND_ERROR_IS_FATAL ANY)

# The search path is that of OpenBLAS's build (package.cmake).
file(WRITE ${share}/lintian/overrides/hipgpt "hipgpt: custom-library-search-path\n")

# Files of the package have the usual permissions, whatever the umask.
execute_process(COMMAND chmod -R u=rwX,go=rX ${share}/.. COMMAND_ERROR_IS_FATAL ANY)
