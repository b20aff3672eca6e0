//! What a caller must hold for its writes to count: a lock, and the token of its grant.

use crate::error::{Error, code};
use std::fmt;
use std::str::FromStr;

/// A grant of a lock, as in `default/deploy=41`. A write that carries it is refused once the lock
/// is not held with that token any more, also if whoever sent it does not know yet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fence {
    namespace: String,
    lock: String,
    token: u64,
}

impl Fence {
    /// Of a grant.
    pub fn new(
        namespace: impl Into<String>,
        lock: impl Into<String>,
        token: u64,
    ) -> Result<Self, Error> {
        let (namespace, lock) = (namespace.into(), lock.into());
        if !is_name(&namespace) || !is_name(&lock) || token == 0 {
            return Err(malformed(&format!("{namespace}/{lock}={token}")));
        }
        Ok(Self { namespace, lock, token })
    }

    /// Where the lock is.
    pub fn namespace(&self) -> &str {
        &self.namespace
    }

    /// The lock.
    pub fn lock(&self) -> &str {
        &self.lock
    }

    /// The fencing token.
    pub fn token(&self) -> u64 {
        self.token
    }
}

impl FromStr for Fence {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        let parts = text.split_once('/').and_then(|(namespace, rest)| {
            let (lock, token) = rest.split_once('=')?;
            // A sign is no part of a token.
            let is_number = token.bytes().all(|byte| byte.is_ascii_digit());
            Some((namespace, lock, token.parse::<u64>().ok().filter(|_| is_number)?))
        });
        let (namespace, lock, token) = parts.ok_or_else(|| malformed(text))?;
        Self::new(namespace, lock, token)
    }
}

impl fmt::Display for Fence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}={}", self.namespace, self.lock, self.token)
    }
}

/// What a header can carry; which names there can be is the law's to say.
fn is_name(text: &str) -> bool {
    let fits = |byte: u8| byte.is_ascii_graphic() && !b"/=,".contains(&byte);
    !text.is_empty() && text.bytes().all(fits)
}

fn malformed(text: &str) -> Error {
    Error::new(code::INVALID_ARGUMENT, format!("{text:?} is not a fence"))
        .cause("it is NAMESPACE/LOCK=TOKEN, as in default/deploy=41")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fence_is_read_as_it_is_written() {
        for (text, expect) in [
            ("default/deploy=41", Some(("default", "deploy", 41))),
            ("team-a/x.y=18446744073709551615", Some(("team-a", "x.y", u64::MAX))),
            ("deploy=41", None),
            ("default/deploy", None),
            ("default/deploy=", None),
            ("default/deploy=0", None),
            ("default/deploy=+1", None),
            ("default/deploy=-1", None),
            ("default/deploy=18446744073709551616", None),
            ("/deploy=1", None),
            ("default/=1", None),
            ("a/b/c=1", None),
            ("a/b\n=1", None),
            ("a b/c=1", None),
            ("", None),
        ] {
            let read = text.parse::<Fence>().ok();
            let parts = read.as_ref().map(|fence| (fence.namespace(), fence.lock(), fence.token()));
            assert_eq!(parts, expect, "{text:?}");
            assert!(read.is_none_or(|fence| fence.to_string() == text), "{text:?}");
        }
    }
}
