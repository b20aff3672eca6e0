//! `context add`, `use`, `list`, `show`, `delete`: files of this machine. Only `add` asks a daemon,
//! and only with a token: whether it is traded for a certificate.
//!
//! A token is never printed. One that is traded is kept nowhere; any other is named by its file, or
//! kept in a file of its own.

use super::args::{AddArgs, ContextVerb, DeleteArgs};
use super::enroll::{self, Place, Traded};
use super::file::{self, Context, File};
use super::{Surroundings, read, show, token};
use crate::cli::Globals;
use crate::exit::Exit;
use crate::fault::{Outcome, usage};
use crate::print::Printer;
use crate::print::prompt::{self, Consent};
use crate::print::time::rfc3339;
use crate::session::QUICK;
use crate::settings::{Files, check_namespace};
use keiko_client::{Endpoint, Enrolled, Identity, Trust};
use keiko_core::refusal::{Code, Refusal, Result};
use serde_json::json;
use std::io::Read;
use std::path::{Path, PathBuf};

/// A token has 512 characters at most; the rest is room for what surrounds it.
const TOKEN_BYTES_MAX: u64 = 4096;
/// As a file's name may be.
const NAME_CHARS_MAX: usize = 63;

/// Runs a verb of `context`. `test` needs a runtime and is elsewhere.
pub(crate) fn run(verb: ContextVerb, globals: &Globals, printer: &Printer) -> Outcome {
    match verb {
        ContextVerb::Add(args) => add(args, globals, printer),
        ContextVerb::Use(args) => choose(&args.name, printer),
        ContextVerb::List => show::list(&Files::read(&Surroundings::of_process())?, printer),
        ContextVerb::Show(args) => show::run(&args, globals, printer),
        ContextVerb::Delete(args) => delete(&args, globals, printer),
        ContextVerb::Test(_) => Ok(Exit::Done),
    }
}

/// Where the user's contexts are.
fn own_file() -> Result<PathBuf> {
    file::path().ok_or_else(|| {
        Refusal::new(Code::ContextInvalid, "there is nowhere to keep contexts")
            .cause("neither $XDG_CONFIG_HOME nor $HOME is set")
            .hint("set $XDG_CONFIG_HOME to a folder of yours")
    })
}

fn add(args: AddArgs, globals: &Globals, printer: &Printer) -> Outcome {
    let name = args.name.clone();
    check_name(&name)?;
    if let Some(namespace) = &args.namespace {
        check_namespace(namespace)
            .map_err(|why| usage(format!("{namespace:?} is no namespace")).cause(why))?;
    }
    let path = own_file()?;
    let taken = || {
        Refusal::new(Code::NameTaken, format!("there is a context {name:?} already"))
            .hint(format!("keikoctl context show {name}"))
            .hint("add --replace to put this one in its place")
    };
    // Looked at twice: before a token is written over, and under the lock.
    let before = File::read(&path)?.contexts.remove(&name);
    if before.is_some() && !args.replace {
        return Err(taken().into());
    }
    let endpoint = endpoint(globals)?;
    let ca = given_path(globals, "ca", globals.ca.as_deref())?;
    let trust = ca.as_deref().map(|ca| -> Outcome<Trust> { Ok(Trust::from_pem(&read(ca)?)?) });
    let trust = trust.transpose()?;
    let token = Given::of(&args, globals)?;
    let mut context = Context {
        endpoint: endpoint.to_string(),
        ca,
        namespace: args.namespace,
        ..Context::default()
    };
    let enrolled = match token {
        Some(token) => hand_in(token, &name, &endpoint, trust, &mut context, globals, printer)?,
        None => None,
    };
    let is_current = File::edit(&path, |file| {
        if file.contexts.contains_key(&name) && !args.replace {
            return Err(taken());
        }
        file.contexts.insert(name.clone(), context.clone());
        if args.use_it {
            file.current = Some(name.clone());
        }
        Ok(file.current.as_ref() == Some(&name))
    })?;
    if let Some(before) = before {
        forget(&before, &context, &path, &name);
    }
    let mut document = json!({
        "name": name, "endpoint": context.endpoint, "current": is_current, "file": path,
    });
    if let Some(enrolled) = &enrolled {
        document["identity"] = json!(enrolled.name);
        document["role"] = json!(enrolled.role);
        document["expiresMs"] = json!(enrolled.expires_ms);
    }
    printer.document(&document, |_| format!("context/{name} added\n"))?;
    if let Some(enrolled) = enrolled {
        let Enrolled { name, role, expires_ms, .. } = *enrolled;
        let until = rfc3339(expires_ms);
        printer.note(&format!("you are {name}, {role}, until {until}; it is renewed by itself"));
    }
    if !is_current {
        printer.note(&format!("to make it the current one: keikoctl context use {name}"));
    } else if let Some(words) = hidden(&name) {
        printer.note(&words);
    }
    Ok(Exit::Done)
}

