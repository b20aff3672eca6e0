//! `agent register` and `mcp register`.

use super::args::{RegisterAgentArgs, RegisterFlags, RegisterMcpArgs};
use super::dry_run::{self, Preview};
use super::flags::DryRunBy;
use super::object::{Item, KindWord};
use super::wait::{self, Met, Target, What};
use super::{credential, get};
use crate::exit::Exit;
use crate::fault::{Outcome, usage};
use crate::print::{Format, FormatKind, escape};
use crate::session::{Interrupt, PATIENT, Session};
use keiko_client::Client;
use keiko_client::proto::json::to_json;
use keiko_client::proto::v1::{
    Change, GetRequest, Kind, Object, RegisterAgentRequest, RegisterMcpServerRequest,
    RegisterResponse,
};
use keiko_core::refusal::Result;
use keiko_core::selector::{label_key, label_value};
use serde_json::json;
use std::collections::BTreeMap;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Runs `agent register`.
pub(crate) async fn agent(args: RegisterAgentArgs, session: &Session) -> Outcome {
    let (name, url) = name_and_url(Kind::Agent, &args.first, args.second.as_deref())?;
    let message = RegisterAgentRequest {
        namespace: args.flags.namespace.one(),
        name,
        labels: pairs("--label team=red", &args.flags.labels, true)?,
        headers: credentials("--header", &args.flags.headers)?,
        request_id: Vec::new(),
        annotations: pairs("--annotation owner=anna", &args.flags.annotations, false)?,
        depends_on: needs(&args.flags.depends_on)?,
        lease_ttl_ms: milliseconds(args.lease),
        lease_grace_ms: milliseconds(args.lease_grace),
        dry_run: args.flags.dry_run.at_server(),
        url,
    };
    if args.flags.dry_run.by() == Some(DryRunBy::Client) {
        let json = to_json("keiko.v1.RegisterAgentRequest", &message);
        return unsent(KindWord::of(Kind::Agent), &message.name, &message.url, json, session);
    }
    let client = session.client(PATIENT).await?;
    goes_on(KindWord::of(Kind::Agent), &message.name, &message.namespace, session);
    let progress = session.printer.progress(format!("asking {} for its card", message.url));
    let made = client
        .write(args.flags.request.id, message, |client, request| async move {
            client.registry().register_agent(request).await
        })
        .await;
    drop(progress);
    finish(made?, &client, "skill", &args.flags, session).await
}

/// Runs `mcp register`.
pub(crate) async fn mcp(args: RegisterMcpArgs, session: &Session) -> Outcome {
    let RegisterMcpArgs { first, second, command, variables, flags } = args;
    let kind = KindWord::of(Kind::McpServer);
    let (name, url) = match (second, command.is_empty()) {
        (second, true) => name_and_url(kind.kind, &first, second.as_deref())?,
        (None, false) if !is_url(&first) => (kind.name(&first)?, String::new()),
        (_, false) => {
            return Err(usage("a server is either at a URL or a command, not both")
                .hint("keikoctl mcp register NAME -- COMMAND…")
                .into());
        }
    };
    let message = RegisterMcpServerRequest {
        namespace: flags.namespace.one(),
        command: absolute(command)?,
        labels: pairs("--label team=red", &flags.labels, true)?,
        headers: credentials("--header", &flags.headers)?,
        env: credentials("--env", &variables)?,
        request_id: Vec::new(),
        annotations: pairs("--annotation owner=anna", &flags.annotations, false)?,
        depends_on: needs(&flags.depends_on)?,
        dry_run: flags.dry_run.at_server(),
        name,
        url,
    };
    if flags.dry_run.by() == Some(DryRunBy::Client) {
        let json = to_json("keiko.v1.RegisterMcpServerRequest", &message);
        let command = message.command.join(" ");
        let endpoint = if message.url.is_empty() { &command } else { &message.url };
        return unsent(kind, &message.name, endpoint, json, session);
    }
    let client = session.client(PATIENT).await?;
    goes_on(kind, &message.name, &message.namespace, session);
    let far_side = if message.url.is_empty() { &message.name } else { &message.url };
    let progress = session.printer.progress(format!("asking {far_side} what it offers"));
    let made = client
        .write(flags.request.id, message, |client, request| async move {
            client.registry().register_mcp_server(request).await
        })
        .await;
    drop(progress);
    finish(made?, &client, "tool", &flags, session).await
}

/// Ctrl-C ends the command; what the node was asked may be done all the same.
fn goes_on(kind: KindWord, name: &str, namespace: &str, session: &Session) {
    let word = kind.word;
    let look = match name {
        "" => format!("keikoctl {word} list -n {namespace}"),
        name => format!("keikoctl {word} get {name} -n {namespace}"),
    };
    let words = format!("it may be registered all the same; to look: {look}");
    session.on_interrupt(Interrupt::Detaches(words));
}

