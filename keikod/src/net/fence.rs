//! The header `keiko-fence`: what the caller must hold for its writes to count.
//!
//! Whether it is held, the law says when the write takes effect. Calls that write nothing do not
//! look at it.

use http::HeaderMap;
use keiko_core::refusal::{Code, Refusal, Result};
use keiko_proto::v1::Fence;
use tonic::Request;

/// The header's name.
pub(super) const HEADER: &str = "keiko-fence";

/// The fence of a call, if it has one. A second one would be forgotten in silence: it is refused.
pub fn of<T>(request: &Request<T>) -> Result<Option<Fence>> {
    let mut values = request.metadata().get_all(HEADER).iter();
    let Some(value) = values.next() else { return Ok(None) };
    let fence = value.to_str().ok().and_then(parse).filter(|_| values.next().is_none());
    fence.map(Some).ok_or_else(|| {
        Refusal::new(Code::InvalidArgument, format!("the header {HEADER} is malformed"))
            .hint("it is one NAMESPACE/LOCK=TOKEN, as in default/deploy=41")
    })
}

/// Takes the header over to the call that a request becomes.
pub(super) fn carry_over(from: &HeaderMap, to: &mut HeaderMap) {
    for value in from.get_all(HEADER) {
        to.append(HEADER, value.clone());
    }
}

fn parse(text: &str) -> Option<Fence> {
    let (spot, token) = text.split_once('=')?;
    let (namespace, lock) = spot.split_once('/')?;
    // A sign is no part of a token.
    let is_number = token.bytes().all(|byte| byte.is_ascii_digit());
    let token = token.parse().ok().filter(|token| is_number && *token != 0)?;
    let (namespace, lock) = (namespace.to_owned(), lock.to_owned());
    (!namespace.is_empty() && !lock.is_empty()).then_some(Fence { namespace, lock, token })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_fence_or_none() {
        for (values, expect) in [
            (&[][..], Some(None)),
            (&["default/deploy=41"], Some(Some(("default", "deploy", 41)))),
            (&["a/b=18446744073709551615"], Some(Some(("a", "b", u64::MAX)))),
            (&["default/deploy=41", "default/other=42"], None),
            (&["deploy=41"], None),
            (&["default/deploy"], None),
            (&["default/deploy=0"], None),
            (&["default/deploy=+1"], None),
            (&["default/deploy="], None),
            (&["default/deploy=18446744073709551616"], None),
            (&["/deploy=1"], None),
            (&["default/=1"], None),
            (&[""], None),
        ] {
            let mut request = Request::new(());
            for value in values {
                request.metadata_mut().append(HEADER, value.parse().unwrap());
            }
            let found = of(&request).ok();
            let found = found.as_ref().map(|fence| {
                let fence = fence.as_ref()?;
                Some((fence.namespace.as_str(), fence.lock.as_str(), fence.token))
            });
            assert_eq!(found, expect, "{values:?}");
        }
    }
}