/// A token as it was given.
struct Given {
    text: String,
    identity: Identity,
    /// Its file, if it stays where it is.
    file: Option<PathBuf>,
    /// It was typed for this one purpose.
    typed: bool,
}

impl Given {
    fn of(args: &AddArgs, globals: &Globals) -> Outcome<Option<Self>> {
        let file = given_path(globals, "token_file", globals.token_file.as_deref())?;
        let typed = args.token.is_some();
        let text = match (&args.token, args.token_stdin, &file) {
            (None, false, None) => return Ok(None),
            (Some(_), _, Some(_)) | (_, true, Some(_)) => {
                return Err(usage("--token-file goes with no other token").into());
            }
            (Some(text), ..) => text.clone(),
            (None, false, Some(path)) => {
                let identity = token(path)?;
                return Ok(Some(Self { text: String::new(), identity, file, typed }));
            }
            (None, true, None) => {
                let mut text = String::new();
                let stdin = std::io::stdin().lock();
                let read = stdin.take(TOKEN_BYTES_MAX).read_to_string(&mut text);
                read.map_err(|error| usage("standard input can't be read").cause(error))?;
                text
            }
        };
        let identity = text.parse::<Identity>()?;
        Ok(Some(Self { text, identity, file, typed }))
    }

    /// Its file: its own, or one that is made.
    fn keep(self, name: &str) -> Result<PathBuf> {
        if let Some(file) = self.file {
            return Ok(file);
        }
        let config = own_file()?;
        let path = token_path(&config, name);
        let unwritable =
            |error: std::io::Error| file::invalid(&path, "can't be written").cause(error);
        file::make_private(path.parent().unwrap_or(&config)).map_err(unwritable)?;
        file::write(&path, format!("{}\n", self.text.trim()).as_bytes()).map_err(unwritable)?;
        Ok(path)
    }
}

/// Trades the token, or keeps it, and says so in the context.
fn hand_in(
    token: Given,
    name: &str,
    endpoint: &Endpoint,
    trust: Option<Trust>,
    context: &mut Context,
    globals: &Globals,
    printer: &Printer,
) -> Outcome<Option<Box<Enrolled>>> {
    let traded = match endpoint {
        // The socket knows who calls; a token makes its bearer less there, which may be wanted.
        Endpoint::Unix(_) => Traded::Bearer,
        Endpoint::Tls { .. } | Endpoint::Several(_) => {
            let timeout = globals.timeout.unwrap_or(QUICK);
            enroll::trade(endpoint, &token.identity, trust, timeout)?
        }
    };
    match traded {
        Traded::For(enrolled) => {
            let place = Place::of(&own_file()?, name);
            place.keep(&enrolled)?;
            context.role = Some(enrolled.role.clone());
            context.ca.get_or_insert(place.ca);
            (context.certificate, context.key) = (Some(place.certificate), Some(place.key));
            return Ok(Some(enrolled));
        }
        Traded::Bearer => {}
        Traded::Unanswered(error) if token.typed => return Err(error.into()),
        Traded::Unanswered(error) => {
            printer.note(&format!("{}; the token is kept as it is", error.refusal.message));
            printer.note("if it is one that is traded, run this again with --replace");
        }
    }
    context.token_file = Some(token.keep(name)?);
    Ok(None)
}

/// Removes what was kept with a context, unless the next one of its name names it, too.
fn forget(before: &Context, now: &Context, config: &Path, name: &str) {
    let token = token_path(config, name);
    let has_token = |context: &Context| context.token_file.as_ref() == Some(&token);
    if has_token(before) && !has_token(now) {
        // Nothing names it any more; one that stays is of no use to others.
        let _ = std::fs::remove_file(&token);
    }
    let place = Place::of(config, name);
    if place.is_of(before) && !place.is_of(now) {
        let _ = place.remove();
    }
}

fn endpoint(globals: &Globals) -> Outcome<Endpoint> {
    let given = globals.endpoint().filter(|_| globals.given.is_flag("endpoint"));
    let endpoint = given.ok_or_else(|| {
        usage("a context needs --endpoint").hint(
            "--endpoint https://HOST:7340, once for each member, or unix:PATH on this machine",
        )
    })?;
    Ok(match endpoint? {
        Endpoint::Unix(path) => Endpoint::Unix(absolute(&path)),
        tls @ (Endpoint::Tls { .. } | Endpoint::Several(_)) => tls,
    })
}

/// Where a token is kept that came without a file.
fn token_path(config: &Path, name: &str) -> PathBuf {
    config.with_file_name("tokens").join(format!("{name}.token"))
}