/// What `--dry-run=client` shows: the call that was not made.
fn unsent(
    kind: KindWord,
    name: &str,
    endpoint: &str,
    request: serde_json::Value,
    session: &Session,
) -> Outcome {
    let word = kind.word;
    let reference =
        if name.is_empty() { format!("{word}/(its own name)") } else { format!("{word}/{name}") };
    let document = json!({"dryRun": "client", "request": request});
    session.printer.document(&document, |printer| match &printer.format {
        Format::Plain(FormatKind::Name) => format!("{reference}\n"),
        _ => format!(
            "{reference} would be registered at {}; nothing was sent\n",
            escape::line(endpoint)
        ),
    })?;
    Ok(Exit::Done)
}

/// Shows what the law would do, or waits until what was done works, and shows that.
async fn finish(
    mut made: RegisterResponse,
    client: &Client,
    part: &str,
    flags: &RegisterFlags,
    session: &Session,
) -> Outcome {
    let item = Item(made.object.clone().unwrap_or(Object { object: None }));
    let namespace = flags.namespace.one();
    if let Some(by) = flags.dry_run.by() {
        let name = item.metadata().name.clone();
        let request =
            GetRequest { kind: item.kind().kind.into(), namespace, name, ..GetRequest::default() };
        let preview = Preview {
            by,
            reference: item.reference(),
            change: word(made.change()),
            before: get::maybe(client, request).await?,
            after: Some(item),
            notes: made.provides.iter().map(|name| format!("+ {part}/{name}")).collect(),
        };
        return dry_run::show(&preview, session);
    }
    // It answered just now, so this seldom waits: only for what is held back.
    let waits = item.ready().is_some_and(|ready| ready.status != "True");
    if waits && flags.patience.or(true) {
        let target = Target { kind: item.kind(), namespace, name: item.metadata().name.clone() };
        let patience = session.timeout(wait::USUAL);
        let met = wait::until(client, &[target], &What::ready(), patience, session).await?;
        if let Some(Met { item: Some(item), .. }) = met.into_iter().next() {
            made.object = Some(item.0);
        }
    }
    show(&made, part, session)
}

fn word(change: Change) -> &'static str {
    match change {
        Change::Created => "registered",
        Change::Updated => "updated",
        Change::Unchanged | Change::Unspecified => "unchanged",
    }
}

fn show(made: &RegisterResponse, part: &str, session: &Session) -> Outcome {
    let item = Item(made.object.clone().unwrap_or(Object { object: None }));
    let revision = made.write.unwrap_or_default().revision;
    let mut document = to_json("keiko.v1.RegisterResponse", made);
    document["revision"] = json!(revision);
    if document["provides"].is_null() {
        document["provides"] = json!([]);
    }
    let change = word(made.change());
    let printer = &session.printer;
    printer.document(&document, |printer| match &printer.format {
        Format::Plain(FormatKind::Name) => format!("{}\n", item.reference()),
        _ => {
            let count = made.provides.len();
            let parts = if count == 1 { format!("1 {part}") } else { format!("{count} {part}s") };
            format!("{} {change} with {parts} at revision {revision}\n", item.reference())
        }
    })?;
    Ok(Exit::Done)
}

fn is_url(word: &str) -> bool {
    word.contains("://")
}

/// As in `localhost:8080/mcp`.
fn has_port(word: &str) -> bool {
    let host = word.split('/').next().unwrap_or_default();
    host.rsplit_once(':')
        .is_some_and(|(host, port)| !host.is_empty() && port.parse::<u16>().is_ok())
}

fn name_and_url(kind: Kind, first: &str, second: Option<&str>) -> Result<(String, String)> {
    let kind = KindWord::of(kind);
    match second {
        None if is_url(first) => Ok((String::new(), first.to_owned())),
        Some(url) if is_url(url) && !is_url(first) => Ok((kind.name(first)?, url.to_owned())),
        _ => {
            let word = second.unwrap_or(first);
            let refusal = usage(format!("{word:?} is not a URL"));
            let refusal = match has_port(word) {
                true if second.is_some() => {
                    refusal.hint(format!("keikoctl {} register {first} http://{word}", kind.word))
                }
                true => refusal.hint(format!("keikoctl {} register http://{word}", kind.word)),
                false => refusal,
            };
            let refusal =
                refusal.hint(format!("keikoctl {} register [NAME] https://HOST/PATH", kind.word));
            Err(match kind.kind {
                Kind::McpServer => refusal.hint("keikoctl mcp register NAME -- COMMAND…"),
                _ => refusal,
            })
        }
    }
}

