//! `agent register` and `mcp register`.

use super::args::{RegisterAgentArgs, RegisterFlags, RegisterMcpArgs};
use super::credential;
use super::object::{Item, KindWord};
use crate::exit::Exit;
use crate::fault::{Outcome, usage};
use crate::print::{Format, FormatKind};
use crate::session::{PATIENT, Session};
use keiko_client::proto::json::to_json;
use keiko_client::proto::v1::{
    Change, Kind, Object, RegisterAgentRequest, RegisterMcpServerRequest, RegisterResponse,
};
use keiko_core::refusal::Result;
use keiko_core::selector::{label_key, label_value};
use serde_json::json;
use std::collections::BTreeMap;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

/// Runs `agent register`.
pub(crate) async fn agent(args: RegisterAgentArgs, session: &Session) -> Outcome {
    let (name, url) = name_and_url(Kind::Agent, &args.first, args.second.as_deref())?;
    let message = RegisterAgentRequest {
        namespace: args.flags.namespace.one(),
        name,
        labels: labels(&args.flags)?,
        headers: credentials("--header", &args.flags.headers)?,
        request_id: Vec::new(),
        url,
    };
    let client = session.client(PATIENT).await?;
    let progress = session.printer.progress(format!("asking {} for its card", message.url));
    let made = client
        .write(args.flags.request.id, message, |client, request| async move {
            client.registry().register_agent(request).await
        })
        .await;
    drop(progress);
    show(&made?, "skill", session)
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
        labels: labels(&flags)?,
        headers: credentials("--header", &flags.headers)?,
        env: credentials("--env", &variables)?,
        request_id: Vec::new(),
        name,
        url,
    };
    let client = session.client(PATIENT).await?;
    let far_side = if message.url.is_empty() { &message.name } else { &message.url };
    let progress = session.printer.progress(format!("asking {far_side} what it offers"));
    let made = client
        .write(flags.request.id, message, |client, request| async move {
            client.registry().register_mcp_server(request).await
        })
        .await;
    drop(progress);
    show(&made?, "tool", session)
}

fn show(made: &RegisterResponse, part: &str, session: &Session) -> Outcome {
    let item = Item(made.object.clone().unwrap_or(Object { object: None }));
    let revision = made.write.unwrap_or_default().revision;
    let mut document = to_json("keiko.v1.RegisterResponse", made);
    document["revision"] = json!(revision);
    if document["provides"].is_null() {
        document["provides"] = json!([]);
    }
    let change = match made.change() {
        Change::Created => "registered",
        Change::Updated => "updated",
        Change::Unchanged | Change::Unspecified => "unchanged",
    };
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

fn name_and_url(kind: Kind, first: &str, second: Option<&str>) -> Result<(String, String)> {
    let kind = KindWord::of(kind);
    match second {
        None if is_url(first) => Ok((String::new(), first.to_owned())),
        Some(url) if is_url(url) && !is_url(first) => Ok((kind.name(first)?, url.to_owned())),
        _ => {
            let refusal = usage(format!("{:?} is not a URL", second.unwrap_or(first)))
                .hint(format!("keikoctl {} register [NAME] https://HOST/PATH", kind.word));
            Err(match kind.kind {
                Kind::McpServer => refusal.hint("keikoctl mcp register NAME -- COMMAND…"),
                _ => refusal,
            })
        }
    }
}

fn labels(flags: &RegisterFlags) -> Result<BTreeMap<String, String>> {
    let pairs = flags.labels.iter().map(|text| {
        let (key, value) = text.split_once('=').ok_or_else(|| {
            usage(format!("{text:?} is not a label")).hint("as in: --label team=red")
        })?;
        Ok((label_key(key)?, label_value(value)?))
    });
    pairs.collect()
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
