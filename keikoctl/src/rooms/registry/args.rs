//! What agents, MCP servers, tools and skills can do.

use super::flags::{
    AdminArgs, DeleteArgs, DescribeArgs, DryRun, GetArgs, HistoryArgs, HoldArgs, ImpactArgs,
    ListArgs, Namespace, Patience, ProbeArgs, RequestId, WaitArgs,
};
use crate::print::time;
use crate::rooms::security::TokenArgs;
use clap::{Args, Subcommand};
use std::time::Duration;

#[derive(Subcommand)]
pub(crate) enum AgentVerb {
    /// Fetches an agent's card and keeps the agent with its skills.
    #[command(
        override_usage = "keikoctl agent register [NAME] URL [FLAGS]",
        before_help = "Examples:\n  keikoctl agent register hello http://127.0.0.1:41299\n  keikoctl agent register https://agent.example.com --label team=red\n  keikoctl agent register mine https://a.example.com --header Authorization=@my-key\n  keikoctl agent register worker https://w.example.com --lease 30s --depends-on mcp/time"
    )]
    Register(RegisterAgentArgs),
    /// Lists agents.
    #[command(
        before_help = "Examples:\n  keikoctl agent list\n  keikoctl agent list -l team=red -o json\n  keikoctl agent list --watch"
    )]
    List(ListArgs),
    /// Shows one agent.
    #[command(
        before_help = "Examples:\n  keikoctl agent get hello -o yaml\n  keikoctl agent get hello --at 42 -o yaml\n  keikoctl agent get hello -o jsonpath=.metadata.revision"
    )]
    Get(GetArgs),
    /// Everything that is known of one agent, for people.
    #[command(before_help = "Examples:\n  keikoctl agent describe hello")]
    Describe(DescribeArgs),
    /// Past versions of one agent, newest first.
    #[command(before_help = "Examples:\n  keikoctl agent history hello")]
    History(HistoryArgs),
    /// Sends a text and prints the answer.
    #[command(
        before_help = "Examples:\n  keikoctl agent call hello \"hi\"\n  keikoctl agent call hello - < question.txt\n  keikoctl agent call hello \"hi\" -o json"
    )]
    Call(CallAgentArgs),
    /// Waits until an agent is as it should be, or gone.
    #[command(
        before_help = "Examples:\n  keikoctl agent wait hello\n  keikoctl agent wait hello --for condition=Ready=False --timeout 1m\n  keikoctl agent wait hello --for delete"
    )]
    Wait(WaitArgs),
    /// Looks at an agent now, registered or not; exit 9 if it is not well.
    #[command(
        before_help = "Examples:\n  keikoctl agent probe hello\n  keikoctl agent probe https://agent.example.com"
    )]
    Probe(ProbeArgs),
    /// Stops its calls at once, also those that run, and lets no new ones in.
    #[command(before_help = "Examples:\n  keikoctl agent suspend hello --reason \"key leaked\"")]
    Suspend(HoldArgs),
    /// Lets no new calls in and waits until those that run have ended.
    #[command(
        before_help = "Examples:\n  keikoctl agent drain hello --reason upgrade --timeout 5m\n  keikoctl agent drain hello --no-wait"
    )]
    Drain(HoldArgs),
    /// Lets calls in again after suspend or drain.
    #[command(
        before_help = "Examples:\n  keikoctl agent resume hello\n  keikoctl agent resume hello --wait"
    )]
    Resume(AdminArgs),
    /// What breaks if an agent does, in the order in which it breaks.
    #[command(before_help = "Examples:\n  keikoctl agent impact hello")]
    Impact(ImpactArgs),
    /// Makes a token that may touch this agent's entry only.
    #[command(
        before_help = "Examples:\n  keikoctl agent token hello --ttl 24h\n  keikoctl agent token hello > hello.token"
    )]
    Token(TokenArgs),
    /// Removes an agent and its skills.
    #[command(
        before_help = "Examples:\n  keikoctl agent delete hello\n  keikoctl agent delete hello --dry-run\n  keikoctl agent delete hello --yes"
    )]
    Delete(DeleteArgs),
}

