//! `explain`: the page of a coded refusal, or what a kind and its fields are.

use crate::cli::ExplainArgs;
use crate::exit::Exit;
use crate::fault::{Outcome, usage};
use crate::print::Printer;
use crate::schema;
use keiko_core::refusal::{Code, Refusal};
use serde_json::json;

include!(concat!(env!("OUT_DIR"), "/pages.rs"));

pub(crate) fn run(args: &ExplainArgs, printer: &Printer) -> Outcome {
    let (kind, path) = args.word.split_once('.').unwrap_or((&args.word, ""));
    match schema::kind_of(kind) {
        Some(kind) => field(kind, path, args.recursive, printer),
        None => refusal(&args.word, printer),
    }
}

/// `explain KIND[.FIELD]`.
fn field(kind: &'static str, path: &str, recursive: bool, printer: &Printer) -> Outcome {
    let mut here = schema::of(kind);
    let mut walked = String::new();
    for name in path.split('.').filter(|name| !name.is_empty()) {
        here = schema::field(here, name).ok_or_else(|| missing(kind, &walked, name))?;
        walked = if walked.is_empty() { name.to_owned() } else { format!("{walked}.{name}") };
    }
    printer.document(here, |_| match recursive {
        true => schema::tree(kind, &walked, here),
        false => schema::explain(kind, &walked, here),
    })?;
    Ok(Exit::Done)
}

fn missing(kind: &'static str, at: &str, name: &str) -> Refusal {
    let whole = if at.is_empty() { kind.to_owned() } else { format!("{kind}.{at}") };
    let refusal = Refusal::new(Code::NotFound, format!("{whole} has no field {name:?}"));
    let refusal = match schema::meant(schema::of(kind), at, name) {
        Some(meant) => refusal.hint(format!("did you mean {meant}?")),
        None => refusal,
    };
    refusal.hint(format!("keikoctl explain {kind} --recursive shows every field"))
}

/// `explain CODE`.
fn refusal(word: &str, printer: &Printer) -> Outcome {
    let number = number(word)?;
    let code = Code::from_number(number).ok_or_else(|| {
        Refusal::new(Code::NotFound, format!("this release knows no KEIKO-{number:04}"))
            .hint("keikoctl version and keikoctl status show both releases")
    })?;
    let page = page(code);
    let document = json!({
        "code": code.to_string(),
        "name": format!("{code:?}"),
        "exitCode": code.class().exit_code(),
        "grpcCode": code.class().grpc_code(),
        "httpStatus": code.class().http_status(),
        "retryable": code.retryable(),
        "page": page,
    });
    printer.document(&document, |_| page.clone())?;
    Ok(Exit::Done)
}

/// The page, or what the table says of a code that has none.
fn page(code: Code) -> String {
    let written = PAGES.iter().find(|(number, _)| *number == code as u32);
    if let Some((_, page)) = written {
        return (*page).to_owned();
    }
    let retry =
        if code.retryable() { "may be sent again unchanged" } else { "will not pass by itself" };
    format!(
        "# {code}: {code:?}\n\nkeikoctl exits with {}, HTTP says {}. The same request {retry}.\n",
        code.class().exit_code(),
        code.class().http_status()
    )
}

fn number(text: &str) -> Result<u32, Refusal> {
    let upper = text.trim().to_ascii_uppercase();
    let digits = upper.strip_prefix("KEIKO-").unwrap_or(&upper);
    // A number may be signed where Rust reads one; a code has digits only.
    let is_number = digits.bytes().all(|byte| byte.is_ascii_digit());
    digits.parse().ok().filter(|_| is_number).ok_or_else(|| {
        let refusal = usage(format!("{text:?} is neither an error code nor a kind"));
        let kind = text.split('.').next().unwrap_or_default();
        let words = schema::KINDS.into_iter().chain(["mcp"]);
        let refusal = match schema::nearest(kind, words) {
            Some(near) => refusal.hint(format!("did you mean {near}?")),
            None => refusal,
        };
        refusal.hint("as in: keikoctl explain KEIKO-0031, keikoctl explain McpServer.spec")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_codes() {
        for (text, expect) in [
            ("KEIKO-0031", Some(31)),
            ("keiko-31", Some(31)),
            ("0031", Some(31)),
            (" 31 ", Some(31)),
            ("agent", None),
            ("+31", None),
            ("KEIKO-+31", None),
            ("", None),
        ] {
            assert_eq!(number(text).ok(), expect, "{text:?}");
        }
    }

    #[test]
    fn every_page_is_of_a_code_and_every_code_has_words() {
        for (number, page) in PAGES {
            let code = Code::from_number(*number);
            assert!(code.is_some(), "KEIKO-{number:04}.md is of no code");
            assert!(page.starts_with('#'), "KEIKO-{number:04}.md has no title");
        }
        for code in Code::ALL {
            assert!(page(*code).contains(&code.to_string()), "{code}");
        }
    }
}