fn pairs(example: &str, texts: &[String], as_labels: bool) -> Result<BTreeMap<String, String>> {
    let pairs = texts.iter().map(|text| {
        let (key, value) = text.split_once('=').ok_or_else(|| {
            usage(format!("{text:?} is not KEY=VALUE")).hint(format!("as in: {example}"))
        })?;
        // What an annotation may say, the law knows.
        let value = if as_labels { label_value(value)? } else { value.to_owned() };
        Ok((label_key(key)?, value))
    });
    pairs.collect()
}

fn needs(texts: &[String]) -> Result<Vec<String>> {
    let needs = texts.iter().map(|text| {
        let known = text.split_once('/').filter(|(_, name)| !name.is_empty());
        match known.and_then(|(kind, _)| KindWord::read(kind)) {
            Some(_) => Ok(text.clone()),
            None => Err(usage(format!("{text:?} is not KIND/NAME"))
                .cause("the kinds are agent, mcp, tool and skill")
                .hint("as in: --depends-on mcp/time")),
        }
    });
    needs.collect()
}

fn milliseconds(duration: Option<Duration>) -> u64 {
    duration.map_or(0, |one| u64::try_from(one.as_millis()).unwrap_or(u64::MAX))
}

fn credentials(
    flag: &str,
    texts: &[String],
) -> Result<Vec<keiko_client::proto::v1::CredentialRef>> {
    texts.iter().map(|text| credential::reference(flag, text)).collect()
}

/// The command with its first word as an absolute path, found as the caller's shell would find it.
/// Links stay: a Python environment is one.
fn absolute(mut command: Vec<String>) -> Result<Vec<String>> {
    let Some(first) = command.first_mut() else { return Ok(command) };
    let folders = std::env::var_os("PATH").unwrap_or_default();
    let folders: Vec<PathBuf> = std::env::split_paths(&folders).collect();
    *first = find(first, &folders)?;
    Ok(command)
}

fn find(word: &str, folders: &[PathBuf]) -> Result<String> {
    let missing = |why: &str| {
        usage(format!("there is no command {word:?} here"))
            .cause(why)
            .hint("the command runs on the node: name it by its absolute path there")
    };
    let found = if word.contains('/') {
        Some(PathBuf::from(word)).filter(|path| path.is_absolute() || is_program(path))
    } else {
        folders.iter().map(|folder| folder.join(word)).find(|path| is_program(path))
    };
    let found = found.ok_or_else(|| missing("it is not an executable file on your PATH"))?;
    let absolute = std::path::absolute(found)
        .map_err(|error| missing(&error.to_string()))?
        .into_os_string()
        .into_string();
    absolute.map_err(|_| missing("its path is not UTF-8"))
}

fn is_program(path: &Path) -> bool {
    path.metadata().is_ok_and(|file| file.is_file() && file.permissions().mode() & 0o111 != 0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    #[test]
    fn names_and_urls() {
        for (first, second, expect) in [
            ("https://a", None, Some(("", "https://a"))),
            ("n", Some("https://a"), Some(("n", "https://a"))),
            ("mcp/n", Some("https://a"), Some(("n", "https://a"))),
            ("n", None, None),
            ("https://a", Some("n"), None),
            ("agent/n", Some("https://a"), None),
        ] {
            let read = name_and_url(Kind::McpServer, first, second).ok();
            let read = read.as_ref().map(|(name, url)| (name.as_str(), url.as_str()));
            assert_eq!(read, expect, "{first} {second:?}");
        }
    }

    #[test]
    fn what_lacks_only_its_scheme_is_said_with_one() {
        for (first, second, expect) in [
            ("n", Some("localhost:8080"), "keikoctl mcp register n http://localhost:8080"),
            ("localhost:8080/mcp", None, "keikoctl mcp register http://localhost:8080/mcp"),
            ("n", None, "keikoctl mcp register [NAME] https://HOST/PATH"),
            ("n", Some("a:b"), "keikoctl mcp register [NAME] https://HOST/PATH"),
        ] {
            let refusal = name_and_url(Kind::McpServer, first, second).unwrap_err();
            assert_eq!(refusal.hints[0], expect, "{first} {second:?}");
        }
    }

    #[test]
    fn commands_become_absolute() {
        let folder = tempfile::tempdir().unwrap();
        let (program, link, text) =
            (folder.path().join("real"), folder.path().join("link"), folder.path().join("text"));
        fs::write(&program, "").unwrap();
        fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
        fs::write(&text, "").unwrap();
        std::os::unix::fs::symlink(&program, &link).unwrap();
        let folders = [PathBuf::from("/nowhere"), folder.path().to_owned()];
        assert_eq!(find("real", &folders).unwrap(), program.to_str().unwrap());
        assert_eq!(find("link", &folders).unwrap(), link.to_str().unwrap(), "links stay");
        assert_eq!(find("/opt/on/the/node", &folders).unwrap(), "/opt/on/the/node");
        for word in ["text", "none", "./none", ""] {
            assert!(find(word, &folders).is_err(), "{word:?}");
        }
    }
}
