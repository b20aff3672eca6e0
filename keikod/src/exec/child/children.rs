//! The handle to all children of this node.

use super::cgroup::Cgroups;
use super::cover;
use super::home::Homes;
use super::isolation::{Isolation, Measure};
use super::launch::{self, Launcher};
use super::log::{self, Follow, Logs};
use super::process::{Exit, Grace, Process};
use super::spawner::{self, Job, Shared};
use super::{Child, Command, SPAWN_DEADLINE, Settings, leftovers, proc, record};
use keiko_core::refusal::{Code, Refusal, Result, refuse};
use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::process::ChildStderr;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use tokio::net::unix::pipe;
use tokio::sync::{mpsc, oneshot};
use tokio::time::timeout;

/// Commands that wait for the starting thread; each takes a few milliseconds.
const JOBS_MAX: usize = 64;
/// How long the leftovers of a killed daemon may take to vanish.
const LEFTOVERS_DEADLINE: Duration = Duration::from_secs(5);
/// What a child wrote last may still be in its pipe when it has ended.
const LAST_LINES: Duration = Duration::from_millis(100);

/// The children of this node; cheap to clone. When the last clone goes, the kernel kills them.
#[derive(Clone, Debug)]
pub struct Children {
    jobs: mpsc::Sender<Job>,
    shared: Arc<Shared>,
    isolation: Arc<Isolation>,
}

impl Children {
    /// Ends what a killed daemon on this data folder left behind, finds out how well children can
    /// be kept apart, and starts the thread that starts them. Blocks, usually for milliseconds.
    ///
    /// The private homes lie in `children` below the data folder; where keikod is root, below
    /// `$RUNTIME_DIRECTORY/children` or `/run/keiko/children`, which its users may enter.
    ///
    /// # Errors
    /// [`Code::ChildFailed`] if there is no safe place for the homes or no thread to be had.
    pub fn start(settings: Settings) -> Result<Self> {
        let Settings { data, covered, homes, files_max } = settings;
        let failed =
            |what: &str, why: String| Refusal::new(Code::ChildFailed, what.to_owned()).cause(why);
        let data = fs::canonicalize(&data).map_err(|error| {
            failed("the data folder can't be found", format!("{}: {error}", data.display()))
        })?;
        let root = nix::unistd::geteuid().is_root();
        let tag = blake3::hash(data.as_os_str().as_bytes()).to_hex()[..16].to_owned();
        let boot = proc::boot_id();
        let cgroups = Cgroups::find(&tag);
        end_leftovers(&data, &boot, &tag, &cgroups);
        let paths = cover::paths(&data, &covered);
        let homes = Arc::new(Homes::open(homes, &data, root, &tag)?);
        if root && let Some(path) = paths.iter().find(|path| homes.root().starts_with(path)) {
            return Err(failed(
                "the homes of children lie in what is covered from them",
                path.display().to_string(),
            )
            .hint("put the data folder elsewhere"));
        }
        let covers = cover::all(&paths)
            .map_err(|error| failed("a path can't be covered", error.to_string()))?;
        let isolation = Isolation::find(root, &cgroups, &covers);
        if root && let Measure::Off(why) = &isolation.mount_namespace {
            tracing::warn!(%why, "commands that run as root can read the data folder: set [exec] user");
        }
        let cgroups = cgroups.ok().map(Arc::new);
        let launcher = Launcher {
            root,
            homes: Arc::clone(&homes),
            cgroups: cgroups.clone(),
            data: data.clone(),
            covered,
            isolation: isolation.clone(),
            files_max,
        };
        let shared = Arc::new(Shared {
            data,
            boot,
            homes,
            cgroups,
            logs: Logs::default(),
            live: Mutex::new(BTreeMap::new()),
            writing: Mutex::new(()),
        });
        shared.note();
        let (jobs, queue) = mpsc::channel(JOBS_MAX);
        let theirs = Arc::clone(&shared);
        std::thread::Builder::new()
            .name("keiko-spawn".into())
            .spawn(move || spawner::run(&launcher, &theirs, queue))
            .map_err(|error| failed("no thread to start children from", error.to_string()))?;
        Ok(Self { jobs, shared, isolation: Arc::new(isolation) })
    }

