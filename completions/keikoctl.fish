# Print an optspec for argparse to handle cmd's options that are independent of any subcommand.
function __fish_keikoctl_global_optspecs
    string join \n V/version endpoint= token-file= ca= o/output= timeout= utc no-input color= q/quiet v/verbose h/help
end

function __fish_keikoctl_needs_command
    # Figure out if the current invocation already has a command.
    set -l cmd (commandline -opc)
    set -e cmd[1]
    argparse -s (__fish_keikoctl_global_optspecs) -- $cmd 2>/dev/null
    or return
    if set -q argv[1]
        # Also print the command, so this can be used to figure out what it is.
        echo $argv[1]
        return 1
    end
    return 0
end

function __fish_keikoctl_using_subcommand
    set -l cmd (__fish_keikoctl_needs_command)
    test -z "$cmd"
    and return 1
    contains -- $cmd[1] $argv
end

complete -c keikoctl -n "__fish_keikoctl_needs_command" -l endpoint -d 'Where the daemon is: unix:PATH, https://HOST:PORT or HOST:PORT' -r
complete -c keikoctl -n "__fish_keikoctl_needs_command" -l token-file -d 'A file with a bearer token; $KEIKO_TOKEN holds the token itself' -r -F
complete -c keikoctl -n "__fish_keikoctl_needs_command" -l ca -d 'The cluster\'s CA certificate; not needed with a token, which carries its hash' -r -F
complete -c keikoctl -n "__fish_keikoctl_needs_command" -s o -l output -d 'table, wide, json, jsonl, yaml, name, jsonpath=EXPR or csv' -r
complete -c keikoctl -n "__fish_keikoctl_needs_command" -l timeout -d 'How long the call may take, as in 30s or 5m' -r
complete -c keikoctl -n "__fish_keikoctl_needs_command" -l color -d 'Colour: auto, always or never' -r -f -a "auto\t'On a terminal, unless NO_COLOR or TERM=dumb says otherwise'
always\t'Also in a pipe'
never\t'Never'"
complete -c keikoctl -n "__fish_keikoctl_needs_command" -s V -l version -d 'Print the release'
complete -c keikoctl -n "__fish_keikoctl_needs_command" -l utc -d 'Times in RFC 3339 in place of ages'
complete -c keikoctl -n "__fish_keikoctl_needs_command" -l no-input -d 'Never ask a question'
complete -c keikoctl -n "__fish_keikoctl_needs_command" -s q -l quiet -d 'Only data and errors'
complete -c keikoctl -n "__fish_keikoctl_needs_command" -s v -l verbose -d 'Also where it connects and under which trace'
complete -c keikoctl -n "__fish_keikoctl_needs_command" -s h -l help -d 'Print help'
complete -c keikoctl -n "__fish_keikoctl_needs_command" -f -a "status" -d 'What the cluster looks like'
complete -c keikoctl -n "__fish_keikoctl_needs_command" -f -a "agent" -d 'Agents: register, look at, call'
complete -c keikoctl -n "__fish_keikoctl_needs_command" -f -a "mcp" -d 'MCP servers: register, look at, read their logs'
complete -c keikoctl -n "__fish_keikoctl_needs_command" -f -a "tool" -d 'Tools of all MCP servers: find, look at, call'
complete -c keikoctl -n "__fish_keikoctl_needs_command" -f -a "skill" -d 'Skills of all agents'
complete -c keikoctl -n "__fish_keikoctl_needs_command" -f -a "event" -d 'Every change, in order'
complete -c keikoctl -n "__fish_keikoctl_needs_command" -f -a "ev" -d 'Every change, in order'
complete -c keikoctl -n "__fish_keikoctl_needs_command" -f -a "cluster" -d 'The cluster itself'
complete -c keikoctl -n "__fish_keikoctl_needs_command" -f -a "dev" -d 'A throw-away node in the foreground; its context is the current one while it lives'
complete -c keikoctl -n "__fish_keikoctl_needs_command" -f -a "explain" -d 'What an error code means and what to do about it'
complete -c keikoctl -n "__fish_keikoctl_needs_command" -f -a "completion" -d 'Prints a completion script'
complete -c keikoctl -n "__fish_keikoctl_needs_command" -f -a "version" -d 'The release of this command'
complete -c keikoctl -n "__fish_keikoctl_needs_command" -f -a "help" -d 'Help on a command, or on a topic: exit-codes, output, environment'
complete -c keikoctl -n "__fish_keikoctl_using_subcommand status" -l endpoint -d 'Where the daemon is: unix:PATH, https://HOST:PORT or HOST:PORT' -r
complete -c keikoctl -n "__fish_keikoctl_using_subcommand status" -l token-file -d 'A file with a bearer token; $KEIKO_TOKEN holds the token itself' -r -F
complete -c keikoctl -n "__fish_keikoctl_using_subcommand status" -l ca -d 'The cluster\'s CA certificate; not needed with a token, which carries its hash' -r -F
complete -c keikoctl -n "__fish_keikoctl_using_subcommand status" -s o -l output -d 'table, wide, json, jsonl, yaml, name, jsonpath=EXPR or csv' -r
complete -c keikoctl -n "__fish_keikoctl_using_subcommand status" -l timeout -d 'How long the call may take, as in 30s or 5m' -r
complete -c keikoctl -n "__fish_keikoctl_using_subcommand status" -l color -d 'Colour: auto, always or never' -r -f -a "auto\t'On a terminal, unless NO_COLOR or TERM=dumb says otherwise'
always\t'Also in a pipe'
never\t'Never'"
complete -c keikoctl -n "__fish_keikoctl_using_subcommand status" -l utc -d 'Times in RFC 3339 in place of ages'
complete -c keikoctl -n "__fish_keikoctl_using_subcommand status" -l no-input -d 'Never ask a question'
complete -c keikoctl -n "__fish_keikoctl_using_subcommand status" -s q -l quiet -d 'Only data and errors'
complete -c keikoctl -n "__fish_keikoctl_using_subcommand status" -s v -l verbose -d 'Also where it connects and under which trace'
complete -c keikoctl -n "__fish_keikoctl_using_subcommand status" -s h -l help -d 'Print help'
complete -c keikoctl -n "__fish_keikoctl_using_subcommand agent; and not __fish_seen_subcommand_from register list get describe history call token delete" -l endpoint -d 'Where the daemon is: unix:PATH, https://HOST:PORT or HOST:PORT' -r
complete -c keikoctl -n "__fish_keikoctl_using_subcommand agent; and not __fish_seen_subcommand_from register list get describe history call token delete" -l token-file -d 'A file with a bearer token; $KEIKO_TOKEN holds the token itself' -r -F
complete -c keikoctl -n "__fish_keikoctl_using_subcommand agent; and not __fish_seen_subcommand_from register list get describe history call token delete" -l ca -d 'The cluster\'s CA certificate; not needed with a token, which carries its hash' -r -F
complete -c keikoctl -n "__fish_keikoctl_using_subcommand agent; and not __fish_seen_subcommand_from register list get describe history call token delete" -s o -l output -d 'table, wide, json, jsonl, yaml, name, jsonpath=EXPR or csv' -r
complete -c keikoctl -n "__fish_keikoctl_using_subcommand agent; and not __fish_seen_subcommand_from register list get describe history call token delete" -l timeout -d 'How long the call may take, as in 30s or 5m' -r
complete -c keikoctl -n "__fish_keikoctl_using_subcommand agent; and not __fish_seen_subcommand_from register list get describe history call token delete" -l color -d 'Colour: auto, always or never' -r -f -a "auto\t'On a terminal, unless NO_COLOR or TERM=dumb says otherwise'
always\t'Also in a pipe'
never\t'Never'"
complete -c keikoctl -n "__fish_keikoctl_using_subcommand agent; and not __fish_seen_subcommand_from register list get describe history call token delete" -l utc -d 'Times in RFC 3339 in place of ages'
complete -c keikoctl -n "__fish_keikoctl_using_subcommand agent; and not __fish_seen_subcommand_from register list get describe history call token delete" -l no-input -d 'Never ask a question'
complete -c keikoctl -n "__fish_keikoctl_using_subcommand agent; and not __fish_seen_subcommand_from register list get describe history call token delete" -s q -l quiet -d 'Only data and errors'
complete -c keikoctl -n "__fish_keikoctl_using_subcommand agent; and not __fish_seen_subcommand_from register list get describe history call token delete" -s v -l verbose -d 'Also where it connects and under which trace'
complete -c keikoctl -n "__fish_keikoctl_using_subcommand agent; and not __fish_seen_subcommand_from register list get describe history call token delete" -s h -l help -d 'Print help'
complete -c keikoctl -n "__fish_keikoctl_using_subcommand agent; and not __fish_seen_subcommand_from register list get describe history call token delete" -f -a "register" -d 'Fetches an agent\'s card and keeps the agent with its skills'
complete -c keikoctl -n "__fish_keikoctl_using_subcommand agent; and not __fish_seen_subcommand_from register list get describe history call token delete" -f -a "list" -d 'Lists agents'
complete -c keikoctl -n "__fish_keikoctl_using_subcommand agent; and not __fish_seen_subcommand_from register list get describe history call token delete" -f -a "get" -d 'Shows one agent'
complete -c keikoctl -n "__fish_keikoctl_using_subcommand agent; and not __fish_seen_subcommand_from register list get describe history call token delete" -f -a "describe" -d 'Everything that is known of one agent, for people'
complete -c keikoctl -n "__fish_keikoctl_using_subcommand agent; and not __fish_seen_subcommand_from register list get describe history call token delete" -f -a "history" -d 'Past versions of one agent, newest first'
complete -c keikoctl -n "__fish_keikoctl_using_subcommand agent; and not __fish_seen_subcommand_from register list get describe history call token delete" -f -a "call" -d 'Sends a text and prints the answer'
complete -c keikoctl -n "__fish_keikoctl_using_subcommand agent; and not __fish_seen_subcommand_from register list get describe history call token delete" -f -a "token" -d 'Makes a token that may touch this agent\'s entry only'
complete -c keikoctl -n "__fish_keikoctl_using_subcommand agent; and not __fish_seen_subcommand_from register list get describe history call token delete" -f -a "delete" -d 'Removes an agent and its skills'
complete -c keikoctl -n "__fish_keikoctl_using_subcommand agent; and __fish_seen_subcommand_from register" -l label -d 'A label, as in team=red; may be repeated' -r
complete -c keikoctl -n "__fish_keikoctl_using_subcommand agent; and __fish_seen_subcommand_from register" -l header -d 'A header whose value is a credential of the node, by name; may be repeated' -r
complete -c keikoctl -n "__fish_keikoctl_using_subcommand agent; and __fish_seen_subcommand_from register" -s n -l namespace -d 'The namespace' -r
complete -c keikoctl -n "__fish_keikoctl_using_subcommand agent; and __fish_seen_subcommand_from register" -l request-id -d 'The same id for every try, so that a retry has its effect once' -r
complete -c keikoctl -n "__fish_keikoctl_using_subcommand agent; and __fish_seen_subcommand_from register" -l endpoint -d 'Where the daemon is: unix:PATH, https://HOST:PORT or HOST:PORT' -r
complete -c keikoctl -n "__fish_keikoctl_using_subcommand agent; and __fish_seen_subcommand_from register" -l token-file -d 'A file with a bearer token; $KEIKO_TOKEN holds the token itself' -r -F
complete -c keikoctl -n "__fish_keikoctl_using_subcommand agent; and __fish_seen_subcommand_from register" -l ca -d 'The cluster\'s CA certificate; not needed with a token, which carries its hash' -r -F
complete -c keikoctl -n "__fish_keikoctl_using_subcommand agent; and __fish_seen_subcommand_from register" -s o -l output -d 'table, wide, json, jsonl, yaml, name, jsonpath=EXPR or csv' -r
complete -c keikoctl -n "__fish_keikoctl_using_subcommand agent; and __fish_seen_subcommand_from register" -l timeout -d 'How long the call may take, as in 30s or 5m' -r
complete -c keikoctl -n "__fish_keikoctl_using_subcommand agent; and __fish_seen_subcommand_from register" -l color -d 'Colour: auto, always or never' -r -f -a "auto\t'On a terminal, unless NO_COLOR or TERM=dumb says otherwise'
always\t'Also in a pipe'
never\t'Never'"
complete -c keikoctl -n "__fish_keikoctl_using_subcommand agent; and __fish_seen_subcommand_from register" -l utc -d 'Times in RFC 3339 in place of ages'
complete -c keikoctl -n "__fish_keikoctl_using_subcommand agent; and __fish_seen_subcommand_from register" -l no-input -d 'Never ask a question'
complete -c keikoctl -n "__fish_keikoctl_using_subcommand agent; and __fish_seen_subcommand_from register" -s q -l quiet -d 'Only data and errors'
complete -c keikoctl -n "__fish_keikoctl_using_subcommand agent; and __fish_seen_subcommand_from register" -s v -l verbose -d 'Also where it connects and under which trace'
complete -c keikoctl -n "__fish_keikoctl_using_subcommand agent; and __fish_seen_subcommand_from register" -s h -l help -d 'Print help'
complete -c keikoctl -n "__fish_keikoctl_using_subcommand agent; and __fish_seen_subcommand_from list" -s n -l namespace -d 'The namespace' -r
complete -c keikoctl -n "__fish_keikoctl_using_subcommand agent; and __fish_seen_subcommand_from list" -s l -l selector -d 'Only with these labels, as in team=red,tier!=low,gpu' -r
complete -c keikoctl -n "__fish_keikoctl_using_subcommand agent; and __fish_seen_subcommand_from list" -l field -d 'Only where a field has a value, as in spec.server=time; several must all hold' -r
complete -c keikoctl -n "__fish_keikoctl_using_subcommand agent; and __fish_seen_subcommand_from list" -l limit -d 'At most this many' -r
complete -c keikoctl -n "__fish_keikoctl_using_subcommand agent; and __fish_seen_subcommand_from list" -l sort-by -d 'Sort by a column, or by a path as in .spec.url' -r
complete -c keikoctl -n "__fish_keikoctl_using_subcommand agent; and __fish_seen_subcommand_from list" -l columns -d 'Only these columns, or paths as in .spec.url' -r
complete -c keikoctl -n "__fish_keikoctl_using_subcommand agent; and __fish_seen_subcommand_from list" -l consistency -d 'How fresh: linearizable, lease (the default) or stale' -r -f -a "linearizable\t''
lease\t''
stale\t''"
complete -c keikoctl -n "__fish_keikoctl_using_subcommand agent; and __fish_seen_subcommand_from list" -l endpoint -d 'Where the daemon is: unix:PATH, https://HOST:PORT or HOST:PORT' -r
complete -c keikoctl -n "__fish_keikoctl_using_subcommand agent; and __fish_seen_subcommand_from list" -l token-file -d 'A file with a bearer token; $KEIKO_TOKEN holds the token itself' -r -F
complete -c keikoctl -n "__fish_keikoctl_using_subcommand agent; and __fish_seen_subcommand_from list" -l ca -d 'The cluster\'s CA certificate; not needed with a token, which carries its hash' -r -F
complete -c keikoctl -n "__fish_keikoctl_using_subcommand agent; and __fish_seen_subcommand_from list" -s o -l output -d 'table, wide, json, jsonl, yaml, name, jsonpath=EXPR or csv' -r
complete -c keikoctl -n "__fish_keikoctl_using_subcommand agent; and __fish_seen_subcommand_from list" -l timeout -d 'How long the call may take, as in 30s or 5m' -r
complete -c keikoctl -n "__fish_keikoctl_using_subcommand agent; and __fish_seen_subcommand_from list" -l color -d 'Colour: auto, always or never' -r -f -a "auto\t'On a terminal, unless NO_COLOR or TERM=dumb says otherwise'
always\t'Also in a pipe'
never\t'Never'"
complete -c keikoctl -n "__fish_keikoctl_using_subcommand agent; and __fish_seen_subcommand_from list" -s A -l all-namespaces -d 'All namespaces'
complete -c keikoctl -n "__fish_keikoctl_using_subcommand agent; and __fish_seen_subcommand_from list" -s w -l watch -d 'Stay and show every change'
complete -c keikoctl -n "__fish_keikoctl_using_subcommand agent; and __fish_seen_subcommand_from list" -l no-headers -d 'Only rows'
complete -c keikoctl -n "__fish_keikoctl_using_subcommand agent; and __fish_seen_subcommand_from list" -l stale -d 'Answered by any node, even without a leader'
complete -c keikoctl -n "__fish_keikoctl_using_subcommand agent; and __fish_seen_subcommand_from list" -l utc -d 'Times in RFC 3339 in place of ages'
complete -c keikoctl -n "__fish_keikoctl_using_subcommand agent; and __fish_seen_subcommand_from list" -l no-input -d 'Never ask a question'
complete -c keikoctl -n "__fish_keikoctl_using_subcommand agent; and __fish_seen_subcommand_from list" -s q -l quiet -d 'Only data and errors'
complete -c keikoctl -n "__fish_keikoctl_using_subcommand agent; and __fish_seen_subcommand_from list" -s v -l verbose -d 'Also where it connects and under which trace'
complete -c keikoctl -n "__fish_keikoctl_using_subcommand agent; and __fish_seen_subcommand_from list" -s h -l help -d 'Print help'
complete -c keikoctl -n "__fish_keikoctl_using_subcommand agent; and __fish_seen_subcommand_from get" -s n -l namespace -d 'The namespace' -r
complete -c keikoctl -n "__fish_keikoctl_using_subcommand agent; and __fish_seen_subcommand_from get" -l at -d 'As it was at a revision or time: 42, 2026-11-20T10:00:00Z, 10m' -r
complete -c keikoctl -n "__fish_keikoctl_using_subcommand agent; and __fish_seen_subcommand_from get" -l sort-by -d 'Sort by a column, or by a path as in .spec.url' -r
complete -c keikoctl -n "__fish_keikoctl_using_subcommand agent; and __fish_seen_subcommand_from get" -l columns -d 'Only these columns, or paths as in .spec.url' -r
complete -c keikoctl -n "__fish_keikoctl_using_subcommand agent; and __fish_seen_subcommand_from get" -l consistency -d 'How fresh: linearizable, lease (the default) or stale' -r -f -a "linearizable\t''
lease\t''
stale\t''"
complete -c keikoctl -n "__fish_keikoctl_using_subcommand agent; and __fish_seen_subcommand_from get" -l endpoint -d 'Where the daemon is: unix:PATH, https://HOST:PORT or HOST:PORT' -r
complete -c keikoctl -n "__fish_keikoctl_using_subcommand agent; and __fish_seen_subcommand_from get" -l token-file -d 'A file with a bearer token; $KEIKO_TOKEN holds the token itself' -r -F
complete -c keikoctl -n "__fish_keikoctl_using_subcommand agent; and __fish_seen_subcommand_from get" -l ca -d 'The cluster\'s CA certificate; not needed with a token, which carries its hash' -r -F
complete -c keikoctl -n "__fish_keikoctl_using_subcommand agent; and __fish_seen_subcommand_from get" -s o -l output -d 'table, wide, json, jsonl, yaml, name, jsonpath=EXPR or csv' -r
complete -c keikoctl -n "__fish_keikoctl_using_subcommand agent; and __fish_seen_subcommand_from get" -l timeout -d 'How long the call may take, as in 30s or 5m' -r
complete -c keikoctl -n "__fish_keikoctl_using_subcommand agent; and __fish_seen_subcommand_from get" -l color -d 'Colour: auto, always or never' -r -f -a "auto\t'On a terminal, unless NO_COLOR or TERM=dumb says otherwise'
always\t'Also in a pipe'
never\t'Never'"
complete -c keikoctl -n "__fish_keikoctl_using_subcommand agent; and __fish_seen_subcommand_from get" -s w -l watch -d 'Stay and show every change'
complete -c keikoctl -n "__fish_keikoctl_using_subcommand agent; and __fish_seen_subcommand_from get" -l no-headers -d 'Only rows'
complete -c keikoctl -n "__fish_keikoctl_using_subcommand agent; and __fish_seen_subcommand_from get" -l stale -d 'Answered by any node, even without a leader'
complete -c keikoctl -n "__fish_keikoctl_using_subcommand agent; and __fish_seen_subcommand_from get" -l utc -d 'Times in RFC 3339 in place of ages'
complete -c keikoctl -n "__fish_keikoctl_using_subcommand agent; and __fish_seen_subcommand_from get" -l no-input -d 'Never ask a question'
complete -c keikoctl -n "__fish_keikoctl_using_subcommand agent; and __fish_seen_subcommand_from get" -s q -l quiet -d 'Only data and errors'
complete -c keikoctl -n "__fish_keikoctl_using_subcommand agent; and __fish_seen_subcommand_from get" -s v -l verbose -d 'Also where it connects and under which trace'
complete -c keikoctl -n "__fish_keikoctl_using_subcommand agent; and __fish_seen_subcommand_from get" -s h -l help -d 'Print help'
complete -c keikoctl -n "__fish_keikoctl_using_subcommand agent; and __fish_seen_subcommand_from describe" -s n -l namespace -d 'The namespace' -r
complete -c keikoctl -n "__fish_keikoctl_using_subcommand agent; and __fish_seen_subcommand_from describe" -l consistency -d 'How fresh: linearizable, lease (the default) or stale' -r -f -a "linearizable\t''
lease\t''
stale\t''"
complete -c keikoctl -n "__fish_keikoctl_using_subcommand agent; and __fish_seen_subcommand_from describe" -l endpoint -d 'Where the daemon is: unix:PATH, https://HOST:PORT or HOST:PORT' -r
complete -c keikoctl -n "__fish_keikoctl_using_subcommand agent; and __fish_seen_subcommand_from describe" -l token-file -d 'A file with a bearer token; $KEIKO_TOKEN holds the token itself' -r -F
complete -c keikoctl -n "__fish_keikoctl_using_subcommand agent; and __fish_seen_subcommand_from describe" -l ca -d 'The cluster\'s CA certificate; not needed with a token, which carries its hash' -r -F
complete -c keikoctl -n "__fish_keikoctl_using_subcommand agent; and __fish_seen_subcommand_from describe" -s o -l output -d 'table, wide, json, jsonl, yaml, name, jsonpath=EXPR or csv' -r
complete -c keikoctl -n "__fish_keikoctl_using_subcommand agent; and __fish_seen_subcommand_from describe" -l timeout -d 'How long the call may take, as in 30s or 5m' -r
complete -c keikoctl -n "__fish_keikoctl_using_subcommand agent; and __fish_seen_subcommand_from describe" -l color -d 'Colour: auto, always or never' -r -f -a "auto\t'On a terminal, unless NO_COLOR or TERM=dumb says otherwise'
always\t'Also in a pipe'
never\t'Never'"
complete -c keikoctl -n "__fish_keikoctl_using_subcommand agent; and __fish_seen_subcommand_from describe" -l stale -d 'Answered by any node, even without a leader'
complete -c keikoctl -n "__fish_keikoctl_using_subcommand agent; and __fish_seen_subcommand_from describe" -l utc -d 'Times in RFC 3339 in place of ages'
complete -c keikoctl -n "__fish_keikoctl_using_subcommand agent; and __fish_seen_subcommand_from describe" -l no-input -d 'Never ask a question'
complete -c keikoctl -n "__fish_keikoctl_using_subcommand agent; and __fish_seen_subcommand_from describe" -s q -l quiet -d 'Only data and errors'
complete -c keikoctl -n "__fish_keikoctl_using_subcommand agent; and __fish_seen_subcommand_from describe" -s v -l verbose -d 'Also where it connects and under which trace'
complete -c keikoctl -n "__fish_keikoctl_using_subcommand agent; and __fish_seen_subcommand_from describe" -s h -l help -d 'Print help'
complete -c keikoctl -n "__fish_keikoctl_using_subcommand agent; and __fish_seen_subcommand_from history" -s n -l namespace -d 'The namespace' -r
complete -c keikoctl -n "__fish_keikoctl_using_subcommand agent; and __fish_seen_subcommand_from history" -l limit -d 'At most this many, newest first' -r
complete -c keikoctl -n "__fish_keikoctl_using_subcommand agent; and __fish_seen_subcommand_from history" -l sort-by -d 'Sort by a column, or by a path as in .spec.url' -r
complete -c keikoctl -n "__fish_keikoctl_using_subcommand agent; and __fish_seen_subcommand_from history" -l columns -d 'Only these columns, or paths as in .spec.url' -r
complete -c keikoctl -n "__fish_keikoctl_using_subcommand agent; and __fish_seen_subcommand_from history" -l endpoint -d 'Where the daemon is: unix:PATH, https://HOST:PORT or HOST:PORT' -r
complete -c keikoctl -n "__fish_keikoctl_using_subcommand agent; and __fish_seen_subcommand_from history" -l token-file -d 'A file with a bearer token; $KEIKO_TOKEN holds the token itself' -r -F
complete -c keikoctl -n "__fish_keikoctl_using_subcommand agent; and __fish_seen_subcommand_from history" -l ca -d 'The cluster\'s CA certificate; not needed with a token, which carries its hash' -r -F
complete -c keikoctl -n "__fish_keikoctl_using_subcommand agent; and __fish_seen_subcommand_from history" -s o -l output -d 'table, wide, json, jsonl, yaml, name, jsonpath=EXPR or csv' -r
complete -c keikoctl -n "__fish_keikoctl_using_subcommand agent; and __fish_seen_subcommand_from history" -l timeout -d 'How long the call may take, as in 30s or 5m' -r
complete -c keikoctl -n "__fish_keikoctl_using_subcommand agent; and __fish_seen_subcommand_from history" -l color -d 'Colour: auto, always or never' -r -f -a "auto\t'On a terminal, unless NO_COLOR or TERM=dumb says otherwise'
always\t'Also in a pipe'
never\t'Never'"
complete -c keikoctl -n "__fish_keikoctl_using_subcommand agent; and __fish_seen_subcommand_from history" -l no-headers -d 'Only rows'
complete -c keikoctl -n "__fish_keikoctl_using_subcommand agent; and __fish_seen_subcommand_from history" -l utc -d 'Times in RFC 3339 in place of ages'
complete -c keikoctl -n "__fish_keikoctl_using_subcommand agent; and __fish_seen_subcommand_from history" -l no-input -d 'Never ask a question'
complete -c keikoctl -n "__fish_keikoctl_using_subcommand agent; and __fish_seen_subcommand_from history" -s q -l quiet -d 'Only data and errors'
complete -c keikoctl -n "__fish_keikoctl_using_subcommand agent; and __fish_seen_subcommand_from history" -s v -l verbose -d 'Also where it connects and under which trace'
complete -c keikoctl -n "__fish_keikoctl_using_subcommand agent; and __fish_seen_subcommand_from history" -s h -l help -d 'Print help'
complete -c keikoctl -n "__fish_keikoctl_using_subcommand agent; and __fish_seen_subcommand_from call" -s n -l namespace -d 'The namespace' -r
complete -c keikoctl -n "__fish_keikoctl_using_subcommand agent; and __fish_seen_subcommand_from call" -l endpoint -d 'Where the daemon is: unix:PATH, https://HOST:PORT or HOST:PORT' -r
complete -c keikoctl -n "__fish_keikoctl_using_subcommand agent; and __fish_seen_subcommand_from call" -l token-file -d 'A file with a bearer token; $KEIKO_TOKEN holds the token itself' -r -F
complete -c keikoctl -n "__fish_keikoctl_using_subcommand agent; and __fish_seen_subcommand_from call" -l ca -d 'The cluster\'s CA certificate; not needed with a token, which carries its hash' -r -F
complete -c keikoctl -n "__fish_keikoctl_using_subcommand agent; and __fish_seen_subcommand_from call" -s o -l output -d 'table, wide, json, jsonl, yaml, name, jsonpath=EXPR or csv' -r
complete -c keikoctl -n "__fish_keikoctl_using_subcommand agent; and __fish_seen_subcommand_from call" -l timeout -d 'How long the call may take, as in 30s or 5m' -r
complete -c keikoctl -n "__fish_keikoctl_using_subcommand agent; and __fish_seen_subcommand_from call" -l color -d 'Colour: auto, always or never' -r -f -a "auto\t'On a terminal, unless NO_COLOR or TERM=dumb says otherwise'
always\t'Also in a pipe'
never\t'Never'"
complete -c keikoctl -n "__fish_keikoctl_using_subcommand agent; and __fish_seen_subcommand_from call" -l utc -d 'Times in RFC 3339 in place of ages'
complete -c keikoctl -n "__fish_keikoctl_using_subcommand agent; and __fish_seen_subcommand_from call" -l no-input -d 'Never ask a question'
complete -c keikoctl -n "__fish_keikoctl_using_subcommand agent; and __fish_seen_subcommand_from call" -s q -l quiet -d 'Only data and errors'
complete -c keikoctl -n "__fish_keikoctl_using_subcommand agent; and __fish_seen_subcommand_from call" -s v -l verbose -d 'Also where it connects and under which trace'
complete -c keikoctl -n "__fish_keikoctl_using_subcommand agent; and __fish_seen_subcommand_from call" -s h -l help -d 'Print help'
complete -c keikoctl -n "__fish_keikoctl_using_subcommand agent; and __fish_seen_subcommand_from token" -l ttl -d 'How long it lives, at most 90d' -r
complete -c keikoctl -n "__fish_keikoctl_using_subcommand agent; and __fish_seen_subcommand_from token" -s n -l namespace -d 'The namespace' -r
complete -c keikoctl -n "__fish_keikoctl_using_subcommand agent; and __fish_seen_subcommand_from token" -l request-id -d 'The same id for every try, so that a retry has its effect once' -r
complete -c keikoctl -n "__fish_keikoctl_using_subcommand agent; and __fish_seen_subcommand_from token" -l endpoint -d 'Where the daemon is: unix:PATH, https://HOST:PORT or HOST:PORT' -r
complete -c keikoctl -n "__fish_keikoctl_using_subcommand agent; and __fish_seen_subcommand_from token" -l token-file -d 'A file with a bearer token; $KEIKO_TOKEN holds the token itself' -r -F
complete -c keikoctl -n "__fish_keikoctl_using_subcommand agent; and __fish_seen_subcommand_from token" -l ca -d 'The cluster\'s CA certificate; not needed with a token, which carries its hash' -r -F
complete -c keikoctl -n "__fish_keikoctl_using_subcommand agent; and __fish_seen_subcommand_from token" -s o -l output -d 'table, wide, json, jsonl, yaml, name, jsonpath=EXPR or csv' -r
complete -c keikoctl -n "__fish_keikoctl_using_subcommand agent; and __fish_seen_subcommand_from token" -l timeout -d 'How long the call may take, as in 30s or 5m' -r
complete -c keikoctl -n "__fish_keikoctl_using_subcommand agent; and __fish_seen_subcommand_from token" -l color -d 'Colour: auto, always or never' -r -f -a "auto\t'On a terminal, unless NO_COLOR or TERM=dumb says otherwise'
always\t'Also in a pipe'
never\t'Never'"
complete -c keikoctl -n "__fish_keikoctl_using_subcommand agent; and __fish_seen_subcommand_from token" -l utc -d 'Times in RFC 3339 in place of ages'
complete -c keikoctl -n "__fish_keikoctl_using_subcommand agent; and __fish_seen_subcommand_from token" -l no-input -d 'Never ask a question'
complete -c keikoctl -n "__fish_keikoctl_using_subcommand agent; and __fish_seen_subcommand_from token" -s q -l quiet -d 'Only data and errors'
complete -c keikoctl -n "__fish_keikoctl_using_subcommand agent; and __fish_seen_subcommand_from token" -s v -l verbose -d 'Also where it connects and under which trace'
complete -c keikoctl -n "__fish_keikoctl_using_subcommand agent; and __fish_seen_subcommand_from token" -s h -l help -d 'Print help'
complete -c keikoctl -n "__fish_keikoctl_using_subcommand agent; and __fish_seen_subcommand_from delete" -s n -l namespace -d 'The namespace' -r
complete -c keikoctl -n "__fish_keikoctl_using_subcommand agent; and __fish_seen_subcommand_from delete" -l revision -d 'Only if it is still at this revision' -r
complete -c keikoctl -n "__fish_keikoctl_using_subcommand agent; and __fish_seen_subcommand_from delete" -l request-id -d 'The same id for every try, so that a retry has its effect once' -r
complete -c keikoctl -n "__fish_keikoctl_using_subcommand agent; and __fish_seen_subcommand_from delete" -l endpoint -d 'Where the daemon is: unix:PATH, https://HOST:PORT or HOST:PORT' -r
complete -c keikoctl -n "__fish_keikoctl_using_subcommand agent; and __fish_seen_subcommand_from delete" -l token-file -d 'A file with a bearer token; $KEIKO_TOKEN holds the token itself' -r -F
complete -c keikoctl -n "__fish_keikoctl_using_subcommand agent; and __fish_seen_subcommand_from delete" -l ca -d 'The cluster\'s CA certificate; not needed with a token, which carries its hash' -r -F
complete -c keikoctl -n "__fish_keikoctl_using_subcommand agent; and __fish_seen_subcommand_from delete" -s o -l output -d 'table, wide, json, jsonl, yaml, name, jsonpath=EXPR or csv' -r
complete -c keikoctl -n "__fish_keikoctl_using_subcommand agent; and __fish_seen_subcommand_from delete" -l timeout -d 'How long the call may take, as in 30s or 5m' -r
complete -c keikoctl -n "__fish_keikoctl_using_subcommand agent; and __fish_seen_subcommand_from delete" -l color -d 'Colour: auto, always or never' -r -f -a "auto\t'On a terminal, unless NO_COLOR or TERM=dumb says otherwise'
always\t'Also in a pipe'
never\t'Never'"
complete -c keikoctl -n "__fish_keikoctl_using_subcommand agent; and __fish_seen_subcommand_from delete" -s y -l yes -d 'Do not ask'
complete -c keikoctl -n "__fish_keikoctl_using_subcommand agent; and __fish_seen_subcommand_from delete" -l utc -d 'Times in RFC 3339 in place of ages'
complete -c keikoctl -n "__fish_keikoctl_using_subcommand agent; and __fish_seen_subcommand_from delete" -l no-input -d 'Never ask a question'
complete -c keikoctl -n "__fish_keikoctl_using_subcommand agent; and __fish_seen_subcommand_from delete" -s q -l quiet -d 'Only data and errors'
complete -c keikoctl -n "__fish_keikoctl_using_subcommand agent; and __fish_seen_subcommand_from delete" -s v -l verbose -d 'Also where it connects and under which trace'
complete -c keikoctl -n "__fish_keikoctl_using_subcommand agent; and __fish_seen_subcommand_from delete" -s h -l help -d 'Print help'
complete -c keikoctl -n "__fish_keikoctl_using_subcommand mcp; and not __fish_seen_subcommand_from register list get describe history logs delete" -l endpoint -d 'Where the daemon is: unix:PATH, https://HOST:PORT or HOST:PORT' -r
complete -c keikoctl -n "__fish_keikoctl_using_subcommand mcp; and not __fish_seen_subcommand_from register list get describe history logs delete" -l token-file -d 'A file with a bearer token; $KEIKO_TOKEN holds the token itself' -r -F
complete -c keikoctl -n "__fish_keikoctl_using_subcommand mcp; and not __fish_seen_subcommand_from register list get describe history logs delete" -l ca -d 'The cluster\'s CA certificate; not needed with a token, which carries its hash' -r -F
complete -c keikoctl -n "__fish_keikoctl_using_subcommand mcp; and not __fish_seen_subcommand_from register list get describe history logs delete" -s o -l output -d 'table, wide, json, jsonl, yaml, name, jsonpath=EXPR or csv' -r
complete -c keikoctl -n "__fish_keikoctl_using_subcommand mcp; and not __fish_seen_subcommand_from register list get describe history logs delete" -l timeout -d 'How long the call may take, as in 30s or 5m' -r
complete -c keikoctl -n "__fish_keikoctl_using_subcommand mcp; and not __fish_seen_subcommand_from register list get describe history logs delete" -l color -d 'Colour: auto, always or never' -r -f -a "auto\t'On a terminal, unless NO_COLOR or TERM=dumb says otherwise'
always\t'Also in a pipe'
never\t'Never'"
complete -c keikoctl -n "__fish_keikoctl_using_subcommand mcp; and not __fish_seen_subcommand_from register list get describe history logs delete" -l utc -d 'Times in RFC 3339 in place of ages'
complete -c keikoctl -n "__fish_keikoctl_using_subcommand mcp; and not __fish_seen_subcommand_from register list get describe history logs delete" -l no-input -d 'Never ask a question'
complete -c keikoctl -n "__fish_keikoctl_using_subcommand mcp; and not __fish_seen_subcommand_from register list get describe history logs delete" -s q -l quiet -d 'Only data and errors'
complete -c keikoctl -n "__fish_keikoctl_using_subcommand mcp; and not __fish_seen_subcommand_from register list get describe history logs delete" -s v -l verbose -d 'Also where it connects and under which trace'
complete -c keikoctl -n "__fish_keikoctl_using_subcommand mcp; and not __fish_seen_subcommand_from register list get describe history logs delete" -s h -l help -d 'Print help'
complete -c keikoctl -n "__fish_keikoctl_using_subcommand mcp; and not __fish_seen_subcommand_from register list get describe history logs delete" -f -a "register" -d 'Asks an MCP server what it offers and keeps it with its tools'
complete -c keikoctl -n "__fish_keikoctl_using_subcommand mcp; and not __fish_seen_subcommand_from register list get describe history logs delete" -f -a "list" -d 'Lists MCP servers'
complete -c keikoctl -n "__fish_keikoctl_using_subcommand mcp; and not __fish_seen_subcommand_from register list get describe history logs delete" -f -a "get" -d 'Shows one MCP server'
complete -c keikoctl -n "__fish_keikoctl_using_subcommand mcp; and not __fish_seen_subcommand_from register list get describe history logs delete" -f -a "describe" -d 'Everything that is known of one MCP server, for people'
complete -c keikoctl -n "__fish_keikoctl_using_subcommand mcp; and not __fish_seen_subcommand_from register list get describe history logs delete" -f -a "history" -d 'Past versions of one MCP server, newest first'
complete -c keikoctl -n "__fish_keikoctl_using_subcommand mcp; and not __fish_seen_subcommand_from register list get describe history logs delete" -f -a "logs" -d 'What a server that runs as a command wrote to its standard error'
complete -c keikoctl -n "__fish_keikoctl_using_subcommand mcp; and not __fish_seen_subcommand_from register list get describe history logs delete" -f -a "delete" -d 'Removes an MCP server and its tools'
complete -c keikoctl -n "__fish_keikoctl_using_subcommand mcp; and __fish_seen_subcommand_from register" -l env -d 'A variable whose value is a credential of the node, by name; may be repeated' -r
complete -c keikoctl -n "__fish_keikoctl_using_subcommand mcp; and __fish_seen_subcommand_from register" -l label -d 'A label, as in team=red; may be repeated' -r
complete -c keikoctl -n "__fish_keikoctl_using_subcommand mcp; and __fish_seen_subcommand_from register" -l header -d 'A header whose value is a credential of the node, by name; may be repeated' -r
complete -c keikoctl -n "__fish_keikoctl_using_subcommand mcp; and __fish_seen_subcommand_from register" -s n -l namespace -d 'The namespace' -r
complete -c keikoctl -n "__fish_keikoctl_using_subcommand mcp; and __fish_seen_subcommand_from register" -l request-id -d 'The same id for every try, so that a retry has its effect once' -r
complete -c keikoctl -n "__fish_keikoctl_using_subcommand mcp; and __fish_seen_subcommand_from register" -l endpoint -d 'Where the daemon is: unix:PATH, https://HOST:PORT or HOST:PORT' -r
complete -c keikoctl -n "__fish_keikoctl_using_subcommand mcp; and __fish_seen_subcommand_from register" -l token-file -d 'A file with a bearer token; $KEIKO_TOKEN holds the token itself' -r -F
complete -c keikoctl -n "__fish_keikoctl_using_subcommand mcp; and __fish_seen_subcommand_from register" -l ca -d 'The cluster\'s CA certificate; not needed with a token, which carries its hash' -r -F
complete -c keikoctl -n "__fish_keikoctl_using_subcommand mcp; and __fish_seen_subcommand_from register" -s o -l output -d 'table, wide, json, jsonl, yaml, name, jsonpath=EXPR or csv' -r
complete -c keikoctl -n "__fish_keikoctl_using_subcommand mcp; and __fish_seen_subcommand_from register" -l timeout -d 'How long the call may take, as in 30s or 5m' -r
complete -c keikoctl -n "__fish_keikoctl_using_subcommand mcp; and __fish_seen_subcommand_from register" -l color -d 'Colour: auto, always or never' -r -f -a "auto\t'On a terminal, unless NO_COLOR or TERM=dumb says otherwise'
always\t'Also in a pipe'
never\t'Never'"
complete -c keikoctl -n "__fish_keikoctl_using_subcommand mcp; and __fish_seen_subcommand_from register" -l utc -d 'Times in RFC 3339 in place of ages'
complete -c keikoctl -n "__fish_keikoctl_using_subcommand mcp; and __fish_seen_subcommand_from register" -l no-input -d 'Never ask a question'
complete -c keikoctl -n "__fish_keikoctl_using_subcommand mcp; and __fish_seen_subcommand_from register" -s q -l quiet -d 'Only data and errors'
complete -c keikoctl -n "__fish_keikoctl_using_subcommand mcp; and __fish_seen_subcommand_from register" -s v -l verbose -d 'Also where it connects and under which trace'
complete -c keikoctl -n "__fish_keikoctl_using_subcommand mcp; and __fish_seen_subcommand_from register" -s h -l help -d 'Print help'
complete -c keikoctl -n "__fish_keikoctl_using_subcommand mcp; and __fish_seen_subcommand_from list" -s n -l namespace -d 'The namespace' -r
complete -c keikoctl -n "__fish_keikoctl_using_subcommand mcp; and __fish_seen_subcommand_from list" -s l -l selector -d 'Only with these labels, as in team=red,tier!=low,gpu' -r
complete -c keikoctl -n "__fish_keikoctl_using_subcommand mcp; and __fish_seen_subcommand_from list" -l field -d 'Only where a field has a value, as in spec.server=time; several must all hold' -r
complete -c keikoctl -n "__fish_keikoctl_using_subcommand mcp; and __fish_seen_subcommand_from list" -l limit -d 'At most this many' -r
complete -c keikoctl -n "__fish_keikoctl_using_subcommand mcp; and __fish_seen_subcommand_from list" -l sort-by -d 'Sort by a column, or by a path as in .spec.url' -r
complete -c keikoctl -n "__fish_keikoctl_using_subcommand mcp; and __fish_seen_subcommand_from list" -l columns -d 'Only these columns, or paths as in .spec.url' -r
complete -c keikoctl -n "__fish_keikoctl_using_subcommand mcp; and __fish_seen_subcommand_from list" -l consistency -d 'How fresh: linearizable, lease (the default) or stale' -r -f -a "linearizable\t''
lease\t''
stale\t''"
complete -c keikoctl -n "__fish_keikoctl_using_subcommand mcp; and __fish_seen_subcommand_from list" -l endpoint -d 'Where the daemon is: unix:PATH, https://HOST:PORT or HOST:PORT' -r
complete -c keikoctl -n "__fish_keikoctl_using_subcommand mcp; and __fish_seen_subcommand_from list" -l token-file -d 'A file with a bearer token; $KEIKO_TOKEN holds the token itself' -r -F
complete -c keikoctl -n "__fish_keikoctl_using_subcommand mcp; and __fish_seen_subcommand_from list" -l ca -d 'The cluster\'s CA certificate; not needed with a token, which carries its hash' -r -F
complete -c keikoctl -n "__fish_keikoctl_using_subcommand mcp; and __fish_seen_subcommand_from list" -s o -l output -d 'table, wide, json, jsonl, yaml, name, jsonpath=EXPR or csv' -r
complete -c keikoctl -n "__fish_keikoctl_using_subcommand mcp; and __fish_seen_subcommand_from list" -l timeout -d 'How long the call may take, as in 30s or 5m' -r
complete -c keikoctl -n "__fish_keikoctl_using_subcommand mcp; and __fish_seen_subcommand_from list" -l color -d 'Colour: auto, always or never' -r -f -a "auto\t'On a terminal, unless NO_COLOR or TERM=dumb says otherwise'
always\t'Also in a pipe'
never\t'Never'"
complete -c keikoctl -n "__fish_keikoctl_using_subcommand mcp; and __fish_seen_subcommand_from list" -s A -l all-namespaces -d 'All namespaces'
complete -c keikoctl -n "__fish_keikoctl_using_subcommand mcp; and __fish_seen_subcommand_from list" -s w -l watch -d 'Stay and show every change'
complete -c keikoctl -n "__fish_keikoctl_using_subcommand mcp; and __fish_seen_subcommand_from list" -l no-headers -d 'Only rows'
complete -c keikoctl -n "__fish_keikoctl_using_subcommand mcp; and __fish_seen_subcommand_from list" -l stale -d 'Answered by any node, even without a leader'
complete -c keikoctl -n "__fish_keikoctl_using_subcommand mcp; and __fish_seen_subcommand_from list" -l utc -d 'Times in RFC 3339 in place of ages'
complete -c keikoctl -n "__fish_keikoctl_using_subcommand mcp; and __fish_seen_subcommand_from list" -l no-input -d 'Never ask a question'
complete -c keikoctl -n "__fish_keikoctl_using_subcommand mcp; and __fish_seen_subcommand_from list" -s q -l quiet -d 'Only data and errors'
complete -c keikoctl -n "__fish_keikoctl_using_subcommand mcp; and __fish_seen_subcommand_from list" -s v -l verbose -d 'Also where it connects and under which trace'
complete -c keikoctl -n "__fish_keikoctl_using_subcommand mcp; and __fish_seen_subcommand_from list" -s h -l help -d 'Print help'
complete -c keikoctl -n "__fish_keikoctl_using_subcommand mcp; and __fish_seen_subcommand_from get" -s n -l namespace -d 'The namespace' -r
complete -c keikoctl -n "__fish_keikoctl_using_subcommand mcp; and __fish_seen_subcommand_from get" -l at -d 'As it was at a revision or time: 42, 2026-11-20T10:00:00Z, 10m' -r
complete -c keikoctl -n "__fish_keikoctl_using_subcommand mcp; and __fish_seen_subcommand_from get" -l sort-by -d 'Sort by a column, or by a path as in .spec.url' -r
complete -c keikoctl -n "__fish_keikoctl_using_subcommand mcp; and __fish_seen_subcommand_from get" -l columns -d 'Only these columns, or paths as in .spec.url' -r
complete -c keikoctl -n "__fish_keikoctl_using_subcommand mcp; and __fish_seen_subcommand_from get" -l consistency -d 'How fresh: linearizable, lease (the default) or stale' -r -f -a "linearizable\t''
lease\t''
stale\t''"
complete -c keikoctl -n "__fish_keikoctl_using_subcommand mcp; and __fish_seen_subcommand_from get" -l endpoint -d 'Where the daemon is: unix:PATH, https://HOST:PORT or HOST:PORT' -r
complete -c keikoctl -n "__fish_keikoctl_using_subcommand mcp; and __fish_seen_subcommand_from get" -l token-file -d 'A file with a bearer token; $KEIKO_TOKEN holds the token itself' -r -F
complete -c keikoctl -n "__fish_keikoctl_using_subcommand mcp; and __fish_seen_subcommand_from get" -l ca -d 'The cluster\'s CA certificate; not needed with a token, which carries its hash' -r -F
complete -c keikoctl -n "__fish_keikoctl_using_subcommand mcp; and __fish_seen_subcommand_from get" -s o -l output -d 'table, wide, json, jsonl, yaml, name, jsonpath=EXPR or csv' -r
complete -c keikoctl -n "__fish_keikoctl_using_subcommand mcp; and __fish_seen_subcommand_from get" -l timeout -d 'How long the call may take, as in 30s or 5m' -r
complete -c keikoctl -n "__fish_keikoctl_using_subcommand mcp; and __fish_seen_subcommand_from get" -l color -d 'Colour: auto, always or never' -r -f -a "auto\t'On a terminal, unless NO_COLOR or TERM=dumb says otherwise'
always\t'Also in a pipe'
never\t'Never'"
complete -c keikoctl -n "__fish_keikoctl_using_subcommand mcp; and __fish_seen_subcommand_from get" -s w -l watch -d 'Stay and show every change'
complete -c keikoctl -n "__fish_keikoctl_using_subcommand mcp; and __fish_seen_subcommand_from get" -l no-headers -d 'Only rows'
complete -c keikoctl -n "__fish_keikoctl_using_subcommand mcp; and __fish_seen_subcommand_from get" -l stale -d 'Answered by any node, even without a leader'
complete -c keikoctl -n "__fish_keikoctl_using_subcommand mcp; and __fish_seen_subcommand_from get" -l utc -d 'Times in RFC 3339 in place of ages'
complete -c keikoctl -n "__fish_keikoctl_using_subcommand mcp; and __fish_seen_subcommand_from get" -l no-input -d 'Never ask a question'
complete -c keikoctl -n "__fish_keikoctl_using_subcommand mcp; and __fish_seen_subcommand_from get" -s q -l quiet -d 'Only data and errors'
complete -c keikoctl -n "__fish_keikoctl_using_subcommand mcp; and __fish_seen_subcommand_from get" -s v -l verbose -d 'Also where it connects and under which trace'
complete -c keikoctl -n "__fish_keikoctl_using_subcommand mcp; and __fish_seen_subcommand_from get" -s h -l help -d 'Print help'
complete -c keikoctl -n "__fish_keikoctl_using_subcommand mcp; and __fish_seen_subcommand_from describe" -s n -l namespace -d 'The namespace' -r
complete -c keikoctl -n "__fish_keikoctl_using_subcommand mcp; and __fish_seen_subcommand_from describe" -l consistency -d 'How fresh: linearizable, lease (the default) or stale' -r -f -a "linearizable\t''
lease\t''
stale\t''"
complete -c keikoctl -n "__fish_keikoctl_using_subcommand mcp; and __fish_seen_subcommand_from describe" -l endpoint -d 'Where the daemon is: unix:PATH, https://HOST:PORT or HOST:PORT' -r
complete -c keikoctl -n "__fish_keikoctl_using_subcommand mcp; and __fish_seen_subcommand_from describe" -l token-file -d 'A file with a bearer token; $KEIKO_TOKEN holds the token itself' -r -F
complete -c keikoctl -n "__fish_keikoctl_using_subcommand mcp; and __fish_seen_subcommand_from describe" -l ca -d 'The cluster\'s CA certificate; not needed with a token, which carries its hash' -r -F
complete -c keikoctl -n "__fish_keikoctl_using_subcommand mcp; and __fish_seen_subcommand_from describe" -s o -l output -d 'table, wide, json, jsonl, yaml, name, jsonpath=EXPR or csv' -r
complete -c keikoctl -n "__fish_keikoctl_using_subcommand mcp; and __fish_seen_subcommand_from describe" -l timeout -d 'How long the call may take, as in 30s or 5m' -r
complete -c keikoctl -n "__fish_keikoctl_using_subcommand mcp; and __fish_seen_subcommand_from describe" -l color -d 'Colour: auto, always or never' -r -f -a "auto\t'On a terminal, unless NO_COLOR or TERM=dumb says otherwise'
always\t'Also in a pipe'
never\t'Never'"
complete -c keikoctl -n "__fish_keikoctl_using_subcommand mcp; and __fish_seen_subcommand_from describe" -l stale -d 'Answered by any node, even without a leader'
complete -c keikoctl -n "__fish_keikoctl_using_subcommand mcp; and __fish_seen_subcommand_from describe" -l utc -d 'Times in RFC 3339 in place of ages'
complete -c keikoctl -n "__fish_keikoctl_using_subcommand mcp; and __fish_seen_subcommand_from describe" -l no-input -d 'Never ask a question'
complete -c keikoctl -n "__fish_keikoctl_using_subcommand mcp; and __fish_seen_subcommand_from describe" -s q -l quiet -d 'Only data and errors'
complete -c keikoctl -n "__fish_keikoctl_using_subcommand mcp; and __fish_seen_subcommand_from describe" -s v -l verbose -d 'Also where it connects and under which trace'
complete -c keikoctl -n "__fish_keikoctl_using_subcommand mcp; and __fish_seen_subcommand_from describe" -s h -l help -d 'Print help'
complete -c keikoctl -n "__fish_keikoctl_using_subcommand mcp; and __fish_seen_subcommand_from history" -s n -l namespace -d 'The namespace' -r
complete -c keikoctl -n "__fish_keikoctl_using_subcommand mcp; and __fish_seen_subcommand_from history" -l limit -d 'At most this many, newest first' -r
complete -c keikoctl -n "__fish_keikoctl_using_subcommand mcp; and __fish_seen_subcommand_from history" -l sort-by -d 'Sort by a column, or by a path as in .spec.url' -r
complete -c keikoctl -n "__fish_keikoctl_using_subcommand mcp; and __fish_seen_subcommand_from history" -l columns -d 'Only these columns, or paths as in .spec.url' -r
complete -c keikoctl -n "__fish_keikoctl_using_subcommand mcp; and __fish_seen_subcommand_from history" -l endpoint -d 'Where the daemon is: unix:PATH, https://HOST:PORT or HOST:PORT' -r
complete -c keikoctl -n "__fish_keikoctl_using_subcommand mcp; and __fish_seen_subcommand_from history" -l token-file -d 'A file with a bearer token; $KEIKO_TOKEN holds the token itself' -r -F
complete -c keikoctl -n "__fish_keikoctl_using_subcommand mcp; and __fish_seen_subcommand_from history" -l ca -d 'The cluster\'s CA certificate; not needed with a token, which carries its hash' -r -F
complete -c keikoctl -n "__fish_keikoctl_using_subcommand mcp; and __fish_seen_subcommand_from history" -s o -l output -d 'table, wide, json, jsonl, yaml, name, jsonpath=EXPR or csv' -r
complete -c keikoctl -n "__fish_keikoctl_using_subcommand mcp; and __fish_seen_subcommand_from history" -l timeout -d 'How long the call may take, as in 30s or 5m' -r
complete -c keikoctl -n "__fish_keikoctl_using_subcommand mcp; and __fish_seen_subcommand_from history" -l color -d 'Colour: auto, always or never' -r -f -a "auto\t'On a terminal, unless NO_COLOR or TERM=dumb says otherwise'
always\t'Also in a pipe'
never\t'Never'"
complete -c keikoctl -n "__fish_keikoctl_using_subcommand mcp; and __fish_seen_subcommand_from history" -l no-headers -d 'Only rows'
complete -c keikoctl -n "__fish_keikoctl_using_subcommand mcp; and __fish_seen_subcommand_from history" -l utc -d 'Times in RFC 3339 in place of ages'
complete -c keikoctl -n "__fish_keikoctl_using_subcommand mcp; and __fish_seen_subcommand_from history" -l no-input -d 'Never ask a question'
complete -c keikoctl -n "__fish_keikoctl_using_subcommand mcp; and __fish_seen_subcommand_from history" -s q -l quiet -d 'Only data and errors'
complete -c keikoctl -n "__fish_keikoctl_using_subcommand mcp; and __fish_seen_subcommand_from history" -s v -l verbose -d 'Also where it connects and under which trace'
complete -c keikoctl -n "__fish_keikoctl_using_subcommand mcp; and __fish_seen_subcommand_from history" -s h -l help -d 'Print help'
complete -c keikoctl -n "__fish_keikoctl_using_subcommand mcp; and __fish_seen_subcommand_from logs" -s n -l namespace -d 'The namespace' -r
complete -c keikoctl -n "__fish_keikoctl_using_subcommand mcp; and __fish_seen_subcommand_from logs" -l tail -d 'Only the last lines' -r
complete -c keikoctl -n "__fish_keikoctl_using_subcommand mcp; and __fish_seen_subcommand_from logs" -l endpoint -d 'Where the daemon is: unix:PATH, https://HOST:PORT or HOST:PORT' -r
complete -c keikoctl -n "__fish_keikoctl_using_subcommand mcp; and __fish_seen_subcommand_from logs" -l token-file -d 'A file with a bearer token; $KEIKO_TOKEN holds the token itself' -r -F
complete -c keikoctl -n "__fish_keikoctl_using_subcommand mcp; and __fish_seen_subcommand_from logs" -l ca -d 'The cluster\'s CA certificate; not needed with a token, which carries its hash' -r -F
complete -c keikoctl -n "__fish_keikoctl_using_subcommand mcp; and __fish_seen_subcommand_from logs" -s o -l output -d 'table, wide, json, jsonl, yaml, name, jsonpath=EXPR or csv' -r
complete -c keikoctl -n "__fish_keikoctl_using_subcommand mcp; and __fish_seen_subcommand_from logs" -l timeout -d 'How long the call may take, as in 30s or 5m' -r
complete -c keikoctl -n "__fish_keikoctl_using_subcommand mcp; and __fish_seen_subcommand_from logs" -l color -d 'Colour: auto, always or never' -r -f -a "auto\t'On a terminal, unless NO_COLOR or TERM=dumb says otherwise'
always\t'Also in a pipe'
never\t'Never'"
complete -c keikoctl -n "__fish_keikoctl_using_subcommand mcp; and __fish_seen_subcommand_from logs" -s f -l follow -d 'Stay and show what comes'
complete -c keikoctl -n "__fish_keikoctl_using_subcommand mcp; and __fish_seen_subcommand_from logs" -l utc -d 'Times in RFC 3339 in place of ages'
complete -c keikoctl -n "__fish_keikoctl_using_subcommand mcp; and __fish_seen_subcommand_from logs" -l no-input -d 'Never ask a question'
complete -c keikoctl -n "__fish_keikoctl_using_subcommand mcp; and __fish_seen_subcommand_from logs" -s q -l quiet -d 'Only data and errors'
complete -c keikoctl -n "__fish_keikoctl_using_subcommand mcp; and __fish_seen_subcommand_from logs" -s v -l verbose -d 'Also where it connects and under which trace'
complete -c keikoctl -n "__fish_keikoctl_using_subcommand mcp; and __fish_seen_subcommand_from logs" -s h -l help -d 'Print help'
complete -c keikoctl -n "__fish_keikoctl_using_subcommand mcp; and __fish_seen_subcommand_from delete" -s n -l namespace -d 'The namespace' -r
complete -c keikoctl -n "__fish_keikoctl_using_subcommand mcp; and __fish_seen_subcommand_from delete" -l revision -d 'Only if it is still at this revision' -r
complete -c keikoctl -n "__fish_keikoctl_using_subcommand mcp; and __fish_seen_subcommand_from delete" -l request-id -d 'The same id for every try, so that a retry has its effect once' -r
complete -c keikoctl -n "__fish_keikoctl_using_subcommand mcp; and __fish_seen_subcommand_from delete" -l endpoint -d 'Where the daemon is: unix:PATH, https://HOST:PORT or HOST:PORT' -r
complete -c keikoctl -n "__fish_keikoctl_using_subcommand mcp; and __fish_seen_subcommand_from delete" -l token-file -d 'A file with a bearer token; $KEIKO_TOKEN holds the token itself' -r -F
complete -c keikoctl -n "__fish_keikoctl_using_subcommand mcp; and __fish_seen_subcommand_from delete" -l ca -d 'The cluster\'s CA certificate; not needed with a token, which carries its hash' -r -F
complete -c keikoctl -n "__fish_keikoctl_using_subcommand mcp; and __fish_seen_subcommand_from delete" -s o -l output -d 'table, wide, json, jsonl, yaml, name, jsonpath=EXPR or csv' -r
complete -c keikoctl -n "__fish_keikoctl_using_subcommand mcp; and __fish_seen_subcommand_from delete" -l timeout -d 'How long the call may take, as in 30s or 5m' -r
complete -c keikoctl -n "__fish_keikoctl_using_subcommand mcp; and __fish_seen_subcommand_from delete" -l color -d 'Colour: auto, always or never' -r -f -a "auto\t'On a terminal, unless NO_COLOR or TERM=dumb says otherwise'
always\t'Also in a pipe'
never\t'Never'"
complete -c keikoctl -n "__fish_keikoctl_using_subcommand mcp; and __fish_seen_subcommand_from delete" -s y -l yes -d 'Do not ask'
complete -c keikoctl -n "__fish_keikoctl_using_subcommand mcp; and __fish_seen_subcommand_from delete" -l utc -d 'Times in RFC 3339 in place of ages'
complete -c keikoctl -n "__fish_keikoctl_using_subcommand mcp; and __fish_seen_subcommand_from delete" -l no-input -d 'Never ask a question'
complete -c keikoctl -n "__fish_keikoctl_using_subcommand mcp; and __fish_seen_subcommand_from delete" -s q -l quiet -d 'Only data and errors'
complete -c keikoctl -n "__fish_keikoctl_using_subcommand mcp; and __fish_seen_subcommand_from delete" -s v -l verbose -d 'Also where it connects and under which trace'
complete -c keikoctl -n "__fish_keikoctl_using_subcommand mcp; and __fish_seen_subcommand_from delete" -s h -l help -d 'Print help'
complete -c keikoctl -n "__fish_keikoctl_using_subcommand tool; and not __fish_seen_subcommand_from list get describe history call" -l endpoint -d 'Where the daemon is: unix:PATH, https://HOST:PORT or HOST:PORT' -r
complete -c keikoctl -n "__fish_keikoctl_using_subcommand tool; and not __fish_seen_subcommand_from list get describe history call" -l token-file -d 'A file with a bearer token; $KEIKO_TOKEN holds the token itself' -r -F
complete -c keikoctl -n "__fish_keikoctl_using_subcommand tool; and not __fish_seen_subcommand_from list get describe history call" -l ca -d 'The cluster\'s CA certificate; not needed with a token, which carries its hash' -r -F
complete -c keikoctl -n "__fish_keikoctl_using_subcommand tool; and not __fish_seen_subcommand_from list get describe history call" -s o -l output -d 'table, wide, json, jsonl, yaml, name, jsonpath=EXPR or csv' -r
complete -c keikoctl -n "__fish_keikoctl_using_subcommand tool; and not __fish_seen_subcommand_from list get describe history call" -l timeout -d 'How long the call may take, as in 30s or 5m' -r
complete -c keikoctl -n "__fish_keikoctl_using_subcommand tool; and not __fish_seen_subcommand_from list get describe history call" -l color -d 'Colour: auto, always or never' -r -f -a "auto\t'On a terminal, unless NO_COLOR or TERM=dumb says otherwise'
always\t'Also in a pipe'
never\t'Never'"
complete -c keikoctl -n "__fish_keikoctl_using_subcommand tool; and not __fish_seen_subcommand_from list get describe history call" -l utc -d 'Times in RFC 3339 in place of ages'
complete -c keikoctl -n "__fish_keikoctl_using_subcommand tool; and not __fish_seen_subcommand_from list get describe history call" -l no-input -d 'Never ask a question'
complete -c keikoctl -n "__fish_keikoctl_using_subcommand tool; and not __fish_seen_subcommand_from list get describe history call" -s q -l quiet -d 'Only data and errors'
complete -c keikoctl -n "__fish_keikoctl_using_subcommand tool; and not __fish_seen_subcommand_from list get describe history call" -s v -l verbose -d 'Also where it connects and under which trace'
complete -c keikoctl -n "__fish_keikoctl_using_subcommand tool; and not __fish_seen_subcommand_from list get describe history call" -s h -l help -d 'Print help'
complete -c keikoctl -n "__fish_keikoctl_using_subcommand tool; and not __fish_seen_subcommand_from list get describe history call" -f -a "list" -d 'Lists tools'
complete -c keikoctl -n "__fish_keikoctl_using_subcommand tool; and not __fish_seen_subcommand_from list get describe history call" -f -a "get" -d 'Shows one tool'
complete -c keikoctl -n "__fish_keikoctl_using_subcommand tool; and not __fish_seen_subcommand_from list get describe history call" -f -a "describe" -d 'Everything that is known of one tool, for people'
complete -c keikoctl -n "__fish_keikoctl_using_subcommand tool; and not __fish_seen_subcommand_from list get describe history call" -f -a "history" -d 'Past versions of one tool, newest first'
complete -c keikoctl -n "__fish_keikoctl_using_subcommand tool; and not __fish_seen_subcommand_from list get describe history call" -f -a "call" -d 'Calls a tool and prints its result; exit 9 if the tool says that it failed'
complete -c keikoctl -n "__fish_keikoctl_using_subcommand tool; and __fish_seen_subcommand_from list" -s n -l namespace -d 'The namespace' -r
complete -c keikoctl -n "__fish_keikoctl_using_subcommand tool; and __fish_seen_subcommand_from list" -s l -l selector -d 'Only with these labels, as in team=red,tier!=low,gpu' -r
complete -c keikoctl -n "__fish_keikoctl_using_subcommand tool; and __fish_seen_subcommand_from list" -l field -d 'Only where a field has a value, as in spec.server=time; several must all hold' -r
complete -c keikoctl -n "__fish_keikoctl_using_subcommand tool; and __fish_seen_subcommand_from list" -l limit -d 'At most this many' -r
complete -c keikoctl -n "__fish_keikoctl_using_subcommand tool; and __fish_seen_subcommand_from list" -l sort-by -d 'Sort by a column, or by a path as in .spec.url' -r
complete -c keikoctl -n "__fish_keikoctl_using_subcommand tool; and __fish_seen_subcommand_from list" -l columns -d 'Only these columns, or paths as in .spec.url' -r
complete -c keikoctl -n "__fish_keikoctl_using_subcommand tool; and __fish_seen_subcommand_from list" -l consistency -d 'How fresh: linearizable, lease (the default) or stale' -r -f -a "linearizable\t''
lease\t''
stale\t''"
complete -c keikoctl -n "__fish_keikoctl_using_subcommand tool; and __fish_seen_subcommand_from list" -l endpoint -d 'Where the daemon is: unix:PATH, https://HOST:PORT or HOST:PORT' -r
complete -c keikoctl -n "__fish_keikoctl_using_subcommand tool; and __fish_seen_subcommand_from list" -l token-file -d 'A file with a bearer token; $KEIKO_TOKEN holds the token itself' -r -F
complete -c keikoctl -n "__fish_keikoctl_using_subcommand tool; and __fish_seen_subcommand_from list" -l ca -d 'The cluster\'s CA certificate; not needed with a token, which carries its hash' -r -F
complete -c keikoctl -n "__fish_keikoctl_using_subcommand tool; and __fish_seen_subcommand_from list" -s o -l output -d 'table, wide, json, jsonl, yaml, name, jsonpath=EXPR or csv' -r
complete -c keikoctl -n "__fish_keikoctl_using_subcommand tool; and __fish_seen_subcommand_from list" -l timeout -d 'How long the call may take, as in 30s or 5m' -r
complete -c keikoctl -n "__fish_keikoctl_using_subcommand tool; and __fish_seen_subcommand_from list" -l color -d 'Colour: auto, always or never' -r -f -a "auto\t'On a terminal, unless NO_COLOR or TERM=dumb says otherwise'
always\t'Also in a pipe'
never\t'Never'"
complete -c keikoctl -n "__fish_keikoctl_using_subcommand tool; and __fish_seen_subcommand_from list" -s A -l all-namespaces -d 'All namespaces'
complete -c keikoctl -n "__fish_keikoctl_using_subcommand tool; and __fish_seen_subcommand_from list" -s w -l watch -d 'Stay and show every change'
complete -c keikoctl -n "__fish_keikoctl_using_subcommand tool; and __fish_seen_subcommand_from list" -l no-headers -d 'Only rows'
complete -c keikoctl -n "__fish_keikoctl_using_subcommand tool; and __fish_seen_subcommand_from list" -l stale -d 'Answered by any node, even without a leader'
complete -c keikoctl -n "__fish_keikoctl_using_subcommand tool; and __fish_seen_subcommand_from list" -l utc -d 'Times in RFC 3339 in place of ages'
complete -c keikoctl -n "__fish_keikoctl_using_subcommand tool; and __fish_seen_subcommand_from list" -l no-input -d 'Never ask a question'
complete -c keikoctl -n "__fish_keikoctl_using_subcommand tool; and __fish_seen_subcommand_from list" -s q -l quiet -d 'Only data and errors'
complete -c keikoctl -n "__fish_keikoctl_using_subcommand tool; and __fish_seen_subcommand_from list" -s v -l verbose -d 'Also where it connects and under which trace'
complete -c keikoctl -n "__fish_keikoctl_using_subcommand tool; and __fish_seen_subcommand_from list" -s h -l help -d 'Print help'
complete -c keikoctl -n "__fish_keikoctl_using_subcommand tool; and __fish_seen_subcommand_from get" -s n -l namespace -d 'The namespace' -r
complete -c keikoctl -n "__fish_keikoctl_using_subcommand tool; and __fish_seen_subcommand_from get" -l at -d 'As it was at a revision or time: 42, 2026-11-20T10:00:00Z, 10m' -r
complete -c keikoctl -n "__fish_keikoctl_using_subcommand tool; and __fish_seen_subcommand_from get" -l sort-by -d 'Sort by a column, or by a path as in .spec.url' -r
complete -c keikoctl -n "__fish_keikoctl_using_subcommand tool; and __fish_seen_subcommand_from get" -l columns -d 'Only these columns, or paths as in .spec.url' -r
complete -c keikoctl -n "__fish_keikoctl_using_subcommand tool; and __fish_seen_subcommand_from get" -l consistency -d 'How fresh: linearizable, lease (the default) or stale' -r -f -a "linearizable\t''
lease\t''
stale\t''"
complete -c keikoctl -n "__fish_keikoctl_using_subcommand tool; and __fish_seen_subcommand_from get" -l endpoint -d 'Where the daemon is: unix:PATH, https://HOST:PORT or HOST:PORT' -r
complete -c keikoctl -n "__fish_keikoctl_using_subcommand tool; and __fish_seen_subcommand_from get" -l token-file -d 'A file with a bearer token; $KEIKO_TOKEN holds the token itself' -r -F
complete -c keikoctl -n "__fish_keikoctl_using_subcommand tool; and __fish_seen_subcommand_from get" -l ca -d 'The cluster\'s CA certificate; not needed with a token, which carries its hash' -r -F
complete -c keikoctl -n "__fish_keikoctl_using_subcommand tool; and __fish_seen_subcommand_from get" -s o -l output -d 'table, wide, json, jsonl, yaml, name, jsonpath=EXPR or csv' -r
complete -c keikoctl -n "__fish_keikoctl_using_subcommand tool; and __fish_seen_subcommand_from get" -l timeout -d 'How long the call may take, as in 30s or 5m' -r
complete -c keikoctl -n "__fish_keikoctl_using_subcommand tool; and __fish_seen_subcommand_from get" -l color -d 'Colour: auto, always or never' -r -f -a "auto\t'On a terminal, unless NO_COLOR or TERM=dumb says otherwise'
always\t'Also in a pipe'
never\t'Never'"
complete -c keikoctl -n "__fish_keikoctl_using_subcommand tool; and __fish_seen_subcommand_from get" -s w -l watch -d 'Stay and show every change'
complete -c keikoctl -n "__fish_keikoctl_using_subcommand tool; and __fish_seen_subcommand_from get" -l no-headers -d 'Only rows'
complete -c keikoctl -n "__fish_keikoctl_using_subcommand tool; and __fish_seen_subcommand_from get" -l stale -d 'Answered by any node, even without a leader'
complete -c keikoctl -n "__fish_keikoctl_using_subcommand tool; and __fish_seen_subcommand_from get" -l utc -d 'Times in RFC 3339 in place of ages'
complete -c keikoctl -n "__fish_keikoctl_using_subcommand tool; and __fish_seen_subcommand_from get" -l no-input -d 'Never ask a question'
complete -c keikoctl -n "__fish_keikoctl_using_subcommand tool; and __fish_seen_subcommand_from get" -s q -l quiet -d 'Only data and errors'
complete -c keikoctl -n "__fish_keikoctl_using_subcommand tool; and __fish_seen_subcommand_from get" -s v -l verbose -d 'Also where it connects and under which trace'
complete -c keikoctl -n "__fish_keikoctl_using_subcommand tool; and __fish_seen_subcommand_from get" -s h -l help -d 'Print help'
complete -c keikoctl -n "__fish_keikoctl_using_subcommand tool; and __fish_seen_subcommand_from describe" -s n -l namespace -d 'The namespace' -r
complete -c keikoctl -n "__fish_keikoctl_using_subcommand tool; and __fish_seen_subcommand_from describe" -l consistency -d 'How fresh: linearizable, lease (the default) or stale' -r -f -a "linearizable\t''
lease\t''
stale\t''"
complete -c keikoctl -n "__fish_keikoctl_using_subcommand tool; and __fish_seen_subcommand_from describe" -l endpoint -d 'Where the daemon is: unix:PATH, https://HOST:PORT or HOST:PORT' -r
complete -c keikoctl -n "__fish_keikoctl_using_subcommand tool; and __fish_seen_subcommand_from describe" -l token-file -d 'A file with a bearer token; $KEIKO_TOKEN holds the token itself' -r -F
complete -c keikoctl -n "__fish_keikoctl_using_subcommand tool; and __fish_seen_subcommand_from describe" -l ca -d 'The cluster\'s CA certificate; not needed with a token, which carries its hash' -r -F
complete -c keikoctl -n "__fish_keikoctl_using_subcommand tool; and __fish_seen_subcommand_from describe" -s o -l output -d 'table, wide, json, jsonl, yaml, name, jsonpath=EXPR or csv' -r
complete -c keikoctl -n "__fish_keikoctl_using_subcommand tool; and __fish_seen_subcommand_from describe" -l timeout -d 'How long the call may take, as in 30s or 5m' -r
complete -c keikoctl -n "__fish_keikoctl_using_subcommand tool; and __fish_seen_subcommand_from describe" -l color -d 'Colour: auto, always or never' -r -f -a "auto\t'On a terminal, unless NO_COLOR or TERM=dumb says otherwise'
always\t'Also in a pipe'
never\t'Never'"
complete -c keikoctl -n "__fish_keikoctl_using_subcommand tool; and __fish_seen_subcommand_from describe" -l stale -d 'Answered by any node, even without a leader'
complete -c keikoctl -n "__fish_keikoctl_using_subcommand tool; and __fish_seen_subcommand_from describe" -l utc -d 'Times in RFC 3339 in place of ages'
complete -c keikoctl -n "__fish_keikoctl_using_subcommand tool; and __fish_seen_subcommand_from describe" -l no-input -d 'Never ask a question'
complete -c keikoctl -n "__fish_keikoctl_using_subcommand tool; and __fish_seen_subcommand_from describe" -s q -l quiet -d 'Only data and errors'
complete -c keikoctl -n "__fish_keikoctl_using_subcommand tool; and __fish_seen_subcommand_from describe" -s v -l verbose -d 'Also where it connects and under which trace'
complete -c keikoctl -n "__fish_keikoctl_using_subcommand tool; and __fish_seen_subcommand_from describe" -s h -l help -d 'Print help'
complete -c keikoctl -n "__fish_keikoctl_using_subcommand tool; and __fish_seen_subcommand_from history" -s n -l namespace -d 'The namespace' -r
complete -c keikoctl -n "__fish_keikoctl_using_subcommand tool; and __fish_seen_subcommand_from history" -l limit -d 'At most this many, newest first' -r
complete -c keikoctl -n "__fish_keikoctl_using_subcommand tool; and __fish_seen_subcommand_from history" -l sort-by -d 'Sort by a column, or by a path as in .spec.url' -r
complete -c keikoctl -n "__fish_keikoctl_using_subcommand tool; and __fish_seen_subcommand_from history" -l columns -d 'Only these columns, or paths as in .spec.url' -r
complete -c keikoctl -n "__fish_keikoctl_using_subcommand tool; and __fish_seen_subcommand_from history" -l endpoint -d 'Where the daemon is: unix:PATH, https://HOST:PORT or HOST:PORT' -r
complete -c keikoctl -n "__fish_keikoctl_using_subcommand tool; and __fish_seen_subcommand_from history" -l token-file -d 'A file with a bearer token; $KEIKO_TOKEN holds the token itself' -r -F
complete -c keikoctl -n "__fish_keikoctl_using_subcommand tool; and __fish_seen_subcommand_from history" -l ca -d 'The cluster\'s CA certificate; not needed with a token, which carries its hash' -r -F
complete -c keikoctl -n "__fish_keikoctl_using_subcommand tool; and __fish_seen_subcommand_from history" -s o -l output -d 'table, wide, json, jsonl, yaml, name, jsonpath=EXPR or csv' -r
complete -c keikoctl -n "__fish_keikoctl_using_subcommand tool; and __fish_seen_subcommand_from history" -l timeout -d 'How long the call may take, as in 30s or 5m' -r
complete -c keikoctl -n "__fish_keikoctl_using_subcommand tool; and __fish_seen_subcommand_from history" -l color -d 'Colour: auto, always or never' -r -f -a "auto\t'On a terminal, unless NO_COLOR or TERM=dumb says otherwise'
always\t'Also in a pipe'
never\t'Never'"
complete -c keikoctl -n "__fish_keikoctl_using_subcommand tool; and __fish_seen_subcommand_from history" -l no-headers -d 'Only rows'
complete -c keikoctl -n "__fish_keikoctl_using_subcommand tool; and __fish_seen_subcommand_from history" -l utc -d 'Times in RFC 3339 in place of ages'
complete -c keikoctl -n "__fish_keikoctl_using_subcommand tool; and __fish_seen_subcommand_from history" -l no-input -d 'Never ask a question'
complete -c keikoctl -n "__fish_keikoctl_using_subcommand tool; and __fish_seen_subcommand_from history" -s q -l quiet -d 'Only data and errors'
complete -c keikoctl -n "__fish_keikoctl_using_subcommand tool; and __fish_seen_subcommand_from history" -s v -l verbose -d 'Also where it connects and under which trace'
complete -c keikoctl -n "__fish_keikoctl_using_subcommand tool; and __fish_seen_subcommand_from history" -s h -l help -d 'Print help'
complete -c keikoctl -n "__fish_keikoctl_using_subcommand tool; and __fish_seen_subcommand_from call" -s n -l namespace -d 'The namespace' -r
complete -c keikoctl -n "__fish_keikoctl_using_subcommand tool; and __fish_seen_subcommand_from call" -l endpoint -d 'Where the daemon is: unix:PATH, https://HOST:PORT or HOST:PORT' -r
complete -c keikoctl -n "__fish_keikoctl_using_subcommand tool; and __fish_seen_subcommand_from call" -l token-file -d 'A file with a bearer token; $KEIKO_TOKEN holds the token itself' -r -F
complete -c keikoctl -n "__fish_keikoctl_using_subcommand tool; and __fish_seen_subcommand_from call" -l ca -d 'The cluster\'s CA certificate; not needed with a token, which carries its hash' -r -F
complete -c keikoctl -n "__fish_keikoctl_using_subcommand tool; and __fish_seen_subcommand_from call" -s o -l output -d 'table, wide, json, jsonl, yaml, name, jsonpath=EXPR or csv' -r
complete -c keikoctl -n "__fish_keikoctl_using_subcommand tool; and __fish_seen_subcommand_from call" -l timeout -d 'How long the call may take, as in 30s or 5m' -r
complete -c keikoctl -n "__fish_keikoctl_using_subcommand tool; and __fish_seen_subcommand_from call" -l color -d 'Colour: auto, always or never' -r -f -a "auto\t'On a terminal, unless NO_COLOR or TERM=dumb says otherwise'
always\t'Also in a pipe'
never\t'Never'"
complete -c keikoctl -n "__fish_keikoctl_using_subcommand tool; and __fish_seen_subcommand_from call" -l utc -d 'Times in RFC 3339 in place of ages'
complete -c keikoctl -n "__fish_keikoctl_using_subcommand tool; and __fish_seen_subcommand_from call" -l no-input -d 'Never ask a question'
complete -c keikoctl -n "__fish_keikoctl_using_subcommand tool; and __fish_seen_subcommand_from call" -s q -l quiet -d 'Only data and errors'
complete -c keikoctl -n "__fish_keikoctl_using_subcommand tool; and __fish_seen_subcommand_from call" -s v -l verbose -d 'Also where it connects and under which trace'
complete -c keikoctl -n "__fish_keikoctl_using_subcommand tool; and __fish_seen_subcommand_from call" -s h -l help -d 'Print help'
complete -c keikoctl -n "__fish_keikoctl_using_subcommand skill; and not __fish_seen_subcommand_from list get describe history" -l endpoint -d 'Where the daemon is: unix:PATH, https://HOST:PORT or HOST:PORT' -r
complete -c keikoctl -n "__fish_keikoctl_using_subcommand skill; and not __fish_seen_subcommand_from list get describe history" -l token-file -d 'A file with a bearer token; $KEIKO_TOKEN holds the token itself' -r -F
complete -c keikoctl -n "__fish_keikoctl_using_subcommand skill; and not __fish_seen_subcommand_from list get describe history" -l ca -d 'The cluster\'s CA certificate; not needed with a token, which carries its hash' -r -F
complete -c keikoctl -n "__fish_keikoctl_using_subcommand skill; and not __fish_seen_subcommand_from list get describe history" -s o -l output -d 'table, wide, json, jsonl, yaml, name, jsonpath=EXPR or csv' -r
complete -c keikoctl -n "__fish_keikoctl_using_subcommand skill; and not __fish_seen_subcommand_from list get describe history" -l timeout -d 'How long the call may take, as in 30s or 5m' -r
complete -c keikoctl -n "__fish_keikoctl_using_subcommand skill; and not __fish_seen_subcommand_from list get describe history" -l color -d 'Colour: auto, always or never' -r -f -a "auto\t'On a terminal, unless NO_COLOR or TERM=dumb says otherwise'
always\t'Also in a pipe'
never\t'Never'"
complete -c keikoctl -n "__fish_keikoctl_using_subcommand skill; and not __fish_seen_subcommand_from list get describe history" -l utc -d 'Times in RFC 3339 in place of ages'
complete -c keikoctl -n "__fish_keikoctl_using_subcommand skill; and not __fish_seen_subcommand_from list get describe history" -l no-input -d 'Never ask a question'
complete -c keikoctl -n "__fish_keikoctl_using_subcommand skill; and not __fish_seen_subcommand_from list get describe history" -s q -l quiet -d 'Only data and errors'
complete -c keikoctl -n "__fish_keikoctl_using_subcommand skill; and not __fish_seen_subcommand_from list get describe history" -s v -l verbose -d 'Also where it connects and under which trace'
complete -c keikoctl -n "__fish_keikoctl_using_subcommand skill; and not __fish_seen_subcommand_from list get describe history" -s h -l help -d 'Print help'
complete -c keikoctl -n "__fish_keikoctl_using_subcommand skill; and not __fish_seen_subcommand_from list get describe history" -f -a "list" -d 'Lists skills'
complete -c keikoctl -n "__fish_keikoctl_using_subcommand skill; and not __fish_seen_subcommand_from list get describe history" -f -a "get" -d 'Shows one skill'
complete -c keikoctl -n "__fish_keikoctl_using_subcommand skill; and not __fish_seen_subcommand_from list get describe history" -f -a "describe" -d 'Everything that is known of one skill, for people'
complete -c keikoctl -n "__fish_keikoctl_using_subcommand skill; and not __fish_seen_subcommand_from list get describe history" -f -a "history" -d 'Past versions of one skill, newest first'
complete -c keikoctl -n "__fish_keikoctl_using_subcommand skill; and __fish_seen_subcommand_from list" -s n -l namespace -d 'The namespace' -r
complete -c keikoctl -n "__fish_keikoctl_using_subcommand skill; and __fish_seen_subcommand_from list" -s l -l selector -d 'Only with these labels, as in team=red,tier!=low,gpu' -r
complete -c keikoctl -n "__fish_keikoctl_using_subcommand skill; and __fish_seen_subcommand_from list" -l field -d 'Only where a field has a value, as in spec.server=time; several must all hold' -r
complete -c keikoctl -n "__fish_keikoctl_using_subcommand skill; and __fish_seen_subcommand_from list" -l limit -d 'At most this many' -r
complete -c keikoctl -n "__fish_keikoctl_using_subcommand skill; and __fish_seen_subcommand_from list" -l sort-by -d 'Sort by a column, or by a path as in .spec.url' -r
complete -c keikoctl -n "__fish_keikoctl_using_subcommand skill; and __fish_seen_subcommand_from list" -l columns -d 'Only these columns, or paths as in .spec.url' -r
complete -c keikoctl -n "__fish_keikoctl_using_subcommand skill; and __fish_seen_subcommand_from list" -l consistency -d 'How fresh: linearizable, lease (the default) or stale' -r -f -a "linearizable\t''
lease\t''
stale\t''"
complete -c keikoctl -n "__fish_keikoctl_using_subcommand skill; and __fish_seen_subcommand_from list" -l endpoint -d 'Where the daemon is: unix:PATH, https://HOST:PORT or HOST:PORT' -r
complete -c keikoctl -n "__fish_keikoctl_using_subcommand skill; and __fish_seen_subcommand_from list" -l token-file -d 'A file with a bearer token; $KEIKO_TOKEN holds the token itself' -r -F
complete -c keikoctl -n "__fish_keikoctl_using_subcommand skill; and __fish_seen_subcommand_from list" -l ca -d 'The cluster\'s CA certificate; not needed with a token, which carries its hash' -r -F
complete -c keikoctl -n "__fish_keikoctl_using_subcommand skill; and __fish_seen_subcommand_from list" -s o -l output -d 'table, wide, json, jsonl, yaml, name, jsonpath=EXPR or csv' -r
complete -c keikoctl -n "__fish_keikoctl_using_subcommand skill; and __fish_seen_subcommand_from list" -l timeout -d 'How long the call may take, as in 30s or 5m' -r
complete -c keikoctl -n "__fish_keikoctl_using_subcommand skill; and __fish_seen_subcommand_from list" -l color -d 'Colour: auto, always or never' -r -f -a "auto\t'On a terminal, unless NO_COLOR or TERM=dumb says otherwise'
always\t'Also in a pipe'
never\t'Never'"
complete -c keikoctl -n "__fish_keikoctl_using_subcommand skill; and __fish_seen_subcommand_from list" -s A -l all-namespaces -d 'All namespaces'
complete -c keikoctl -n "__fish_keikoctl_using_subcommand skill; and __fish_seen_subcommand_from list" -s w -l watch -d 'Stay and show every change'
complete -c keikoctl -n "__fish_keikoctl_using_subcommand skill; and __fish_seen_subcommand_from list" -l no-headers -d 'Only rows'
complete -c keikoctl -n "__fish_keikoctl_using_subcommand skill; and __fish_seen_subcommand_from list" -l stale -d 'Answered by any node, even without a leader'
complete -c keikoctl -n "__fish_keikoctl_using_subcommand skill; and __fish_seen_subcommand_from list" -l utc -d 'Times in RFC 3339 in place of ages'
complete -c keikoctl -n "__fish_keikoctl_using_subcommand skill; and __fish_seen_subcommand_from list" -l no-input -d 'Never ask a question'
complete -c keikoctl -n "__fish_keikoctl_using_subcommand skill; and __fish_seen_subcommand_from list" -s q -l quiet -d 'Only data and errors'
complete -c keikoctl -n "__fish_keikoctl_using_subcommand skill; and __fish_seen_subcommand_from list" -s v -l verbose -d 'Also where it connects and under which trace'
complete -c keikoctl -n "__fish_keikoctl_using_subcommand skill; and __fish_seen_subcommand_from list" -s h -l help -d 'Print help'
complete -c keikoctl -n "__fish_keikoctl_using_subcommand skill; and __fish_seen_subcommand_from get" -s n -l namespace -d 'The namespace' -r
complete -c keikoctl -n "__fish_keikoctl_using_subcommand skill; and __fish_seen_subcommand_from get" -l at -d 'As it was at a revision or time: 42, 2026-11-20T10:00:00Z, 10m' -r
complete -c keikoctl -n "__fish_keikoctl_using_subcommand skill; and __fish_seen_subcommand_from get" -l sort-by -d 'Sort by a column, or by a path as in .spec.url' -r
complete -c keikoctl -n "__fish_keikoctl_using_subcommand skill; and __fish_seen_subcommand_from get" -l columns -d 'Only these columns, or paths as in .spec.url' -r
complete -c keikoctl -n "__fish_keikoctl_using_subcommand skill; and __fish_seen_subcommand_from get" -l consistency -d 'How fresh: linearizable, lease (the default) or stale' -r -f -a "linearizable\t''
lease\t''
stale\t''"
complete -c keikoctl -n "__fish_keikoctl_using_subcommand skill; and __fish_seen_subcommand_from get" -l endpoint -d 'Where the daemon is: unix:PATH, https://HOST:PORT or HOST:PORT' -r
complete -c keikoctl -n "__fish_keikoctl_using_subcommand skill; and __fish_seen_subcommand_from get" -l token-file -d 'A file with a bearer token; $KEIKO_TOKEN holds the token itself' -r -F
complete -c keikoctl -n "__fish_keikoctl_using_subcommand skill; and __fish_seen_subcommand_from get" -l ca -d 'The cluster\'s CA certificate; not needed with a token, which carries its hash' -r -F
complete -c keikoctl -n "__fish_keikoctl_using_subcommand skill; and __fish_seen_subcommand_from get" -s o -l output -d 'table, wide, json, jsonl, yaml, name, jsonpath=EXPR or csv' -r
complete -c keikoctl -n "__fish_keikoctl_using_subcommand skill; and __fish_seen_subcommand_from get" -l timeout -d 'How long the call may take, as in 30s or 5m' -r
complete -c keikoctl -n "__fish_keikoctl_using_subcommand skill; and __fish_seen_subcommand_from get" -l color -d 'Colour: auto, always or never' -r -f -a "auto\t'On a terminal, unless NO_COLOR or TERM=dumb says otherwise'
always\t'Also in a pipe'
never\t'Never'"
complete -c keikoctl -n "__fish_keikoctl_using_subcommand skill; and __fish_seen_subcommand_from get" -s w -l watch -d 'Stay and show every change'
complete -c keikoctl -n "__fish_keikoctl_using_subcommand skill; and __fish_seen_subcommand_from get" -l no-headers -d 'Only rows'
complete -c keikoctl -n "__fish_keikoctl_using_subcommand skill; and __fish_seen_subcommand_from get" -l stale -d 'Answered by any node, even without a leader'
complete -c keikoctl -n "__fish_keikoctl_using_subcommand skill; and __fish_seen_subcommand_from get" -l utc -d 'Times in RFC 3339 in place of ages'
complete -c keikoctl -n "__fish_keikoctl_using_subcommand skill; and __fish_seen_subcommand_from get" -l no-input -d 'Never ask a question'
complete -c keikoctl -n "__fish_keikoctl_using_subcommand skill; and __fish_seen_subcommand_from get" -s q -l quiet -d 'Only data and errors'
complete -c keikoctl -n "__fish_keikoctl_using_subcommand skill; and __fish_seen_subcommand_from get" -s v -l verbose -d 'Also where it connects and under which trace'
complete -c keikoctl -n "__fish_keikoctl_using_subcommand skill; and __fish_seen_subcommand_from get" -s h -l help -d 'Print help'
complete -c keikoctl -n "__fish_keikoctl_using_subcommand skill; and __fish_seen_subcommand_from describe" -s n -l namespace -d 'The namespace' -r
complete -c keikoctl -n "__fish_keikoctl_using_subcommand skill; and __fish_seen_subcommand_from describe" -l consistency -d 'How fresh: linearizable, lease (the default) or stale' -r -f -a "linearizable\t''
lease\t''
stale\t''"
complete -c keikoctl -n "__fish_keikoctl_using_subcommand skill; and __fish_seen_subcommand_from describe" -l endpoint -d 'Where the daemon is: unix:PATH, https://HOST:PORT or HOST:PORT' -r
complete -c keikoctl -n "__fish_keikoctl_using_subcommand skill; and __fish_seen_subcommand_from describe" -l token-file -d 'A file with a bearer token; $KEIKO_TOKEN holds the token itself' -r -F
complete -c keikoctl -n "__fish_keikoctl_using_subcommand skill; and __fish_seen_subcommand_from describe" -l ca -d 'The cluster\'s CA certificate; not needed with a token, which carries its hash' -r -F
complete -c keikoctl -n "__fish_keikoctl_using_subcommand skill; and __fish_seen_subcommand_from describe" -s o -l output -d 'table, wide, json, jsonl, yaml, name, jsonpath=EXPR or csv' -r
complete -c keikoctl -n "__fish_keikoctl_using_subcommand skill; and __fish_seen_subcommand_from describe" -l timeout -d 'How long the call may take, as in 30s or 5m' -r
complete -c keikoctl -n "__fish_keikoctl_using_subcommand skill; and __fish_seen_subcommand_from describe" -l color -d 'Colour: auto, always or never' -r -f -a "auto\t'On a terminal, unless NO_COLOR or TERM=dumb says otherwise'
always\t'Also in a pipe'
never\t'Never'"
complete -c keikoctl -n "__fish_keikoctl_using_subcommand skill; and __fish_seen_subcommand_from describe" -l stale -d 'Answered by any node, even without a leader'
complete -c keikoctl -n "__fish_keikoctl_using_subcommand skill; and __fish_seen_subcommand_from describe" -l utc -d 'Times in RFC 3339 in place of ages'
complete -c keikoctl -n "__fish_keikoctl_using_subcommand skill; and __fish_seen_subcommand_from describe" -l no-input -d 'Never ask a question'
complete -c keikoctl -n "__fish_keikoctl_using_subcommand skill; and __fish_seen_subcommand_from describe" -s q -l quiet -d 'Only data and errors'
complete -c keikoctl -n "__fish_keikoctl_using_subcommand skill; and __fish_seen_subcommand_from describe" -s v -l verbose -d 'Also where it connects and under which trace'
complete -c keikoctl -n "__fish_keikoctl_using_subcommand skill; and __fish_seen_subcommand_from describe" -s h -l help -d 'Print help'
complete -c keikoctl -n "__fish_keikoctl_using_subcommand skill; and __fish_seen_subcommand_from history" -s n -l namespace -d 'The namespace' -r
complete -c keikoctl -n "__fish_keikoctl_using_subcommand skill; and __fish_seen_subcommand_from history" -l limit -d 'At most this many, newest first' -r
complete -c keikoctl -n "__fish_keikoctl_using_subcommand skill; and __fish_seen_subcommand_from history" -l sort-by -d 'Sort by a column, or by a path as in .spec.url' -r
complete -c keikoctl -n "__fish_keikoctl_using_subcommand skill; and __fish_seen_subcommand_from history" -l columns -d 'Only these columns, or paths as in .spec.url' -r
complete -c keikoctl -n "__fish_keikoctl_using_subcommand skill; and __fish_seen_subcommand_from history" -l endpoint -d 'Where the daemon is: unix:PATH, https://HOST:PORT or HOST:PORT' -r
complete -c keikoctl -n "__fish_keikoctl_using_subcommand skill; and __fish_seen_subcommand_from history" -l token-file -d 'A file with a bearer token; $KEIKO_TOKEN holds the token itself' -r -F
complete -c keikoctl -n "__fish_keikoctl_using_subcommand skill; and __fish_seen_subcommand_from history" -l ca -d 'The cluster\'s CA certificate; not needed with a token, which carries its hash' -r -F
complete -c keikoctl -n "__fish_keikoctl_using_subcommand skill; and __fish_seen_subcommand_from history" -s o -l output -d 'table, wide, json, jsonl, yaml, name, jsonpath=EXPR or csv' -r
complete -c keikoctl -n "__fish_keikoctl_using_subcommand skill; and __fish_seen_subcommand_from history" -l timeout -d 'How long the call may take, as in 30s or 5m' -r
complete -c keikoctl -n "__fish_keikoctl_using_subcommand skill; and __fish_seen_subcommand_from history" -l color -d 'Colour: auto, always or never' -r -f -a "auto\t'On a terminal, unless NO_COLOR or TERM=dumb says otherwise'
always\t'Also in a pipe'
never\t'Never'"
complete -c keikoctl -n "__fish_keikoctl_using_subcommand skill; and __fish_seen_subcommand_from history" -l no-headers -d 'Only rows'
complete -c keikoctl -n "__fish_keikoctl_using_subcommand skill; and __fish_seen_subcommand_from history" -l utc -d 'Times in RFC 3339 in place of ages'
complete -c keikoctl -n "__fish_keikoctl_using_subcommand skill; and __fish_seen_subcommand_from history" -l no-input -d 'Never ask a question'
complete -c keikoctl -n "__fish_keikoctl_using_subcommand skill; and __fish_seen_subcommand_from history" -s q -l quiet -d 'Only data and errors'
complete -c keikoctl -n "__fish_keikoctl_using_subcommand skill; and __fish_seen_subcommand_from history" -s v -l verbose -d 'Also where it connects and under which trace'
complete -c keikoctl -n "__fish_keikoctl_using_subcommand skill; and __fish_seen_subcommand_from history" -s h -l help -d 'Print help'
complete -c keikoctl -n "__fish_keikoctl_using_subcommand event; and not __fish_seen_subcommand_from tail get" -l endpoint -d 'Where the daemon is: unix:PATH, https://HOST:PORT or HOST:PORT' -r
complete -c keikoctl -n "__fish_keikoctl_using_subcommand event; and not __fish_seen_subcommand_from tail get" -l token-file -d 'A file with a bearer token; $KEIKO_TOKEN holds the token itself' -r -F
complete -c keikoctl -n "__fish_keikoctl_using_subcommand event; and not __fish_seen_subcommand_from tail get" -l ca -d 'The cluster\'s CA certificate; not needed with a token, which carries its hash' -r -F
complete -c keikoctl -n "__fish_keikoctl_using_subcommand event; and not __fish_seen_subcommand_from tail get" -s o -l output -d 'table, wide, json, jsonl, yaml, name, jsonpath=EXPR or csv' -r
complete -c keikoctl -n "__fish_keikoctl_using_subcommand event; and not __fish_seen_subcommand_from tail get" -l timeout -d 'How long the call may take, as in 30s or 5m' -r
complete -c keikoctl -n "__fish_keikoctl_using_subcommand event; and not __fish_seen_subcommand_from tail get" -l color -d 'Colour: auto, always or never' -r -f -a "auto\t'On a terminal, unless NO_COLOR or TERM=dumb says otherwise'
always\t'Also in a pipe'
never\t'Never'"
complete -c keikoctl -n "__fish_keikoctl_using_subcommand event; and not __fish_seen_subcommand_from tail get" -l utc -d 'Times in RFC 3339 in place of ages'
complete -c keikoctl -n "__fish_keikoctl_using_subcommand event; and not __fish_seen_subcommand_from tail get" -l no-input -d 'Never ask a question'
complete -c keikoctl -n "__fish_keikoctl_using_subcommand event; and not __fish_seen_subcommand_from tail get" -s q -l quiet -d 'Only data and errors'
complete -c keikoctl -n "__fish_keikoctl_using_subcommand event; and not __fish_seen_subcommand_from tail get" -s v -l verbose -d 'Also where it connects and under which trace'
complete -c keikoctl -n "__fish_keikoctl_using_subcommand event; and not __fish_seen_subcommand_from tail get" -s h -l help -d 'Print help'
complete -c keikoctl -n "__fish_keikoctl_using_subcommand event; and not __fish_seen_subcommand_from tail get" -f -a "tail" -d 'Events in order: the last 20 revisions, or from one on'
complete -c keikoctl -n "__fish_keikoctl_using_subcommand event; and not __fish_seen_subcommand_from tail get" -f -a "get" -d 'The events of one revision'
complete -c keikoctl -n "__fish_keikoctl_using_subcommand event; and __fish_seen_subcommand_from tail" -l from -d 'From this revision on; 0: everything that is kept' -r
complete -c keikoctl -n "__fish_keikoctl_using_subcommand event; and __fish_seen_subcommand_from tail" -l limit -d 'At most this many events' -r
complete -c keikoctl -n "__fish_keikoctl_using_subcommand event; and __fish_seen_subcommand_from tail" -l type -d 'Only types that begin so; may be repeated' -r
complete -c keikoctl -n "__fish_keikoctl_using_subcommand event; and __fish_seen_subcommand_from tail" -l subject -d 'Only this subject, or what lies below it, as in agent/default/hello' -r
complete -c keikoctl -n "__fish_keikoctl_using_subcommand event; and __fish_seen_subcommand_from tail" -l sort-by -d 'Sort by a column, or by a path as in .spec.url' -r
complete -c keikoctl -n "__fish_keikoctl_using_subcommand event; and __fish_seen_subcommand_from tail" -l columns -d 'Only these columns, or paths as in .spec.url' -r
complete -c keikoctl -n "__fish_keikoctl_using_subcommand event; and __fish_seen_subcommand_from tail" -l endpoint -d 'Where the daemon is: unix:PATH, https://HOST:PORT or HOST:PORT' -r
complete -c keikoctl -n "__fish_keikoctl_using_subcommand event; and __fish_seen_subcommand_from tail" -l token-file -d 'A file with a bearer token; $KEIKO_TOKEN holds the token itself' -r -F
complete -c keikoctl -n "__fish_keikoctl_using_subcommand event; and __fish_seen_subcommand_from tail" -l ca -d 'The cluster\'s CA certificate; not needed with a token, which carries its hash' -r -F
complete -c keikoctl -n "__fish_keikoctl_using_subcommand event; and __fish_seen_subcommand_from tail" -s o -l output -d 'table, wide, json, jsonl, yaml, name, jsonpath=EXPR or csv' -r
complete -c keikoctl -n "__fish_keikoctl_using_subcommand event; and __fish_seen_subcommand_from tail" -l timeout -d 'How long the call may take, as in 30s or 5m' -r
complete -c keikoctl -n "__fish_keikoctl_using_subcommand event; and __fish_seen_subcommand_from tail" -l color -d 'Colour: auto, always or never' -r -f -a "auto\t'On a terminal, unless NO_COLOR or TERM=dumb says otherwise'
always\t'Also in a pipe'
never\t'Never'"
complete -c keikoctl -n "__fish_keikoctl_using_subcommand event; and __fish_seen_subcommand_from tail" -s f -l follow -d 'Stay and show what happens'
complete -c keikoctl -n "__fish_keikoctl_using_subcommand event; and __fish_seen_subcommand_from tail" -l no-headers -d 'Only rows'
complete -c keikoctl -n "__fish_keikoctl_using_subcommand event; and __fish_seen_subcommand_from tail" -l utc -d 'Times in RFC 3339 in place of ages'
complete -c keikoctl -n "__fish_keikoctl_using_subcommand event; and __fish_seen_subcommand_from tail" -l no-input -d 'Never ask a question'
complete -c keikoctl -n "__fish_keikoctl_using_subcommand event; and __fish_seen_subcommand_from tail" -s q -l quiet -d 'Only data and errors'
complete -c keikoctl -n "__fish_keikoctl_using_subcommand event; and __fish_seen_subcommand_from tail" -s v -l verbose -d 'Also where it connects and under which trace'
complete -c keikoctl -n "__fish_keikoctl_using_subcommand event; and __fish_seen_subcommand_from tail" -s h -l help -d 'Print help'
complete -c keikoctl -n "__fish_keikoctl_using_subcommand event; and __fish_seen_subcommand_from get" -l sort-by -d 'Sort by a column, or by a path as in .spec.url' -r
complete -c keikoctl -n "__fish_keikoctl_using_subcommand event; and __fish_seen_subcommand_from get" -l columns -d 'Only these columns, or paths as in .spec.url' -r
complete -c keikoctl -n "__fish_keikoctl_using_subcommand event; and __fish_seen_subcommand_from get" -l endpoint -d 'Where the daemon is: unix:PATH, https://HOST:PORT or HOST:PORT' -r
complete -c keikoctl -n "__fish_keikoctl_using_subcommand event; and __fish_seen_subcommand_from get" -l token-file -d 'A file with a bearer token; $KEIKO_TOKEN holds the token itself' -r -F
complete -c keikoctl -n "__fish_keikoctl_using_subcommand event; and __fish_seen_subcommand_from get" -l ca -d 'The cluster\'s CA certificate; not needed with a token, which carries its hash' -r -F
complete -c keikoctl -n "__fish_keikoctl_using_subcommand event; and __fish_seen_subcommand_from get" -s o -l output -d 'table, wide, json, jsonl, yaml, name, jsonpath=EXPR or csv' -r
complete -c keikoctl -n "__fish_keikoctl_using_subcommand event; and __fish_seen_subcommand_from get" -l timeout -d 'How long the call may take, as in 30s or 5m' -r
complete -c keikoctl -n "__fish_keikoctl_using_subcommand event; and __fish_seen_subcommand_from get" -l color -d 'Colour: auto, always or never' -r -f -a "auto\t'On a terminal, unless NO_COLOR or TERM=dumb says otherwise'
always\t'Also in a pipe'
never\t'Never'"
complete -c keikoctl -n "__fish_keikoctl_using_subcommand event; and __fish_seen_subcommand_from get" -l no-headers -d 'Only rows'
complete -c keikoctl -n "__fish_keikoctl_using_subcommand event; and __fish_seen_subcommand_from get" -l utc -d 'Times in RFC 3339 in place of ages'
complete -c keikoctl -n "__fish_keikoctl_using_subcommand event; and __fish_seen_subcommand_from get" -l no-input -d 'Never ask a question'
complete -c keikoctl -n "__fish_keikoctl_using_subcommand event; and __fish_seen_subcommand_from get" -s q -l quiet -d 'Only data and errors'
complete -c keikoctl -n "__fish_keikoctl_using_subcommand event; and __fish_seen_subcommand_from get" -s v -l verbose -d 'Also where it connects and under which trace'
complete -c keikoctl -n "__fish_keikoctl_using_subcommand event; and __fish_seen_subcommand_from get" -s h -l help -d 'Print help'
complete -c keikoctl -n "__fish_keikoctl_using_subcommand ev; and not __fish_seen_subcommand_from tail get" -l endpoint -d 'Where the daemon is: unix:PATH, https://HOST:PORT or HOST:PORT' -r
complete -c keikoctl -n "__fish_keikoctl_using_subcommand ev; and not __fish_seen_subcommand_from tail get" -l token-file -d 'A file with a bearer token; $KEIKO_TOKEN holds the token itself' -r -F
complete -c keikoctl -n "__fish_keikoctl_using_subcommand ev; and not __fish_seen_subcommand_from tail get" -l ca -d 'The cluster\'s CA certificate; not needed with a token, which carries its hash' -r -F
complete -c keikoctl -n "__fish_keikoctl_using_subcommand ev; and not __fish_seen_subcommand_from tail get" -s o -l output -d 'table, wide, json, jsonl, yaml, name, jsonpath=EXPR or csv' -r
complete -c keikoctl -n "__fish_keikoctl_using_subcommand ev; and not __fish_seen_subcommand_from tail get" -l timeout -d 'How long the call may take, as in 30s or 5m' -r
complete -c keikoctl -n "__fish_keikoctl_using_subcommand ev; and not __fish_seen_subcommand_from tail get" -l color -d 'Colour: auto, always or never' -r -f -a "auto\t'On a terminal, unless NO_COLOR or TERM=dumb says otherwise'
always\t'Also in a pipe'
never\t'Never'"
complete -c keikoctl -n "__fish_keikoctl_using_subcommand ev; and not __fish_seen_subcommand_from tail get" -l utc -d 'Times in RFC 3339 in place of ages'
complete -c keikoctl -n "__fish_keikoctl_using_subcommand ev; and not __fish_seen_subcommand_from tail get" -l no-input -d 'Never ask a question'
complete -c keikoctl -n "__fish_keikoctl_using_subcommand ev; and not __fish_seen_subcommand_from tail get" -s q -l quiet -d 'Only data and errors'
complete -c keikoctl -n "__fish_keikoctl_using_subcommand ev; and not __fish_seen_subcommand_from tail get" -s v -l verbose -d 'Also where it connects and under which trace'
complete -c keikoctl -n "__fish_keikoctl_using_subcommand ev; and not __fish_seen_subcommand_from tail get" -s h -l help -d 'Print help'
complete -c keikoctl -n "__fish_keikoctl_using_subcommand ev; and not __fish_seen_subcommand_from tail get" -f -a "tail" -d 'Events in order: the last 20 revisions, or from one on'
complete -c keikoctl -n "__fish_keikoctl_using_subcommand ev; and not __fish_seen_subcommand_from tail get" -f -a "get" -d 'The events of one revision'
complete -c keikoctl -n "__fish_keikoctl_using_subcommand ev; and __fish_seen_subcommand_from tail" -l from -d 'From this revision on; 0: everything that is kept' -r
complete -c keikoctl -n "__fish_keikoctl_using_subcommand ev; and __fish_seen_subcommand_from tail" -l limit -d 'At most this many events' -r
complete -c keikoctl -n "__fish_keikoctl_using_subcommand ev; and __fish_seen_subcommand_from tail" -l type -d 'Only types that begin so; may be repeated' -r
complete -c keikoctl -n "__fish_keikoctl_using_subcommand ev; and __fish_seen_subcommand_from tail" -l subject -d 'Only this subject, or what lies below it, as in agent/default/hello' -r
complete -c keikoctl -n "__fish_keikoctl_using_subcommand ev; and __fish_seen_subcommand_from tail" -l sort-by -d 'Sort by a column, or by a path as in .spec.url' -r
complete -c keikoctl -n "__fish_keikoctl_using_subcommand ev; and __fish_seen_subcommand_from tail" -l columns -d 'Only these columns, or paths as in .spec.url' -r
complete -c keikoctl -n "__fish_keikoctl_using_subcommand ev; and __fish_seen_subcommand_from tail" -l endpoint -d 'Where the daemon is: unix:PATH, https://HOST:PORT or HOST:PORT' -r
complete -c keikoctl -n "__fish_keikoctl_using_subcommand ev; and __fish_seen_subcommand_from tail" -l token-file -d 'A file with a bearer token; $KEIKO_TOKEN holds the token itself' -r -F
complete -c keikoctl -n "__fish_keikoctl_using_subcommand ev; and __fish_seen_subcommand_from tail" -l ca -d 'The cluster\'s CA certificate; not needed with a token, which carries its hash' -r -F
complete -c keikoctl -n "__fish_keikoctl_using_subcommand ev; and __fish_seen_subcommand_from tail" -s o -l output -d 'table, wide, json, jsonl, yaml, name, jsonpath=EXPR or csv' -r
complete -c keikoctl -n "__fish_keikoctl_using_subcommand ev; and __fish_seen_subcommand_from tail" -l timeout -d 'How long the call may take, as in 30s or 5m' -r
complete -c keikoctl -n "__fish_keikoctl_using_subcommand ev; and __fish_seen_subcommand_from tail" -l color -d 'Colour: auto, always or never' -r -f -a "auto\t'On a terminal, unless NO_COLOR or TERM=dumb says otherwise'
always\t'Also in a pipe'
never\t'Never'"
complete -c keikoctl -n "__fish_keikoctl_using_subcommand ev; and __fish_seen_subcommand_from tail" -s f -l follow -d 'Stay and show what happens'
complete -c keikoctl -n "__fish_keikoctl_using_subcommand ev; and __fish_seen_subcommand_from tail" -l no-headers -d 'Only rows'
complete -c keikoctl -n "__fish_keikoctl_using_subcommand ev; and __fish_seen_subcommand_from tail" -l utc -d 'Times in RFC 3339 in place of ages'
complete -c keikoctl -n "__fish_keikoctl_using_subcommand ev; and __fish_seen_subcommand_from tail" -l no-input -d 'Never ask a question'
complete -c keikoctl -n "__fish_keikoctl_using_subcommand ev; and __fish_seen_subcommand_from tail" -s q -l quiet -d 'Only data and errors'
complete -c keikoctl -n "__fish_keikoctl_using_subcommand ev; and __fish_seen_subcommand_from tail" -s v -l verbose -d 'Also where it connects and under which trace'
complete -c keikoctl -n "__fish_keikoctl_using_subcommand ev; and __fish_seen_subcommand_from tail" -s h -l help -d 'Print help'
complete -c keikoctl -n "__fish_keikoctl_using_subcommand ev; and __fish_seen_subcommand_from get" -l sort-by -d 'Sort by a column, or by a path as in .spec.url' -r
complete -c keikoctl -n "__fish_keikoctl_using_subcommand ev; and __fish_seen_subcommand_from get" -l columns -d 'Only these columns, or paths as in .spec.url' -r
complete -c keikoctl -n "__fish_keikoctl_using_subcommand ev; and __fish_seen_subcommand_from get" -l endpoint -d 'Where the daemon is: unix:PATH, https://HOST:PORT or HOST:PORT' -r
complete -c keikoctl -n "__fish_keikoctl_using_subcommand ev; and __fish_seen_subcommand_from get" -l token-file -d 'A file with a bearer token; $KEIKO_TOKEN holds the token itself' -r -F
complete -c keikoctl -n "__fish_keikoctl_using_subcommand ev; and __fish_seen_subcommand_from get" -l ca -d 'The cluster\'s CA certificate; not needed with a token, which carries its hash' -r -F
complete -c keikoctl -n "__fish_keikoctl_using_subcommand ev; and __fish_seen_subcommand_from get" -s o -l output -d 'table, wide, json, jsonl, yaml, name, jsonpath=EXPR or csv' -r
complete -c keikoctl -n "__fish_keikoctl_using_subcommand ev; and __fish_seen_subcommand_from get" -l timeout -d 'How long the call may take, as in 30s or 5m' -r
complete -c keikoctl -n "__fish_keikoctl_using_subcommand ev; and __fish_seen_subcommand_from get" -l color -d 'Colour: auto, always or never' -r -f -a "auto\t'On a terminal, unless NO_COLOR or TERM=dumb says otherwise'
always\t'Also in a pipe'
never\t'Never'"
complete -c keikoctl -n "__fish_keikoctl_using_subcommand ev; and __fish_seen_subcommand_from get" -l no-headers -d 'Only rows'
complete -c keikoctl -n "__fish_keikoctl_using_subcommand ev; and __fish_seen_subcommand_from get" -l utc -d 'Times in RFC 3339 in place of ages'
complete -c keikoctl -n "__fish_keikoctl_using_subcommand ev; and __fish_seen_subcommand_from get" -l no-input -d 'Never ask a question'
complete -c keikoctl -n "__fish_keikoctl_using_subcommand ev; and __fish_seen_subcommand_from get" -s q -l quiet -d 'Only data and errors'
complete -c keikoctl -n "__fish_keikoctl_using_subcommand ev; and __fish_seen_subcommand_from get" -s v -l verbose -d 'Also where it connects and under which trace'
complete -c keikoctl -n "__fish_keikoctl_using_subcommand ev; and __fish_seen_subcommand_from get" -s h -l help -d 'Print help'
complete -c keikoctl -n "__fish_keikoctl_using_subcommand cluster; and not __fish_seen_subcommand_from init status" -l endpoint -d 'Where the daemon is: unix:PATH, https://HOST:PORT or HOST:PORT' -r
complete -c keikoctl -n "__fish_keikoctl_using_subcommand cluster; and not __fish_seen_subcommand_from init status" -l token-file -d 'A file with a bearer token; $KEIKO_TOKEN holds the token itself' -r -F
complete -c keikoctl -n "__fish_keikoctl_using_subcommand cluster; and not __fish_seen_subcommand_from init status" -l ca -d 'The cluster\'s CA certificate; not needed with a token, which carries its hash' -r -F
complete -c keikoctl -n "__fish_keikoctl_using_subcommand cluster; and not __fish_seen_subcommand_from init status" -s o -l output -d 'table, wide, json, jsonl, yaml, name, jsonpath=EXPR or csv' -r
complete -c keikoctl -n "__fish_keikoctl_using_subcommand cluster; and not __fish_seen_subcommand_from init status" -l timeout -d 'How long the call may take, as in 30s or 5m' -r
complete -c keikoctl -n "__fish_keikoctl_using_subcommand cluster; and not __fish_seen_subcommand_from init status" -l color -d 'Colour: auto, always or never' -r -f -a "auto\t'On a terminal, unless NO_COLOR or TERM=dumb says otherwise'
always\t'Also in a pipe'
never\t'Never'"
complete -c keikoctl -n "__fish_keikoctl_using_subcommand cluster; and not __fish_seen_subcommand_from init status" -l utc -d 'Times in RFC 3339 in place of ages'
complete -c keikoctl -n "__fish_keikoctl_using_subcommand cluster; and not __fish_seen_subcommand_from init status" -l no-input -d 'Never ask a question'
complete -c keikoctl -n "__fish_keikoctl_using_subcommand cluster; and not __fish_seen_subcommand_from init status" -s q -l quiet -d 'Only data and errors'
complete -c keikoctl -n "__fish_keikoctl_using_subcommand cluster; and not __fish_seen_subcommand_from init status" -s v -l verbose -d 'Also where it connects and under which trace'
complete -c keikoctl -n "__fish_keikoctl_using_subcommand cluster; and not __fish_seen_subcommand_from init status" -s h -l help -d 'Print help'
complete -c keikoctl -n "__fish_keikoctl_using_subcommand cluster; and not __fish_seen_subcommand_from init status" -f -a "init" -d 'Founds a cluster on an empty node, over its socket'
complete -c keikoctl -n "__fish_keikoctl_using_subcommand cluster; and not __fish_seen_subcommand_from init status" -f -a "status" -d 'What the cluster looks like'
complete -c keikoctl -n "__fish_keikoctl_using_subcommand cluster; and __fish_seen_subcommand_from init" -l endpoint -d 'Where the daemon is: unix:PATH, https://HOST:PORT or HOST:PORT' -r
complete -c keikoctl -n "__fish_keikoctl_using_subcommand cluster; and __fish_seen_subcommand_from init" -l token-file -d 'A file with a bearer token; $KEIKO_TOKEN holds the token itself' -r -F
complete -c keikoctl -n "__fish_keikoctl_using_subcommand cluster; and __fish_seen_subcommand_from init" -l ca -d 'The cluster\'s CA certificate; not needed with a token, which carries its hash' -r -F
complete -c keikoctl -n "__fish_keikoctl_using_subcommand cluster; and __fish_seen_subcommand_from init" -s o -l output -d 'table, wide, json, jsonl, yaml, name, jsonpath=EXPR or csv' -r
complete -c keikoctl -n "__fish_keikoctl_using_subcommand cluster; and __fish_seen_subcommand_from init" -l timeout -d 'How long the call may take, as in 30s or 5m' -r
complete -c keikoctl -n "__fish_keikoctl_using_subcommand cluster; and __fish_seen_subcommand_from init" -l color -d 'Colour: auto, always or never' -r -f -a "auto\t'On a terminal, unless NO_COLOR or TERM=dumb says otherwise'
always\t'Also in a pipe'
never\t'Never'"
complete -c keikoctl -n "__fish_keikoctl_using_subcommand cluster; and __fish_seen_subcommand_from init" -l utc -d 'Times in RFC 3339 in place of ages'
complete -c keikoctl -n "__fish_keikoctl_using_subcommand cluster; and __fish_seen_subcommand_from init" -l no-input -d 'Never ask a question'
complete -c keikoctl -n "__fish_keikoctl_using_subcommand cluster; and __fish_seen_subcommand_from init" -s q -l quiet -d 'Only data and errors'
complete -c keikoctl -n "__fish_keikoctl_using_subcommand cluster; and __fish_seen_subcommand_from init" -s v -l verbose -d 'Also where it connects and under which trace'
complete -c keikoctl -n "__fish_keikoctl_using_subcommand cluster; and __fish_seen_subcommand_from init" -s h -l help -d 'Print help'
complete -c keikoctl -n "__fish_keikoctl_using_subcommand cluster; and __fish_seen_subcommand_from status" -l endpoint -d 'Where the daemon is: unix:PATH, https://HOST:PORT or HOST:PORT' -r
complete -c keikoctl -n "__fish_keikoctl_using_subcommand cluster; and __fish_seen_subcommand_from status" -l token-file -d 'A file with a bearer token; $KEIKO_TOKEN holds the token itself' -r -F
complete -c keikoctl -n "__fish_keikoctl_using_subcommand cluster; and __fish_seen_subcommand_from status" -l ca -d 'The cluster\'s CA certificate; not needed with a token, which carries its hash' -r -F
complete -c keikoctl -n "__fish_keikoctl_using_subcommand cluster; and __fish_seen_subcommand_from status" -s o -l output -d 'table, wide, json, jsonl, yaml, name, jsonpath=EXPR or csv' -r
complete -c keikoctl -n "__fish_keikoctl_using_subcommand cluster; and __fish_seen_subcommand_from status" -l timeout -d 'How long the call may take, as in 30s or 5m' -r
complete -c keikoctl -n "__fish_keikoctl_using_subcommand cluster; and __fish_seen_subcommand_from status" -l color -d 'Colour: auto, always or never' -r -f -a "auto\t'On a terminal, unless NO_COLOR or TERM=dumb says otherwise'
always\t'Also in a pipe'
never\t'Never'"
complete -c keikoctl -n "__fish_keikoctl_using_subcommand cluster; and __fish_seen_subcommand_from status" -l utc -d 'Times in RFC 3339 in place of ages'
complete -c keikoctl -n "__fish_keikoctl_using_subcommand cluster; and __fish_seen_subcommand_from status" -l no-input -d 'Never ask a question'
complete -c keikoctl -n "__fish_keikoctl_using_subcommand cluster; and __fish_seen_subcommand_from status" -s q -l quiet -d 'Only data and errors'
complete -c keikoctl -n "__fish_keikoctl_using_subcommand cluster; and __fish_seen_subcommand_from status" -s v -l verbose -d 'Also where it connects and under which trace'
complete -c keikoctl -n "__fish_keikoctl_using_subcommand cluster; and __fish_seen_subcommand_from status" -s h -l help -d 'Print help'
complete -c keikoctl -n "__fish_keikoctl_using_subcommand dev" -l endpoint -d 'Where the daemon is: unix:PATH, https://HOST:PORT or HOST:PORT' -r
complete -c keikoctl -n "__fish_keikoctl_using_subcommand dev" -l token-file -d 'A file with a bearer token; $KEIKO_TOKEN holds the token itself' -r -F
complete -c keikoctl -n "__fish_keikoctl_using_subcommand dev" -l ca -d 'The cluster\'s CA certificate; not needed with a token, which carries its hash' -r -F
complete -c keikoctl -n "__fish_keikoctl_using_subcommand dev" -s o -l output -d 'table, wide, json, jsonl, yaml, name, jsonpath=EXPR or csv' -r
complete -c keikoctl -n "__fish_keikoctl_using_subcommand dev" -l timeout -d 'How long the call may take, as in 30s or 5m' -r
complete -c keikoctl -n "__fish_keikoctl_using_subcommand dev" -l color -d 'Colour: auto, always or never' -r -f -a "auto\t'On a terminal, unless NO_COLOR or TERM=dumb says otherwise'
always\t'Also in a pipe'
never\t'Never'"
complete -c keikoctl -n "__fish_keikoctl_using_subcommand dev" -l utc -d 'Times in RFC 3339 in place of ages'
complete -c keikoctl -n "__fish_keikoctl_using_subcommand dev" -l no-input -d 'Never ask a question'
complete -c keikoctl -n "__fish_keikoctl_using_subcommand dev" -s q -l quiet -d 'Only data and errors'
complete -c keikoctl -n "__fish_keikoctl_using_subcommand dev" -s v -l verbose -d 'Also where it connects and under which trace'
complete -c keikoctl -n "__fish_keikoctl_using_subcommand dev" -s h -l help -d 'Print help'
complete -c keikoctl -n "__fish_keikoctl_using_subcommand explain" -l endpoint -d 'Where the daemon is: unix:PATH, https://HOST:PORT or HOST:PORT' -r
complete -c keikoctl -n "__fish_keikoctl_using_subcommand explain" -l token-file -d 'A file with a bearer token; $KEIKO_TOKEN holds the token itself' -r -F
complete -c keikoctl -n "__fish_keikoctl_using_subcommand explain" -l ca -d 'The cluster\'s CA certificate; not needed with a token, which carries its hash' -r -F
complete -c keikoctl -n "__fish_keikoctl_using_subcommand explain" -s o -l output -d 'table, wide, json, jsonl, yaml, name, jsonpath=EXPR or csv' -r
complete -c keikoctl -n "__fish_keikoctl_using_subcommand explain" -l timeout -d 'How long the call may take, as in 30s or 5m' -r
complete -c keikoctl -n "__fish_keikoctl_using_subcommand explain" -l color -d 'Colour: auto, always or never' -r -f -a "auto\t'On a terminal, unless NO_COLOR or TERM=dumb says otherwise'
always\t'Also in a pipe'
never\t'Never'"
complete -c keikoctl -n "__fish_keikoctl_using_subcommand explain" -l utc -d 'Times in RFC 3339 in place of ages'
complete -c keikoctl -n "__fish_keikoctl_using_subcommand explain" -l no-input -d 'Never ask a question'
complete -c keikoctl -n "__fish_keikoctl_using_subcommand explain" -s q -l quiet -d 'Only data and errors'
complete -c keikoctl -n "__fish_keikoctl_using_subcommand explain" -s v -l verbose -d 'Also where it connects and under which trace'
complete -c keikoctl -n "__fish_keikoctl_using_subcommand explain" -s h -l help -d 'Print help'
complete -c keikoctl -n "__fish_keikoctl_using_subcommand completion" -l endpoint -d 'Where the daemon is: unix:PATH, https://HOST:PORT or HOST:PORT' -r
complete -c keikoctl -n "__fish_keikoctl_using_subcommand completion" -l token-file -d 'A file with a bearer token; $KEIKO_TOKEN holds the token itself' -r -F
complete -c keikoctl -n "__fish_keikoctl_using_subcommand completion" -l ca -d 'The cluster\'s CA certificate; not needed with a token, which carries its hash' -r -F
complete -c keikoctl -n "__fish_keikoctl_using_subcommand completion" -s o -l output -d 'table, wide, json, jsonl, yaml, name, jsonpath=EXPR or csv' -r
complete -c keikoctl -n "__fish_keikoctl_using_subcommand completion" -l timeout -d 'How long the call may take, as in 30s or 5m' -r
complete -c keikoctl -n "__fish_keikoctl_using_subcommand completion" -l color -d 'Colour: auto, always or never' -r -f -a "auto\t'On a terminal, unless NO_COLOR or TERM=dumb says otherwise'
always\t'Also in a pipe'
never\t'Never'"
complete -c keikoctl -n "__fish_keikoctl_using_subcommand completion" -l utc -d 'Times in RFC 3339 in place of ages'
complete -c keikoctl -n "__fish_keikoctl_using_subcommand completion" -l no-input -d 'Never ask a question'
complete -c keikoctl -n "__fish_keikoctl_using_subcommand completion" -s q -l quiet -d 'Only data and errors'
complete -c keikoctl -n "__fish_keikoctl_using_subcommand completion" -s v -l verbose -d 'Also where it connects and under which trace'
complete -c keikoctl -n "__fish_keikoctl_using_subcommand completion" -s h -l help -d 'Print help'
complete -c keikoctl -n "__fish_keikoctl_using_subcommand version" -l endpoint -d 'Where the daemon is: unix:PATH, https://HOST:PORT or HOST:PORT' -r
complete -c keikoctl -n "__fish_keikoctl_using_subcommand version" -l token-file -d 'A file with a bearer token; $KEIKO_TOKEN holds the token itself' -r -F
complete -c keikoctl -n "__fish_keikoctl_using_subcommand version" -l ca -d 'The cluster\'s CA certificate; not needed with a token, which carries its hash' -r -F
complete -c keikoctl -n "__fish_keikoctl_using_subcommand version" -s o -l output -d 'table, wide, json, jsonl, yaml, name, jsonpath=EXPR or csv' -r
complete -c keikoctl -n "__fish_keikoctl_using_subcommand version" -l timeout -d 'How long the call may take, as in 30s or 5m' -r
complete -c keikoctl -n "__fish_keikoctl_using_subcommand version" -l color -d 'Colour: auto, always or never' -r -f -a "auto\t'On a terminal, unless NO_COLOR or TERM=dumb says otherwise'
always\t'Also in a pipe'
never\t'Never'"
complete -c keikoctl -n "__fish_keikoctl_using_subcommand version" -l utc -d 'Times in RFC 3339 in place of ages'
complete -c keikoctl -n "__fish_keikoctl_using_subcommand version" -l no-input -d 'Never ask a question'
complete -c keikoctl -n "__fish_keikoctl_using_subcommand version" -s q -l quiet -d 'Only data and errors'
complete -c keikoctl -n "__fish_keikoctl_using_subcommand version" -s v -l verbose -d 'Also where it connects and under which trace'
complete -c keikoctl -n "__fish_keikoctl_using_subcommand version" -s h -l help -d 'Print help'
complete -c keikoctl -n "__fish_keikoctl_using_subcommand help" -l endpoint -d 'Where the daemon is: unix:PATH, https://HOST:PORT or HOST:PORT' -r
complete -c keikoctl -n "__fish_keikoctl_using_subcommand help" -l token-file -d 'A file with a bearer token; $KEIKO_TOKEN holds the token itself' -r -F
complete -c keikoctl -n "__fish_keikoctl_using_subcommand help" -l ca -d 'The cluster\'s CA certificate; not needed with a token, which carries its hash' -r -F
complete -c keikoctl -n "__fish_keikoctl_using_subcommand help" -s o -l output -d 'table, wide, json, jsonl, yaml, name, jsonpath=EXPR or csv' -r
complete -c keikoctl -n "__fish_keikoctl_using_subcommand help" -l timeout -d 'How long the call may take, as in 30s or 5m' -r
complete -c keikoctl -n "__fish_keikoctl_using_subcommand help" -l color -d 'Colour: auto, always or never' -r -f -a "auto\t'On a terminal, unless NO_COLOR or TERM=dumb says otherwise'
always\t'Also in a pipe'
never\t'Never'"
complete -c keikoctl -n "__fish_keikoctl_using_subcommand help" -l utc -d 'Times in RFC 3339 in place of ages'
complete -c keikoctl -n "__fish_keikoctl_using_subcommand help" -l no-input -d 'Never ask a question'
complete -c keikoctl -n "__fish_keikoctl_using_subcommand help" -s q -l quiet -d 'Only data and errors'
complete -c keikoctl -n "__fish_keikoctl_using_subcommand help" -s v -l verbose -d 'Also where it connects and under which trace'
complete -c keikoctl -n "__fish_keikoctl_using_subcommand help" -s h -l help -d 'Print help'
