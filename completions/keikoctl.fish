complete --keep-order --exclusive --command keikoctl --arguments "(KEIKO_COMPLETE=fish keikoctl -- (commandline --current-process --tokenize --cut-at-cursor) (commandline --current-token))"
