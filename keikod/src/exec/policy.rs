//! Who may run a command on this node.
//!
//! Keeps the `[exec]` part of `keiko.toml`. A command may run for one of two reasons: its entry
//! was registered over this node's own socket (the entry's [`Grant`] says so), or a line of
//! `[exec] allow` equals the leading words of its argv. The node that spawns decides, at each
//! spawn, so a line that is taken back holds from the next start on.
//!
//! Invariants: a policy with a lone interpreter or a relative command can't be built; an argv that
//! is not absolute never runs. Never: reads a file or knows a token; a token is no reason.

use super::interpreter;
use keiko_core::refusal::{Code, Refusal, Result, refuse};

/// Words of one command: more than any real server has, 64 KiB of them fit one page of an entry.
pub const ARGV_WORDS_MAX: usize = 256;
/// All words of one command with their ends: half of what Linux takes for a single argument.
pub const ARGV_BYTES_MAX: usize = 64 * 1024;

/// Where a command was registered: recorded in its entry, cleared when anyone else changes it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Grant {
    /// The node over whose socket it came.
    pub node: String,
    /// Who was at the other end of that socket.
    pub uid: u32,
}

/// As whom an allowed command runs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RunAs {
    /// As keikod itself: it is not root and can be nobody else.
    Daemon,
    /// keikod is root: as the caller of the socket.
    Uid(u32),
    /// keikod is root: as `[exec] user`.
    User(String),
    /// keikod is root and so is the command: without capabilities and with the data folder covered.
    ConfinedRoot,
}

/// The rules of this node.
#[derive(Clone, Debug)]
pub struct Policy {
    node: String,
    root: bool,
    user: Option<String>,
    allow: Vec<Vec<String>>,
}

impl Policy {
    /// The rules as `keiko.toml` gives them. `root`: keikod itself runs as root.
    ///
    /// `user` stands in for root too: where it is set, no command runs as root.
    ///
    /// # Errors
    /// [`Code::ConfigInvalid`] as in [`Policy::check_config`].
    pub fn new(
        node: impl Into<String>,
        root: bool,
        user: Option<String>,
        allow: Vec<Vec<String>>,
    ) -> Result<Self> {
        Self::check_config(&allow)?;
        Ok(Self { node: node.into(), root, user, allow })
    }

    /// Refuses allow lines that would allow more than they say.
    ///
    /// # Errors
    /// [`Code::ConfigInvalid`] for an empty line, a relative command or a lone interpreter.
    pub fn check_config(allow: &[Vec<String>]) -> Result<()> {
        for line in allow {
            let shown = toml_words(line);
            let Some(first) = line.first() else {
                return Err(Refusal::new(Code::ConfigInvalid, "[exec] allow has an empty line")
                    .cause("it would allow every command")
                    .hint("name the command: [\"/usr/local/bin/mcp-server-time\"]"));
            };
            if !first.starts_with('/') {
                return Err(Refusal::new(
                    Code::ConfigInvalid,
                    format!("[exec] allow line {shown} does not begin with an absolute path"),
                )
                .hint(format!("write the path that `command -v {first}` prints")));
            }
            if let Some(name) = interpreter::lone(line) {
                return Err(Refusal::new(
                    Code::ConfigInvalid,
                    format!("[exec] allow line {shown} allows whatever {name} can run"),
                )
                .cause("the line is compared with the leading words of a command, and these do not say which program it is")
                .hint(format!("add the program: [\"{first}\", \"/opt/srv/main\"]")));
            }
        }
        Ok(())
    }

    /// Whether this command may run here, and as whom.
    ///
    /// # Errors
    /// [`Code::ExecRefused`] with why and which line would allow it; [`Code::InvalidArgument`] or
    /// [`Code::LimitExceeded`] for an argv that can't be run at all.
    pub fn decide(&self, argv: &[String], grant: Option<&Grant>) -> Result<RunAs> {
        let first = check_argv(argv)?;
        if !first.starts_with('/') {
            return Err(Refusal::new(
                Code::ExecRefused,
                format!("command {first:?} is not an absolute path"),
            )
            .cause("a node has no PATH of its own to search")
            .hint("register it with keikoctl, which resolves the first word on your PATH"));
        }
        if let Some(grant) = grant.filter(|grant| grant.node == self.node) {
            return Ok(self.run_as(Some(grant.uid)));
        }
        if self.allow.iter().any(|line| argv.starts_with(line)) {
            return Ok(self.run_as(None));
        }
        Err(self.not_allowed(argv, grant))
    }

    fn run_as(&self, caller: Option<u32>) -> RunAs {
        if !self.root {
            return RunAs::Daemon;
        }
        match (caller, &self.user) {
            (Some(uid), _) if uid != 0 => RunAs::Uid(uid),
            (_, Some(user)) => RunAs::User(user.clone()),
            _ => RunAs::ConfinedRoot,
        }
    }

    fn not_allowed(&self, argv: &[String], grant: Option<&Grant>) -> Refusal {
        let node = &self.node;
        let why = grant.map_or_else(
            || {
                "it was not registered over a node's own socket, and a token is no reason to run"
                    .into()
            },
            |grant| format!("it was registered over the socket of node {:?}", grant.node),
        );
        // The shortest line that `check_config` would take; more words may hold private things.
        let words = (1..=argv.len())
            .find(|&words| interpreter::lone(&argv[..words]).is_none())
            .unwrap_or(argv.len());
        Refusal::new(
            Code::ExecRefused,
            format!("command {:?} may not run on node {node:?}", argv[0]),
        )
        .cause(why)
        .cause("no line of [exec] allow equals its leading words")
        .hint(format!("register it over the socket of node {node:?}"))
        .hint(format!(
            "or write into its keiko.toml: [exec] allow = [{}]",
            toml_words(&argv[..words])
        ))
    }
}

/// The first word of an argv that is within its limits.
fn check_argv(argv: &[String]) -> Result<&String> {
    let Some(first) = argv.first() else {
        return refuse(Code::InvalidArgument, "the command is empty");
    };
    let bytes: usize = argv.iter().map(|word| word.len() + 1).sum();
    if argv.len() > ARGV_WORDS_MAX || bytes > ARGV_BYTES_MAX {
        return refuse(
            Code::LimitExceeded,
            format!("the command has more than {ARGV_WORDS_MAX} words or {ARGV_BYTES_MAX} bytes"),
        );
    }
    if argv.iter().any(|word| word.contains('\0')) {
        return refuse(Code::InvalidArgument, "the command holds a zero byte");
    }
    Ok(first)
}

/// The words as a line of `[exec] allow`.
fn toml_words(words: &[String]) -> String {
    toml::Value::from(words.to_vec()).to_string()
}

#[cfg(test)]
#[path = "policy_tests.rs"]
mod tests;
