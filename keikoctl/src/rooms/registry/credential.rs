//! Credentials are named, never pathed and never typed: `NAME=@CREDENTIAL`.

use keiko_client::proto::v1::CredentialRef;
use keiko_core::refusal::{Code, Refusal, Result};

/// Reads `--header` or `--env`. What was typed in place of a name never comes back in an error.
pub(crate) fn reference(flag: &str, text: &str) -> Result<CredentialRef> {
    let refused = |why: &str| {
        Refusal::new(Code::CredentialRefused, format!("{flag} takes a credential by its name"))
            .cause(why)
            .hint(format!("{flag} NAME=@CREDENTIAL"))
            .hint("put the value into a file in the node's credentials folder: D/credentials")
    };
    let Some((name, value)) = text.split_once('=') else {
        return Err(refused("there is no = in it"));
    };
    let Some(credential) = value.strip_prefix('@') else {
        return Err(refused("a value on the command line would be seen by every process"));
    };
    let in_name = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
    if name.is_empty() || !name.bytes().all(in_name) {
        return Err(refused("the part before = is not a header or variable"));
    }
    if credential.contains('/') {
        return Err(refused("a path is not a name: the node looks in its own folder only"));
    }
    if credential.is_empty() || credential.starts_with('.') || !credential.bytes().all(in_name) {
        return Err(refused("the part after =@ is not a plain file name"));
    }
    Ok(CredentialRef { name: name.to_owned(), credential: credential.to_owned() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_names() {
        for (text, expect) in [
            ("Authorization=@key", Some(("Authorization", "key"))),
            ("API_KEY=@my-key.1", Some(("API_KEY", "my-key.1"))),
            ("Authorization=Bearer hunter2", None),
            ("Authorization=@/etc/shadow", None),
            ("Authorization=@../key", None),
            ("Authorization=@.hidden", None),
            ("Authorization=@", None),
            ("=@key", None),
            ("A B=@key", None),
            ("hunter2", None),
        ] {
            match reference("--header", text) {
                Ok(read) => {
                    assert_eq!(Some((read.name.as_str(), read.credential.as_str())), expect);
                }
                Err(refusal) => {
                    assert_eq!(expect, None, "{text:?}");
                    assert_eq!(refusal.code, Code::CredentialRefused);
                    assert!(!format!("{refusal:?}").contains("hunter2"));
                    assert!(!refusal.hints.is_empty());
                }
            }
        }
    }
}
