//! Commands as a person types them, each with an end.

use crate::place::Place;
use crate::under_test::{HIDDEN, MARK};
use crate::wait::DEADLINE;
use crate::{network, peers, programs};
use keiko_core::refusal::Code;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;
use std::ffi::OsString;
use std::io::{BufRead as _, BufReader, Read, Write as _};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, sync_channel};
use std::time::{Duration, Instant};

/// Lines that a stream may be ahead of its reader.
const LINES_AHEAD: usize = 10_000;
/// What a stream may take to end politely.
const GRACE: Duration = Duration::from_secs(20);

/// keikoctl with an environment of its own.
#[derive(Debug)]
pub struct Ctl {
    endpoint: Option<String>,
    place: Place,
    /// Further variables of its environment.
    pub env: Vec<(String, String)>,
}

/// How a command ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Output {
    /// As it was typed.
    pub line: String,
    /// Its exit code; -1 if a signal ended it.
    pub status: i32,
    /// Data.
    pub stdout: String,
    /// Everything else.
    pub stderr: String,
}

impl Ctl {
    /// Talks to this endpoint, as in `unix:PATH`; without one, to where keikoctl looks by itself.
    pub fn new(endpoint: Option<String>) -> Self {
        Self { endpoint, place: Place::new(), env: Vec::new() }
    }

    /// Its home, config and runtime folders lie here, and it starts here.
    pub fn place(&self) -> &Path {
        self.place.path()
    }

    /// Runs `keikoctl LINE`; words in single quotes stay together.
    #[track_caller]
    pub fn run(&self, line: &str) -> Output {
        self.run_with(line, "")
    }

    /// The same with something on its standard input.
    #[track_caller]
    pub fn run_with(&self, line: &str, input: &str) -> Output {
        run(self.command(line), &format!("keikoctl {line}"), input)
    }

    /// Runs it and expects it to succeed.
    #[track_caller]
    pub fn ok(&self, line: &str) -> Output {
        self.run(line).ok()
    }

    /// Runs it with `-o json`, expects success, and reads the document.
    #[track_caller]
    pub fn json(&self, line: &str) -> Value {
        self.ok(&format!("{line} -o json")).json()
    }

    /// Runs it and expects a refusal.
    #[track_caller]
    pub fn refused(&self, line: &str, status: i32, code: Code) -> Output {
        self.run(line).refused(status, code)
    }

    /// Starts a command that goes on.
    #[track_caller]
    pub fn stream(&self, line: &str) -> Stream {
        Stream::start(self.command(line), &format!("keikoctl {line}"))
    }

    /// The command itself, for what is special about a case.
    pub fn command(&self, line: &str) -> Command {
        let mut command = program("keikoctl", &self.place, &words(line));
        if let Some(endpoint) = &self.endpoint {
            command.env("KEIKO_ENDPOINT", endpoint).env_remove(MARK);
        }
        command.envs(self.env.iter().map(|(name, value)| (name, value)));
        command
    }
}

/// One of our programs with nothing of this process's environment but what it needs.
pub fn program(name: &str, place: &Place, arguments: &[String]) -> Command {
    furnished(Command::new(programs::path(name)), place, arguments)
}

/// The same in a network namespace of this name: the process that is started becomes the program.
pub fn program_on(namespace: &str, name: &str, place: &Place, arguments: &[String]) -> Command {
    let mut command = Command::new("nsenter");
    command.arg(format!("--net={}", network::path(namespace).display())).arg(programs::path(name));
    furnished(command, place, arguments)
}

fn furnished(mut command: Command, place: &Place, arguments: &[String]) -> Command {
    command.args(arguments).env_clear().current_dir(place.path());
    let mut path = OsString::from(programs::folder());
    for folder in [peers::bin().as_path(), Path::new("/usr/local/bin:/usr/bin:/bin:/usr/sbin")] {
        path.push(":");
        path.push(folder);
    }
    command.env("PATH", path).env("LANG", "C.UTF-8").env("RUST_BACKTRACE", "1");
    // The machine's own daemon and its link are not for tests.
    command.env(MARK, HIDDEN);
    for (variable, folder) in [
        ("HOME", "home"),
        ("TMPDIR", "tmp"),
        ("XDG_RUNTIME_DIR", "run"),
        ("XDG_CONFIG_HOME", "config"),
    ] {
        let folder = place.join(folder);
        std::fs::create_dir_all(&folder).expect("a folder in the place");
        command.env(variable, folder);
    }
    command
}

