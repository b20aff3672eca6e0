//! `dev`: a throw-away node in the foreground.
//!
//! It is a real `keikod` on an empty folder, with every port chosen by the machine. While it lives
//! its socket is the current context; at Ctrl-C, SIGTERM or the end of its terminal the node ends and
//! its folder goes.

use crate::context::file::{self, Dev, File};
use crate::exit::Exit;
use crate::fault::{Outcome, usage};
use crate::session::Session;
use keiko_client::{Client, Endpoint, Identity};
use keiko_core::refusal::{Code, Refusal, Result};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::json;
use std::fs::{self, DirBuilder};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;
use tokio::process::{Child, Command};
use tokio::signal::unix::{SignalKind, signal};
use tokio::time::{Instant, sleep, timeout};

/// A cold start on a busy machine takes seconds; a minute is a defect.
const START_WITHIN: Duration = Duration::from_secs(60);
/// A node drains for ten seconds at most.
const STOP_WITHIN: Duration = Duration::from_secs(15);
/// Lines of its log that explain a node that would not start.
const LOG_LINES: usize = 10;

pub(crate) async fn run(session: &Session) -> Outcome {
    let listen = |kind| {
        signal(kind)
            .map_err(|error| Refusal::new(Code::Internal, "signals can't be caught").cause(error))
    };
    let outlives_terminal = ignores_hangup();
    let (mut interrupt, mut terminate, mut hangup) = (
        listen(SignalKind::interrupt())?,
        listen(SignalKind::terminate())?,
        listen(SignalKind::hangup())?,
    );
    let folder = Folder::make()?;
    let mut node = start(&folder, session)?;
    let serve = async {
        let status = ready(&folder, &mut node).await?;
        let current = Current::take(&folder)?;
        announce(session, &folder, &status)?;
        let ended = node.wait().await;
        drop(current);
        let words = ended.map_or_else(|error| error.to_string(), |status| status.to_string());
        Err(folder.explain(Refusal::new(Code::ChildFailed, "the node ended").cause(words)).into())
    };
    let ended = tokio::select! {
        ended = serve => ended,
        _ = interrupt.recv() => Ok(Exit::Done),
        _ = terminate.recv() => Ok(Exit::Done),
        _ = hangup.recv(), if !outlives_terminal => Ok(Exit::Done),
    };
    stop(&mut node).await;
    ended
}

/// True if whoever started this wants it to outlive its terminal, as nohup does.
pub(crate) fn ignores_hangup() -> bool {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let ignored = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    // A mask in hexadecimal; its lowest bit is the first signal, SIGHUP.
    ignored
        .and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok())
        .is_some_and(|mask| mask & 1 == 1)
}

/// The node's folder; it goes when this goes.
struct Folder(PathBuf);

impl Folder {
    fn make() -> Result<Self> {
        let name = format!("keiko-dev-{}", uuid::Uuid::now_v7().simple());
        let path = std::env::temp_dir().join(name);
        DirBuilder::new().mode(0o700).create(&path).map_err(|error| {
            Refusal::new(Code::DataFolderUnwritable, format!("{} can't be made", path.display()))
                .cause(error)
        })?;
        Ok(Self(path))
    }

    fn data(&self) -> PathBuf {
        self.0.join("data")
    }

    fn log(&self) -> PathBuf {
        self.0.join("keikod.log")
    }

    fn endpoint(&self) -> Endpoint {
        Endpoint::Unix(self.data().join("keiko.sock"))
    }

