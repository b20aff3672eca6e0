//! Manifests that nobody meant to write.

use super::check::Checker;
use super::problem::SHOWN_MAX;
use super::read::{Manifest, Namespace, checked};
use super::source::Source;
use crate::fuzz::{check_refusal, mutate};
use keiko_core::refusal::{Code, Result};

const MANIFESTS: [&str; 5] = [
    "apiVersion: keiko/v1\nkind: McpServer\nmetadata:\n  name: time\n  namespace: default\n  labels: {team: red}\n  revision: 12\nspec:\n  command:\n  - /bin/x\n  - -v\n  env:\n  - {name: KEY, credential: hub}\n  dependsOn:\n  - mcp/b\n  - mcp/a\nstatus:\n  conditions:\n  - type: Ready\n    status: 'True'\n",
    "apiVersion: keiko/v1\nkind: Agent\nmetadata: {name: a, annotations: {\"b/c\": \"d e\"}}\nspec: {url: 'http://a.test', headers: [{name: Authorization, credential: hub}], lease: {ttlMs: 10000, graceMs: 60000}}\n",
    "{\"items\": [{\"apiVersion\": \"keiko/v1\", \"kind\": \"Agent\", \"metadata\": {\"name\": \"a\"}, \"spec\": {\"url\": \"http://a\"}}], \"revision\": 7}",
    "# two\n---\nkind: Agent\napiVersion: keiko/v1\nmetadata:\n  name: b\n  labels: &m {team: red}\n  annotations: *m\nspec:\n  url: >-\n    http://b\n---\nkind: Agent\napiVersion: keiko/v1\nmetadata: {name: c}\nspec:\n  url: |-\n    http://c\n...\n",
    "apiVersion: keiko/v1\nkind: List\nitems:\n- kind: Agent\n  apiVersion: keiko/v1\n  metadata: {name: c}\n  spec: {url: \"http:\\/\\/c\"}\n",
];

const WORDS: &[&str] = &[
    "---\n",
    "...\n",
    "- ",
    ": ",
    "  ",
    "\n",
    "&a ",
    "*a",
    "*m",
    "<<: *m",
    "!!binary x",
    "!!str 7",
    "|\n",
    ">-\n",
    "kind: Agent\n",
    "metadata:\n",
    "spec:\n",
    "status: {}\n",
    "? ",
    "name: a",
    "{{ .Values.x }}",
    "#",
    "0x1F",
    "0o17",
    "1_000",
    ".inf",
    "yes",
    "2026-07-28",
    "revision: -1",
    "ttlMs: 1e3",
    "items: [",
    "%YAML 1.2\n",
];

/// What is accepted and printed as `get -o yaml` does is accepted again, and declares the same.
#[test]
fn any_manifest() {
    let codes = [Code::ManifestInvalid, Code::LimitExceeded];
    let checker = Checker::new().expect("our own schemas");
    let read_text = |text: &str| -> Result<Vec<Manifest>> {
        let source = Source { name: "test.yaml".into(), text: text.into() };
        checked(&checker, &[source], &Namespace { name: "default".into(), is_typed: false })
    };
    for text in MANIFESTS {
        read_text(text).unwrap_or_else(|refusal| panic!("{refusal:?}:\n{text}"));
    }
    mutate::run("manifests", &MANIFESTS, WORDS, |bytes| {
        let text = String::from_utf8_lossy(bytes);
        let manifests = match read_text(&text) {
            Ok(manifests) => manifests,
            Err(refusal) => {
                assert!(refusal.causes.len() <= SHOWN_MAX + 2, "{refusal:?}");
                return check_refusal(&refusal, &codes);
            }
        };
        for manifest in manifests {
            let written = serde_saphyr::to_string(&manifest.declared).expect("it can be written");
            assert!(written.len() <= 4096 + 24 * text.len(), "{} bytes", written.len());
            let again = read_text(&written);
            let again = again.unwrap_or_else(|refusal| panic!("{refusal:?}:\n{written}"));
            assert_eq!(again.len(), 1, "{written}");
            assert_eq!(again[0].declared, manifest.declared, "{written}");
            assert_eq!((&again[0].id, &again[0].needs), (&manifest.id, &manifest.needs));
            assert_eq!(again[0].object, manifest.object, "{written}");
        }
    });
}
