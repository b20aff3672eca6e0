//! Which file runs which verb.

use super::admin::{self, Act};
use super::args::{AgentVerb, McpVerb, SkillVerb, ToolVerb};
use super::object::KindWord;
use super::{call, delete, describe, get, history, impact, list, logs, probe, register, wait};
use crate::fault::Outcome;
use crate::rooms::security;
use crate::session::Session;
use keiko_client::proto::v1::Kind;

/// Runs a verb of agents.
pub(crate) async fn agent(verb: AgentVerb, session: &Session) -> Outcome {
    let kind = KindWord::of(Kind::Agent);
    match verb {
        AgentVerb::Register(args) => register::agent(args, session).await,
        AgentVerb::List(args) => list::run(kind, &args, session).await,
        AgentVerb::Get(args) => get::run(kind, &args, session).await,
        AgentVerb::Describe(args) => describe::run(kind, &args, session).await,
        AgentVerb::History(args) => history::run(kind, &args, session).await,
        AgentVerb::Call(args) => call::agent(args, session).await,
        AgentVerb::Token(args) => security::run(args, session).await,
        AgentVerb::Wait(args) => wait::run(Some(kind), &args, session).await,
        AgentVerb::Probe(args) => probe::run(kind, &args, session).await,
        AgentVerb::Suspend(args) => admin::hold(kind, Act::Suspend, &args, session).await,
        AgentVerb::Drain(args) => admin::hold(kind, Act::Drain, &args, session).await,
        AgentVerb::Resume(args) => admin::resume(kind, &args, session).await,
        AgentVerb::Impact(args) => impact::run(kind, &args, session).await,
        AgentVerb::Delete(args) => delete::run(kind, &args, session).await,
    }
}

/// Runs a verb of MCP servers.
pub(crate) async fn mcp(verb: McpVerb, session: &Session) -> Outcome {
    let kind = KindWord::of(Kind::McpServer);
    match verb {
        McpVerb::Register(args) => register::mcp(args, session).await,
        McpVerb::List(args) => list::run(kind, &args, session).await,
        McpVerb::Get(args) => get::run(kind, &args, session).await,
        McpVerb::Describe(args) => describe::run(kind, &args, session).await,
        McpVerb::History(args) => history::run(kind, &args, session).await,
        McpVerb::Logs(args) => logs::run(args, session).await,
        McpVerb::Wait(args) => wait::run(Some(kind), &args, session).await,
        McpVerb::Probe(args) => probe::run(kind, &args, session).await,
        McpVerb::Suspend(args) => admin::hold(kind, Act::Suspend, &args, session).await,
        McpVerb::Drain(args) => admin::hold(kind, Act::Drain, &args, session).await,
        McpVerb::Resume(args) => admin::resume(kind, &args, session).await,
        McpVerb::Impact(args) => impact::run(kind, &args, session).await,
        McpVerb::Delete(args) => delete::run(kind, &args, session).await,
    }
}

/// Runs a verb of tools.
pub(crate) async fn tool(verb: ToolVerb, session: &Session) -> Outcome {
    let kind = KindWord::of(Kind::Tool);
    match verb {
        ToolVerb::List(args) => list::run(kind, &args, session).await,
        ToolVerb::Get(args) => get::run(kind, &args, session).await,
        ToolVerb::Describe(args) => describe::run(kind, &args, session).await,
        ToolVerb::History(args) => history::run(kind, &args, session).await,
        ToolVerb::Call(args) => call::tool(args, session).await,
        ToolVerb::Wait(args) => wait::run(Some(kind), &args, session).await,
        ToolVerb::Impact(args) => impact::run(kind, &args, session).await,
    }
}

/// Runs a verb of skills.
pub(crate) async fn skill(verb: SkillVerb, session: &Session) -> Outcome {
    let kind = KindWord::of(Kind::Skill);
    match verb {
        SkillVerb::List(args) => list::run(kind, &args, session).await,
        SkillVerb::Get(args) => get::run(kind, &args, session).await,
        SkillVerb::Describe(args) => describe::run(kind, &args, session).await,
        SkillVerb::History(args) => history::run(kind, &args, session).await,
        SkillVerb::Wait(args) => wait::run(Some(kind), &args, session).await,
        SkillVerb::Impact(args) => impact::run(kind, &args, session).await,
    }
}
