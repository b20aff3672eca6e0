//! `lock run` and `lock elect`: a command that runs while a lock is held.
//!
//! The session is kept while the command runs, and closed behind it. If the session is lost the
//! command is ended; until then, and where this process is stopped or gone, what it writes with
//! `$KEIKO_FENCE` is refused by the cluster: that, and not the end of a process, is what keeps two
//! holders apart.
//!
//! Away from a terminal the command has a process group of its own, so that what it started hears
//! the signals, too. At a terminal it stays in the one that the terminal knows, and what is typed
//! there reaches it by itself.

use super::args::{Asked, ElectArgs, RunArgs};
use super::life::Life;
use super::run::fence;
use crate::dev::ignores_hangup;
use crate::exit::Exit;
use crate::fault::{Outcome, Stop, usage};
use crate::session::{QUICK, Session};
use keiko_client::Fence;
use keiko_core::refusal::{Code, Refusal};
use nix::sys::signal::{Signal, kill, killpg};
use nix::unistd::Pid;
use std::io::IsTerminal as _;
use std::os::unix::process::{CommandExt as _, ExitStatusExt as _};
use std::process::ExitStatus;
use std::task::Poll;
use std::time::Duration;
use tokio::process::{Child, Command};
use tokio::signal::unix::{SignalKind, signal};
use tokio::time::timeout;

/// Between the signal that asks a command to end and the one that does not ask.
const GRACE: Duration = Duration::from_secs(5);
/// What a shell adds to the number of the signal that ended a command.
const BY_SIGNAL: i32 = 128;

/// What is run, under which lock.
pub(super) struct Errand {
    asked: Asked,
    /// Empty: a lock, and with a limit above 1 a semaphore.
    kind: &'static str,
    ttl: Option<Duration>,
    waits: bool,
    command: Vec<String>,
}

impl From<RunArgs> for Errand {
    fn from(args: RunArgs) -> Self {
        let RunArgs { asked, ttl, patience, command } = args;
        Self { asked, kind: "", ttl, waits: patience.or(true), command }
    }
}

impl From<ElectArgs> for Errand {
    fn from(args: ElectArgs) -> Self {
        let ElectArgs { name, namespace, value, ttl, patience, command } = args;
        let asked = Asked { name, namespace, limit: 1, value };
        Self { asked, kind: "election", ttl, waits: patience.or(true), command }
    }
}

/// Runs it; the exit code is the command's own.
pub(super) async fn run(errand: Errand, session: &Session) -> Outcome {
    let mut signals = Signals::listen()?;
    let opening = async {
        let client = session.client(QUICK).await?;
        Life::open(&client, errand.ttl).await
    };
    let life = tokio::select! {
        life = opening => life?,
        _ = signals.end() => return Err(Stop::Interrupted),
    };
    let fence = tokio::select! {
        fence = take(&errand, &life, session) => fence?,
        _ = signals.end() => {
            life.drop_own().await;
            return Err(Stop::Interrupted);
        }
    };
    let mut work = match Work::start(&errand, &life, &fence, session) {
        Ok(work) => work,
        Err(refusal) => {
            life.drop_own().await;
            return Err(refusal.into());
        }
    };
    let ended = {
        let mut keeping = Box::pin(life.keep());
        loop {
            tokio::select! {
                ended = work.child.wait() => break Ok(ended),
                lost = &mut keeping => break Err(lost),
                signal = signals.next() => work.pass(signal),
            }
        }
    };
    match ended {
        Ok(status) => {
            let status = status.map_err(|error| {
                Refusal::new(Code::Internal, "the end of the command is not known").cause(error)
            })?;
            give_back(&life, &errand.command, status, session).await?;
            Ok(Exit::Command(number(status)))
        }
        Err(lost) => {
            session.printer.note("the lock is lost: the command is ended");
            let how = work.end().await;
            Err(lost.cause(format!("{:?} {how}", word(&errand.command))).into())
        }
    }
}

/// Takes the lock, in turn.
async fn take(errand: &Errand, life: &Life, session: &Session) -> Outcome<Fence> {
    let wait = errand.waits.then(|| session.globals.timeout.unwrap_or(Duration::MAX));
    let _progress = session.progress(format!("waiting for lock/{}", errand.asked.name));
    let granted = life.acquire(&errand.asked.wire(errand.kind), wait, None).await?;
    let fence = fence(&errand.asked, &granted)?;
    session.printer.detail(&format!("lock {fence}, session {}", life.id));
    Ok(fence)
}

/// Closes the session. If it was over before, the command ran on without the lock, and whoever
/// reads its exit code must know.
async fn give_back(
    life: &Life,
    command: &[String],
    status: ExitStatus,
    session: &Session,
) -> Outcome<()> {
    match life.close().await {
        Ok(()) => Ok(()),
        Err(Stop::Refused(mut fault)) if is_over(fault.refusal.code) => {
            let words = format!("{:?} ended with exit code {}", word(command), number(status));
            fault.refusal = fault.refusal.cause(words);
            Err(Stop::Refused(fault))
        }
        Err(Stop::Refused(fault)) => {
            let words = &fault.refusal.message;
            session.printer.note(&format!("the lock is free when its ttl is over: {words}"));
            Ok(())
        }
        Err(stop) => Err(stop),
    }
}

