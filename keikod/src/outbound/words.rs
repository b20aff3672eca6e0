//! Words of a peer inside our own sentences: refusals and reasons end up in logs, in answers and on
//! terminals, where nobody knows any more who wrote which part.

use std::fmt::Write as _;

/// Instructions and descriptions beyond this are cut: models read them, disks keep them.
pub(crate) const TEXT_CHARS_MAX: usize = 16 * 1024;

/// The first characters of a text, as it is.
pub(crate) fn cut(text: &str, chars_max: usize) -> String {
    text.chars().take(chars_max).collect()
}

/// The first characters of a peer's text; what a terminal or a log would obey is made visible.
pub(crate) fn words(text: &str, chars_max: usize) -> String {
    let mut shown = String::with_capacity(text.len().min(chars_max));
    let mut characters = text.chars();
    for character in characters.by_ref().take(chars_max) {
        let number = u32::from(character);
        let _ = match character {
            '\n' => write!(shown, "\\n"),
            '\r' => write!(shown, "\\r"),
            '\t' => write!(shown, "\\t"),
            _ if is_obeyed(character) && number < 0x100 => write!(shown, "\\x{number:02x}"),
            _ if is_obeyed(character) => write!(shown, "\\u{{{number:x}}}"),
            _ => {
                shown.push(character);
                Ok(())
            }
        };
    }
    if characters.next().is_some() {
        shown.push('…');
    }
    shown
}

/// Control characters of both sets, what turns the reading direction, and what can't be seen.
fn is_obeyed(character: char) -> bool {
    character.is_control()
        || matches!(character,
            '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}'
            | '\u{e0000}'..='\u{e007f}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_obeyed_and_nothing_is_endless() {
        for (text, chars_max, expect) in [
            ("plain é 東京 🙂", 20, "plain é 東京 🙂"),
            ("plain", 5, "plain"),
            ("plainly", 5, "plain…"),
            ("a\nERROR b\r\tc", 20, "a\\nERROR b\\r\\tc"),
            ("\u{1b}[2J\u{7f}\u{9b}", 20, "\\x1b[2J\\x7f\\x9b"),
            ("a\u{202e}b\u{2066}\u{200b}\u{e0041}", 20, "a\\u{202e}b\\u{2066}\\u{200b}\\u{e0041}"),
        ] {
            assert_eq!(words(text, chars_max), expect, "{text:?}");
        }
    }
}
