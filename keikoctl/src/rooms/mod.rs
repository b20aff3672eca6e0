//! The rooms' verbs: `args` is the grammar, `run` the verbs, `table` the columns.

pub(crate) mod cluster;
pub(crate) mod coordination;
pub(crate) mod journal;
pub(crate) mod registry;
pub(crate) mod security;

use crate::cli::Verb;
use crate::exit::Exit;
use crate::fault::Outcome;
use crate::manifest;
use crate::session::Session;

/// Runs a verb that needs a daemon.
pub(crate) async fn run(verb: Verb, session: &Session) -> Outcome {
    match verb {
        Verb::Status => cluster::status(session).await,
        Verb::Cluster(verb) => cluster::run(verb, session).await,
        Verb::Node(verb) => cluster::node::run(verb, session).await,
        Verb::Agent(registry::AgentVerb::Token(args)) => security::run(args, session).await,
        Verb::Agent(verb) => registry::agent(verb, session).await,
        Verb::Mcp(verb) => registry::mcp(verb, session).await,
        Verb::Tool(verb) => registry::tool(verb, session).await,
        Verb::Skill(verb) => registry::skill(verb, session).await,
        Verb::Find(args) => registry::find(&args, session).await,
        Verb::Wait(args) => registry::wait::run(None, &args, session).await,
        Verb::Apply(args) => manifest::apply(&args, session).await,
        Verb::Diff(args) => manifest::diff(&args, session).await,
        Verb::Delete(args) => manifest::delete(&args, session).await,
        Verb::Event(verb) => journal::run(verb, session).await,
        Verb::Whoami => security::whoami(session).await,
        Verb::CanI(args) => security::can_i(args, session).await,
        Verb::Role(verb) => security::role(verb, session).await,
        Verb::Binding(verb) => security::binding(verb, session).await,
        Verb::Person(verb) => security::person(verb, session).await,
        Verb::Security(verb) => security::security(verb, session).await,
        Verb::Audit(verb) => security::audit(verb, session).await,
        Verb::Lock(verb) => coordination::run(verb, session).await,
        // Run elsewhere, without a daemon.
        Verb::Dev
        | Verb::Context(_)
        | Verb::Doctor
        | Verb::Explain(_)
        | Verb::Completion(_)
        | Verb::Version
        | Verb::Help(_)
        | Verb::Generate(_) => Ok(Exit::Done),
    }
}
