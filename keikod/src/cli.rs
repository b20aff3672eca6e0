//! The command line of `keikod`. The comments on the flags are the help.
//!
//! Parses and prints, and decides nothing: what the flags mean together with `keiko.toml` is
//! [`crate::settings`]'s. A refusal looks here as it does in `keikoctl`, and ends the process with
//! the same codes.

mod way_back;

pub use way_back::{RecoverArgs, RepairArgs, RestoreArgs, VerifyArgs};

use crate::settings::{Flags, Join, Origin, Settings, Valued, values};
use clap::builder::BoolishValueParser;
use clap::error::{ContextKind, ErrorKind};
use clap::parser::ValueSource;
use clap::{ArgMatches, Args, CommandFactory, FromArgMatches, Parser, Subcommand, ValueEnum};
use keiko_core::refusal::{Code, Refusal};
use std::ffi::OsString;
use std::fmt::Write as _;
use std::io::Write as _;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;

const EXAMPLES: &str = "\
Examples:
  keikod run --data-dir /tmp/k --init                a node with a new cluster
  keikod run --data-dir /var/lib/keiko               a node as its data folder says
  keikod run --data-dir D --join HOST:7340 --token T another node of a cluster
  keikod check --config /etc/keiko/keiko.toml        is the configuration right?
  keikod verify --data-dir /var/lib/keiko            is every record on the disk right?
  keikod verify FILE                                 is a backup whole, and what is in it?
  keikod restore --from FILE --data-dir D            a new cluster from a backup
  keikod recover --data-dir D                        go on with what is left of a cluster
  keikod repair --data-dir D --from HOST:7340 --token T   a damaged or emptied node comes back

Every flag can be given as KEIKOD_FLAG in the environment; a flag wins over the
environment, that over the configuration file.

Exit codes: 0 done, 1 failure, 2 usage or configuration, 7 the data folder or a port
is in use, 130 interrupted. `keikoctl explain CODE` says more about an error.";

/// The backbone for fleets of AI agents: the daemon of one node.
#[derive(Debug, Parser)]
#[command(name = "keikod", version, after_help = EXAMPLES, disable_help_subcommand = true)]
struct Cli {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Run this node in the foreground
    ///
    /// With an empty data folder and without --init the node waits for `keikoctl cluster init`
    /// over its socket, so that a node that lost its disk never founds a second cluster.
    /// SIGTERM finishes what is under way and ends; SIGHUP reads the configuration again.
    Run(Run),
    /// Check the configuration, the files it names and the ports, and change nothing
    Check(Check),
    /// Check every record of a stopped node's store, or of a backup
    Verify(VerifyArgs),
    /// Make the data folder of a new cluster's first node from a backup
    ///
    /// What is declared, its past and the journal come back. Members, tokens and people do not: the
    /// new cluster has an id and an authority of its own, so that no node of the old one is taken
    /// for one of it.
    Restore(RestoreArgs),
    /// Give the members up that are lost for good, and go on with one that is left
    ///
    /// For a cluster that lost its quorum and will not get it back. Shows how far each of these
    /// stopped nodes is, what may be lost, and asks before it changes the one that is furthest.
    Recover(RecoverArgs),
    /// Make a stopped node whole again that lost its data, or whose data is damaged
    ///
    /// With --from, while most nodes serve: the node gets everything from the others, under its name
    /// and another id. With --with, while all nodes are stopped and no majority of them starts: a
    /// good copy of each piece is taken from the folders of all voters, and the node stays who it is.
    /// What was there is set aside, and never deleted.
    Repair(Repair),
}

#[derive(Debug, Args)]
struct Repair {
    /// Folder of the node's data; no daemon may run on it
    #[arg(long, value_name = "D", env = "KEIKOD_DATA_DIR")]
    data_dir: PathBuf,
    /// The API of a member that serves
    #[arg(
        long,
        value_name = "HOST:PORT",
        required_unless_present = "with",
        conflicts_with = "with"
    )]
    from: Option<String>,
    /// What `keikoctl node repair NAME` printed, for --from
    #[arg(long, value_name = "T", env = "KEIKOD_TOKEN", hide_env_values = true)]
    token: Option<String>,
    /// The same, in a file
    #[arg(long, value_name = "FILE", env = "KEIKOD_TOKEN_FILE", conflicts_with = "token")]
    token_file: Option<PathBuf>,
    #[command(flatten)]
    what: RepairArgs,
    #[command(flatten)]
    common: Common,
}