/// Runs `keikod LINE` in a folder of its own.
#[track_caller]
pub fn keikod(line: &str) -> Output {
    let place = Place::new();
    run(program("keikod", &place, &words(line)), &format!("keikod {line}"), "")
}

/// Runs a command to its end; after [`DEADLINE`] it is killed, and that is a failure.
#[track_caller]
pub fn run(command: Command, line: &str, input: &str) -> Output {
    run_within(DEADLINE, command, line, input)
}

/// The same with a bound of its own.
#[track_caller]
pub fn run_within(bound: Duration, mut command: Command, line: &str, input: &str) -> Output {
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap_or_else(|error| panic!("{line}: {error}"));
    let mut stdin = child.stdin.take().expect("a pipe");
    let input = input.to_owned();
    // It may end without reading.
    std::thread::spawn(move || stdin.write_all(input.as_bytes()).is_ok());
    let stdout = collect(child.stdout.take().expect("a pipe"));
    let stderr = collect(child.stderr.take().expect("a pipe"));
    let status = end_of(&mut child, bound);
    if status.is_none() {
        let _ = child.kill();
        let _ = child.wait();
    }
    let take = |texts: &Receiver<String>| texts.recv_timeout(DEADLINE).unwrap_or_default();
    let (stdout, stderr) = (take(&stdout), take(&stderr));
    let Some(status) = status else {
        panic!("{line}: not done within {bound:?}\n{stdout}\n{stderr}");
    };
    Output { line: line.to_owned(), status, stdout, stderr }
}

/// The exit code, if it ends in time; -1 if a signal ended it.
pub fn end_of(child: &mut Child, bound: Duration) -> Option<i32> {
    let end = Instant::now() + bound;
    while Instant::now() < end {
        match child.try_wait().expect("it is our child") {
            Some(status) => return Some(status.code().unwrap_or(-1)),
            None => std::thread::sleep(Duration::from_millis(5)),
        }
    }
    None
}

fn collect(mut from: impl Read + Send + 'static) -> Receiver<String> {
    let (send, receive) = sync_channel(1);
    std::thread::spawn(move || {
        let mut bytes = Vec::new();
        // What came until it broke counts.
        let _ = from.read_to_end(&mut bytes);
        send.send(String::from_utf8_lossy(&bytes).into_owned())
    });
    receive
}

impl Output {
    /// It succeeded.
    #[track_caller]
    pub fn ok(self) -> Self {
        assert_eq!(self.status, 0, "{self}");
        self
    }

    /// It was refused: nothing on stdout, and the code on stderr.
    #[track_caller]
    pub fn refused(self, status: i32, code: Code) -> Self {
        assert_eq!(self.status, status, "{self}");
        assert!(self.stderr.contains(&format!("error[{code}]: ")), "no {code}: {self}");
        assert_eq!(self.stdout, "", "{self}");
        self
    }

    /// Stderr says this.
    #[track_caller]
    pub fn says(self, text: &str) -> Self {
        assert!(self.stderr.contains(text), "{text:?} is missing: {self}");
        self
    }

    /// Stdout as one document.
    #[track_caller]
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.stdout).unwrap_or_else(|error| panic!("{error}: {self}"))
    }

    /// Stdout as one document for each line.
    #[track_caller]
    pub fn jsonl(&self) -> Vec<Value> {
        let read = |line| serde_json::from_str(line);
        self.stdout
            .lines()
            .map(|line| read(line).unwrap_or_else(|error| panic!("{error}: {line}")))
            .collect()
    }
}

impl std::fmt::Display for Output {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { line, status, stdout, stderr } = self;
        write!(f, "$ {line}\nexit {status}\n-- stdout\n{stdout}\n-- stderr\n{stderr}")
    }
}

/// A command that goes on, line by line; killed when dropped.
#[derive(Debug)]
pub struct Stream {
    line: String,
    child: Child,
    lines: Receiver<String>,
    place: Place,
}

