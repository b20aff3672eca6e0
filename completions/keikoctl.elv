set edit:completion:arg-completer[keikoctl] = { |@words|
    var index = (count $words)
    set index = (- $index 1)

    put (env _CLAP_IFS="\n" _CLAP_COMPLETE_INDEX=(to-string $index) KEIKO_COMPLETE="elvish" keikoctl -- $@words) | to-lines
}
