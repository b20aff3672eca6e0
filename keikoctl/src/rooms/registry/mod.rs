//! The registry room: agents, MCP servers, their tools and skills.
//!
//! `args` and `flags` are the grammar, `table` the columns, `object` what all kinds have in common;
//! each other file is one verb.

mod args;
mod call;
mod credential;
mod delete;
mod describe;
pub(crate) mod flags;
mod get;
mod history;
mod list;
mod logs;
pub(crate) mod object;
mod register;
mod run;
mod table;
mod watch;

pub(crate) use args::{AgentVerb, McpVerb, SkillVerb, ToolVerb};
pub(crate) use run::{agent, mcp, skill, tool};
