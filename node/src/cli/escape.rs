//! Makes text that others wrote safe to show on a terminal.

use std::borrow::Cow;
use std::fmt::Write as _;

/// Replaces what could move the cursor, recolour, reorder or hide text by a visible escape.
///
/// Line feed, carriage return and tab become `\n`, `\r` and `\t`, everything else `\u{…}`. The
/// result is for eyes: it does not tell an escape from the same characters written by the
/// author. Programs read `--json`.
pub fn escape(text: &str) -> Cow<'_, str> {
    if !text.contains(is_dangerous) {
        return Cow::Borrowed(text);
    }
    let mut safe = String::with_capacity(text.len() + 16);
    for character in text.chars() {
        match character {
            '\n' => safe.push_str("\\n"),
            '\r' => safe.push_str("\\r"),
            '\t' => safe.push_str("\\t"),
            // Writing to a String does not fail.
            c if is_dangerous(c) => drop(write!(safe, "\\u{{{:x}}}", u32::from(c))),
            c => safe.push(c),
        }
    }
    Cow::Owned(safe)
}

/// Escapes a message, keeping its lines: each is indented, so that none can pass for a line of
/// the program's own.
pub fn escape_lines(text: &str, indent: &str) -> String {
    let mut safe = String::with_capacity(text.len() + indent.len());
    for (number, line) in text.split('\n').enumerate() {
        if number > 0 {
            safe.push('\n');
        }
        safe.push_str(indent);
        safe.push_str(&escape(line));
    }
    safe
}

/// C0 and C1 controls, delete, line and paragraph separators, marks that reorder (bidi) and
/// characters that are not shown. The joiners stay: emoji and several scripts need them.
fn is_dangerous(character: char) -> bool {
    character.is_control()
        || matches!(
            character,
            '\u{ad}'
                | '\u{61c}'
                | '\u{180e}'
                | '\u{200b}'
                | '\u{200e}'
                | '\u{200f}'
                | '\u{2028}'..='\u{202e}'
                | '\u{2060}'..='\u{206f}'
                | '\u{feff}'
                | '\u{fff9}'..='\u{fffb}'
                | '\u{e0000}'..='\u{e007f}'
        )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plain_text_in_any_script_passes_untouched() {
        for text in ["", "hello", "Привет", "مرحبا", "naïve 👩‍🚒 ✅", "a\\b"] {
            assert!(matches!(escape(text), Cow::Borrowed(same) if same == text));
        }
    }

    #[test]
    fn terminal_sequences_become_visible() {
        assert_eq!(escape("\u{1b}[31mred\u{7}"), "\\u{1b}[31mred\\u{7}");
        assert_eq!(escape("\u{9b}2J\u{7f}"), "\\u{9b}2J\\u{7f}");
        assert_eq!(escape("a\r\n\tb"), "a\\r\\n\\tb");
    }

    #[test]
    fn marks_that_reorder_or_hide_become_visible() {
        assert_eq!(escape("gpj\u{202e}exe"), "gpj\\u{202e}exe");
        assert_eq!(escape("a\u{2066}b\u{2069}"), "a\\u{2066}b\\u{2069}");
        assert_eq!(escape("a\u{200b}b\u{feff}"), "a\\u{200b}b\\u{feff}");
        assert_eq!(escape("\u{2028}\u{e0041}"), "\\u{2028}\\u{e0041}");
    }

    #[test]
    fn lines_of_a_message_stay_apart_and_indented() {
        assert_eq!(
            escape_lines("one\n\u{1b}two\n", "  "),
            "  one\n  \\u{1b}two\n  "
        );
    }
}
