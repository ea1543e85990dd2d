# Man pages and completions, written by the program itself; --help and these cannot differ.
# A build for another machine cannot run it, and installs none.
if(CMAKE_CROSSCOMPILING)
  return()
endif()
set(commands run audit locate edit tune report compare plant score generate perplexity tokenize inspect selftest help) # tests/install.sh holds it to the program's
set(EH_HELP_DIR ${CMAKE_BINARY_DIR}/help)
set(man ${EH_HELP_DIR}/evenhand.1)
set(write COMMAND evenhand-cli help --man > ${man})
foreach(command ${commands})
  list(APPEND man ${EH_HELP_DIR}/evenhand-${command}.1)
  list(APPEND write COMMAND evenhand-cli help --man ${command} > ${EH_HELP_DIR}/evenhand-${command}.1)
endforeach()
add_custom_command(OUTPUT ${man} ${EH_HELP_DIR}/evenhand.bash ${EH_HELP_DIR}/_evenhand
  COMMAND ${CMAKE_COMMAND} -E make_directory ${EH_HELP_DIR}
  ${write}
  COMMAND evenhand-cli help --completions bash > ${EH_HELP_DIR}/evenhand.bash
  COMMAND evenhand-cli help --completions zsh > ${EH_HELP_DIR}/_evenhand
  DEPENDS evenhand-cli VERBATIM)
add_custom_target(help-pages ALL DEPENDS ${man} ${EH_HELP_DIR}/evenhand.bash ${EH_HELP_DIR}/_evenhand)

install(FILES ${man} DESTINATION ${CMAKE_INSTALL_MANDIR}/man1)
install(FILES ${EH_HELP_DIR}/evenhand.bash DESTINATION ${CMAKE_INSTALL_DATADIR}/bash-completion/completions
        RENAME evenhand)
install(FILES ${EH_HELP_DIR}/_evenhand DESTINATION ${CMAKE_INSTALL_DATADIR}/zsh/site-functions)
