//! `whoami` and `can-i`: who this command is to the cluster, and what it may do there.

use super::declared_args::CanIArgs;
use super::told::page;
use crate::exit::Exit;
use crate::fault::{Outcome, usage};
use crate::print::time::rfc3339;
use crate::print::{Cell, Format, FormatKind};
use crate::rooms::journal::actor;
use crate::session::{QUICK, Session};
use keiko_client::proto::json::to_json;
use keiko_client::proto::v1::{CanIRequest, CanIResponse, WhoAmIRequest, WhoAmIResponse};
use keiko_core::refusal::{Code, Refusal};
use serde_json::{Value, json};

/// Runs `whoami`.
pub(crate) async fn whoami(session: &Session) -> Outcome {
    session.printer.refuse_csv()?;
    let client = session.client(QUICK).await?;
    let who = client
        .read(WhoAmIRequest {}, |client, request| async move {
            client.security().who_am_i(request).await
        })
        .await?;
    session.printer.document(&document(&who), |printer| match &printer.format {
        Format::Plain(FormatKind::Name) => format!("{}\n", name(&who)),
        _ => {
            let until = match who.expires_ms {
                0 => String::new(),
                at => rfc3339(at),
            };
            let lines = vec![
                ("who", Cell::text(actor(who.actor.as_ref()))),
                ("role", Cell::text(&who.role)),
                ("scope", Cell::text(&who.scope)),
                ("bindings", Cell::text(who.bindings.join(", "))),
                ("may", Cell::text(who.permissions.join(", "))),
                ("until", Cell::text(until)),
            ];
            page(lines).lay_out(&printer.style, None, false)
        }
    })?;
    Ok(Exit::Done)
}

/// As bindings name it; nobody binds a socket.
fn name(who: &WhoAmIResponse) -> &str {
    if who.subject.is_empty() { "socket" } else { &who.subject }
}

fn document(who: &WhoAmIResponse) -> Value {
    let mut document = to_json("keiko.v1.WhoAmIResponse", who);
    document["subject"] = json!(who.subject);
    document["permissions"] = json!(who.permissions);
    document["bindings"] = json!(who.bindings);
    document
}

/// Runs `can-i`: yes is on stdout, no is a refusal.
pub(crate) async fn can_i(args: CanIArgs, session: &Session) -> Outcome {
    session.printer.refuse_csv()?;
    let request = asked(args)?;
    let client = session.client(QUICK).await?;
    let answer = client
        .read(request, |client, request| async move { client.security().can_i(request).await })
        .await?;
    if !answer.allowed {
        return Err(no(&answer).into());
    }
    let mut document = to_json("keiko.v1.CanIResponse", &answer);
    document["allowed"] = json!(true);
    session.printer.document(&document, |printer| match &printer.format {
        Format::Plain(FormatKind::Name) => "yes\n".to_owned(),
        _ => {
            let CanIResponse { permission, resource, by, .. } = &answer;
            format!("yes: {permission} on {resource}, by {by}\n")
        }
    })?;
    Ok(Exit::Done)
}

fn no(answer: &CanIResponse) -> Refusal {
    let CanIResponse { permission, resource, subject, .. } = answer;
    let who = if subject.is_empty() { "the socket" } else { subject };
    Refusal::new(Code::PermissionDenied, format!("no: {who} may not {permission} on {resource}"))
        .cause("no role and no binding allows it, and what nobody granted is not allowed")
        .hint(format!("keikoctl role create NAME --allow '{permission}:{resource}'"))
        .hint(format!("keikoctl binding create NAME --role NAME --to {who}"))
}

/// A verb and a noun, or a permission: these have a dot.
fn asked(args: CanIArgs) -> Result<CanIRequest, Refusal> {
    let CanIArgs { words, namespace, all_namespaces, subject } = args;
    let base = CanIRequest { subject, all_namespaces, ..CanIRequest::default() };
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    match words[..] {
        [permission] if permission.contains('.') => {
            Ok(CanIRequest { permission: permission.to_owned(), ..base })
        }
        [permission, resource] if permission.contains('.') => Ok(CanIRequest {
            permission: permission.to_owned(),
            resource: resource.to_owned(),
            ..base
        }),
        [verb, noun, ref name @ ..] if !verb.contains('.') => {
            // As `-o name` prints it: agent/hello.
            let (noun, of_noun) = noun.split_once('/').unwrap_or((noun, ""));
            let name = name.first().copied().unwrap_or(of_noun);
            let name =
                name.strip_prefix(noun).and_then(|rest| rest.strip_prefix('/')).unwrap_or(name);
            Ok(CanIRequest {
                verb: verb.to_owned(),
                noun: noun.to_owned(),
                namespace: namespace.one(),
                name: name.to_owned(),
                ..base
            })
        }
        _ => Err(usage("that is neither a verb and a noun nor a permission")
            .hint("as in: keikoctl can-i register agent hello")
            .hint("or: keikoctl can-i registry.write agent/team-a/hello")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::{Cli, Verb};
    use clap::Parser;

    fn asked_by(line: &str) -> Option<CanIRequest> {
        let words = "keikoctl can-i".split(' ').chain(line.split(' '));
        match Cli::try_parse_from(words).map(|cli| cli.verb) {
            Ok(Verb::CanI(args)) => asked(args).ok(),
            _ => None,
        }
    }

    #[test]
    fn what_is_asked() {
        for (line, expect) in [
            ("register agent hello", "register agent default hello  "),
            ("register agent/hello -n team-a", "register agent team-a hello  "),
            ("get mcp mcp/time", "get mcp default time  "),
            ("list agent", "list agent default   "),
            ("registry.write", "    registry.write "),
            ("registry.write agent/a/*", "    registry.write agent/a/*"),
        ] {
            let request = asked_by(line).unwrap_or_else(|| panic!("{line}"));
            let CanIRequest { verb, noun, namespace, name, permission, resource, .. } = request;
            let got = format!("{verb} {noun} {namespace} {name} {permission} {resource}");
            assert_eq!(got, expect, "{line}");
        }
        for line in ["register", "registry.write a b", "a b c d"] {
            assert_eq!(asked_by(line), None, "{line}");
        }
        assert_eq!(asked_by("list agent --as person/ann").unwrap().subject, "person/ann");
    }
}
