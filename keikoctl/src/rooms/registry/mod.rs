//! The registry room: agents, MCP servers, their tools and skills.
//!
//! `args` and `flags` are the grammar, `table` the columns, `object` what all kinds have in common;
//! each other file is one verb.

mod admin;
mod args;
mod call;
mod credential;
mod delete;
mod describe;
mod differ;
mod dry_run;
mod find;
pub(crate) mod flags;
mod get;
mod history;
mod impact;
mod lines;
mod list;
mod logs;
pub(crate) mod object;
mod probe;
mod register;
mod run;
mod state;
mod table;
mod vitals;
pub(crate) mod wait;
pub(crate) mod watch;

pub(crate) use args::{AgentVerb, McpVerb, SkillVerb, ToolVerb};
pub(crate) use find::run as find;
pub(crate) use run::{agent, mcp, skill, tool};
