//! The file of contexts, typed by hand.

use super::{File, merge};
use crate::fuzz::{check_refusal, mutate};
use keiko_core::refusal::Code;
use std::path::Path;
use toml_edit::DocumentMut;

const FILES: [&str; 3] = [
    "# mine\ncurrent = 'a' # the usual one\noutput = \"json\"\n\n[contexts]\nb = {endpoint='b:2'}\n\n# far away\n[contexts.a]\nendpoint = 'a:1'\ntoken_file = \"/t\"\n",
    "namespace = \"prod\"\ncolor = 'never'\ntimeout = \"5s\"\n[contexts.\"a.b\"]\nendpoint = \"unix:/run/keiko.sock\"\nca = '/ca.pem'\n",
    "[dev]\nendpoint = \"unix:/x\"\npid = 1\nstarted = 0\n",
];

const WORDS: &[&str] = &[
    "[contexts.c]",
    "[dev]",
    "contexts.x.endpoint = 'y'",
    "endpoint",
    " = ",
    "'",
    "\"\"\"",
    "\n",
    "#",
    ",",
    "{",
    "pid = 4294967296",
    "[[contexts]]",
    "\\u0000",
    "2026-07-28",
    "inf",
    "0x1",
    ".",
    "= []",
];

/// What is read can be written, both anew and into what was typed, and says the same.
#[test]
fn any_file() {
    let path = Path::new("config.toml");
    let parse = |text: &str| File::parse(path, text);
    mutate::run("contexts", &FILES, WORDS, |bytes| {
        let text = String::from_utf8_lossy(bytes);
        let file = match parse(&text) {
            Ok(file) => file,
            Err(refusal) => return check_refusal(&refusal, &[Code::ContextInvalid]),
        };
        let written = toml::to_string(&file).expect("it can be written");
        assert_eq!(parse(&written).as_ref(), Ok(&file), "{written}");
        let mut document: DocumentMut = text.parse().expect("what was read is TOML");
        let wanted: DocumentMut = written.parse().expect("what was written is TOML");
        merge(document.as_table_mut(), wanted.as_table());
        let merged = document.to_string();
        assert_eq!(parse(&merged).as_ref(), Ok(&file), "{merged}");
    });
}