/// True if the server knows that the session ended.
fn is_over(code: Code) -> bool {
    matches!(code, Code::SessionEnded | Code::NotFound)
}

/// The number that a shell would see.
fn number(status: ExitStatus) -> u8 {
    let by_signal = status.signal().map(|signal| BY_SIGNAL + signal);
    let number = status.code().or(by_signal).unwrap_or(1);
    u8::try_from(number).unwrap_or(u8::MAX)
}

fn word(command: &[String]) -> &str {
    command.first().map_or("", String::as_str)
}

/// The command while it runs.
struct Work {
    child: Child,
    pid: Option<Pid>,
    /// It has a process group of its own.
    is_apart: bool,
}

impl Work {
    fn start(
        errand: &Errand,
        life: &Life,
        fence: &Fence,
        session: &Session,
    ) -> Result<Self, Refusal> {
        let first = word(&errand.command);
        let is_apart = !std::io::stdin().is_terminal();
        let mut command = std::process::Command::new(first);
        command.args(errand.command.iter().skip(1));
        if is_apart {
            command.process_group(0);
        }
        command.env("KEIKO_LOCK", fence.lock());
        command.env("KEIKO_LOCK_TOKEN", fence.token().to_string());
        command.env("KEIKO_SESSION", &life.id);
        command.env("KEIKO_FENCE", fence.to_string());
        way(&mut command, session);
        let child = Command::from(command).spawn().map_err(|error| {
            usage(format!("{first:?} can't be started")).cause(error).hint(
                "what is run is a program and its arguments; a shell's words need one: sh -c '…'",
            )
        })?;
        let pid = child.id().and_then(|pid| i32::try_from(pid).ok()).map(Pid::from_raw);
        Ok(Self { child, pid, is_apart })
    }

    /// What this process was told, unless the command hears it from the terminal.
    fn pass(&self, signal: Signal) {
        let is_typed = matches!(signal, Signal::SIGINT | Signal::SIGQUIT | Signal::SIGHUP);
        if self.is_apart || !is_typed {
            self.tell(signal);
        }
    }

    fn tell(&self, signal: Signal) {
        let Some(pid) = self.pid else { return };
        // It may have ended meanwhile.
        let _ = if self.is_apart { killpg(pid, signal) } else { kill(pid, signal) };
    }

    /// Ends it, and says how.
    async fn end(&mut self) -> &'static str {
        self.tell(Signal::SIGTERM);
        if timeout(GRACE, self.child.wait()).await.is_ok() {
            return "was ended";
        }
        self.tell(Signal::SIGKILL);
        let _ = self.child.wait().await;
        "was killed, as it did not end by itself"
    }
}

/// What the command line said about where commands go holds for those of the command, too: under
/// another cluster's lock they would all be refused.
fn way(command: &mut std::process::Command, session: &Session) {
    let globals = &session.globals;
    if globals.given.is_flag("endpoint") {
        command.env("KEIKO_ENDPOINT", globals.endpoints.join(",")).env_remove("KEIKO_CONTEXT");
    } else if globals.given.is_flag("context")
        && let Some(name) = &globals.context
    {
        command.env("KEIKO_CONTEXT", name).env_remove("KEIKO_ENDPOINT");
    }
}

/// What may be passed on.
struct Signals(Vec<(Signal, tokio::signal::unix::Signal)>);

impl Signals {
    fn listen() -> Result<Self, Refusal> {
        const ALL: [(Signal, fn() -> SignalKind); 6] = [
            (Signal::SIGINT, SignalKind::interrupt),
            (Signal::SIGTERM, SignalKind::terminate),
            (Signal::SIGQUIT, SignalKind::quit),
            (Signal::SIGUSR1, SignalKind::user_defined1),
            (Signal::SIGUSR2, SignalKind::user_defined2),
            (Signal::SIGHUP, SignalKind::hangup),
        ];
        // Whoever ignores it, as nohup does, wants the command to ignore it, too.
        let deaf = ignores_hangup();
        let heard = ALL.into_iter().filter(|(which, _)| !deaf || *which != Signal::SIGHUP);
        let listened = heard.map(|(which, kind)| signal(kind()).map(|stream| (which, stream)));
        listened
            .collect::<std::io::Result<Vec<_>>>()
            .map(Self)
            .map_err(|error| Refusal::new(Code::Internal, "signals can't be caught").cause(error))
    }

    /// The next one.
    async fn next(&mut self) -> Signal {
        std::future::poll_fn(|context| {
            for (which, stream) in &mut self.0 {
                if stream.poll_recv(context).is_ready() {
                    return Poll::Ready(*which);
                }
            }
            Poll::Pending
        })
        .await
    }

    /// The next one that ends a command.
    async fn end(&mut self) -> Signal {
        loop {
            match self.next().await {
                Signal::SIGUSR1 | Signal::SIGUSR2 => {}
                signal => return signal,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exit_codes_are_the_commands() {
        for (raw, expect) in [(0, 0), (3 << 8, 3), (255 << 8, 255), (15, 143), (9, 137)] {
            assert_eq!(number(ExitStatus::from_raw(raw)), expect, "{raw}");
        }
        assert_eq!(word(&["sh".to_owned(), "-c".to_owned()]), "sh");
        assert_eq!(word(&[]), "");
    }
}
