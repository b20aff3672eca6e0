//! Endpoints as people and files write them.

#[path = "../../../tests/src/mutate.rs"]
mod mutate;

use super::Endpoint;

const WORDS: &[&str] = &[
    "unix:", "//", "/", "https://", "http://", "[", "]", ":", ":0", ":65536", "%eth0", " ", "é",
    ",",
];

/// What is read can be written and leads to the same place.
#[test]
fn any_endpoint() {
    let corpus = [
        "unix:/run/k.sock",
        "./keiko.sock",
        "https://a.example:7340/",
        "[::1]:99",
        "fe80::1",
        "a,b:1",
    ];
    for text in corpus {
        text.parse::<Endpoint>().expect("an endpoint");
    }
    mutate::run("endpoints", &corpus, WORDS, |bytes| {
        let text = String::from_utf8_lossy(bytes);
        match text.parse::<Endpoint>() {
            Ok(endpoint) => {
                let written = endpoint.to_string();
                let members = text.matches(',').count() + 1;
                let longer = members * "https://[]:7340".len();
                assert!(written.len() <= text.len() + longer, "{written}");
                let again = written.parse::<Endpoint>();
                assert_eq!(again.ok(), Some(endpoint), "{written}");
            }
            Err(error) => assert!(!error.to_string().is_empty()),
        }
    });
}