#[derive(Debug, Args)]
struct Run {
    /// Folder of this node's data; made with mode 0700 if it is not there
    #[arg(long, value_name = "D", env = "KEIKOD_DATA_DIR")]
    data_dir: PathBuf,
    /// Found a new cluster with this node; refused if the data folder holds one
    #[arg(long, env = "KEIKOD_INIT", value_parser = BoolishValueParser::new())]
    init: bool,
    /// Become a member of the cluster of the node whose API is there; a member just starts
    #[arg(long, value_name = "HOST:PORT", env = "KEIKOD_JOIN", conflicts_with = "init")]
    join: Option<String>,
    /// What `keikoctl cluster token create --for node` printed, for --join
    #[arg(long, value_name = "T", env = "KEIKOD_TOKEN", hide_env_values = true, requires = "join")]
    token: Option<String>,
    /// The same, in a file
    #[arg(long, value_name = "FILE", env = "KEIKOD_TOKEN_FILE", conflicts_with = "token")]
    token_file: Option<PathBuf>,
    #[command(flatten)]
    common: Common,
}

#[derive(Debug, Args)]
struct Check {
    /// Folder of the node's data, to be checked too
    #[arg(long, value_name = "D", env = "KEIKOD_DATA_DIR")]
    data_dir: Option<PathBuf>,
    #[command(flatten)]
    common: Common,
}

#[derive(Debug, Args)]
struct Common {
    /// Configuration file; see keiko.toml(5)
    #[arg(long, value_name = "FILE", env = "KEIKOD_CONFIG")]
    config: Option<PathBuf>,
    /// Address of the API; port 0 is chosen once and kept [default: 127.0.0.1:7340]
    #[arg(long, value_name = "IP:PORT", env = "KEIKOD_LISTEN", value_parser = values::address)]
    listen: Option<SocketAddr>,
    /// Address for other nodes [default: the API's, on 7341, or on any port if the API is]
    #[arg(long, value_name = "IP:PORT", env = "KEIKOD_LISTEN_PEER", value_parser = values::address)]
    listen_peer: Option<SocketAddr>,
    /// Host or address under which others reach this node [default: that of --listen]
    #[arg(long, value_name = "HOST", env = "KEIKOD_ADVERTISE", value_parser = values::host)]
    advertise: Option<String>,
    /// Loopback address of /metrics [default: 127.0.0.1:7342]
    #[arg(long, value_name = "IP:PORT", env = "KEIKOD_METRICS_LISTEN", value_parser = values::loopback)]
    metrics_listen: Option<SocketAddr>,
    /// Path of the unix socket, at most 107 bytes [default: D/keiko.sock]
    #[arg(long, value_name = "PATH", env = "KEIKOD_SOCKET")]
    socket: Option<PathBuf>,
    /// Name of this node in its cluster [default: the machine's name]
    #[arg(long, value_name = "NAME", env = "KEIKOD_NODE_NAME", value_parser = values::node_name)]
    node_name: Option<String>,
    /// What is logged: a level, or target=level,… [default: info,openraft=error,rmcp=off]
    #[arg(long, value_name = "FILTER", env = "KEIKOD_LOG", value_parser = values::log_filter)]
    log: Option<String>,
}

/// How a report looks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Output {
    /// Lines for people.
    Text,
    /// One JSON object; an error is one on stderr.
    Json,
}

/// What is asked for.
#[derive(Debug)]
pub enum Command {
    /// Run the node.
    Run(Flags),
    /// Check the configuration.
    Check(Flags),
    /// Check the store, or a backup.
    Verify(VerifyArgs),
    /// Make a data folder from a backup.
    Restore(RestoreArgs),
    /// Give a lost quorum up.
    Recover(RecoverArgs),
    /// Make a node whole again.
    Repair(RepairArgs, Box<Flags>),
}

/// Parses the process's own command line; help, version and misuse are printed and answered with
/// the code to end with.
pub fn parse() -> Result<Command, ExitCode> {
    match parse_from(std::env::args_os()) {
        Ok(command) => Ok(command),
        Err(error) if !error.use_stderr() => {
            // Nobody is there to be told that stdout is closed.
            let _ = error.print();
            Err(ExitCode::SUCCESS)
        }
        Err(error) => Err(report(&misuse(&error), Output::Text)),
    }
}

