//! The grammar: flags of every verb, and the nouns. What a noun can do stands in its room.

use crate::manifest;
use crate::print::{ColorChoice, Format, FormatKind, Printer, time};
use crate::rooms;
use crate::settings::Given;
use clap::{ArgAction, Args, Parser, Subcommand, ValueHint};
use clap_complete::Shell;
use keiko_client::{Endpoint, Fence};
use std::path::PathBuf;
use std::time::Duration;

/// Where help shows the flags that are not of one verb.
const FLAGS: &str = "Flags of every command";

/// One command for fleets of AI agents: what exists, whether it works, and what happened.
#[derive(Parser)]
#[command(
    name = "keikoctl",
    version,
    disable_help_subcommand = true,
    disable_help_flag = true,
    disable_version_flag = true
)]
pub(crate) struct Cli {
    /// Print the release.
    #[arg(short = 'V', long, action = ArgAction::Version, help_heading = FLAGS)]
    version: Option<bool>,
    #[command(flatten)]
    pub globals: Globals,
    #[command(subcommand)]
    pub verb: Verb,
}

/// Flags that every verb takes.
#[derive(Args, Clone)]
#[command(next_help_heading = FLAGS)]
pub(crate) struct Globals {
    /// Where the daemon is: unix:PATH, https://HOST:PORT or HOST:PORT; once for each member.
    #[arg(
        long = "endpoint",
        id = "endpoint",
        global = true,
        env = "KEIKO_ENDPOINT",
        hide_env = true,
        value_name = "ENDPOINT"
    )]
    pub endpoints: Vec<String>,
    /// The context that says where and as whom; see keikoctl context list.
    #[arg(long, global = true, env = "KEIKO_CONTEXT", hide_env = true, value_name = "NAME")]
    pub context: Option<String>,
    /// A file with a bearer token; $KEIKO_TOKEN holds the token itself.
    #[arg(long, global = true, env = "KEIKO_TOKEN_FILE", hide_env = true, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub token_file: Option<PathBuf>,
    /// The cluster's CA certificate; not needed with a token, which carries its hash.
    #[arg(long, global = true, env = "KEIKO_CA", hide_env = true, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub ca: Option<PathBuf>,
    /// table, wide, json, jsonl, yaml, name, jsonpath=EXPR or csv.
    #[arg(
        short,
        long,
        global = true,
        env = "KEIKO_OUTPUT",
        hide_env = true,
        value_name = "FORMAT"
    )]
    pub output: Option<Format>,
    /// How long the call may take, as in 30s or 5m.
    #[arg(long, global = true, env = "KEIKO_TIMEOUT", hide_env = true, value_name = "DURATION", value_parser = time::duration)]
    pub timeout: Option<Duration>,
    /// What must be held for a write to count: a lock and its token; lock run sets $KEIKO_FENCE.
    #[arg(
        long,
        global = true,
        env = "KEIKO_FENCE",
        hide_env = true,
        value_name = "NAMESPACE/LOCK=TOKEN",
        value_parser = fence
    )]
    pub fence: Option<Fence>,
    /// Times in RFC 3339 in place of ages.
    #[arg(long, global = true)]
    pub utc: bool,
    /// Never ask a question.
    #[arg(long, global = true, env = "KEIKO_NO_INPUT", hide_env = true, value_parser = clap::builder::FalseyValueParser::new())]
    pub no_input: bool,
    /// Colour: auto, always or never.
    #[arg(
        long,
        global = true,
        env = "KEIKO_COLOR",
        hide_env = true,
        value_name = "WHEN",
        default_value = "auto",
        hide_default_value = true,
        hide_possible_values = true
    )]
    pub color: ColorChoice,
    /// Only data and errors.
    #[arg(short, long, global = true, conflicts_with = "verbose")]
    pub quiet: bool,
    /// Also where it connects and under which trace.
    #[arg(short, long, global = true)]
    pub verbose: bool,
    /// Print help.
    #[arg(short, long, global = true, action = ArgAction::Help)]
    help: Option<bool>,
    /// Who gave what.
    #[arg(skip)]
    pub given: Given,
}

/// An empty one is refused, too: whoever sets it does not want to write without.
fn fence(text: &str) -> Result<Fence, String> {
    text.parse().map_err(|error: keiko_client::Error| error.refusal.causes.join(", "))
}

impl Globals {
    /// How this command prints.
    pub(crate) fn printer(&self) -> Printer {
        let format = self.output.clone().unwrap_or(Format::Plain(FormatKind::Table));
        Printer::new(format, self.color, self.utc, self.quiet, self.verbose)
    }

    /// What --endpoint or its variable says, if it says anything: several members are one endpoint.
    pub(crate) fn endpoint(&self) -> Option<keiko_client::Result<Endpoint>> {
        let mut given = self.endpoints.iter().filter(|text| !text.is_empty()).peekable();
        given.peek()?;
        let read = given.map(|text| text.parse::<Endpoint>());
        let read = read.collect::<keiko_client::Result<Vec<_>>>();
        Some(read.and_then(|members| Endpoint::any_of(&members)))
    }
}

