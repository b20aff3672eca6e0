//! Two states of an object as a unified diff of their declared fields.

use super::read::{Manifest, declared_of};
use crate::print::{Printer, Role, escape};
use crate::schema;
use keiko_client::proto::v1::Object;
use keiko_client::proto::v1::object::Object as Any;
use keiko_core::refusal::{Code, Refusal, Result};
use serde_json::Value;
use similar::TextDiff;
use std::time::Duration;

/// Lines around a change.
const CONTEXT: usize = 3;
/// After so long a rougher diff will do.
const PATIENCE: Duration = Duration::from_millis(500);

/// What a manifest would change; empty if nothing.
pub(super) fn between(
    manifest: &Manifest,
    before: Option<&Object>,
    after: Option<&Object>,
) -> Result<String> {
    let name = format!("{}/{}/{}", manifest.id.noun, manifest.id.namespace, manifest.id.name);
    let was = before.map(project).transpose()?;
    let now = match after {
        Some(after) => project(after)?,
        None => as_kept(manifest.declared.clone(), was.as_ref()),
    };
    let head = match before {
        Some(_) => name.clone(),
        None => "/dev/null".to_owned(),
    };
    let place = manifest.place.to_string();
    diff((&head, was.as_ref()), (&format!("{name} {place}"), Some(&now)))
}

/// What is declared, with its URL as the law keeps one without a path: with a slash at its end.
fn as_kept(mut now: Value, was: Option<&Value>) -> Value {
    let url = |value: &Value| value.pointer("/spec/url").and_then(Value::as_str).map(str::to_owned);
    if let (Some(typed), Some(kept)) = (url(&now), was.and_then(url))
        && typed.split("://").nth(1).is_some_and(|host| !host.contains('/'))
        && format!("{typed}/") == kept
        && let Some(place) = now.pointer_mut("/spec/url")
    {
        *place = Value::String(kept);
    }
    now
}

/// What deleting an object takes away.
pub(super) fn gone(name: &str, before: &Object) -> Result<String> {
    diff((name, Some(&project(before)?)), ("/dev/null", None))
}

fn project(object: &Object) -> Result<Value> {
    let kind = match &object.object {
        Some(Any::Agent(_)) => "Agent",
        Some(Any::McpServer(_)) => "McpServer",
        Some(Any::Tool(_) | Any::Skill(_)) | None => {
            return Err(Refusal::new(Code::Internal, "keikod answered without an agent or server"));
        }
    };
    Ok(declared_of(object, schema::of(kind)))
}

fn diff(before: (&str, Option<&Value>), after: (&str, Option<&Value>)) -> Result<String> {
    if before.1 == after.1 {
        return Ok(String::new());
    }
    let text = |value: Option<&Value>| -> Result<String> {
        let Some(value) = value else { return Ok(String::new()) };
        serde_saphyr::to_string(value)
            .map_err(|error| Refusal::new(Code::Internal, "this has no YAML").cause(error))
    };
    let (old, new) = (text(before.1)?, text(after.1)?);
    let diff = TextDiff::configure().timeout(PATIENCE).diff_lines(&old, &new);
    let mut unified = diff.unified_diff();
    Ok(unified.context_radius(CONTEXT).header(before.0, after.0).to_string())
}

/// In colours where people look; what others wrote can't move their cursor.
pub(super) fn painted(text: &str, printer: &Printer) -> String {
    let line = |line: &str| {
        let role = match line.as_bytes().first() {
            _ if line.starts_with("--- ") || line.starts_with("+++ ") => Role::Title,
            Some(b'+') => Role::Good,
            Some(b'-') => Role::Bad,
            Some(b'@') => Role::Muted,
            _ => Role::Plain,
        };
        let shown = if printer.is_terminal { escape::line(line) } else { line.to_owned() };
        format!("{}\n", printer.style.paint(role, &shown))
    };
    text.lines().map(line).collect()
}

#[cfg(test)]
mod tests {
    use super::super::tests::read_text;
    use super::*;

    #[test]
    fn only_what_is_declared_counts() {
        let text = |url: &str, found: &str| {
            format!(
                "apiVersion: keiko/v1\nkind: McpServer\nmetadata:\n  name: a\n  labels: {{team: red}}\n\
                 spec:\n  url: {url}\n  version: '{found}'\n"
            )
        };
        let one = read_text(&text("http://one", "1")).unwrap().remove(0);
        let same = read_text(&text("http://one", "2")).unwrap().remove(0);
        let other = read_text(&text("http://other", "1")).unwrap().remove(0);
        assert_eq!(between(&one, Some(&same.object), None).unwrap(), "");
        let changed = between(&other, Some(&one.object), None).unwrap();
        assert!(
            changed.starts_with("--- mcp/default/a\n+++ mcp/default/a test.yaml:1:1\n@@"),
            "{changed}"
        );
        assert!(changed.contains("\n-  url: http://one\n+  url: http://other\n"), "{changed}");
        let kept = |url: &str| read_text(&text(url, "1")).unwrap().remove(0).object;
        assert_eq!(between(&one, Some(&kept("http://one/")), None).unwrap(), "", "as it is kept");
        let path = read_text(&text("http://one/a", "1")).unwrap().remove(0);
        assert_ne!(between(&path, Some(&kept("http://one/a/")), None).unwrap(), "");
        let made = between(&one, None, None).unwrap();
        assert!(made.starts_with("--- /dev/null\n"), "{made}");
        assert!(made.lines().skip(3).all(|line| line.starts_with('+')), "{made}");
        let gone = gone("mcp/default/a", &one.object).unwrap();
        assert!(gone.lines().skip(3).all(|line| line.starts_with('-')), "{gone}");
    }
}
