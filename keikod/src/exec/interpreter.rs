//! Which command lines would run whatever they are told to.
//!
//! An allow line is compared with the leading words of a command, so a line that ends before it
//! says *what* an interpreter runs allows everything. This module knows the common interpreters
//! and launchers by base name. It is a guard against a slip, not a proof: a program that nobody
//! listed here can be an interpreter too.

/// Programs whose arguments name the program that really runs.
const INTERPRETERS: &str = "\
    ash awk bash bun bunx busybox csh dash deno docker elvish fish flatpak gawk gdb irb java \
    jshell julia ksh lua luajit make mawk mksh nerdctl node nodejs npm npx nu osascript perl \
    php pipx pnpm pnpx podman poetry pwsh pypy python pythonw r rscript ruby sh tclsh tcsh \
    ts-node tsx uv uvx wish yarn zsh";

/// Words between an interpreter and what it runs: `npm exec`, `uv tool run`, `docker run`.
const SUBCOMMANDS: &str = "container dlx exec run start tool x";

/// Programs that start another program; their options, `NAME=VALUE` words and numbers come first.
const LAUNCHERS: &str = "\
    chroot chrt doas env ionice nice nohup nsenter prlimit runuser setpriv setsid ssh stdbuf \
    strace su sudo systemd-run taskset timeout unshare xargs";

/// The name of the interpreter that these leading words start without saying what it runs.
pub fn lone<S: AsRef<str>>(words: &[S]) -> Option<String> {
    let (first, rest) = words.split_first()?;
    let name = base_name(first.as_ref());
    let mut said = rest.iter().map(AsRef::as_ref).filter(|word| !word.starts_with('-'));
    if is_in(INTERPRETERS, &name) {
        return said.all(|word| is_in(SUBCOMMANDS, word)).then_some(name);
    }
    if is_in(LAUNCHERS, &name) {
        let started: Vec<&str> = said.skip_while(|word| is_setting(word)).collect();
        return if started.is_empty() { Some(name) } else { lone(&started) };
    }
    None
}

fn is_in(list: &str, name: &str) -> bool {
    list.split_whitespace().any(|listed| listed == name)
}

/// `A=b` of env, `5s` of timeout.
fn is_setting(word: &str) -> bool {
    word.contains('=') || word.starts_with(|c: char| c.is_ascii_digit())
}

/// `/usr/bin/Python3.11` → `python`.
fn base_name(path: &str) -> String {
    let name = path.rsplit('/').next().unwrap_or(path).to_ascii_lowercase();
    let bare = name.trim_end_matches(|c: char| c.is_ascii_digit() || c == '.' || c == '-');
    bare.to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_the_lone_ones() {
        let check = |line: &str, expect: Option<&str>| {
            let words: Vec<&str> = line.split(' ').collect();
            assert_eq!(lone(&words).as_deref(), expect, "{line}");
        };
        check("/bin/sh", Some("sh"));
        check("/bin/bash -c", Some("bash"));
        check("/usr/bin/python3.11", Some("python"));
        check("/usr/bin/python3 -u -m", Some("python"));
        check("/opt/node-22/bin/node", Some("node"));
        check("/usr/bin/node22 --inspect", Some("node"));
        check("/usr/bin/npx -y", Some("npx"));
        check("/usr/local/bin/uvx", Some("uvx"));
        check("/usr/bin/perl5.36", Some("perl"));
        check("/usr/bin/ruby", Some("ruby"));
        check("/usr/bin/env", Some("env"));
        check("/usr/bin/env -i A=b", Some("env"));
        check("/usr/bin/env node", Some("node"));
        check("/usr/bin/env -S python3 -u", Some("python"));
        check("/usr/bin/sudo", Some("sudo"));
        check("/usr/bin/timeout 5s node", Some("node"));
        check("/usr/bin/docker run -i", Some("docker"));
        check("/usr/bin/uv tool run", Some("uv"));
        check("/usr/bin/node /opt/srv/index.js", None);
        check("/usr/bin/python3 -m mcp_server_time", None);
        check("/usr/bin/npx -y @scope/server@1.2.3", None);
        check("/usr/bin/env node /opt/srv/index.js", None);
        check("/usr/local/bin/mcp-server-time", None);
        check("/usr/bin/docker run -i mcp/time:1.0", None);
        check("/opt/shell-server", None);
    }
}