    /// Starts a command that [`Policy::decide`](crate::exec::Policy::decide) allowed. Must be
    /// called on a runtime that outlives the child, because its stderr is read there.
    ///
    /// # Errors
    /// [`Code::ChildFailed`] with the step that failed, if one of this id still lives, or if
    /// [`LIVE_MAX`](super::LIVE_MAX) live; [`Code::ExecRefused`] if the user is unknown;
    /// [`Code::InvalidArgument`] for a variable that may not be set.
    pub async fn spawn(&self, command: Command) -> Result<Child> {
        launch::check(&command)?;
        let id = command.id.clone();
        let blotted: Vec<_> = command.env.iter().map(|(_, value)| value.clone()).collect();
        let late = |why: &str| {
            Refusal::new(Code::ChildFailed, format!("child {id:?} was not started"))
                .cause(why.to_owned())
        };
        let (reply, replied) = oneshot::channel();
        let asked = async {
            self.jobs.send(Job { command, reply }).await.ok()?;
            replied.await.ok()
        };
        let started = timeout(SPAWN_DEADLINE, asked)
            .await
            .map_err(|_| {
                late("it did not run in time; a command on a dead network file system does that")
            })?
            .ok_or_else(|| late("the thread that starts children is gone"))??;
        let (process, pipes) =
            started.take().ok_or_else(|| late("its pipes were taken already"))?;
        let ends = pipe::Sender::from_owned_fd(OwnedFd::from(pipes.stdin)).and_then(|stdin| {
            let stdout = pipe::Receiver::from_owned_fd(OwnedFd::from(pipes.stdout))?;
            Ok((stdin, stdout, receiver(pipes.stderr)?))
        });
        let (stdin, stdout, stderr) = ends.map_err(|error| {
            process.kill();
            late("its pipes can't be used").cause(error)
        })?;
        let (shared, child) = (Arc::clone(&self.shared), process.clone());
        tokio::spawn(async move {
            let ended = async {
                child.wait().await;
                tokio::time::sleep(LAST_LINES).await;
            };
            // Something that left group and cgroup may hold the pipe open for ever.
            tokio::select! {
                () = log::keep(&shared.logs, child.id(), stderr, &blotted) => {}
                () = ended => {}
            }
        });
        Ok(Child { stdin, stdout, process })
    }

    /// The live child of this id.
    pub fn process(&self, id: &str) -> Option<Process> {
        self.shared.live().get(id).cloned()
    }

    /// Ends all that live, at the same time, as [`Process::stop`] does.
    pub async fn stop_all(&self, grace: Grace) -> Vec<Result<Exit>> {
        let live: Vec<_> = self.shared.live().values().cloned().collect();
        let exits = futures::future::join_all(live.iter().map(|process| process.stop(grace))).await;
        if let Some(cgroups) = &self.shared.cgroups {
            cgroups.remove();
        }
        exits
    }

    /// The last `lines` lines that this id wrote to stderr, oldest first, over restarts, and those
    /// to come.
    pub fn follow(&self, id: &str, lines: usize) -> Follow {
        self.shared.logs.follow(id, lines)
    }

    /// Removes the home and the log of an id whose entry is gone. Blocks on the disk.
    ///
    /// # Errors
    /// [`Code::ChildFailed`] while it lives or if the home can't be removed.
    pub fn forget(&self, id: &str) -> Result<()> {
        self.check_ended(id)?;
        self.shared.logs.forget(id);
        self.forget_home(id)
    }

    /// Removes the home of an id that never became an entry; the log stays, for the refusal points
    /// to it. Blocks on the disk.
    ///
    /// # Errors
    /// As [`Children::forget`].
    pub fn forget_home(&self, id: &str) -> Result<()> {
        self.check_ended(id)?;
        self.shared.homes.forget(id).map_err(|error| {
            Refusal::new(Code::ChildFailed, format!("the home of child {id:?} can't be removed"))
                .cause(error)
        })
    }

    fn check_ended(&self, id: &str) -> Result<()> {
        match self.process(id) {
            Some(_) => refuse(Code::ChildFailed, format!("child {id:?} still runs")),
            None => Ok(()),
        }
    }

    /// How well children are kept apart here.
    pub fn isolation(&self) -> &Isolation {
        &self.isolation
    }
}

fn receiver(stderr: ChildStderr) -> io::Result<pipe::Receiver> {
    pipe::Receiver::from_owned_fd(OwnedFd::from(stderr))
}

fn end_leftovers(
    data: &Path,
    boot: &str,
    tag: &str,
    cgroups: &std::result::Result<Cgroups, String>,
) {
    let deadline = Instant::now() + LEFTOVERS_DEADLINE;
    let entries = record::read(data, boot).unwrap_or_else(|error| {
        tracing::warn!(%error, "children.json can't be read, so only cgroups tell what was left behind");
        Vec::new()
    });
    let in_cgroups = cgroups.as_ref().map_or(0, |cgroups| cgroups.end_all(deadline));
    let processes = leftovers::end(&entries, tag, deadline);
    if in_cgroups + processes > 0 {
        tracing::info!(cgroups = in_cgroups, processes, "ended what a killed daemon left behind");
    }
}