/// A path of the command line: what the environment says is not meant for the context.
fn given_path(globals: &Globals, id: &str, path: Option<&Path>) -> Result<Option<PathBuf>> {
    Ok(path.filter(|_| globals.given.is_flag(id)).map(absolute))
}

/// The same file wherever the command is started.
fn absolute(path: &Path) -> PathBuf {
    std::path::absolute(path).unwrap_or_else(|_| path.to_owned())
}

fn check_name(name: &str) -> Result<()> {
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
    let is_plain = !name.is_empty() && name.len() <= NAME_CHARS_MAX && name.bytes().all(fits);
    if !is_plain || name.starts_with(['.', '-']) {
        return Err(usage(format!("{name:?} is no name of a context"))
            .cause("letters, digits, -, _ and ., 63 at most, not beginning with . or -"));
    }
    if name.ends_with(".ca") {
        // The certificate of x.ca would stand where the CA of x does.
        return Err(usage(format!("{name:?} is no name of a context")).cause("it ends with .ca"));
    }
    if name == "dev" {
        return Err(usage("the context dev is that of keikoctl dev").hint("choose another name"));
    }
    Ok(())
}

fn choose(name: &str, printer: &Printer) -> Outcome {
    let path = own_file()?;
    let chosen = Files::read(&Surroundings::of_process())?.named(name)?;
    if name == "dev" {
        return Err(usage("the context dev is current by itself, while its node lives").into());
    }
    File::edit(&path, |file| {
        file.current = Some(name.to_owned());
        Ok(())
    })?;
    let document = json!({"name": name, "endpoint": chosen.context.endpoint, "current": true});
    printer.document(&document, |_| format!("context/{name} is current\n"))?;
    if let Some(words) = hidden(name) {
        printer.note(&words);
    }
    Ok(Exit::Done)
}

/// What counts before the current context of that name.
fn hidden(name: &str) -> Option<String> {
    let is_set = |variable: &&str| super::set(variable).is_some();
    if let Some(variable) = ["KEIKO_ENDPOINT", "KEIKO_CONTEXT"].into_iter().find(is_set) {
        return Some(format!("${variable} is set and counts before it"));
    }
    // Whoever can't read the files is told by the next command.
    let files = Files::read(&Surroundings::of_process()).ok()?;
    let current = files.current().ok().flatten()?;
    (current.name == "dev" && name != "dev").then(|| {
        format!(
            "context/dev counts before it while its node lives; --context {name} goes there now"
        )
    })
}

fn delete(args: &DeleteArgs, globals: &Globals, printer: &Printer) -> Outcome {
    let (path, name) = (own_file()?, &args.name);
    let chosen = Files::read(&Surroundings::of_process())?.named(name)?;
    if chosen.path != path || name == "dev" {
        return Err(Refusal::new(
            Code::ContextInvalid,
            format!("the context {name:?} is not yours to delete"),
        )
        .cause(format!("it stands in {}", chosen.path.display()))
        .into());
    }
    let place = Place::of(&path, name);
    let has_certificate = place.is_of(&chosen.context);
    let kept = token_path(&path, name);
    let kept = chosen.context.token_file.filter(|file| *file == kept);
    let mut what = format!("the context {name} ({}) goes", chosen.context.endpoint);
    if kept.is_some() {
        what.push_str(", and the token that is kept with it");
    }
    if has_certificate {
        what.push_str(", and the certificate that is kept with it");
    }
    let consent = Consent { yes: args.yes, no_input: globals.no_input };
    if !prompt::can_ask(consent) {
        return Err(prompt::needs_yes(&what).into());
    }
    if !args.yes && !prompt::ask(&format!("{what}. Go on?")) {
        printer.note("nothing was changed");
        return Ok(Exit::Refused(1));
    }
    let was_current = File::edit(&path, |file| {
        file.contexts.remove(name);
        Ok(file.current.take_if(|current| current == name).is_some())
    })?;
    if let Some(kept) = kept
        && let Err(error) = std::fs::remove_file(&kept)
    {
        printer.note(&format!("{} can't be removed: {error}", kept.display()));
    }
    if has_certificate && let Err(error) = place.remove() {
        printer.note(&format!("{} can't be removed: {error}", place.key.display()));
    }
    printer.document(&json!({"name": name, "deleted": true}), |_| {
        format!("context/{name} deleted\n")
    })?;
    if was_current {
        printer.note("it was the current one; now there is none: keikoctl context use NAME");
    }
    Ok(Exit::Done)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_plain() {
        for (name, expect) in [
            ("prod", true),
            ("eu-1.Prod_2", true),
            ("", false),
            (".x", false),
            ("-x", false),
            ("a/b", false),
            ("a b", false),
            ("x.ca", false),
            ("dev", false),
            (&*"x".repeat(64), false),
        ] {
            assert_eq!(check_name(name).is_ok(), expect, "{name:?}");
        }
    }
}