impl Stream {
    /// Starts it.
    #[track_caller]
    pub fn start(mut command: Command, line: &str) -> Self {
        let place = Place::new();
        let stderr = std::fs::File::create(place.join("stderr")).expect("a file in the place");
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(stderr);
        let mut child = command.spawn().unwrap_or_else(|error| panic!("{line}: {error}"));
        let stdout = BufReader::new(child.stdout.take().expect("a pipe"));
        let (send, lines) = sync_channel(LINES_AHEAD);
        std::thread::spawn(move || {
            for line in stdout.lines().map_while(Result::ok) {
                if send.send(line).is_err() {
                    return;
                }
            }
        });
        Self { line: line.to_owned(), child, lines, place }
    }

    /// The first line, from now on, of which `fits` makes something.
    #[track_caller]
    pub fn find<T>(&self, what: &str, mut fits: impl FnMut(&str) -> Option<T>) -> T {
        let end = Instant::now() + DEADLINE;
        let mut seen = String::new();
        loop {
            let line = match self.lines.recv_timeout(end.saturating_duration_since(Instant::now()))
            {
                Ok(line) => line,
                Err(RecvTimeoutError::Timeout) => self.lacks(what, &seen),
                Err(RecvTimeoutError::Disconnected) => {
                    self.lacks(&format!("{what} before it ended"), &seen)
                }
            };
            if let Some(found) = fits(&line) {
                return found;
            }
            seen.push_str(&line);
            seen.push('\n');
        }
    }

    #[track_caller]
    fn lacks(&self, what: &str, seen: &str) -> ! {
        let stderr = std::fs::read_to_string(self.place.join("stderr")).unwrap_or_default();
        panic!("{}: no {what}\n-- stdout\n{seen}\n-- stderr\n{stderr}", self.line)
    }

    /// The first JSON line, from now on, that fits.
    #[track_caller]
    pub fn find_json(&self, what: &str, mut fits: impl FnMut(&Value) -> bool) -> Value {
        self.find(what, |line| serde_json::from_str(line).ok().filter(|value| fits(value)))
    }

    /// Its process.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Asks it to end, as Ctrl-C does, and gives its exit code.
    #[track_caller]
    pub fn interrupt(mut self) -> i32 {
        self.signal(Signal::SIGINT).expect("it runs");
        end_of(&mut self.child, DEADLINE).unwrap_or_else(|| panic!("{}: goes on", self.line))
    }

    /// Its exit code, if it ends by itself in this time.
    pub fn end_within(mut self, bound: Duration) -> Option<i32> {
        end_of(&mut self.child, bound)
    }

    fn signal(&self, signal: Signal) -> nix::Result<()> {
        let pid = i32::try_from(self.child.id()).expect("a pid fits");
        kill(Pid::from_raw(pid), signal)
    }
}

impl Drop for Stream {
    fn drop(&mut self) {
        if !matches!(self.child.try_wait(), Ok(None)) {
            return;
        }
        // `dev` has a node to end first.
        let _ = self.signal(Signal::SIGTERM);
        if end_of(&mut self.child, GRACE).is_none() {
            let _ = self.child.kill();
            let _ = self.child.wait();
        }
    }
}

/// Splits a line as a shell does, with single and double quotes and nothing else.
pub fn words(line: &str) -> Vec<String> {
    let mut words = Vec::new();
    let (mut word, mut quote) = (None::<String>, None);
    for c in line.chars() {
        match (quote, c) {
            (Some(open), c) if c == open => quote = None,
            (None, '\'' | '"') => {
                quote = Some(c);
                word.get_or_insert_default();
            }
            (None, ' ') => words.extend(word.take()),
            (_, c) => word.get_or_insert_default().push(c),
        }
    }
    assert_eq!(quote, None, "an open quote: {line}");
    words.extend(word);
    words
}

#[cfg(test)]
mod tests {
    use super::words;

    #[test]
    fn lines_split_as_in_a_shell() {
        let check = |line: &str, expect: &[&str]| assert_eq!(words(line), expect, "{line}");
        check("a  b", &["a", "b"]);
        check(r#"call x '{"a": 1}' -o json"#, &["call", "x", r#"{"a": 1}"#, "-o", "json"]);
        check("a '' \"b c\"d", &["a", "", "b cd"]);
        check("", &[]);
    }
}
