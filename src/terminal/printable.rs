//! Text that is safe for a terminal: names of files may contain escape sequences and line breaks, and must neither
//! control the terminal nor imitate lines of the program.

use std::borrow::Cow;

/// `text` with every control character written as an escape such as `\n` or `\x1b`.
///
/// Line breaks are kept only in lists that the program itself prints: after a colon, with each line indented by two
/// spaces.
pub fn printable(text: &str) -> Cow<'_, str> {
    if !text.contains(is_terminal_control) {
        return text.into();
    }
    let mut shown = String::with_capacity(text.len() + 8);
    let mut is_list = false;
    for (at, c) in text.char_indices() {
        match c {
            '\n' if text[at + 1..].starts_with("  ") && (is_list || text[..at].ends_with(':')) => {
                is_list = true;
                shown.push('\n');
            }
            '\n' | '\r' | '\t' => shown.extend(c.escape_default()),
            c if is_terminal_control(c) && c.is_ascii() => {
                shown.push_str(&format!("\\x{:02x}", u32::from(c)))
            }
            c if is_terminal_control(c) => shown.extend(c.escape_unicode()),
            c => shown.push(c),
        }
    }
    shown.into()
}

/// Control characters, line separators, and Unicode marks that change the direction of text.
fn is_terminal_control(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{200e}' | '\u{200f}' | '\u{061c}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_terminal_would_obey_is_spelled_out() {
        assert_eq!(
            printable("näh 日本.jpg: no such file"),
            "näh 日本.jpg: no such file"
        );
        assert_eq!(printable("a\nb\r\t.jpg"), r"a\nb\r\t.jpg");
        assert_eq!(printable("\x1b[2J\x07\u{9b}31m"), r"\x1b[2J\x07\u{9b}31m");
        assert_eq!(printable("gpj.\u{202e}exe"), r"gpj.\u{202e}exe");
        assert_eq!(printable("a\n  b"), r"a\n  b");
    }

    #[test]
    fn lines_below_a_sentence_stay_lines() {
        let text = "pip failed. It said:\n  no\n  such \x1b[1mpackage";
        assert_eq!(
            printable(text),
            "pip failed. It said:\n  no\n  such \\x1b[1mpackage"
        );
    }
}
