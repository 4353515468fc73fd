//! Prefixes and suffixes of the names of photos and labels, around the part that they share: `0001_leftImg8bit` and
//! `0001_gtFine_labelIds`, `rgb_00045` and `sync_depth_00045`.

/// Words that the names of photos begin or end with, in lower case.
const PHOTO_WORDS: [&str; 18] = [
    "leftimg8bit",
    "rgb",
    "image",
    "images",
    "img",
    "im",
    "photo",
    "color",
    "colour",
    "colors",
    "colours",
    "frame",
    "input",
    "raw",
    "orig",
    "original",
    "left",
    "picture",
];
/// Words that the names of masks begin or end with, in lower case.
const MASK_WORDS: [&str; 24] = [
    "gtfine_labeltrainids",
    "gtfine_labelids",
    "gtcoarse_labeltrainids",
    "gtcoarse_labelids",
    "labeltrainids",
    "trainids",
    "labelids",
    "segmentation",
    "annotations",
    "annotation",
    "ground_truth",
    "groundtruth",
    "masks",
    "mask",
    "labels",
    "label",
    "anno",
    "segm",
    "seg",
    "gt",
    "target",
    "matte",
    "ids",
    "l",
];
/// Words that the names of depth maps begin or end with, in lower case.
const DEPTH_WORDS: [&str; 10] = [
    "sync_depth",
    "depth_map",
    "depthmap",
    "depth_gt",
    "gt_depth",
    "groundtruth_depth",
    "depths",
    "depth",
    "gt",
    "label",
];

/// Words at the end of the names of files beside labels that are not labels, such as previews made of them.
const COMPANION_WORDS: [&str; 16] = [
    "vis",
    "viz",
    "visualization",
    "color",
    "colour",
    "colors",
    "colours",
    "colored",
    "preview",
    "overlay",
    "std",
    "var",
    "uncertainty",
    "confidence",
    "conf",
    "valid",
];

/// The name of a file without the word that says that it is not a label (`0` of `0_vis`); none without such a word.
pub(super) fn strip_companion_word(stem: &str) -> Option<&str> {
    let lower = stem.to_ascii_lowercase();
    COMPANION_WORDS.iter().find_map(|word| {
        let rest = lower.strip_suffix(word)?;
        let rest = rest
            .strip_suffix(SEPARATORS)
            .filter(|rest| !rest.is_empty())?;
        stem.get(..rest.len())
    })
}

/// Characters between a word and the rest of a name.
const SEPARATORS: [char; 4] = ['_', '-', '.', ' '];

/// The words by which the files of one kind are named.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum NameWords {
    /// Words of photos.
    Photo,
    /// Words of masks.
    Mask,
    /// Words of depth maps.
    Depth,
}

impl NameWords {
    fn list(self) -> &'static [&'static str] {
        match self {
            NameWords::Photo => &PHOTO_WORDS,
            NameWords::Mask => &MASK_WORDS,
            NameWords::Depth => &DEPTH_WORDS,
        }
    }

    /// The affixes of `stem` that are one of these words with a separator, the longest first.
    pub fn find_affixes(self, stem: &str) -> Vec<Affix> {
        let lower = stem.to_ascii_lowercase();
        let mut found: Vec<Affix> = Vec::new();
        for word in self.list() {
            if let Some(rest) = lower.strip_suffix(word)
                && rest.len() > 1
                && rest.ends_with(SEPARATORS)
            {
                found.push(Affix::suffix(&stem[rest.len() - 1..]));
            }
            if let Some(rest) = lower.strip_prefix(word)
                && rest.len() > 1
                && rest.starts_with(SEPARATORS)
            {
                found.push(Affix::prefix(&stem[..=word.len()]));
            }
        }
        found.sort_by_key(|affix| std::cmp::Reverse(affix.len()));
        found
    }
}

/// A prefix and a suffix that are left out of a name; either may be empty.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub(super) struct Affix {
    prefix: String,
    suffix: String,
}

impl Affix {
    fn prefix(text: &str) -> Self {
        Affix {
            prefix: text.to_owned(),
            suffix: String::new(),
        }
    }

    fn suffix(text: &str) -> Self {
        Affix {
            prefix: String::new(),
            suffix: text.to_owned(),
        }
    }

    /// Bytes of prefix and suffix.
    pub fn len(&self) -> usize {
        self.prefix.len() + self.suffix.len()
    }

