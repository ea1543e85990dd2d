# evenhand.pc, with paths that start from the file's own place: an installed tree may be moved.
file(RELATIVE_PATH EH_PC_UP ${CMAKE_INSTALL_FULL_LIBDIR}/pkgconfig ${CMAKE_INSTALL_PREFIX})
string(REGEX REPLACE "/$" "" EH_PC_UP ${EH_PC_UP})
cmake_path(APPEND EH_PC_LIBDIR "\${prefix}" ${CMAKE_INSTALL_LIBDIR}) # an absolute folder stays as it is
cmake_path(APPEND EH_PC_INCLUDEDIR "\${prefix}" ${CMAKE_INSTALL_INCLUDEDIR})

# What a program that links the static library needs besides.
set(needs jansson pcre2-8 utf8proc crypto z m)
if(EVENHAND_ONEDNN)
  list(PREPEND needs dnnl)
endif()
list(TRANSFORM needs PREPEND -l)
list(APPEND needs ${OpenMP_C_FLAGS})
list(JOIN needs " " EH_PC_PRIVATE)

configure_file(cmake/evenhand.pc.in evenhand.pc @ONLY)
install(FILES ${CMAKE_BINARY_DIR}/evenhand.pc DESTINATION ${CMAKE_INSTALL_LIBDIR}/pkgconfig)
