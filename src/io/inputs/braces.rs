//! Brace expansion in inputs, as in shells and WebDataset: `data-{000..099}.tar`, `{left,right}/*.png`.

use crate::error::{Error, Result};

/// Maximum number of names that one input may expand to.
const MAX_NAMES: usize = 1_000_000;

/// The names that `text` expands to, in the order of a shell; `None` if it has no braces that expand.
///
/// # Errors
/// [`Error::Usage`] if there are more than a million, or braces are nested.
pub(super) fn expand(text: &str) -> Result<Option<Vec<String>>> {
    let mut names = vec![String::new()];
    let mut rest = text;
    let mut has_any = false;
    while let Some((before, inner, after)) = split_at_braces(rest) {
        let Some(choices) = choices(inner)? else {
            // Braces that do not expand are part of the name.
            let (literal, after) = rest.split_at(before.len() + 1);
            names.iter_mut().for_each(|name| name.push_str(literal));
            rest = after;
            continue;
        };
        has_any = true;
        if names.len().saturating_mul(choices.len()) > MAX_NAMES {
            return Err(too_many(text));
        }
        let with = |name: &String| -> Vec<String> {
            let choices = choices.iter();
            choices
                .map(|choice| format!("{name}{before}{choice}"))
                .collect()
        };
        names = names.iter().flat_map(with).collect();
        rest = after;
    }
    names.iter_mut().for_each(|name| name.push_str(rest));
    Ok(has_any.then_some(names))
}

/// The text before, inside and after the first braces, which end at the first `}`.
fn split_at_braces(text: &str) -> Option<(&str, &str, &str)> {
    let open = text.find('{')?;
    let close = open + text[open..].find('}')?;
    Some((&text[..open], &text[open + 1..close], &text[close + 1..]))
}

/// The alternatives in braces: a range of numbers, or several words; `None` if they do not expand.
///
/// # Errors
/// [`Error::Usage`] if braces are nested, or the range has more than a million numbers.
fn choices(inner: &str) -> Result<Option<Vec<String>>> {
    if inner.contains('{') {
        return Err(Error::Usage(format!(
            "{{{inner}}}: braces within braces are not read; write the names out, or several inputs"
        )));
    }
    if let Some(range) = range(inner) {
        return range.map(Some);
    }
    let words: Vec<String> = inner.split(',').map(str::to_owned).collect();
    Ok((words.len() > 1).then_some(words))
}

/// The numbers of a range such as `000..099` or `0..100..5` (the step last), padded to the longer of the two ends if
/// one of them begins with 0; `None` if the text is not a range.
fn range(inner: &str) -> Option<Result<Vec<String>>> {
    let mut parts = inner.split("..");
    let (from, to, step) = (parts.next()?, parts.next()?, parts.next());
    if parts.next().is_some() {
        return None;
    }
    let is_padded = |text: &str| text.len() > 1 && text.trim_start_matches('-').starts_with('0');
    let width = match is_padded(from) || is_padded(to) {
        true => from.len().max(to.len()),
        false => 0,
    };
    let (first, last): (i64, i64) = (from.parse().ok()?, to.parse().ok()?);
    let step: u64 = match step {
        Some(step) => step.parse().ok().filter(|&step| step > 0)?,
        None => 1,
    };
    let count = first.abs_diff(last) / step;
    if count >= MAX_NAMES as u64 {
        return Some(Err(too_many(inner)));
    }
    let sign: i128 = if first <= last { 1 } else { -1 };
    let number = |index: u64| i128::from(first) + sign * i128::from(index * step);
    let names = (0..=count).map(|index| format!("{:0width$}", number(index)));
    Some(Ok(names.collect()))
}

/// The error for an input with more than a million names.
fn too_many(text: &str) -> Error {
    Error::Usage(format!(
        "{text}: its braces stand for more than a million names; write them into a list (--files-from)"
    ))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn names(text: &str) -> Vec<String> {
        expand(text).unwrap().unwrap()
    }

    #[test]
    fn ranges_and_words_are_written_out_as_a_shell_does() {
        assert_eq!(
            names("d-{008..011}.tar"),
            ["d-008.tar", "d-009.tar", "d-010.tar", "d-011.tar"]
        );
        assert_eq!(names("{9..11}"), ["9", "10", "11"]);
        assert_eq!(names("{3..1}x"), ["3x", "2x", "1x"]);
        assert_eq!(names("{0..10..5}"), ["0", "5", "10"]);
        assert_eq!(
            names("{a,b}/{1..2}.{jpg,}"),
            [
                "a/1.jpg", "a/1.", "a/2.jpg", "a/2.", "b/1.jpg", "b/1.", "b/2.jpg", "b/2."
            ]
        );
        assert_eq!(names("{x}-{1,2}"), ["{x}-1", "{x}-2"]);
    }

    #[test]
    fn braces_that_stand_for_nothing_are_left_alone() {
        for text in ["a.jpg", "{}", "{a}.jpg", "{1..x}", "a}b{c", "{1..2..0}"] {
            assert_eq!(expand(text).unwrap(), None, "{text}");
        }
        assert!(expand("{a,{b,c}}").is_err());
    }

    #[test]
    fn nobody_waits_for_a_billion_names() {
        for text in [
            "{0..9999999999}",
            "{1..2000}{1..2000}",
            "{-9223372036854775808..9223372036854775807}",
        ] {
            let error = expand(text).unwrap_err().to_string();
            assert!(error.contains("more than a million"), "{error}");
        }
    }
}