fn parse_from(words: impl IntoIterator<Item = OsString>) -> Result<Command, clap::Error> {
    let matches = Cli::command().try_get_matches_from(words)?;
    let cli = Cli::from_arg_matches(&matches)?;
    let below = matches.subcommand().map_or(&matches, |(_, below)| below);
    Ok(match cli.verb {
        Verb::Run(Run { data_dir, init, join, token, token_file, common }) => {
            let join = join.map(|address| join_of(address, token, token_file)).transpose()?;
            Command::Run(Flags { init, join, ..flags(common, Some(data_dir), below) })
        }
        Verb::Check(Check { data_dir, common }) => Command::Check(flags(common, data_dir, below)),
        Verb::Verify(args) => Command::Verify(args),
        Verb::Restore(args) => Command::Restore(args),
        Verb::Recover(args) => Command::Recover(args),
        Verb::Repair(Repair { data_dir, from, token, token_file, what, common }) => {
            let join = from.map(|address| join_of(address, token, token_file)).transpose()?;
            let flags = Flags { join, ..flags(common, Some(data_dir), below) };
            Command::Repair(what, Box::new(flags))
        }
    })
}

fn flags(common: Common, data_dir: Option<PathBuf>, matches: &ArgMatches) -> Flags {
    Flags {
        data_dir: given(data_dir, matches, "data_dir", "--data-dir", "KEIKOD_DATA_DIR"),
        config: given(common.config, matches, "config", "--config", "KEIKOD_CONFIG"),
        init: false,
        api: given(common.listen, matches, "listen", "--listen", "KEIKOD_LISTEN"),
        metrics: given(
            common.metrics_listen,
            matches,
            "metrics_listen",
            "--metrics-listen",
            "KEIKOD_METRICS_LISTEN",
        ),
        peer: given(
            common.listen_peer,
            matches,
            "listen_peer",
            "--listen-peer",
            "KEIKOD_LISTEN_PEER",
        ),
        advertise: given(common.advertise, matches, "advertise", "--advertise", "KEIKOD_ADVERTISE"),
        join: None,
        socket_path: given(common.socket, matches, "socket", "--socket", "KEIKOD_SOCKET"),
        node_name: given(common.node_name, matches, "node_name", "--node-name", "KEIKOD_NODE_NAME"),
        log_filter: given(common.log, matches, "log", "--log", "KEIKOD_LOG"),
    }
}

/// The token may be left out: a node that is a member already needs none.
fn join_of(
    address: String,
    token: Option<String>,
    file: Option<PathBuf>,
) -> Result<Join, clap::Error> {
    let read = |path: &PathBuf| {
        std::fs::read_to_string(path).map_err(|error| {
            let message = format!("--token-file {}: {error}\n", path.display());
            Cli::command().error(ErrorKind::Io, message)
        })
    };
    let token = match (token, file) {
        (Some(token), _) => token,
        (None, Some(path)) => read(&path)?,
        (None, None) => String::new(),
    };
    Ok(Join { address, token: token.trim().to_owned() })
}

fn given<T>(
    value: Option<T>,
    matches: &ArgMatches,
    id: &str,
    flag: &'static str,
    variable: &'static str,
) -> Option<Valued<T>> {
    let origin = match matches.value_source(id) {
        Some(ValueSource::EnvVariable) => Origin::Env(variable),
        _ => Origin::Flag(flag),
    };
    value.map(|value| Valued { value, origin })
}

/// clap's words in our look.
fn misuse(error: &clap::Error) -> Refusal {
    if error.kind() == ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand {
        return Refusal::new(Code::InvalidArgument, "nothing to do was named")
            .hint("keikod run --data-dir D --init")
            .hint("keikod --help");
    }
    let text = error.to_string();
    let mut parts = text.split("\n\n").map(str::trim);
    let first = parts.next().unwrap_or_default();
    let message = first.strip_prefix("error: ").unwrap_or(first).replace("\n  ", " ");
    let tips = text.lines().filter_map(|line| line.trim().strip_prefix("tip: "));
    let refusal = Refusal::new(Code::InvalidArgument, message);
    let refusal = tips.fold(refusal, |refusal, tip| refusal.hint(tip));
    match error.get(ContextKind::InvalidSubcommand).and_then(|word| nearest_verb(&word.to_string()))
    {
        Some(verb) if refusal.hints.is_empty() => refusal.hint(format!("did you mean {verb:?}?")),
        _ => refusal,
    }
    .hint("keikod --help")
}

/// clap measures likeness by the share of letters in place, which fails words as short as ours.
fn nearest_verb(word: &str) -> Option<String> {
    const SLIPS_MAX: usize = 2;
    let cli = Cli::command();
    let verbs = cli.get_subcommands().map(clap::Command::get_name);
    let slips = verbs.map(|verb| (strsim::damerau_levenshtein(word, verb), verb.to_owned()));
    slips.min().filter(|(slips, _)| *slips <= SLIPS_MAX).map(|(_, verb)| verb)
}

/// A report on stdout.
pub(crate) fn print(text: &str) {
    // Nobody is there to be told that stdout is closed.
    let _closed = std::io::stdout().lock().write_all(text.as_bytes());
}

