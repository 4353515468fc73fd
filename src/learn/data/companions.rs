//! Files among the labels that are not labels: previews and confidence maps made of them, and the other kinds of files
//! that Cityscapes has for each photo.

use std::collections::HashSet;

use crate::learn::data::affixes;
use crate::learn::data::data_set::LabelKind;
use crate::learn::data::pairing::NamedFile;

/// Leaves out files beside labels that are not labels; of Cityscapes' kinds of files it keeps one kind of ids.
pub(super) fn without_companions(
    mut labels: Vec<NamedFile>,
    kind: LabelKind,
    notes: &mut Vec<String>,
) -> Vec<NamedFile> {
    drop_derived(&mut labels, kind, notes);
    if kind == LabelKind::Depth {
        return labels;
    }
    let ends = |item: &NamedFile, end: &str| item.stem.to_ascii_lowercase().ends_with(end);
    let ids = ["_labeltrainids", "_labelids"]
        .into_iter()
        .find(|end| labels.iter().any(|item| ends(item, end)));
    let Some(ids) = ids else {
        return labels;
    };
    let others = [
        "_labeltrainids",
        "_labelids",
        "_color",
        "_instanceids",
        "_instancetrainids",
    ];
    let before = labels.len();
    labels.retain(|item| ends(item, ids) || !others.iter().any(|end| ends(item, end)));
    if labels.len() < before {
        let chosen = match ids {
            "_labelids" => "_labelIds",
            _ => "_labelTrainIds",
        };
        notes.push(format!(
            "of Cityscapes' files for a photo those that end in {chosen} are the labels"
        ));
    }
    labels
}

/// Leaves out files whose names say that they were made of a label that is there, too: `0_vis` beside `0_mask` or `0`.
fn drop_derived(labels: &mut Vec<NamedFile>, kind: LabelKind, notes: &mut Vec<String>) {
    let mut keys: HashSet<(String, String)> = HashSet::new();
    for item in labels.iter() {
        if affixes::strip_companion_word(&item.stem).is_some() {
            continue;
        }
        let mut add = |stem: &str| keys.insert((item.folder.clone(), stem.to_owned()));
        add(&item.stem);
        for affix in kind.name_words().find_affixes(&item.stem) {
            affix.strip(&item.stem).into_iter().for_each(|stem| {
                add(stem);
            });
        }
    }
    let is_other = |item: &NamedFile| {
        let stem = affixes::strip_companion_word(&item.stem);
        stem.is_some_and(|stem| keys.contains(&(item.folder.clone(), stem.to_owned())))
    };
    let (others, kept): (Vec<NamedFile>, Vec<NamedFile>) = labels.drain(..).partition(is_other);
    *labels = kept;
    if let Some(first) = others.first() {
        notes.push(format!(
            "{} files whose names say that they were made of labels are not taken for labels ({}, say)",
            others.len(),
            first.path.display()
        ));
    }
}