#[derive(Subcommand)]
pub(crate) enum McpVerb {
    /// Asks an MCP server what it offers and keeps it with its tools.
    #[command(
        override_usage = "keikoctl mcp register [NAME] URL [FLAGS]\n       keikoctl mcp register NAME [FLAGS] -- COMMAND…",
        before_help = "Examples:\n  keikoctl mcp register time -- mcp-server-time --local-timezone UTC\n  keikoctl mcp register https://mcp.example.com/mcp\n  keikoctl mcp register search https://mcp.example.com/mcp --header Authorization=@search-key\n  keikoctl mcp register https://mcp.example.com/mcp --dry-run"
    )]
    Register(RegisterMcpArgs),
    /// Lists MCP servers.
    #[command(before_help = "Examples:\n  keikoctl mcp list\n  keikoctl mcp list --watch -o jsonl")]
    List(ListArgs),
    /// Shows one MCP server.
    #[command(
        before_help = "Examples:\n  keikoctl mcp get time -o yaml\n  keikoctl mcp get time --watch"
    )]
    Get(GetArgs),
    /// Everything that is known of one MCP server, for people.
    #[command(before_help = "Examples:\n  keikoctl mcp describe time")]
    Describe(DescribeArgs),
    /// Past versions of one MCP server, newest first.
    #[command(before_help = "Examples:\n  keikoctl mcp history time")]
    History(HistoryArgs),
    /// What a server that runs as a command wrote to its standard error.
    #[command(
        before_help = "Examples:\n  keikoctl mcp logs time\n  keikoctl mcp logs time -f --tail 20"
    )]
    Logs(LogsArgs),
    /// Waits until an MCP server is as it should be, or gone.
    #[command(
        before_help = "Examples:\n  keikoctl mcp wait time\n  keikoctl mcp wait time --for condition=Ready=False --timeout 1m\n  keikoctl mcp wait time --for delete"
    )]
    Wait(WaitArgs),
    /// Looks at an MCP server now, registered or not; exit 9 if it is not well.
    #[command(
        before_help = "Examples:\n  keikoctl mcp probe time\n  keikoctl mcp probe https://mcp.example.com/mcp"
    )]
    Probe(ProbeArgs),
    /// Stops its calls at once, also those that run, and lets no new ones in.
    #[command(before_help = "Examples:\n  keikoctl mcp suspend time --reason \"key leaked\"")]
    Suspend(HoldArgs),
    /// Lets no new calls in and waits until those that run have ended.
    #[command(
        before_help = "Examples:\n  keikoctl mcp drain time --reason upgrade --timeout 5m\n  keikoctl mcp drain time --no-wait"
    )]
    Drain(HoldArgs),
    /// Lets calls in again after suspend or drain.
    #[command(
        before_help = "Examples:\n  keikoctl mcp resume time\n  keikoctl mcp resume time --wait"
    )]
    Resume(AdminArgs),
    /// What breaks if an MCP server does, in the order in which it breaks.
    #[command(before_help = "Examples:\n  keikoctl mcp impact time")]
    Impact(ImpactArgs),
    /// Removes an MCP server and its tools.
    #[command(
        before_help = "Examples:\n  keikoctl mcp delete time\n  keikoctl mcp delete time --dry-run\n  keikoctl mcp delete time --yes"
    )]
    Delete(DeleteArgs),
}

#[derive(Subcommand)]
pub(crate) enum ToolVerb {
    /// Lists tools.
    #[command(
        before_help = "Examples:\n  keikoctl tool list\n  keikoctl tool list --field spec.server=time -o name"
    )]
    List(ListArgs),
    /// Shows one tool.
    #[command(
        before_help = "Examples:\n  keikoctl tool get time.get_current_time -o jsonpath=.spec.inputSchema"
    )]
    Get(GetArgs),
    /// Everything that is known of one tool, for people.
    #[command(before_help = "Examples:\n  keikoctl tool describe time.get_current_time")]
    Describe(DescribeArgs),
    /// Past versions of one tool, newest first.
    #[command(before_help = "Examples:\n  keikoctl tool history time.get_current_time")]
    History(HistoryArgs),
    /// Calls a tool and prints its result; exit 9 if the tool says that it failed.
    #[command(
        before_help = "Examples:\n  keikoctl tool call get_current_time '{\"timezone\":\"UTC\"}'\n  keikoctl tool call time.get_current_time @arguments.json -o json\n  keikoctl tool call time.get_current_time - < arguments.json"
    )]
    Call(CallToolArgs),
    /// Waits until a tool is as it should be, or gone.
    #[command(
        before_help = "Examples:\n  keikoctl tool wait time.get_current_time --for jsonpath=.metadata.name\n  keikoctl tool wait time.get_current_time --for delete"
    )]
    Wait(WaitArgs),
    /// What breaks if a tool does, in the order in which it breaks.
    #[command(before_help = "Examples:\n  keikoctl tool impact time.get_current_time")]
    Impact(ImpactArgs),
}