/// Prints a refusal on stderr and gives the code to end with.
pub fn report(refusal: &Refusal, output: Output) -> ExitCode {
    let text = match output {
        Output::Text => text_of(refusal),
        Output::Json => json_of(refusal),
    };
    // A closed stderr leaves the exit code to speak.
    let _ = std::io::stderr().lock().write_all(text.as_bytes());
    ExitCode::from(refusal.code.class().exit_code())
}

fn text_of(refusal: &Refusal) -> String {
    let mut text = format!("error[{}]: {}\n", refusal.code, refusal.message);
    // Writing to a text can't fail.
    for cause in &refusal.causes {
        let _ = writeln!(text, "  cause: {cause}");
    }
    for hint in &refusal.hints {
        let _ = writeln!(text, "  hint:  {hint}");
    }
    text
}

fn json_of(refusal: &Refusal) -> String {
    let object = serde_json::json!({
        "code": refusal.code.to_string(),
        "message": refusal.message,
        "causes": refusal.causes,
        "hints": refusal.hints,
        "retryable": refusal.code.retryable(),
    });
    format!("{object}\n")
}

/// `keikod check`: every setting with its origin on stdout, everything wrong on stderr.
pub fn check(flags: &Flags) -> ExitCode {
    let settings = match Settings::load(flags) {
        Ok(settings) => settings,
        Err(refusal) => return report(&refusal, Output::Text),
    };
    let found = settings.check();
    for refusal in &found {
        report(refusal, Output::Text);
    }
    if let Some(first) = found.first() {
        return ExitCode::from(first.code.class().exit_code());
    }
    let rows = settings.rows();
    let width = |of: fn(&crate::settings::Row) -> usize| rows.iter().map(of).max().unwrap_or(0);
    let (keys, values) = (width(|row| row.key.len()), width(|row| row.value.len()));
    let mut text = String::new();
    for row in &rows {
        let _ = writeln!(text, "{:keys$}  {:values$}  {}", row.key, row.value, row.origin);
    }
    match settings.holder() {
        Some(holder) => {
            let pid = holder.pid.map_or_else(String::new, |pid| format!(" (process {pid})"));
            let _ =
                writeln!(text, "ok; a daemon runs on this data folder{pid}, so no port was tried");
        }
        None => text.push_str("ok\n"),
    }
    let _ = std::io::stdout().lock().write_all(text.as_bytes());
    ExitCode::SUCCESS
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(line: &str) -> Result<Command, Refusal> {
        let words = line.split_whitespace().map(OsString::from);
        parse_from(words).map_err(|error| misuse(&error))
    }

    #[test]
    fn the_definition_is_sound() {
        Cli::command().debug_assert();
    }

    #[test]
    fn flags_carry_their_origin() {
        let Ok(Command::Run(flags)) =
            parsed("keikod run --data-dir D --init --listen 127.0.0.1:0 --node-name n1")
        else {
            panic!("it parses");
        };
        assert!(flags.init);
        assert_eq!(flags.api.unwrap().origin, Origin::Flag("--listen"));
        assert_eq!(flags.node_name.unwrap().value, "n1");
        assert_eq!(flags.data_dir.unwrap().value, PathBuf::from("D"));
        assert!(flags.metrics.is_none() && flags.config.is_none());
    }

    #[test]
    fn misuse_is_coded_and_says_what_next() {
        let check = |line: &str, expect: &str| {
            let refusal = parsed(line).map(|_| ()).unwrap_err();
            assert_eq!(refusal.code.class().exit_code(), 2);
            let text = text_of(&refusal);
            assert!(text.contains(expect), "{expect:?} is not in {text}");
        };
        check("keikod run --data-dir D --lisen 127.0.0.1:0", "'--listen'");
        check("keikod run", "--data-dir <D>");
        check("keikod rnu", "did you mean \"run\"?");
        check("keikod verfy", "'verify'");
        check("keikod", "nothing to do was named");
        check("keikod run --data-dir D --listen 7340", "expected IP:PORT");
        check("keikod run --data-dir D --metrics-listen 0.0.0.0:1", "loopback");
        check("keikod run --data-dir D --node-name A_b", "try \"a-b\"");
    }

    #[test]
    fn a_refusal_has_one_look() {
        let refusal = Refusal::new(Code::PortInUse, "port 7340 is in use").cause("why").hint("so");
        assert_eq!(
            text_of(&refusal),
            "error[KEIKO-0064]: port 7340 is in use\n  cause: why\n  hint:  so\n"
        );
        let object: serde_json::Value = serde_json::from_str(&json_of(&refusal)).unwrap();
        assert_eq!(object["code"], "KEIKO-0064");
    }
}
