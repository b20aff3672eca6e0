//! `describe`: everything that is known of one object, for people.

use super::flags::DescribeArgs;
use super::lines::Lines;
use super::object::{Item, KindWord};
use super::{get, impact, list, state, table, vitals};
use crate::exit::Exit;
use crate::fault::{Outcome, Stop};
use crate::print::table::{Grid, Heading};
use crate::print::time::{rfc3339, short};
use crate::print::{Cell, Format, FormatKind, Printer, Role, Shown};
use crate::session::{QUICK, Session};
use keiko_client::Client;
use keiko_client::proto::v1::object::Object as Any;
use keiko_client::proto::v1::{CredentialRef, GetRequest, Grant, Kind, Lease, ListRequest};
use keiko_core::refusal::Code;

/// Runs `describe`.
pub(crate) async fn run(kind: KindWord, args: &DescribeArgs, session: &Session) -> Outcome {
    let name = kind.name(&args.name)?;
    let client = session.client(QUICK).await?;
    let request = GetRequest {
        kind: kind.kind.into(),
        namespace: args.namespace.one(),
        name,
        at: None,
        consistency: args.freshness.wire(),
    };
    let item = get::fetch(&client, request).await?;
    let printer = &session.printer;
    let for_people = printer.format.is_table();
    let around = if for_people { around(&client, &item).await? } else { Around::default() };
    printer.document(&item.json(), |printer| match &printer.format {
        Format::Plain(FormatKind::Name) => format!("{}\n", item.reference()),
        _ => page(&item, &around, printer),
    })?;
    Ok(Exit::Done)
}

/// What stands around an object.
#[derive(Default)]
struct Around {
    parts: Vec<Item>,
    /// What it needs, with its state.
    needs: Vec<(String, Cell)>,
    /// Who needs it, in one line.
    needed: String,
}

async fn around(client: &Client, item: &Item) -> Outcome<Around> {
    let metadata = item.metadata();
    let broken = impact::ask(client, item.kind(), &metadata.namespace, &metadata.name).await;
    Ok(Around {
        parts: or_none(parts_of(client, item).await)?.unwrap_or_default(),
        needs: vitals::needs(client, item).await?,
        needed: or_none(broken)?.map(|broken| impact::sentence(&broken)).unwrap_or_default(),
    })
}

/// Nothing, where the caller may see the object and not what stands around it.
pub(super) fn or_none<T>(seen: Outcome<T>) -> Outcome<Option<T>> {
    match seen {
        Ok(seen) => Ok(Some(seen)),
        Err(Stop::Refused(fault)) if fault.refusal.code == Code::PermissionDenied => Ok(None),
        Err(stop) => Err(stop),
    }
}

/// The tools of a server, the skills of an agent.
pub(crate) async fn parts_of(client: &Client, item: &Item) -> Outcome<Vec<Item>> {
    let kind = match item.kind().kind {
        Kind::McpServer => Kind::Tool,
        Kind::Agent => Kind::Skill,
        Kind::Tool | Kind::Skill | Kind::Unspecified => return Ok(Vec::new()),
    };
    let request = ListRequest {
        kind: kind.into(),
        namespace: item.metadata().namespace.clone(),
        ..ListRequest::default()
    };
    let owner = &item.metadata().name;
    let mut found = list::fetch(client, request, None).await?.items;
    found.retain(|part| match &part.0.object {
        Some(Any::Tool(tool)) => tool.spec.as_ref().is_some_and(|spec| spec.server == *owner),
        Some(Any::Skill(skill)) => skill.spec.as_ref().is_some_and(|spec| spec.agent == *owner),
        _ => false,
    });
    Ok(found)
}

fn page(item: &Item, around: &Around, printer: &Printer) -> String {
    let metadata = item.metadata();
    let pairs = |map: &std::collections::BTreeMap<String, String>| {
        map.iter().map(|(key, value)| format!("{key}={value}")).collect::<Vec<_>>().join(", ")
    };
    let mut lines = Lines::default();
    lines.add("name", &metadata.name);
    lines.add("namespace", &metadata.namespace);
    // Parts have no state of their own.
    if state::word(item).is_some() {
        lines.cell("state", state::cell(item));
    }
    lines.add("labels", pairs(&metadata.labels));
    lines.add("annotations", pairs(&metadata.annotations));
    lines.add("created", time(metadata.created_ms));
    lines.add("updated", time(metadata.updated_ms));
    lines.add("revision", metadata.revision.to_string());
    if metadata.generation > 0 {
        lines.add("declared at", metadata.generation.to_string());
    }
    lines.add("uid", &metadata.uid);
    let document = spec(item, &mut lines);
    let mut text = lines.lay_out(printer);
    let title = |text: &str| format!("\n{}\n", printer.style.paint(Role::Title, text));
    let clock = &printer.clock;
    for (name, lines) in [
        ("Health", vitals::health(item, clock)),
        ("Now", vitals::live(item, clock)),
        ("Dependencies", dependencies(around)),
    ] {
        if !lines.is_empty() {
            text.push_str(&title(name));
            text.push_str(&lines.lay_out(printer));
        }
    }
    if !item.conditions().is_empty() {
        text.push_str(&title("Conditions"));
        text.push_str(&conditions(item).lay_out(&printer.style, printer.width(), false));
    }
    if let Some((name, document)) = document {
        text.push_str(&title(name));
        text.push_str(&printer.safe(&document));
        text.push('\n');
    }
    let parts = &around.parts;
    if !parts.is_empty() {
        let name = if item.kind().kind == Kind::Agent { "Skills" } else { "Tools" };
        text.push_str(&title(name));
        text.push_str(&part_lines(parts).lay_out(&printer.style, printer.width(), false));
    }
    text.push_str(&hints(item));
    text
}