#[derive(Subcommand)]
pub(crate) enum SkillVerb {
    /// Lists skills.
    #[command(
        before_help = "Examples:\n  keikoctl skill list\n  keikoctl skill list --field spec.agent=hello"
    )]
    List(ListArgs),
    /// Shows one skill.
    #[command(before_help = "Examples:\n  keikoctl skill get hello.greet -o yaml")]
    Get(GetArgs),
    /// Everything that is known of one skill, for people.
    #[command(before_help = "Examples:\n  keikoctl skill describe hello.greet")]
    Describe(DescribeArgs),
    /// Past versions of one skill, newest first.
    #[command(before_help = "Examples:\n  keikoctl skill history hello.greet")]
    History(HistoryArgs),
    /// Waits until a skill is as it should be, or gone.
    #[command(
        before_help = "Examples:\n  keikoctl skill wait hello.greet --for jsonpath=.metadata.name\n  keikoctl skill wait hello.greet --for delete"
    )]
    Wait(WaitArgs),
    /// What breaks if a skill does, in the order in which it breaks.
    #[command(before_help = "Examples:\n  keikoctl skill impact hello.greet")]
    Impact(ImpactArgs),
}

/// What both `register` verbs take.
#[derive(Args, Clone)]
pub(crate) struct RegisterFlags {
    /// A label, as in team=red; may be repeated.
    #[arg(long = "label", value_name = "KEY=VALUE")]
    pub labels: Vec<String>,
    /// A header whose value is a credential of the node, by name; may be repeated.
    #[arg(long = "header", value_name = "NAME=@CREDENTIAL")]
    pub headers: Vec<String>,
    /// A note for people or programs, as in owner=anna; may be repeated.
    #[arg(long = "annotation", value_name = "KEY=VALUE")]
    pub annotations: Vec<String>,
    /// What it needs to work, as in mcp/time or tool/time.now; may be repeated.
    #[arg(long = "depends-on", value_name = "KIND/NAME")]
    pub depends_on: Vec<String>,
    #[command(flatten)]
    pub namespace: Namespace,
    #[command(flatten)]
    pub patience: Patience,
    #[command(flatten)]
    pub dry_run: DryRun,
    #[command(flatten)]
    pub request: RequestId,
}

#[derive(Args)]
pub(crate) struct RegisterAgentArgs {
    /// A name; or the URL at once, if the card's own name will do.
    #[arg(value_name = "NAME|URL")]
    pub first: String,
    /// Where the agent is.
    #[arg(value_name = "URL")]
    pub second: Option<String>,
    /// It sends heartbeats: without one for so long it gets no calls.
    #[arg(long, value_name = "DURATION", value_parser = time::duration)]
    pub lease: Option<Duration>,
    /// So much later it is removed; a minute if nothing is said.
    #[arg(long, value_name = "DURATION", value_parser = time::duration, requires = "lease")]
    pub lease_grace: Option<Duration>,
    #[command(flatten)]
    pub flags: RegisterFlags,
}

#[derive(Args)]
pub(crate) struct RegisterMcpArgs {
    /// A name; or the URL at once, if the server's own name will do.
    #[arg(value_name = "NAME|URL")]
    pub first: String,
    /// Where the server is.
    #[arg(value_name = "URL")]
    pub second: Option<String>,
    /// The command of a server that speaks over its standard streams.
    #[arg(last = true, value_name = "COMMAND")]
    pub command: Vec<String>,
    /// A variable whose value is a credential of the node, by name; may be repeated.
    #[arg(long = "env", value_name = "NAME=@CREDENTIAL")]
    pub variables: Vec<String>,
    #[command(flatten)]
    pub flags: RegisterFlags,
}

#[derive(Args)]
pub(crate) struct CallAgentArgs {
    /// NAME, or agent/NAME.
    #[arg(value_name = "NAME")]
    pub name: String,
    /// What to say; - reads it from standard input.
    #[arg(value_name = "TEXT")]
    pub text: String,
    #[command(flatten)]
    pub namespace: Namespace,
}

#[derive(Args)]
pub(crate) struct CallToolArgs {
    /// SERVER.TOOL, or TOOL if all who offer it agree on its arguments.
    #[arg(value_name = "NAME")]
    pub name: String,
    /// A JSON object, @FILE, or - for standard input.
    #[arg(value_name = "ARGUMENTS", default_value = "{}", hide_default_value = true)]
    pub arguments: String,
    #[command(flatten)]
    pub namespace: Namespace,
}

#[derive(Args)]
pub(crate) struct LogsArgs {
    /// NAME, or mcp/NAME.
    #[arg(value_name = "NAME")]
    pub name: String,
    #[command(flatten)]
    pub namespace: Namespace,
    /// Stay and show what comes.
    #[arg(short, long)]
    pub follow: bool,
    /// Only the last lines.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    pub tail: Option<u32>,
}
