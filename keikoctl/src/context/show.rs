//! What contexts there are, and what holds now with who said so. Never a token, never a key.

use super::args::ShowArgs;
use super::file::Context;
use super::{Surroundings, Way, way};
use crate::cli::Globals;
use crate::exit::Exit;
use crate::fault::Outcome;
use crate::print::columns::Wanted;
use crate::print::time::rfc3339;
use crate::print::{Cell, Column, Listing, Printer, Role, Shown, When};
use crate::settings::{Chosen, Files, Origin};
use keiko_client::Badge;
use serde_json::{Value, json};

/// One line of `context list`.
struct Row {
    chosen: Chosen,
    is_current: bool,
}

impl Shown for Row {
    fn json(&self) -> Value {
        document(&self.chosen, self.is_current)
    }
}

const CONTEXTS: &[Column<Row>] = &[
    Column::new("CURRENT", |row: &Row, _| Cell::text(if row.is_current { "*" } else { "" })),
    Column::new("NAME", |row: &Row, _| Cell::text(&row.chosen.name)),
    Column::new("ENDPOINT", |row: &Row, _| Cell::text(&row.chosen.context.endpoint)),
    Column::new("NAMESPACE", |row: &Row, _| {
        Cell::text(row.chosen.context.namespace.clone().unwrap_or_default())
    }),
    Column::new("IDENTITY", |row: &Row, _| Cell::text(identity(&row.chosen.context))),
    Column::new("ROLE", |row: &Row, _| {
        Cell::text(row.chosen.context.role.clone().unwrap_or_default())
    })
    .when(When::Wide),
    Column::new("EXPIRES", |row: &Row, _| {
        let badge = badge(&row.chosen.context);
        Cell::text(badge.map(|badge| rfc3339(badge.expires_ms)).unwrap_or_default())
    })
    .when(When::Wide),
    Column::new("TOKEN-FILE", |row: &Row, _| {
        Cell::text(shown(row.chosen.context.token_file.as_ref()))
    })
    .when(When::Wide),
    Column::new("CA", |row: &Row, _| Cell::text(shown(row.chosen.context.ca.as_ref())))
        .when(When::Wide),
    Column::new("FILE", |row: &Row, _| Cell::text(row.chosen.path.display().to_string()))
        .when(When::Wide),
];

fn shown(path: Option<&std::path::PathBuf>) -> String {
    path.map(|path| path.display().to_string()).unwrap_or_default()
}

fn identity(context: &Context) -> String {
    match (&context.token_file, context.endpoint.starts_with("unix:"), &context.certificate) {
        (Some(_), ..) => "token".to_owned(),
        (None, true, _) => "process".to_owned(),
        (None, false, Some(_)) => {
            badge(context).map_or_else(|| "certificate".to_owned(), |badge| badge.name)
        }
        (None, false, None) => "none".to_owned(),
    }
}

/// What the context's certificate says. One that can't be read is refused where it is used.
fn badge(context: &Context) -> Option<Badge> {
    let pem = std::fs::read_to_string(context.certificate.as_ref()?).ok()?;
    Badge::read(&pem).ok()
}

fn document(chosen: &Chosen, is_current: bool) -> Value {
    let Chosen { name, context, path } = chosen;
    let badge = badge(context);
    json!({
        "name": name,
        "endpoint": context.endpoint,
        "namespace": context.namespace,
        "tokenFile": context.token_file,
        "certificate": context.certificate,
        "key": context.key,
        "identity": identity(context),
        "role": context.role,
        "expiresMs": badge.map(|badge| badge.expires_ms),
        "ca": context.ca,
        "current": is_current,
        "file": path,
    })
}

/// `context list`.
pub(super) fn list(files: &Files, printer: &Printer) -> Outcome {
    // A current context that is gone is told by the commands that need it.
    let current = files.current().ok().flatten().map(|chosen| chosen.name);
    let all = files.contexts().into_values();
    let rows: Vec<Row> = all
        .map(|chosen| Row { is_current: current.as_ref() == Some(&chosen.name), chosen })
        .collect();
    if rows.is_empty() && printer.format.is_table() {
        printer.note("no contexts yet: keikoctl context add NAME --endpoint https://HOST:7340");
        return Ok(Exit::Done);
    }
    let name = |row: &Row| format!("context/{}", row.chosen.name);
    let listing = Listing { revision: 0, name: &name };
    printer.rows(CONTEXTS, &Wanted::default(), &rows, true, listing)?;
    Ok(Exit::Done)
}

/// One setting that holds.
struct Setting {
    name: &'static str,
    value: String,
    origin: String,
}

impl Shown for Setting {
    fn json(&self) -> Value {
        json!({"setting": self.name, "value": self.value, "origin": self.origin})
    }
}

const SETTINGS: &[Column<Setting>] = &[
    Column::new("SETTING", |row: &Setting, _| Cell::text(row.name)),
    Column::new("VALUE", |row: &Setting, _| match row.value.is_empty() {
        true => Cell::role(Role::Muted, "-"),
        false => Cell::text(&row.value),
    }),
    Column::new("ORIGIN", |row: &Setting, _| Cell::text(&row.origin)),
];