/// Adds what is particular to the kind; gives back a document that needs lines of its own.
fn spec(item: &Item, lines: &mut Lines) -> Option<(&'static str, String)> {
    match item.0.object.as_ref()? {
        Any::Agent(agent) => {
            let spec = agent.spec.as_ref()?;
            lines.add("title", &spec.title);
            lines.add("description", &spec.description);
            lines.add("url", &spec.url);
            lines.add("protocol", format!("{} {}", spec.protocol, spec.protocol_version));
            lines.add("version", &spec.version);
            for interface in &spec.interfaces {
                let words = [&interface.binding, &interface.protocol_version, &interface.url];
                lines.add("interface", words.map(String::as_str).join(" "));
            }
            lines.add("signature", &spec.signature);
            lines.add("headers", credentials(&spec.headers));
            lines.add("granted", granted(spec.grant.as_ref()));
            lines.add("lease", spec.lease.as_ref().map(lease).unwrap_or_default());
            None
        }
        Any::McpServer(server) => {
            let spec = server.spec.as_ref()?;
            lines.add("title", &spec.title);
            lines.add("server", format!("{} {}", spec.server_name, spec.version).trim());
            lines.add("transport", &spec.transport);
            lines.add("protocol", &spec.protocol_version);
            lines.add("endpoint", table::endpoint(spec));
            lines.add("headers", credentials(&spec.headers));
            lines.add("env", credentials(&spec.env));
            lines.add("granted", granted(spec.grant.as_ref()));
            let instructions = spec.instructions.trim();
            (!instructions.is_empty()).then(|| ("Instructions", instructions.to_owned()))
        }
        Any::Tool(tool) => {
            let spec = tool.spec.as_ref()?;
            lines.add("server", &spec.server);
            lines.add("tool", &spec.tool_name);
            lines.add("title", &spec.title);
            lines.add("hints", table::hints(spec));
            lines.add("schema hash", &spec.schema_hash);
            let schema: Option<serde_json::Value> = serde_json::from_str(&spec.input_schema).ok();
            let schema =
                schema.map_or_else(|| spec.input_schema.clone(), |json| format!("{json:#}"));
            lines.add("description", spec.description.trim());
            Some(("Arguments", schema))
        }
        Any::Skill(skill) => {
            let spec = skill.spec.as_ref()?;
            lines.add("agent", &spec.agent);
            lines.add("skill", &spec.skill_id);
            lines.add("title", &spec.title);
            lines.add("description", spec.description.trim());
            lines.add("tags", spec.tags.join(", "));
            lines.add("takes", spec.input_modes.join(", "));
            lines.add("gives", spec.output_modes.join(", "));
            (!spec.examples.is_empty()).then(|| ("Examples", spec.examples.join("\n")))
        }
    }
}

fn dependencies(around: &Around) -> Lines {
    let mut lines = Lines::default();
    for (need, state) in &around.needs {
        lines.cell(need, state.clone());
    }
    lines.add("needed by", &around.needed);
    lines
}

/// Where to read more.
fn hints(item: &Item) -> String {
    let (kind, metadata) = (item.kind().word, item.metadata());
    let subject = format!("{kind}/{}/{}", metadata.namespace, metadata.name);
    format!("\nhow it became so: keikoctl event tail --from 0 --subject {subject}\n")
}

fn conditions(item: &Item) -> Grid {
    let rows = item.conditions().iter().map(|condition| {
        let since = time(condition.since_ms);
        let words =
            [&condition.r#type, &condition.status, &condition.reason, &since, &condition.message];
        words.map(Cell::text).to_vec()
    });
    let mut headings = vec![Heading::default(); 5];
    headings[4].flexible = true;
    Grid { headings, rows: rows.collect(), ..Grid::default() }
}

fn part_lines(parts: &[Item]) -> Grid {
    let rows = parts.iter().map(|part| {
        let description = match &part.0.object {
            Some(Any::Tool(tool)) => tool.spec.as_ref().map(|spec| spec.description.as_str()),
            Some(Any::Skill(skill)) => skill.spec.as_ref().map(|spec| spec.description.as_str()),
            _ => None,
        };
        let first = description.unwrap_or_default().trim().lines().next().unwrap_or_default();
        vec![Cell::text(&part.metadata().name), Cell::text(first)]
    });
    let flexible = Heading { flexible: true, ..Heading::default() };
    let headings = vec![Heading::default(), flexible];
    Grid { headings, rows: rows.collect(), ..Grid::default() }
}

fn time(unix_ms: u64) -> String {
    if unix_ms == 0 { String::new() } else { rfc3339(unix_ms) }
}

fn credentials(references: &[CredentialRef]) -> String {
    let words = references.iter().map(|one| format!("{}=@{}", one.name, one.credential));
    words.collect::<Vec<_>>().join(", ")
}

fn granted(grant: Option<&Grant>) -> String {
    grant.map(|grant| format!("on {} by uid {}", grant.node, grant.uid())).unwrap_or_default()
}

fn lease(lease: &Lease) -> String {
    format!("{}, removed {} later", short(lease.ttl_ms), short(lease.grace_ms))
}

#[cfg(test)]
mod tests {
    use super::*;
    use keiko_core::refusal::Refusal;

    #[test]
    fn what_may_not_be_seen_is_not_shown() {
        let refused = |code| or_none::<u8>(Err(Refusal::new(code, "no").into()));
        assert!(matches!(or_none(Ok(7)), Ok(Some(7))));
        assert!(matches!(refused(Code::PermissionDenied), Ok(None)));
        assert!(matches!(refused(Code::Unauthenticated), Err(Stop::Refused(_))));
        assert!(matches!(or_none::<u8>(Err(Stop::Interrupted)), Err(Stop::Interrupted)));
    }
}
