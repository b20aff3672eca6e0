//! Canonical JSON (RFC 8785): the same value always gives the same bytes, so that it can be hashed
//! and signed.

use serde_json::{Number, Value};
use std::fmt::Write as _;

/// The bytes that are hashed or signed.
pub fn canonical(value: &Value) -> String {
    let mut out = String::new();
    write(value, &mut out);
    out
}

/// The identity of a schema: BLAKE3 over its canonical form, so that neither the order of keys nor
/// white space matters.
pub fn schema_hash(schema: &Value) -> [u8; 32] {
    *blake3::hash(canonical(schema).as_bytes()).as_bytes()
}

/// As deep as `serde_json` reads (128), so recursion is bounded.
fn write(value: &Value, out: &mut String) {
    match value {
        Value::Null => out.push_str("null"),
        Value::Bool(true) => out.push_str("true"),
        Value::Bool(false) => out.push_str("false"),
        Value::Number(number) => write_number(number, out),
        Value::String(text) => write_text(text, out),
        Value::Array(items) => {
            out.push('[');
            for (at, item) in items.iter().enumerate() {
                if at > 0 {
                    out.push(',');
                }
                write(item, out);
            }
            out.push(']');
        }
        Value::Object(map) => {
            let mut entries: Vec<_> = map.iter().collect();
            // The standard sorts by UTF-16 units, which differs from UTF-8 above U+FFFF.
            entries.sort_by(|(a, _), (b, _)| a.encode_utf16().cmp(b.encode_utf16()));
            out.push('{');
            for (at, (key, item)) in entries.into_iter().enumerate() {
                if at > 0 {
                    out.push(',');
                }
                write_text(key, out);
                out.push(':');
                write(item, out);
            }
            out.push('}');
        }
    }
}

/// serde_json escapes exactly what the standard asks for: quote, backslash and control characters,
/// with the short forms where there are any.
fn write_text(text: &str, out: &mut String) {
    out.push_str(&Value::from(text).to_string());
}

/// ECMAScript's way of writing a number.
fn write_number(number: &Number, out: &mut String) {
    // Integers up to 2^53 are written as they are; beyond, the standard rounds to a double.
    const EXACT: u64 = 1 << 53;
    let exact = match (number.as_i64(), number.as_u64()) {
        (Some(signed), _) => signed.unsigned_abs() <= EXACT,
        (None, Some(unsigned)) => unsigned <= EXACT,
        (None, None) => false,
    };
    if exact {
        let _ = write!(out, "{number}");
        return;
    }
    let value = number.as_f64().unwrap_or_default();
    if value == 0.0 {
        out.push('0');
        return;
    }
    if value < 0.0 {
        out.push('-');
    }
    // Rust's shortest form has the same digits; only where the point goes differs.
    let shortest = format!("{:e}", value.abs());
    let (mantissa, exponent) = shortest.split_once('e').unwrap_or((&shortest, "0"));
    let digits = mantissa.replace('.', "");
    let point = exponent.parse::<i32>().unwrap_or_default() + 1;
    write_digits(&digits, point, out);
}

/// `digits` with the decimal point after the first `point` of them (ECMA-262, Number::toString).
fn write_digits(digits: &str, point: i32, out: &mut String) {
    let count = i32::try_from(digits.len()).unwrap_or(i32::MAX);
    let zeros = |n: i32| "0".repeat(usize::try_from(n).unwrap_or_default());
    if count <= point && point <= 21 {
        let _ = write!(out, "{digits}{}", zeros(point - count));
    } else if 0 < point && point <= 21 {
        let (whole, part) = digits.split_at(usize::try_from(point).unwrap_or_default());
        let _ = write!(out, "{whole}.{part}");
    } else if -6 < point && point <= 0 {
        let _ = write!(out, "0.{}{digits}", zeros(-point));
    } else {
        let (first, rest) = digits.split_at(1);
        let dot = if rest.is_empty() { "" } else { "." };
        let _ = write!(out, "{first}{dot}{rest}e{:+}", point - 1);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn numbers_as_ecmascript_writes_them() {
        for (text, expect) in [
            ("0", "0"),
            ("-0.0", "0"),
            ("1.0", "1"),
            ("333333333.33333329", "333333333.3333333"),
            ("1E30", "1e+30"),
            ("4.50", "4.5"),
            ("2e-3", "0.002"),
            ("0.000000000000000000000000001", "1e-27"),
            ("1e21", "1e+21"),
            ("1e20", "100000000000000000000"),
            ("1e-6", "0.000001"),
            ("1e-7", "1e-7"),
            ("-1.5e300", "-1.5e+300"),
            ("9007199254740993", "9007199254740992"),
            ("-5", "-5"),
        ] {
            assert_eq!(canonical(&serde_json::from_str(text).unwrap()), expect, "{text}");
        }
    }

    #[test]
    fn the_example_of_the_standard() {
        let value: Value = serde_json::from_str(
            r#"{"\u20ac":"Euro Sign","\r":"Carriage Return","\ufb33":"Hebrew Letter Dalet With Dagesh",
               "1":"One","\ud83d\ude00":"Emoji: Grinning Face","\u0080":"Control","\u00f6":"Latin"}"#,
        )
        .unwrap();
        let order: Vec<&str> = canonical(&value).leak().split('"').skip(3).step_by(4).collect();
        let expect =
            ["Carriage Return", "One", "Control", "Latin", "Euro Sign", "Emoji: Grinning Face"];
        assert_eq!(order[..6], expect);
        let text = "\u{20ac}$\u{f}\nA'B\"\\\\\"/";
        assert_eq!(canonical(&json!(text)), "\"\u{20ac}$\\u000f\\nA'B\\\"\\\\\\\\\\\"/\"");
    }

    #[test]
    fn order_does_not_change_the_hash() {
        let a = json!({"type": "object", "properties": {"a": {}, "b": {}}});
        let b: Value =
            serde_json::from_str(r#"{"properties":{"b":{},"a":{}},"type":"object"}"#).unwrap();
        assert_eq!(schema_hash(&a), schema_hash(&b));
        assert_ne!(schema_hash(&a), schema_hash(&json!({})));
    }
}
