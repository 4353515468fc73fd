//! Resolution of a file, or of a word of the command line, to a published head.

use std::path::Path;

use crate::error::{Error, Result};
use crate::model::head_zoo::builtin;
use crate::model::head_zoo::depth_anything::{self, DepthAnythingHead};
use crate::model::head_zoo::official::{self, OfficialHead};
use crate::model::head_zoo::published::PublishedHead;
use crate::terminal::suggest;

/// Backbones with published heads, for messages.
const REG_OR_PLAIN: &str =
    "vits14, vitb14, vitl14 or vitg14, or one of them with -reg for classifiers";

/// Chooses the one of `candidates` that the file `path` holds: the one whose published name `path` or `hint` has, else
/// the only candidate, else the only one whose data set `hint` names.
pub(super) fn choose_candidate(
    candidates: &[PublishedHead],
    path: &Path,
    hint: &str,
) -> Result<PublishedHead> {
    let called = [hint.to_owned(), path.display().to_string()];
    let exact = |head: &&PublishedHead| match head {
        PublishedHead::Meta(head) => {
            let file = head.remote_path();
            Path::new(&file).file_name() == path.file_name()
        }
        PublishedHead::DepthAnything(head) => called
            .iter()
            .any(|name| DepthAnythingHead::from_path(name) == Some(*head)),
    };
    if let Some(head) = candidates.iter().find(exact) {
        return Ok(*head);
    }
    if let [head] = candidates {
        return Ok(*head);
    }
    let hint = hint.to_ascii_lowercase();
    let last_two: String = hint
        .rsplit(['/', '\\'])
        .take(2)
        .collect::<Vec<_>>()
        .join("/");
    let named: Vec<&PublishedHead> = candidates
        .iter()
        .filter(|head| match head {
            PublishedHead::Meta(head) => last_two.contains(head.dataset.name()),
            // Only a whole name tells metres from relative depth here.
            PublishedHead::DepthAnything(_) => false,
        })
        .collect();
    if let [head] = named.as_slice() {
        return Ok(**head);
    }
    if candidates.is_empty() {
        let why = "has the tensors of a head, but the sizes of none that was published";
        return Err(Error::file(path, why));
    }
    let names: Vec<String> = candidates.iter().map(PublishedHead::name).collect();
    Err(Error::file(
        path,
        format!(
            "could be {}: their tensors are alike; say which with --as NAME",
            names.join(" or ")
        ),
    ))
}

/// The heads of the backbone `model` that the `words` of a command line name, each once.
///
/// # Errors
/// [`Error::Usage`] if no heads were published for `model`, or a word names none; the message lists the valid names.
pub fn resolve_names(words: &[String], model: &str) -> Result<Vec<OfficialHead>> {
    if !official::PLAIN_BACKBONES.contains(&model) && !official::REGISTER_BACKBONES.contains(&model)
    {
        return Err(Error::Usage(format!(
            "no heads were published for {model}; expected {REG_OR_PLAIN}"
        )));
    }
    let mut all: Vec<OfficialHead> = Vec::new();
    for word in words {
        let found = official::matching(word, model);
        if found.is_empty() {
            let groups: Vec<String> = official::all()
                .filter(|head| head.backbone == model)
                .map(|head| head.group())
                .collect();
            let others: Vec<String> = depth_anything::all().map(|head| head.name()).collect();
            let names = groups.iter().chain(&others);
            let near = suggest::did_you_mean(word, names.map(String::as_str));
            if builtin::all().any(|(name, _)| name == word) {
                return Err(Error::Usage(format!(
                    "`{word}` is inside the program and need not be pulled; --head {word} uses it"
                )));
            }
            return Err(Error::Usage(format!(
                "`{word}` is no published head of {model}{near}; there are {}, and official for all of them; da2-small and its like \
                 are Depth Anything's",
                groups.join(", ")
            )));
        }
        for head in found {
            if !all.contains(&head) {
                all.push(head);
            }
        }
    }
    Ok(all)
}
