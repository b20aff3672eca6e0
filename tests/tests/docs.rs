//! The commands of the guides and of the README's tour, run as they are written.
//!
//! A guide's blocks that begin with ```` ```console ```` are run, in one shell for each guide, in an
//! empty folder, beside a fresh node and a real A2A agent; other blocks are only shown.
//!
//! ```text
//! $ keikoctl agent get nobody       a command; lines after it that begin with "> " belong to it
//! error[KEIKO-0030]: ...            what it prints: "..." stands for anything, alone for any lines
//! # exit 6                          its exit code, if it is not 0
//! ```
//!
//! Nothing below a command: what it prints is not compared. Spaces in a row count as one. A block
//! of another language whose first line is `# NAME.yaml` is written into that file. The address of
//! the guides' agent stands for the one that runs here.
//!
//! A command that begins with `keikod run` is in a terminal of its own: it goes on until the page
//! kills it or ends, and the next command is typed once it has printed what stands below it.

use keiko_tests::peers::{self, Peer};
use keiko_tests::place::Place;
use keiko_tests::under_test::{HELD, MARK as UNDER_TEST};
use keiko_tests::{Node, Plan, ctl};
use std::fs;
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::mpsc::{Receiver, sync_channel};
use std::time::{Duration, Instant};

/// Where the agent of the docs listens.
const HELLO: &str = "http://127.0.0.1:41299";
/// What one command may take.
const BOUND: Duration = Duration::from_secs(90);
/// What a daemon may take to end politely.
const GRACE: Duration = Duration::from_secs(20);
/// Lines that a command may print ahead of the reader.
const LINES_AHEAD: usize = 10_000;
/// Ends the output of a command; nothing else prints it.
const MARK: &str = "--docs-mark--";

/// Something that a page wants done.
#[derive(Debug, PartialEq, Eq)]
enum Step {
    File { name: String, text: String },
    Run(Typed),
}

/// A command and what it should do.
#[derive(Debug, Default, PartialEq, Eq)]
struct Typed {
    /// Of the page, from 1.
    line: usize,
    command: String,
    expect: Vec<String>,
    status: i32,
}

fn docs(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(path)
}

/// What a page wants done, in order.
fn steps(page: &str) -> Vec<Step> {
    let mut steps = Vec::new();
    let mut lines = page.lines().enumerate();
    while let Some((_, line)) = lines.next() {
        let Some(language) = line.strip_prefix("```") else { continue };
        let mut block = Vec::new();
        for (at, line) in lines.by_ref().take_while(|(_, line)| *line != "```") {
            block.push((at + 1, line));
        }
        if language.trim() == "console" {
            steps.extend(commands(&block).into_iter().map(Step::Run));
        } else if let Some(name) = block.first().and_then(|(_, line)| file_name(line)) {
            let text: Vec<&str> = block.iter().map(|(_, line)| *line).collect();
            steps.push(Step::File { name, text: text.join("\n") + "\n" });
        }
    }
    steps
}

/// As in `# fleet.yaml`.
fn file_name(line: &str) -> Option<String> {
    let name = line.strip_prefix("# ")?;
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./".contains(c);
    let is_name = name.ends_with(".yaml") && name.chars().all(plain) && !name.contains("..");
    is_name.then(|| name.to_owned())
}

fn commands(block: &[(usize, &str)]) -> Vec<Typed> {
    let mut typed: Vec<Typed> = Vec::new();
    for (line, text) in block {
        if let Some(command) = text.strip_prefix("$ ") {
            typed.push(Typed { line: *line, command: command.to_owned(), ..Typed::default() });
            continue;
        }
        let Some(last) = typed.last_mut() else { continue };
        if let (Some(more), true) = (text.strip_prefix("> "), last.expect.is_empty()) {
            last.command.push('\n');
            last.command.push_str(more);
        } else if let Some(status) = text.strip_prefix("# exit ") {
            last.status = status.trim().parse().expect("an exit code is a number");
        } else if !text.trim().is_empty() {
            last.expect.push((*text).to_owned());
        }
    }
    typed
}

