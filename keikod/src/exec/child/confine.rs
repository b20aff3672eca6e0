//! What a child does to itself between `fork` and `execve`.
//!
//! Keeps nothing. Everything is prepared by the parent; here are system calls only.
//!
//! Invariants: no step allocates, locks or panics, because the child is a copy of one thread of a
//! process with many; a step that fails ends the child before it runs anything, and its name
//! reaches the parent. The order matters: mounts need root, capabilities fall after the user
//! changes, and the death signal comes last of these, because a change of credentials clears it.
//!
//! Never: goes on after a failed step.

// `pre_exec` and the calls that neither std nor nix wraps (execve with a prepared environment that
// is wiped afterwards, capset, close_range) are unsafe. This is the only file of the crate's
// children that may hold them.
#![allow(unsafe_code)]

use super::super::account::Account;
use nix::errno::Errno;
use nix::fcntl::OFlag;
use nix::libc::{self, c_char, c_int, c_ulong};
use nix::mount::{MsFlags, mount};
use nix::sched::{CloneFlags, unshare};
use nix::sys::resource::{Resource, setrlimit};
use nix::sys::signal::Signal;
use nix::sys::{prctl, stat};
use nix::unistd::{chdir, getppid, pipe2, setsid};
use std::ffi::CString;
use std::fs::File;
use std::io::{self, Read};
use std::os::fd::OwnedFd;
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, Stdio};
use std::ptr;
use zeroize::Zeroizing;

/// A string for the kernel: it ends in its only zero byte and is wiped when it goes.
pub(super) type Word = Zeroizing<Vec<u8>>;

/// The arguments of `execve`.
#[derive(Debug)]
pub(super) struct Image {
    // The pointers lead into the heap parts of `words`, which stay where they are.
    words: Vec<Word>,
    argv: Vec<*const c_char>,
    env: Vec<*const c_char>,
}

// SAFETY: the pointers lead to memory that this value owns and that nothing changes.
unsafe impl Send for Image {}
// SAFETY: as above; it is only read.
unsafe impl Sync for Image {}

impl Image {
    /// The words of the command, of which there is at least one, and its whole environment.
    pub(super) fn new(argv: Vec<Word>, env: Vec<Word>) -> Self {
        assert!(!argv.is_empty(), "a command has a first word");
        let ends = |word: &Word| word.iter().position(|byte| *byte == 0) == Some(word.len() - 1);
        assert!(
            argv.iter().chain(&env).all(|word| !word.is_empty() && ends(word)),
            "a word ends in its only zero"
        );
        let pointers = |words: &[Word]| {
            words.iter().map(|word| word.as_ptr().cast()).chain([ptr::null()]).collect()
        };
        let (argv_pointers, env_pointers) = (pointers(&argv), pointers(&env));
        let words = argv.into_iter().chain(env).collect();
        Self { words, argv: argv_pointers, env: env_pointers }
    }

    /// Becomes the command; returns only if that failed.
    fn exec(&self) -> Errno {
        debug_assert!(self.words.len() + 2 == self.argv.len() + self.env.len());
        // SAFETY: both lists end in null and lead to words that end in zero (`Image::new`).
        unsafe { libc::execve(self.argv[0], self.argv.as_ptr(), self.env.as_ptr()) };
        Errno::last()
    }
}

/// What is laid over a path in the child's own mount namespace.
#[derive(Clone, Debug)]
pub(super) enum Cover {
    /// An empty file system without any permission.
    Folder(CString),
    /// The null device.
    File(CString),
}

/// All that is done to a child; what is `None`, empty or false is left out.
#[derive(Debug, Default)]
pub(super) struct Confinement {
    /// The open `cgroup.procs` of its cgroup.
    pub(super) cgroup: Option<File>,
    /// Laid over in a mount namespace of its own.
    pub(super) covers: Vec<Cover>,
    /// Whom it becomes.
    pub(super) account: Option<Account>,
    /// It is root and must not use that: the bounding set is emptied and `execve` grants nothing.
    pub(super) powerless: bool,
    /// Open files, soft and hard.
    pub(super) files_max: Option<u64>,
    /// Where it starts.
    pub(super) folder: Option<CString>,
}

/// The steps in their order, to name the one that failed.
const STEPS: [&str; 12] = [
    "start a session",
    "set the limits",
    "enter the cgroup",
    "make a mount namespace",
    "cover the data folder",
    "change the user",
    "drop the capabilities",
    "give up new privileges",
    "tie its life to the daemon's",
    "close what it inherited",
    "enter its home",
    "run the command",
];

