//! `keiko.toml` as no editor should leave it.

use super::Path;
use super::file::File;
use crate::fuzz::{check_refusal, mutate};
use keiko_core::refusal::Code;

const FILES: [&str; 4] = [
    "[node]\nname = \"one\"\n\n[listen]\napi = \"127.0.0.1:7340\"\nmetrics = '[::1]:7342'\n",
    "[socket]\npath = \"/run/keiko.sock\"\ngroup = 'keiko'\nuids = [0, 1_000, 0xFF]\n\n[exec]\nallow = [\n  [\"/usr/bin/node\", \"/opt/srv/index.js\"], # one\n]\nuser = 'nobody'\n",
    "[credentials]\ndir = '/etc/keys'\n[credentials.hub]\nto = [\"https://hub.test:443\"]\n[egress]\nallow = ['10.0.0.0/8', '[fd00::1]:443', 'host:8080']\ndeny = ['host']\n[a2a]\ntrusted_keys = ['keys/a.pem']\n",
    "consensus = { heartbeat_ms = 500, election_ms_min = 1500, election_ms_max = 3000 }\njournal.keep_days = 7\njournal.keep_bytes = 1_073_741_824\n[log]\nfilter = \"info,rmcp=off\"\nformat = \"json\"\n",
];

const WORDS: &[&str] = &[
    "[log]",
    "[credentials.a]",
    "[[exec]]",
    "filter",
    "=",
    " = ",
    "'",
    "\"\"\"",
    "'''",
    "\n",
    "#",
    ",",
    "name.",
    "credentials.\"a.b\".to",
    "0x",
    "1_0",
    "2026-07-28T00:00:00Z",
    "inf",
    "\\u0000",
    "{ a = 1 }",
    "é",
];

/// What is refused has a line of the file; what is read says the same with a comment behind it.
#[test]
fn any_file() {
    let parse = |text: &str| File::parse(Path::new("keiko.toml"), text);
    for text in FILES {
        parse(text).expect("a good file");
    }
    mutate::run("keiko.toml", &FILES, WORDS, |bytes| {
        let text = String::from_utf8_lossy(bytes);
        match parse(&text) {
            Ok(file) => {
                let again = parse(&format!("{text}\n# the end\n")).map(|file| format!("{file:?}"));
                assert_eq!(again, Ok(format!("{file:?}")));
            }
            Err(refusal) => {
                check_refusal(&refusal, &[Code::ConfigInvalid]);
                let place = refusal.message.split("keiko.toml:").nth(1).unwrap_or_default();
                let line = place.split(':').next().and_then(|line| line.parse::<usize>().ok());
                let lines = 1 + text.matches('\n').count();
                assert!(line.is_some_and(|line| (1..=lines).contains(&line)), "{refusal:?}");
            }
        }
    });
}