/// True if the lines are as expected, with "..." as above.
fn fits(expect: &[String], got: &[String]) -> bool {
    let Some((first, rest)) = expect.split_first() else { return got.is_empty() };
    if first.trim() == "..." {
        return (0..=got.len()).any(|skipped| fits(rest, &got[skipped..]));
    }
    got.split_first().is_some_and(|(line, more)| line_fits(first, line) && fits(rest, more))
}

fn line_fits(expect: &str, got: &str) -> bool {
    let (expect, got) = (one_space(expect), one_space(got));
    let mut parts = expect.split("...");
    let Some(mut rest) = parts.next().and_then(|first| got.strip_prefix(first)) else {
        return false;
    };
    let parts: Vec<&str> = parts.collect();
    let Some((last, inner)) = parts.split_last() else { return rest.is_empty() };
    for part in inner {
        match rest.find(part) {
            Some(at) => rest = &rest[at + part.len()..],
            None => return false,
        }
    }
    rest.ends_with(last)
}

fn one_space(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// What a program prints, line by line. It is read to its end, also when nobody looks any more.
fn lines_of(stdout: ChildStdout) -> Receiver<String> {
    let (send, lines) = sync_channel(LINES_AHEAD);
    std::thread::spawn(move || {
        for line in BufReader::new(stdout).lines().map_while(Result::ok) {
            let _nobody_looks_any_more = send.send(line);
        }
    });
    lines
}

/// A daemon of the page.
struct Daemon(Child);

impl Daemon {
    /// Types its line in a terminal of its own, and waits until it has printed this.
    fn start(place: &Place, command: &str, expect: &[String]) -> Result<Self, String> {
        let mut shell = shell(place);
        // It ends with its input, which this process holds (see `under_test`).
        shell.env(UNDER_TEST, HELD).args(["-c", &format!("exec {command} 2>&1")]);
        let mut daemon = Self(shell.spawn().expect("sh starts"));
        let lines = lines_of(daemon.0.stdout.take().expect("a pipe"));
        let (end, mut got) = (Instant::now() + BOUND, Vec::new());
        while !fits(expect, &got) {
            let left = end.saturating_duration_since(Instant::now());
            let Ok(line) = lines.recv_timeout(left) else {
                return Err(format!("it does not print that:\n{}", got.join("\n")));
            };
            got.push(line);
        }
        Ok(daemon)
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        drop(self.0.stdin.take());
        if ctl::end_of(&mut self.0, GRACE).is_none() {
            let _ = self.0.kill();
            let _ = self.0.wait();
        }
    }
}

/// A shell in the page's folder.
fn shell(place: &Place) -> Command {
    let like = ctl::program("keikoctl", place, &[]);
    let folder = place.join("guide");
    fs::create_dir_all(&folder).expect("a folder in the place");
    let mut command = Command::new("sh");
    command.env_clear().current_dir(folder).stdin(Stdio::piped()).stdout(Stdio::piped());
    for (name, value) in like.get_envs() {
        command.env(name, value.unwrap_or_default());
    }
    command
}

/// A shell that keeps its variables from command to command.
struct Shell {
    child: Child,
    stdin: ChildStdin,
    lines: Receiver<String>,
}

impl Shell {
    fn start(place: &Place, node: &Node) -> Self {
        // Found as on any machine: by the link of this user's first daemon, so that a page's own
        // contexts count.
        let links = place.join("run/keiko");
        fs::create_dir_all(&links).expect("a folder in the place");
        std::os::unix::fs::symlink(node.socket(), links.join("keiko.sock")).expect("a link");
        let mut child = shell(place).stderr(Stdio::null()).spawn().expect("sh starts");
        let lines = lines_of(child.stdout.take().expect("a pipe"));
        let stdin = child.stdin.take().expect("a pipe");
        Self { child, stdin, lines }
    }

    /// Runs one command; everything that it printed, and its exit code.
    fn run(&mut self, command: &str) -> Result<(Vec<String>, i32), String> {
        let script = format!("{{ {command}\n}} </dev/null 2>&1; printf '\\n%s %s\\n' {MARK} $?\n");
        self.stdin.write_all(script.as_bytes()).map_err(|error| error.to_string())?;
        let (end, mut got) = (Instant::now() + BOUND, Vec::new());
        loop {
            let left = end.saturating_duration_since(Instant::now());
            let Ok(line) = self.lines.recv_timeout(left) else {
                return Err(format!("not done within {BOUND:?}:\n{}", got.join("\n")));
            };
            if let Some(status) = line.strip_prefix(MARK) {
                let status = status.trim().parse::<i32>();
                let status = status.map_err(|error| format!("{line}: {error}"))?;
                got.retain(|line: &String| !line.trim().is_empty());
                return Ok((got, status));
            }
            got.push(line);
        }
    }
}

impl Drop for Shell {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Runs a page; every command that does something else than it says is a failure.
fn check(test: &str, page: &str) {
    if peers::command(test, "mcp-server-time").is_none() {
        return;
    }
    let Some(hello) = Peer::hello(test) else { return };
    let text = fs::read_to_string(docs(page)).unwrap_or_else(|error| panic!("{page}: {error}"));
    let steps = steps(&text);
    assert!(!steps.is_empty(), "{page} has nothing to run");
    let (node, place) = (Node::start(Plan::default()), Place::new());
    let mut shell = Shell::start(&place, &node);
    let (mut faults, mut daemons) = (Vec::new(), Vec::new());
    for step in steps {
        let typed = match step {
            Step::Run(typed) => typed,
            Step::File { name, text } => {
                let path = place.join("guide").join(name);
                fs::create_dir_all(path.parent().expect("it lies in a folder")).expect("a folder");
                fs::write(path, text.replace(HELLO, &hello.url)).expect("a file");
                continue;
            }
        };
        let Typed { line, command, expect, status } = typed;
        if command.starts_with("keikod run") {
            match Daemon::start(&place, &command, &expect) {
                Ok(daemon) => daemons.push(daemon),
                Err(error) => panic!("{page}:{line}: {command}: {error}\n{}", faults.join("\n")),
            }
            continue;
        }
        let outcome = shell.run(&command.replace(HELLO, &hello.url));
        let (got, ended) = match outcome {
            Ok(outcome) => outcome,
            // Whatever comes next would meet a shell that is still busy.
            Err(error) => panic!("{page}:{line}: {command}: {error}\n{}", faults.join("\n")),
        };
        let got: Vec<String> = got.iter().map(|line| line.replace(&hello.url, HELLO)).collect();
        if ended != status || !(expect.is_empty() || fits(&expect, &got)) {
            faults.push(format!(
                "{page}:{line}: $ {command}\n  exit {ended}, expected {status}\n  got:\n    {}\n  expected:\n    {}",
                got.join("\n    "),
                expect.join("\n    "),
            ));
        }
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

#[test]
fn first_ten_minutes() {
    check("docs::first_ten_minutes", "docs/guides/first-ten-minutes.md");
}

#[test]
fn register_everything() {
    check("docs::register_everything", "docs/guides/register-everything.md");
}

#[test]
fn health_and_flapping() {
    check("docs::health_and_flapping", "docs/guides/health-and-flapping.md");
}

#[test]
fn three_nodes() {
    check("docs::three_nodes", "docs/guides/three-nodes.md");
}

#[test]
fn kubernetes() {
    check("docs::kubernetes", "docs/guides/kubernetes.md");
}

#[test]
fn backup_and_recovery() {
    check("docs::backup_and_recovery", "docs/guides/backup-and-recovery.md");
}

#[test]
fn repair() {
    check("docs::repair", "docs/guides/repair.md");
}

#[test]
fn manifests_in_ci() {
    check("docs::manifests_in_ci", "docs/guides/manifests-in-ci.md");
}

#[test]
fn contexts() {
    check("docs::contexts", "docs/guides/contexts.md");
}

#[test]
fn roles() {
    check("docs::roles", "docs/guides/roles.md");
}

#[test]
fn keys_and_rotation() {
    check("docs::keys_and_rotation", "docs/guides/keys-and-rotation.md");
}

#[test]
fn locks() {
    check("docs::locks", "docs/guides/locks.md");
}

#[test]
fn rolling_upgrade() {
    check("docs::rolling_upgrade", "docs/guides/rolling-upgrade.md");
}

#[test]
fn troubleshooting() {
    check("docs::troubleshooting", "docs/guides/troubleshooting.md");
}

/// A guide that is not run would rot unseen.
#[test]
fn every_guide_is_run() {
    let own = include_str!("docs.rs");
    let folder = docs("docs/guides");
    for entry in fs::read_dir(folder).expect("the guides").flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        let is_run = own.contains(&format!("\"docs/guides/{name}\""));
        assert!(is_run, "{name} is not run by tests/tests/docs.rs");
    }
}

/// The lines of the README's tour that end by themselves, against a node that is there already.
#[test]
fn the_tour_of_the_readme() {
    let test = "docs::the_tour_of_the_readme";
    if peers::command(test, "mcp-server-time").is_none() {
        return;
    }
    let Some(hello) = Peer::hello(test) else { return };
    let text = fs::read_to_string(docs("README.md")).expect("the README");
    let tour = text.split("```").find(|block| block.contains("keikod run --data-dir D --init"));
    let tour = tour.expect("the README has a tour");
    let stays = |line: &str| line.contains("--watch") || line.starts_with("keikoctl dev");
    let ends =
        |line: &&str| (line.starts_with("keikoctl ") || line.starts_with("REV=")) && !stays(line);
    let lines: Vec<&str> = tour.lines().filter(ends).collect();
    assert!(lines.len() >= 6, "{lines:?}");
    let (node, place) = (Node::start(Plan::default()), Place::new());
    let mut shell = Shell::start(&place, &node);
    for line in lines {
        let (got, status) = shell.run(&line.replace(HELLO, &hello.url)).expect("it ends");
        assert_eq!(status, 0, "$ {line}\n{}", got.join("\n"));
        assert!(!got.is_empty(), "$ {line} prints nothing");
    }
}

#[test]
fn pages_are_read() {
    let page = "x\n```console\n$ a\n> b\none\n# exit 7\n$ c\n```\n```sh\n$ no\n```\n\
        ```yaml\n# f/g.yaml\nk: v\n```\n";
    let run = |line, command: &str, expect: &[&str], status| {
        let expect = expect.iter().map(ToString::to_string).collect();
        Step::Run(Typed { line, command: command.to_owned(), expect, status })
    };
    let file = Step::File { name: "f/g.yaml".into(), text: "# f/g.yaml\nk: v\n".into() };
    assert_eq!(steps(page), [run(3, "a\nb", &["one"], 7), run(7, "c", &[], 0), file]);
}

#[test]
fn dots_stand_for_anything() {
    let check = |expect: &[&str], got: &[&str], fit: bool| {
        let owned = |lines: &[&str]| lines.iter().map(ToString::to_string).collect::<Vec<_>>();
        assert_eq!(fits(&owned(expect), &owned(got)), fit, "{expect:?} {got:?}");
    };
    check(&["NAME   STATE", "time ready ..."], &["NAME  STATE", "time   ready  3s"], true);
    check(&["a ... c"], &["a b c"], true);
    check(&["a ... c"], &["a b d"], false);
    check(&["a"], &["a b"], false);
    check(&["a", "...", "z"], &["a", "b", "c", "z"], true);
    check(&["a", "...", "z"], &["a", "b"], false);
    check(&["..."], &[], true);
    check(&["a"], &["a", "b"], false);
}