/// What went wrong, and at which step.
#[derive(Debug)]
pub(super) struct Failed {
    pub(super) step: &'static str,
    pub(super) error: io::Error,
}

type Step = Result<(), (u8, Errno)>;

/// Starts the command with pipes on descriptors 0, 1 and 2.
pub(super) fn start(image: Image, confinement: Confinement) -> Result<Child, Failed> {
    fork(confinement, move || image.exec())
}

/// Takes all steps in a process of its own that then ends, to find out whether they are possible.
pub(super) fn attempt(confinement: Confinement) -> Result<(), Failed> {
    // No step and no exec of ours gives this error.
    let done = Errno::EOWNERDEAD;
    match fork(confinement, move || done) {
        Err(failed) if failed.error.raw_os_error() == Some(done as i32) => Ok(()),
        Err(failed) => Err(failed),
        Ok(_) => unreachable!("the last step of an attempt always fails"),
    }
}

/// Forks, takes the steps and then `last`, which returns only with an error.
fn fork(
    confinement: Confinement,
    last: impl Fn() -> Errno + Send + Sync + 'static,
) -> Result<Child, Failed> {
    let unable = |error: io::Error| Failed { step: "make a process", error };
    let (said, say) =
        pipe2(OFlag::O_CLOEXEC | OFlag::O_NONBLOCK).map_err(|error| unable(error.into()))?;
    let parent = std::process::id();
    // The name is never looked up: `last` runs the command or ends the child.
    let mut command = Command::new("/");
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let steps = move || {
        let taken = confinement.enter(parent).and_then(|()| Err((11, last())));
        taken.map_err(|(step, errno)| {
            let _ = nix::unistd::write(&say, &[step]);
            io::Error::from_raw_os_error(errno as i32)
        })
    };
    // SAFETY: the closure makes system calls on prepared values and nothing else (see above).
    unsafe { command.pre_exec(steps) };
    command.spawn().map_err(|error| match failed_step(said) {
        Some(step) => Failed { step, error },
        None => unable(error),
    })
}

fn failed_step(said: OwnedFd) -> Option<&'static str> {
    let mut step = [0];
    let read = File::from(said).read(&mut step);
    read.is_ok_and(|count| count == 1).then(|| STEPS.get(usize::from(step[0])).copied())?
}

impl Confinement {
    /// Every step, in the child.
    fn enter(&self, parent: u32) -> Step {
        at(0, self.start_session())?;
        at(1, self.set_limits())?;
        if let Some(cgroup) = &self.cgroup {
            at(2, nix::unistd::write(cgroup, b"0").map(drop))?;
        }
        if !self.covers.is_empty() {
            at(3, own_mounts())?;
            self.covers.iter().try_for_each(|cover| at(4, lay(cover)))?;
        }
        if let Some(account) = &self.account {
            at(5, become_user(account))?;
        }
        at(6, drop_capabilities(self.powerless))?;
        if self.powerless {
            at(7, prctl::set_no_new_privs())?;
        }
        at(8, die_with(parent))?;
        at(9, close_the_rest())?;
        if let Some(folder) = &self.folder {
            at(10, chdir(folder.as_c_str()))?;
        }
        Ok(())
    }

    fn start_session(&self) -> nix::Result<()> {
        setsid()?;
        for signal in 1..=64 {
            // SAFETY: sets a disposition that holds no pointer; an unknown signal is an error
            // that changes nothing. A signal that the daemon ignores must not be ignored here.
            unsafe { libc::signal(signal, libc::SIG_DFL) };
        }
        stat::umask(stat::Mode::from_bits_truncate(0o077));
        Ok(())
    }

    fn set_limits(&self) -> nix::Result<()> {
        if let Some(files) = self.files_max {
            setrlimit(Resource::RLIMIT_NOFILE, files, files)?;
        }
        setrlimit(Resource::RLIMIT_CORE, 0, 0)
    }
}

fn at(step: u8, done: nix::Result<()>) -> Step {
    done.map_err(|errno| (step, errno))
}

/// A mount namespace in which nothing that is mounted reaches the outside, or comes from there.
fn own_mounts() -> nix::Result<()> {
    unshare(CloneFlags::CLONE_NEWNS)?;
    mount(None::<&str>, c"/", None::<&str>, MsFlags::MS_REC | MsFlags::MS_PRIVATE, None::<&str>)
}

