//! `--classes`: from names to the classes that are shown, with suggestions for misspelt ones.

use std::borrow::Cow;

use crate::error::{Error, Result};
use crate::model::head::{Class, HeadTask};
use crate::model::head_zoo::builtin;
use crate::terminal::printable::printable;
use crate::terminal::suggest;
use crate::vision::render::captions;

/// The most class names that a message lists.
const MAX_LISTED: usize = 40;

/// One flag a class, by the names in `wanted`, whatever their case; `None` if there are none. `of` names the owner of
/// the classes in messages.
///
/// # Errors
/// [`Error::Usage`] for an unknown name, with a similar one or the list of names.
pub fn class_mask(wanted: &[String], classes: &[Class], of: &str) -> Result<Option<Vec<bool>>> {
    if wanted.is_empty() {
        return Ok(None);
    }
    let mut kept = vec![false; classes.len()];
    for name in wanted {
        let lower = name.trim().to_lowercase();
        let mut known = false;
        for (flag, class) in kept.iter_mut().zip(classes) {
            if class.name.to_lowercase() == lower {
                (*flag, known) = (true, true);
            }
        }
        if !known {
            return Err(Error::Usage(format!(
                "--classes: {of} has no class `{}`{}{}",
                name.trim(),
                suggest_class(&lower, classes),
                suggest_other_head(&lower)
            )));
        }
    }
    Ok(Some(kept))
}

/// The name of the class `id` in one line of a terminal; `class ID` where no letter of the name is printable.
pub fn printable_class_name(id: usize, name: &str) -> Cow<'_, str> {
    match captions::clean_name(name) {
        Some(_) => printable(name),
        None => format!("class {id}").into(),
    }
}

/// Names a built-in head that has the class `wanted`, as the end of a message.
fn suggest_other_head(wanted: &str) -> String {
    let has = |head: &crate::model::head::Head| match &head.meta.task {
        HeadTask::Segment { classes } => classes.iter().any(|it| it.name.to_lowercase() == wanted),
        _ => false,
    };
    let mut heads = builtin::all().filter_map(|(name, head)| Some((name, head.ok()?)));
    match heads.find(|(_, head)| has(head)) {
        Some((name, _)) => format!("; --head {name} has it"),
        None => String::new(),
    }
}

/// A similar name, or the list of names, as the end of a message.
fn suggest_class(wanted: &str, classes: &[Class]) -> String {
    let names: Vec<&str> = classes.iter().map(|class| class.name.as_str()).collect();
    let question = suggest::did_you_mean(wanted, names.iter().copied());
    if !question.is_empty() {
        return question;
    }
    let shown = names[..names.len().min(MAX_LISTED)].join(", ");
    let more = match names.len() {
        n if n > MAX_LISTED => format!(
            " and {} more; `dino heads info` lists them all",
            n - MAX_LISTED
        ),
        _ => String::new(),
    };
    format!("; it has {shown}{more}")
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn classes() -> Vec<Class> {
        ["person", "traffic light", "car"]
            .map(|name| Class {
                name: name.into(),
                color: [0; 3],
            })
            .to_vec()
    }

    #[test]
    fn names_are_shown_in_one_line() {
        assert_eq!(printable_class_name(3, "näh 日本"), "näh 日本");
        assert_eq!(printable_class_name(3, "a\nb\u{1b}[2J"), r"a\nb\x1b[2J");
        for blank in ["", " ", "\u{200b}\n"] {
            assert_eq!(printable_class_name(3, blank), "class 3");
        }
    }

    fn kept_of(names: &[&str]) -> Result<Option<Vec<bool>>> {
        let names: Vec<String> = names.iter().map(ToString::to_string).collect();
        class_mask(&names, &classes(), "the head street")
    }

    #[test]
    fn names_become_flags_in_any_case() {
        assert_eq!(kept_of(&[]).unwrap(), None);
        let flags = kept_of(&["Car", " traffic light"]).unwrap();
        assert_eq!(flags, Some(vec![false, true, true]));
    }

    #[test]
    fn typos_get_a_suggestion_and_strangers_the_list() {
        let said = |name: &str| kept_of(&["car", name]).unwrap_err().to_string();
        assert!(said("persn").ends_with("no class `persn`; did you mean `person`?"));
        assert!(said("light").ends_with("did you mean `traffic light`?"));
        // The message names another head that has the class.
        assert!(
            said("zebra").ends_with("; --head everyday has it"),
            "{}",
            said("zebra")
        );
        assert!(said("quark").ends_with("it has person, traffic light, car"));
    }
}