/// The nouns and the few verbs without one.
#[derive(Subcommand)]
pub(crate) enum Verb {
    /// What the cluster looks like.
    #[command(
        before_help = "Examples:\n  keikoctl status\n  keikoctl status -o jsonpath=.quorum.ok"
    )]
    Status,
    /// Agents: register, look at, call.
    #[command(
        subcommand,
        before_help = "Examples:\n  keikoctl agent register hello http://127.0.0.1:41299\n  keikoctl agent list\n  keikoctl agent call hello \"hi\""
    )]
    Agent(rooms::registry::AgentVerb),
    /// MCP servers: register, look at, read their logs.
    #[command(
        subcommand,
        before_help = "Examples:\n  keikoctl mcp register time -- mcp-server-time --local-timezone UTC\n  keikoctl mcp register https://mcp.example.com/mcp\n  keikoctl mcp list --watch"
    )]
    Mcp(rooms::registry::McpVerb),
    /// Tools of all MCP servers: find, look at, call.
    #[command(
        subcommand,
        before_help = "Examples:\n  keikoctl tool list\n  keikoctl tool call get_current_time '{\"timezone\":\"UTC\"}'\n  keikoctl tool describe time.get_current_time"
    )]
    Tool(rooms::registry::ToolVerb),
    /// Skills of all agents.
    #[command(
        subcommand,
        before_help = "Examples:\n  keikoctl skill list\n  keikoctl skill describe hello.greet"
    )]
    Skill(rooms::registry::SkillVerb),
    /// Who offers a capability, the best first.
    #[command(
        before_help = "Examples:\n  keikoctl find get_current_time\n  keikoctl find summarize@^1.2 -l team=red\n  keikoctl find summarize --one -o jsonpath=.items[0].url"
    )]
    Find(rooms::registry::flags::FindArgs),
    /// Waits until something is as it should be, or gone.
    #[command(
        before_help = "Examples:\n  keikoctl wait mcp/time agent/hello --timeout 1m\n  keikoctl wait agent hello --for delete\n  keikoctl wait mcp/time --for jsonpath=.status.health.state=ready"
    )]
    Wait(rooms::registry::flags::WaitArgs),
    /// Every change, in order.
    #[command(
        subcommand,
        visible_alias = "ev",
        before_help = "Examples:\n  keikoctl event tail --follow\n  keikoctl event tail --from 0 --limit 50 -o jsonl\n  keikoctl event get 42"
    )]
    Event(rooms::journal::EventVerb),
    /// The cluster itself.
    #[command(
        subcommand,
        before_help = "Examples:\n  keikoctl cluster status\n  keikoctl --endpoint unix:D/keiko.sock cluster init\n  keikoctl cluster token create --for node\n  keikoctl cluster transfer-leader --to n2"
    )]
    Cluster(rooms::cluster::ClusterVerb),
    /// The members of the cluster.
    #[command(
        subcommand,
        before_help = "Examples:\n  keikoctl node list\n  keikoctl node describe n1\n  keikoctl node drain n1 --reason upgrade --wait"
    )]
    Node(rooms::cluster::NodeVerb),
    /// Locks that fence, elections, barriers, maintenance windows.
    #[command(
        subcommand,
        before_help = "Examples:\n  keikoctl lock run deploy -- ./deploy.sh\n  keikoctl lock acquire deploy --ttl 1m\n  keikoctl lock list\n  keikoctl lock elect scheduler --value 10.0.0.7:8080 -- ./schedule.sh"
    )]
    Lock(rooms::coordination::LockVerb),
    /// Who this command is to the cluster, and what it may do there.
    #[command(before_help = "Examples:\n  keikoctl whoami\n  keikoctl whoami -o jsonpath=.role")]
    Whoami,
    /// Whether something is allowed, and by what: yes is exit 0, no is exit 4.
    #[command(
        name = "can-i",
        before_help = "Examples:\n  keikoctl can-i register agent hello -n team-a\n  keikoctl can-i tool.call tool/default/get_current_time\n  keikoctl can-i remove node --as person/ann"
    )]
    CanI(rooms::security::CanIArgs),
    /// What can be handed out: rules under a name.
    #[command(
        subcommand,
        before_help = "Examples:\n  keikoctl role list\n  keikoctl role create deployer --allow 'registry.*:agent/team-a/*'\n  keikoctl role describe deployer"
    )]
    Role(rooms::security::RoleVerb),
    /// Who has which role.
    #[command(
        subcommand,
        before_help = "Examples:\n  keikoctl binding create ann-deploys --role deployer --to person/ann\n  keikoctl binding list --of person/ann\n  keikoctl binding delete ann-deploys"
    )]
    Binding(rooms::security::BindingVerb),
    /// People and agents with a certificate.
    #[command(
        subcommand,
        before_help = "Examples:\n  keikoctl person list\n  keikoctl person remove ann"
    )]
    Person(rooms::security::PersonVerb),
    /// What could be granted less.
    #[command(
        subcommand,
        before_help = "Examples:\n  keikoctl security unused\n  keikoctl security unused --days 30"
    )]
    Security(rooms::security::SecurityVerb),
    /// Who did what, when, from where, allowed or refused.
    #[command(
        subcommand,
        before_help = "Examples:\n  keikoctl audit list --since 1h\n  keikoctl audit list --who person/ann --refused"
    )]
    Audit(rooms::security::AuditVerb),
    /// Which cluster commands go to: named endpoints with their identity.
    #[command(
        subcommand,
        before_help = "Examples:\n  keikoctl context add prod --endpoint https://keiko.example.com:7340 --token-file prod.token\n  keikoctl context use prod\n  keikoctl context show --origin"
    )]
    Context(crate::context::ContextVerb),
    /// What is wrong here, on the way and on every node, each with a remedy.
    #[command(
        before_help = "Examples:\n  keikoctl doctor\n  keikoctl doctor -o json\n  keikoctl doctor --context prod"
    )]
    Doctor,
    /// A throw-away node in the foreground; its context is the current one while it lives.
    #[command(before_help = "Examples:\n  keikoctl dev\n  keikoctl dev & sleep 2; keikoctl status")]
    Dev,
    /// Makes the registry say what files say.
    #[command(
        before_help = "Examples:\n  keikoctl apply -f fleet.yaml\n  keikoctl apply -f fleet/ -R --wait --timeout 2m\n  keikoctl apply -f fleet/ --prune -l app=search --dry-run\n  keikoctl mcp get time -o yaml | keikoctl apply -f -"
    )]
    Apply(manifest::ApplyArgs),
    /// What apply -f would change.
    #[command(
        before_help = "Examples:\n  keikoctl diff -f fleet.yaml\n  keikoctl diff -f fleet/ -R --exit-code"
    )]
    Diff(manifest::DiffArgs),
    /// Deletes what files name, dependents first.
    #[command(
        before_help = "Examples:\n  keikoctl delete -f fleet.yaml\n  keikoctl delete -f fleet/ -R --ignore-not-found --yes"
    )]
    Delete(manifest::DeleteFilesArgs),
    /// What an error code means, or what a kind or one of its fields is.
    #[command(
        before_help = "Examples:\n  keikoctl explain KEIKO-0031\n  keikoctl explain McpServer\n  keikoctl explain mcp.spec.dependsOn\n  keikoctl explain Agent -o json"
    )]
    Explain(ExplainArgs),
    /// Prints a completion script.
    #[command(
        before_help = "Examples:\n  source <(keikoctl completion bash)\n  keikoctl completion fish > ~/.config/fish/completions/keikoctl.fish"
    )]
    Completion(CompletionArgs),
    /// The release of this command.
    #[command(
        before_help = "Examples:\n  keikoctl version\n  keikoctl version -o jsonpath=.version"
    )]
    Version,
    /// Help on a command, or on a topic: exit-codes, output, environment.
    #[command(before_help = "Examples:\n  keikoctl help mcp register\n  keikoctl help exit-codes")]
    Help(HelpArgs),
    /// Writes completions, man pages and the reference.
    #[command(name = "__generate", hide = true)]
    Generate(GenerateArgs),
}

