//! Errors of clap on the terminal. They repeat words of the command line, so control characters in these are escaped.

use std::io::Write;
use std::process::ExitCode;

use dino::terminal::printable::printable;

/// Prints help, version or an error; returns the exit code, 0 or 2.
pub fn print_clap_error(error: &clap::Error) -> ExitCode {
    let words = std::env::args_os().map(|word| word.to_string_lossy().into_owned());
    let odd: Vec<String> = words.filter(|word| printable(word) != *word).collect();
    // If printing fails, there is nowhere to report it.
    let _ = match odd.is_empty() || !error.use_stderr() {
        true => error.print(),
        false => write!(
            anstream::stderr(),
            "{}",
            escape_words(&error.render().to_string(), &odd)
        ),
    };
    u8::try_from(error.exit_code()).unwrap_or(2).into()
}

/// `text` with control characters escaped; line breaks only where they are part of one of the `words`.
fn escape_words(text: &str, words: &[String]) -> String {
    let values = words
        .iter()
        .filter_map(|word| Some(word.split_once('=')?.1));
    let mut words: Vec<&str> = words.iter().map(String::as_str).chain(values).collect();
    words.sort_unstable_by_key(|word| std::cmp::Reverse(word.len()));
    let text = words
        .iter()
        .filter(|word| !word.is_empty())
        .fold(text.to_owned(), |text, word| {
            text.replace(word, &printable(word))
        });
    let lines: Vec<_> = text.split('\n').map(printable).collect();
    lines.join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_typed_stays_on_its_line() {
        let words = ["--size=a\nb\x1b[2J".to_owned()];
        let text = "error: invalid value 'a\nb\x1b[2J'\n\nFor more information, try '--help'.\n";
        assert_eq!(
            escape_words(text, &words),
            "error: invalid value 'a\\nb\\x1b[2J'\n\nFor more information, try '--help'.\n"
        );
    }
}