    /// Adds the last lines of the node's log.
    fn explain(&self, refusal: Refusal) -> Refusal {
        let log = fs::read_to_string(self.log()).unwrap_or_default();
        let lines: Vec<&str> = log.lines().rev().take(LOG_LINES).collect();
        lines.into_iter().rev().fold(refusal, Refusal::cause)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        // What can't be removed is in the folder for temporary files.
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// `keikod` beside this command, else on PATH.
fn program() -> Result<PathBuf> {
    let beside = std::env::current_exe().ok().and_then(|own| Some(own.parent()?.join("keikod")));
    let folders = std::env::var_os("PATH").unwrap_or_default();
    let on_path = std::env::split_paths(&folders).map(|folder| folder.join("keikod"));
    beside.into_iter().chain(on_path).find(|path| path.is_file()).ok_or_else(|| {
        usage("keikod is neither beside keikoctl nor on PATH")
            .hint("install keikod, or extend PATH")
    })
}

fn start(folder: &Folder, session: &Session) -> Result<Child> {
    let failed = |error: std::io::Error| {
        Refusal::new(Code::ChildFailed, "keikod can't be started").cause(error)
    };
    let log = fs::File::create(folder.log()).map_err(failed)?;
    let program = program()?;
    session.printer.detail(&format!("{} on {}", program.display(), folder.data().display()));
    let mut command = Command::new(program);
    // What is set for another daemon is not meant for this one.
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("KEIKOD_") {
            command.env_remove(name);
        }
    }
    command
        .args(["run", "--init", "--listen", "127.0.0.1:0", "--metrics-listen", "127.0.0.1:0"])
        .arg("--data-dir")
        .arg(folder.data())
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(log)
        // Ctrl-C on the terminal is for this command, which then ends the node.
        .process_group(0)
        .kill_on_drop(true)
        .spawn()
        .map_err(failed)
}

/// Waits until the node takes calls.
async fn ready(
    folder: &Folder,
    node: &mut Child,
) -> Outcome<keiko_client::proto::v1::StatusResponse> {
    let end = Instant::now() + START_WITHIN;
    loop {
        if let Ok(Some(status)) = node.try_wait() {
            let refusal = Refusal::new(Code::ChildFailed, "the node did not start").cause(status);
            return Err(folder.explain(refusal).into());
        }
        if let Ok(client) = Client::connect(folder.endpoint(), Identity::Process).await
            && let Ok(status) = client.status().await
            && status.missing.is_empty()
            && !status.leader.is_empty()
        {
            return Ok(status);
        }
        if Instant::now() > end {
            let late = Refusal::new(Code::DeadlineExceeded, "the node was not ready in time");
            return Err(folder.explain(late).into());
        }
        sleep(Duration::from_millis(50)).await;
    }
}

/// The entry in the contexts, while the node lives.
struct Current {
    path: PathBuf,
    dev: Dev,
    /// That of the node which was current before: it may outlive this one.
    before: Option<Dev>,
}

impl Current {
    fn take(folder: &Folder) -> Result<Option<Self>> {
        let Some(path) = file::path() else { return Ok(None) };
        let pid = std::process::id();
        let endpoint = folder.endpoint().to_string();
        let dev = Dev { endpoint, pid, started: file::started(pid) };
        let before = File::edit(&path, |contexts| Ok(contexts.dev.replace(dev.clone())))?;
        Ok(Some(Self { path, dev, before }))
    }
}

impl Drop for Current {
    fn drop(&mut self) {
        // A later node may have taken its place; one that stays behind is ignored: its process
        // is gone.
        let before = self.before.take().filter(Dev::lives);
        let _ = File::edit(&self.path, |contexts| {
            if contexts.dev.as_ref() == Some(&self.dev) {
                contexts.dev = before;
            }
            Ok(())
        });
    }
}

fn announce(
    session: &Session,
    folder: &Folder,
    status: &keiko_client::proto::v1::StatusResponse,
) -> Outcome<()> {
    let endpoint = folder.endpoint().to_string();
    let api = status.nodes.first().map(|node| node.api_address.clone()).unwrap_or_default();
    let data = folder.data();
    let document = json!({
        "endpoint": endpoint,
        "api": api,
        "dataDir": shown(&data),
        "pid": std::process::id(),
    });
    session.printer.document(&document, |_| format!("{endpoint}\n"))?;
    let other = crate::context::set("KEIKO_ENDPOINT");
    session.printer.note(match other {
        None => "a throw-away node runs: every keikoctl of yours talks to it now",
        Some(_) => "a throw-away node runs, but $KEIKO_ENDPOINT is set and counts before it",
    });
    session.printer.note("  try   keikoctl status");
    session.printer.note("  end   Ctrl-C; what it holds goes with it");
    Ok(())
}

fn shown(path: &Path) -> String {
    path.display().to_string()
}

/// SIGTERM, then SIGKILL.
async fn stop(node: &mut Child) {
    let Some(pid) = node.id().and_then(|pid| i32::try_from(pid).ok()) else { return };
    // It may have ended by itself meanwhile.
    let _ = kill(Pid::from_raw(pid), Signal::SIGTERM);
    if timeout(STOP_WITHIN, node.wait()).await.is_err() {
        let _ = node.kill().await;
    }
}