    /// `stem` without the affix; none where it does not have it, or is nothing else.
    pub fn strip<'a>(&self, stem: &'a str) -> Option<&'a str> {
        let head = stem.get(..self.prefix.len())?;
        let rest = stem.get(self.prefix.len()..)?;
        let cut = rest
            .len()
            .checked_sub(self.suffix.len())
            .filter(|&cut| cut > 0)?;
        let same = head.eq_ignore_ascii_case(&self.prefix)
            && rest.get(cut..)?.eq_ignore_ascii_case(&self.suffix);
        same.then(|| &rest[..cut])
    }

    /// Whether prefix and suffix are each one of `words` or empty.
    pub fn consists_of(&self, words: NameWords) -> bool {
        let is_word = |text: &str| {
            let word = text.trim_matches(SEPARATORS).to_ascii_lowercase();
            text.is_empty() || words.list().contains(&word.as_str())
        };
        is_word(&self.prefix) && is_word(&self.suffix)
    }

    /// For messages: `_mask`, `rgb_…` or `a_…_b`.
    pub fn describe(&self) -> String {
        match (self.prefix.is_empty(), self.suffix.is_empty()) {
            (true, _) => self.suffix.clone(),
            (_, true) => format!("{}…", self.prefix),
            _ => format!("{}…{}", self.prefix, self.suffix),
        }
    }
}

/// The affixes that all `stems` have in common and that border on a separator or a number; also the whole suffix in
/// common. The shortest, the empty one, comes first.
pub(super) fn common_affixes<'a>(stems: impl Iterator<Item = &'a str> + Clone) -> Vec<Affix> {
    let mut all = stems.clone();
    let Some(first) = all.next() else {
        return vec![Affix::default()];
    };
    let (mut head, mut tail) = (first, first);
    for stem in all {
        let same = head.chars().zip(stem.chars()).take_while(|(a, b)| a == b);
        head = &head[..same.map(|(a, _)| a.len_utf8()).sum()];
        let same = tail.chars().rev().zip(stem.chars().rev());
        let same = same.take_while(|(a, b)| a == b).map(|(a, _)| a.len_utf8());
        tail = &tail[tail.len() - same.sum::<usize>()..];
    }
    let mut prefixes = vec![""];
    let mut suffixes = vec![""];
    for (at, letter) in head.char_indices() {
        let end = at + letter.len_utf8();
        let next = first[end..].chars().next();
        let to_number = !letter.is_ascii_digit() && next.is_some_and(|c| c.is_ascii_digit());
        if SEPARATORS.contains(&letter) || to_number {
            prefixes.push(&head[..end]);
        }
    }
    let start = first.len() - tail.len();
    for (at, letter) in tail.char_indices() {
        let before = first[..start + at].chars().next_back();
        let from_number = !letter.is_ascii_digit() && before.is_some_and(|c| c.is_ascii_digit());
        if SEPARATORS.contains(&letter) || from_number || at == 0 {
            suffixes.push(&tail[at..]);
        }
    }
    let mut affixes: Vec<Affix> = Vec::new();
    for prefix in &prefixes {
        for suffix in &suffixes {
            let affix = Affix {
                prefix: (*prefix).to_owned(),
                suffix: (*suffix).to_owned(),
            };
            if stems.clone().all(|stem| affix.strip(stem).is_some()) {
                affixes.push(affix);
            }
        }
    }
    affixes.push(Affix::default());
    affixes.sort_by(|a, b| (a.len(), &a.prefix, &a.suffix).cmp(&(b.len(), &b.prefix, &b.suffix)));
    affixes.dedup();
    affixes
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(stems: &[&str]) -> Vec<String> {
        let affixes = common_affixes(stems.iter().copied());
        affixes.iter().map(Affix::describe).collect()
    }

    #[test]
    fn affixes_end_where_words_do() {
        assert_eq!(words(&["10_mask", "20_mask"]), ["", "_mask", "0_mask"]);
        assert_eq!(words(&["rgb_001", "rgb_002"])[..2], ["", "rgb_…"]);
        assert_eq!(words(&["mask1", "mask2"]), ["", "mask…"]);
        assert_eq!(words(&["a"]), [""]);
    }

    #[test]
    fn words_are_found_whatever_their_case() {
        let found = NameWords::Mask.find_affixes("x_gtFine_labelIds");
        assert_eq!(found[0].strip("x_gtFine_labelIds"), Some("x"));
        assert_eq!(
            NameWords::Depth.find_affixes("sync_depth_00045")[0].strip("sync_depth_00045"),
            Some("00045")
        );
        assert_eq!(
            NameWords::Mask.find_affixes("a_MASK")[0].strip("b_mask"),
            Some("b")
        );
        assert!(
            NameWords::Mask.find_affixes("mask").is_empty()
                && NameWords::Mask.find_affixes("unmask").is_empty()
        );
    }
}
