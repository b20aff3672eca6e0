//! What agents, MCP servers, tools and skills can do.

use super::flags::{
    DeleteArgs, DescribeArgs, GetArgs, HistoryArgs, ListArgs, Namespace, RequestId,
};
use crate::rooms::security::TokenArgs;
use clap::{Args, Subcommand};

#[derive(Subcommand)]
pub(crate) enum AgentVerb {
    /// Fetches an agent's card and keeps the agent with its skills.
    #[command(
        override_usage = "keikoctl agent register [NAME] URL [FLAGS]",
        before_help = "Examples:\n  keikoctl agent register hello http://127.0.0.1:41299\n  keikoctl agent register https://agent.example.com --label team=red\n  keikoctl agent register mine https://a.example.com --header Authorization=@my-key"
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
    /// Makes a token that may touch this agent's entry only.
    #[command(
        before_help = "Examples:\n  keikoctl agent token hello --ttl 24h\n  keikoctl agent token hello > hello.token"
    )]
    Token(TokenArgs),
    /// Removes an agent and its skills.
    #[command(
        before_help = "Examples:\n  keikoctl agent delete hello\n  keikoctl agent delete hello --yes"
    )]
    Delete(DeleteArgs),
}

#[derive(Subcommand)]
pub(crate) enum McpVerb {
    /// Asks an MCP server what it offers and keeps it with its tools.
    #[command(
        override_usage = "keikoctl mcp register [NAME] URL [FLAGS]\n       keikoctl mcp register NAME [FLAGS] -- COMMAND…",
        before_help = "Examples:\n  keikoctl mcp register time -- mcp-server-time --local-timezone UTC\n  keikoctl mcp register https://mcp.example.com/mcp\n  keikoctl mcp register search https://mcp.example.com/mcp --header Authorization=@search-key"
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
    /// Removes an MCP server and its tools.
    #[command(
        before_help = "Examples:\n  keikoctl mcp delete time\n  keikoctl mcp delete time --yes"
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
    #[command(flatten)]
    pub namespace: Namespace,
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