impl Verb {
    /// True if a file of settings that can't be read is a reason to stop.
    pub(crate) fn needs_files(&self) -> bool {
        !matches!(
            self,
            Self::Version
                | Self::Explain(_)
                | Self::Completion(_)
                | Self::Help(_)
                | Self::Generate(_)
                | Self::Doctor
        )
    }
}

#[derive(Args)]
pub(crate) struct ExplainArgs {
    /// KEIKO-nnnn or only its number; a kind as in Agent or mcp, and a field of it.
    #[arg(value_name = "CODE|KIND[.FIELD]")]
    pub word: String,
    /// Everything below it, as a tree.
    #[arg(short = 'R', long)]
    pub recursive: bool,
}

#[derive(Args)]
pub(crate) struct CompletionArgs {
    /// For which shell.
    #[arg(value_name = "SHELL")]
    pub shell: Shell,
}

#[derive(Args)]
pub(crate) struct HelpArgs {
    /// A command, or a topic.
    #[arg(value_name = "WORD", num_args = 0..)]
    pub words: Vec<String>,
}

#[derive(Args)]
pub(crate) struct GenerateArgs {
    /// Where to.
    #[arg(value_name = "FOLDER")]
    pub folder: PathBuf,
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_grammar_is_sound() {
        crate::help::dress(Cli::command()).debug_assert();
    }

    #[test]
    fn every_verb_begins_with_a_line_that_says_what_it_does() {
        fn check(command: &clap::Command) {
            let about = command.get_about().map(ToString::to_string).unwrap_or_default();
            assert!(!about.is_empty(), "{} says nothing", command.get_name());
            for argument in command.get_arguments() {
                assert!(
                    argument.get_help().is_some(),
                    "{} {}",
                    command.get_name(),
                    argument.get_id()
                );
            }
            command.get_subcommands().for_each(check);
        }
        check(&Cli::command());
    }
}
