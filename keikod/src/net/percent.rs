//! Percent-encoding in URLs, undone the same way wherever it is met.

/// Undoes percent-encoding in a part of a path or in a fragment: a plus stays a plus. Nothing if
/// it is malformed, or no text.
pub fn decode(part: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(part.len());
    let mut rest = part.bytes();
    while let Some(byte) = rest.next() {
        bytes.push(match byte {
            b'%' => hex(rest.next()?)? << 4 | hex(rest.next()?)?,
            other => other,
        });
    }
    String::from_utf8(bytes).ok()
}

fn hex(digit: u8) -> Option<u8> {
    char::from(digit).to_digit(16).and_then(|digit| u8::try_from(digit).ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_malformed_is_nothing() {
        for (part, expect) in [
            ("", Some("")),
            ("a+b", Some("a+b")),
            ("a%2Fb%2fc", Some("a/b/c")),
            ("%C3%A9", Some("é")),
            ("%ff", None),
            ("%", None),
            ("%4", None),
            ("%4é", None),
            ("%+4", None),
            ("%zz", None),
        ] {
            assert_eq!(decode(part).as_deref(), expect, "{part}");
        }
    }
}