fn lay(cover: &Cover) -> nix::Result<()> {
    match cover {
        Cover::Folder(path) => {
            let flags =
                MsFlags::MS_RDONLY | MsFlags::MS_NOSUID | MsFlags::MS_NODEV | MsFlags::MS_NOEXEC;
            mount(
                Some(c"tmpfs"),
                path.as_c_str(),
                Some(c"tmpfs"),
                flags,
                Some(c"size=4k,mode=0000"),
            )
        }
        Cover::File(path) => {
            mount(Some(c"/dev/null"), path.as_c_str(), None::<&str>, MsFlags::MS_BIND, None::<&str>)
        }
    }
}

fn become_user(account: &Account) -> nix::Result<()> {
    // SAFETY: the pointer leads to as many groups as the length says.
    Errno::result(unsafe { libc::setgroups(account.groups.len(), account.groups.as_ptr()) })?;
    // SAFETY: plain numbers.
    Errno::result(unsafe { libc::setresgid(account.gid, account.gid, account.gid) })?;
    // SAFETY: plain numbers.
    Errno::result(unsafe { libc::setresuid(account.uid, account.uid, account.uid) }).map(drop)
}

/// Empties the ambient, inheritable, permitted and effective sets, and on request the bounding set.
fn drop_capabilities(bounding: bool) -> nix::Result<()> {
    const VERSION_3: u32 = 0x2008_0522;
    #[repr(C)]
    struct Header(u32, c_int);
    let none: c_ulong = 0;
    let clear = libc::PR_CAP_AMBIENT_CLEAR_ALL as c_ulong;
    // SAFETY: plain numbers. Fails only where there is no ambient set to empty.
    unsafe { libc::prctl(libc::PR_CAP_AMBIENT, clear, none, none, none) };
    for capability in 0..64 {
        // SAFETY: plain numbers. Without CAP_SETPCAP this fails; then no_new_privs alone keeps
        // `execve` from granting what is dropped below.
        if !bounding
            || unsafe {
                libc::prctl(libc::PR_CAPBSET_DROP, capability as c_ulong, none, none, none)
            } != 0
        {
            break;
        }
    }
    let header = Header(VERSION_3, 0);
    let empty = [0_u32; 6];
    // SAFETY: capset(2) of version 3 reads the header and two structs of three u32 each.
    Errno::result(unsafe { libc::syscall(libc::SYS_capset, &raw const header, empty.as_ptr()) })
        .map(drop)
}

/// The kernel kills this process when the thread that forked it ends.
fn die_with(parent: u32) -> nix::Result<()> {
    prctl::set_pdeathsig(Signal::SIGKILL)?;
    // The parent may have died before the line above.
    if getppid().as_raw() == parent as i32 { Ok(()) } else { Err(Errno::ESRCH) }
}

/// Marks every descriptor above 2 to be closed by `execve`; until then the parent waits on one.
fn close_the_rest() -> nix::Result<()> {
    let (first, last, flags) = (3 as libc::c_uint, libc::c_uint::MAX, libc::CLOSE_RANGE_CLOEXEC);
    // SAFETY: plain numbers.
    match Errno::result(unsafe { libc::syscall(libc::SYS_close_range, first, last, flags) }) {
        Ok(_) => Ok(()),
        // Kernels before 5.11 know no such call or flag.
        Err(Errno::ENOSYS | Errno::EINVAL) => close_one_by_one(),
        Err(errno) => Err(errno),
    }
}

fn close_one_by_one() -> nix::Result<()> {
    /// The largest number that Linux gives out by default (`fs.nr_open`).
    const DESCRIPTORS_MAX: c_int = 1024 * 1024;
    for descriptor in 3..DESCRIPTORS_MAX {
        // SAFETY: plain numbers; one that is not open is an error that changes nothing.
        unsafe { libc::fcntl(descriptor, libc::F_SETFD, libc::FD_CLOEXEC) };
    }
    Ok(())
}

/// An open file that a child must not see; its number, for a test.
#[cfg(test)]
pub(super) fn inheritable() -> (File, i32) {
    use std::os::fd::AsRawFd;
    let file = File::open("/dev/null").expect("/dev/null is there");
    let number = file.as_raw_fd();
    // SAFETY: plain numbers.
    unsafe { libc::fcntl(number, libc::F_SETFD, 0) };
    (file, number)
}
