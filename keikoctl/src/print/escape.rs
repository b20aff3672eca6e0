//! Text of agents, servers and tools is data: it must not move a cursor, retitle a window or turn
//! the reading direction.

/// One line: line breaks and tabs are escaped too.
pub(crate) fn line(text: &str) -> String {
    escaped(text, false)
}

/// Several lines: line breaks and tabs stay.
pub(crate) fn text(text: &str) -> String {
    escaped(text, true)
}

/// A document of JSON, which means the same with what is harmful in its strings written as `\uXXXX`.
pub(crate) fn json(document: &str) -> String {
    let mut shown = String::with_capacity(document.len());
    for character in document.chars() {
        // Outside of strings JSON has line breaks and nothing else that could do harm.
        if is_harmful(character) && character != '\n' {
            shown.push_str(&format!("\\u{:04x}", u32::from(character)));
        } else {
            shown.push(character);
        }
    }
    shown
}

fn escaped(text: &str, multiline: bool) -> String {
    let mut shown = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '\n' | '\t' if multiline => shown.push(character),
            '\n' => shown.push_str("\\n"),
            '\t' => shown.push_str("\\t"),
            '\r' => shown.push_str("\\r"),
            _ if is_harmful(character) => {
                let number = u32::from(character);
                let escape = if number < 0x100 {
                    format!("\\x{number:02x}")
                } else {
                    format!("\\u{{{number:x}}}")
                };
                shown.push_str(&escape);
            }
            _ => shown.push(character),
        }
    }
    shown
}

/// Control characters of both sets, and what turns the reading direction or breaks a line.
fn is_harmful(character: char) -> bool {
    character.is_control()
        || matches!(character,
            '\u{200e}' | '\u{200f}' | '\u{061c}' | '\u{202a}'..='\u{202e}'
            | '\u{2066}'..='\u{2069}' | '\u{2028}' | '\u{2029}' | '\u{feff}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_stays_the_same_document() {
        let evil = serde_json::json!({"a": "\u{1b}[2J\u{9b}\u{7f}\u{202e}\u{feff}\n\t", "b": [1]});
        for text in [evil.to_string(), format!("{evil:#}")] {
            let shown = json(&text);
            assert!(!shown.contains(|c| is_harmful(c) && c != '\n'), "{shown:?}");
            assert_eq!(serde_json::from_str::<serde_json::Value>(&shown).unwrap(), evil);
        }
    }

    #[test]
    fn nothing_reaches_the_terminal_but_text() {
        for (given, one_line, lines) in [
            ("plain é 東京 🙂", "plain é 東京 🙂", "plain é 東京 🙂"),
            ("a\nb\tc", "a\\nb\\tc", "a\nb\tc"),
            ("a\rb", "a\\rb", "a\\rb"),
            ("\u{1b}[2J\u{7}", "\\x1b[2J\\x07", "\\x1b[2J\\x07"),
            ("\u{9b}31m\u{7f}", "\\x9b31m\\x7f", "\\x9b31m\\x7f"),
            ("abc\u{202e}fed", "abc\\u{202e}fed", "abc\\u{202e}fed"),
            ("\u{2028}", "\\u{2028}", "\\u{2028}"),
        ] {
            assert_eq!(line(given), one_line, "{given:?}");
            assert_eq!(text(given), lines, "{given:?}");
        }
    }
}