/// `context show`.
pub(super) fn run(args: &ShowArgs, globals: &Globals, printer: &Printer) -> Outcome {
    let around = Surroundings::of_process();
    let files = Files::read(&around)?;
    if args.origin {
        let rows = settings(globals, &around, &files)?;
        let name = |row: &Setting| format!("setting/{}", row.name);
        let listing = Listing { revision: 0, name: &name };
        printer.rows(SETTINGS, &Wanted::default(), &rows, true, listing)?;
        return Ok(Exit::Done);
    }
    let current = files.current();
    let chosen = match &args.name {
        Some(name) => files.named(name)?,
        None => match way(globals, &around) {
            Ok(way) if way.name.is_empty() => return without_context(&way, printer),
            Ok(way) => files.named(&way.name)?,
            // A context that can't be used can be looked at.
            Err(stop) => {
                let named = globals.context.as_deref().filter(|name| !name.is_empty());
                match (named, &current) {
                    (Some(name), _) => files.named(name)?,
                    (None, Ok(Some(current))) => current.clone(),
                    (None, _) => return Err(stop),
                }
            }
        },
    };
    let is_current = current.ok().flatten().is_some_and(|current| current.name == chosen.name);
    let document = document(&chosen, is_current);
    printer.document(&document, |printer| printer.safe(&human(&chosen, is_current)))?;
    Ok(Exit::Done)
}

/// An endpoint that no context names: a flag's, a variable's, or the first daemon's here.
fn without_context(way: &Way, printer: &Printer) -> Outcome {
    let endpoint = way.endpoint.to_string();
    let document = json!({"name": "", "endpoint": endpoint, "origin": way.origin});
    printer.document(&document, |printer| {
        printer.safe(&format!("endpoint     {endpoint}\norigin       {}\n", way.origin))
    })?;
    printer.note("no context says so; keikoctl context add NAME --endpoint ENDPOINT makes one");
    Ok(Exit::Done)
}

fn human(chosen: &Chosen, is_current: bool) -> String {
    let context = &chosen.context;
    let badge = badge(context);
    let mut text = format!("name         {}\nendpoint     {}\n", chosen.name, context.endpoint);
    for (title, value) in [
        ("namespace", context.namespace.clone().unwrap_or_default()),
        ("token file", shown(context.token_file.as_ref())),
        ("certificate", shown(context.certificate.as_ref())),
        ("as", badge.as_ref().map(|badge| badge.name.clone()).unwrap_or_default()),
        ("role", context.role.clone().unwrap_or_default()),
        ("expires", badge.map(|badge| rfc3339(badge.expires_ms)).unwrap_or_default()),
        ("ca", shown(context.ca.as_ref())),
    ] {
        if !value.is_empty() {
            text.push_str(&format!("{title:<13}{value}\n"));
        }
    }
    let current = if is_current { "yes" } else { "no" };
    text.push_str(&format!("current      {current}\nfile         {}\n", chosen.path.display()));
    text
}

/// Everything that holds for a command that is typed now.
fn settings(globals: &Globals, around: &Surroundings, files: &Files) -> Outcome<Vec<Setting>> {
    let mut rows = Vec::new();
    let mut push = |name, value: String, origin: String| rows.push(Setting { name, value, origin });
    let (context, chosen) = match way(globals, around) {
        Ok(way) => {
            push("endpoint", way.endpoint.to_string(), way.origin);
            let chosen = (!way.name.is_empty()).then(|| files.named(&way.name)).transpose()?;
            push(
                "context",
                way.name,
                chosen.as_ref().map(|chosen| chosen.path.display().to_string()).unwrap_or_default(),
            );
            (way.context, chosen)
        }
        Err(crate::fault::Stop::Refused(fault)) => {
            push("endpoint", String::new(), fault.refusal.message);
            (Context::default(), None)
        }
        Err(stop) => return Err(stop),
    };
    let of_context =
        chosen.as_ref().map(|chosen| Origin::File(chosen.path.clone(), Some(chosen.name.clone())));
    let (namespace, origin) = match super::set("KEIKO_NAMESPACE") {
        Some(namespace) => (namespace, Origin::Variable("KEIKO_NAMESPACE".to_owned())),
        None => files
            .namespace(chosen.as_ref())
            .unwrap_or_else(|| ("default".to_owned(), Origin::Default)),
    };
    push("namespace", namespace, origin.to_string());
    for (name, id, fallback) in [
        ("output", "output", "table"),
        ("color", "color", "auto"),
        ("timeout", "timeout", ""),
        ("no-input", "no_input", "false"),
    ] {
        let given = globals.given.get(id).map(|(origin, text)| (text.clone(), origin.clone()));
        let found = given.or_else(|| files.value(id));
        let (value, origin) = found.unwrap_or_else(|| (fallback.to_owned(), Origin::Default));
        push(name, value, origin.to_string());
    }
    let given = |id| globals.given.get(id).map(|(origin, text)| (text.clone(), origin.to_string()));
    let by_context = |path: Option<&std::path::PathBuf>| {
        Some((path?.display().to_string(), of_context.as_ref()?.to_string()))
    };
    let token = given("token_file")
        .or_else(|| {
            around.token.as_ref().map(|_| ("(a token)".to_owned(), "$KEIKO_TOKEN".to_owned()))
        })
        .or_else(|| by_context(context.token_file.as_ref()));
    let (value, origin) = token.unwrap_or_else(|| (String::new(), Origin::Default.to_string()));
    push("token", value, origin);
    if let Some((value, origin)) = by_context(context.certificate.as_ref()) {
        push("certificate", value, origin);
    }
    let ca = given("ca").or_else(|| by_context(context.ca.as_ref()));
    let (value, origin) = ca.unwrap_or_else(|| (String::new(), Origin::Default.to_string()));
    push("ca", value, origin);
    Ok(rows)
}
