//! The text by which a picture names each class: its name where the fonts can draw it, else "class" and its id. A
//! picture never shows an empty label, or boxes in place of letters.

use std::borrow::Cow;

use unicode_normalization::UnicodeNormalization;
use unicode_segmentation::UnicodeSegmentation;
use unicode_width::UnicodeWidthStr;

use crate::vision::render::fonts::{Fonts, is_ignorable};

/// Greatest width of a name in columns (UAX 11: Chinese, Japanese and Korean letters take two); the rest is cut off.
const NAME_COLUMNS: usize = 28;
/// The same where names have a margin of their own.
const LONG_COLUMNS: usize = 60;

/// The names of classes as they are drawn, and the fonts that draw them.
#[derive(Clone)]
pub struct Captions {
    names: Vec<Option<String>>,
    /// The fonts, which can draw all names and numbers.
    pub fonts: Fonts,
}

impl Captions {
    /// The captions of classes with `names`, in the order of their ids. A name that `fonts` cannot draw, or in which
    /// nothing is visible, is replaced by the id.
    pub fn new<'a>(names: impl IntoIterator<Item = &'a str>, fonts: Fonts) -> Self {
        let drawn = |name: &str| clean_name(name).filter(|name| fonts.missing(name).is_empty());
        Self {
            names: names.into_iter().map(drawn).collect(),
            fonts,
        }
    }

    /// Number of classes.
    pub fn len(&self) -> usize {
        self.names.len()
    }

    /// Whether there are no classes.
    pub fn is_empty(&self) -> bool {
        self.names.is_empty()
    }

    /// Whether the class `id` is captioned by its name.
    pub fn has_name(&self, id: usize) -> bool {
        self.names.get(id).is_some_and(Option::is_some)
    }

    /// The caption of the class `id`, cut to 28 columns.
    pub fn name(&self, id: usize) -> Cow<'_, str> {
        match self.names.get(id) {
            Some(Some(name)) => truncate(name, NAME_COLUMNS),
            _ => format!("class {id}").into(),
        }
    }

    /// The caption of the class `id` followed by the id, with the name cut to 60 columns.
    pub fn numbered(&self, id: usize) -> String {
        match self.names.get(id) {
            Some(Some(name)) => {
                let name = truncate(name, LONG_COLUMNS);
                match self.fonts.is_built_in(&name) {
                    true => format!("{name} {id}"),
                    // An isolate, so that a name that runs from right to left does not take the number with it.
                    false => format!("\u{2068}{name}\u{2069} {id}"),
                }
            }
            _ => format!("class {id}"),
        }
    }
}

/// A name as one line of composed characters (NFC), without characters that only control layout; none if nothing is
/// visible.
pub fn clean_name(name: &str) -> Option<String> {
    let spaced = |c: char| match c.is_control() || matches!(c, '\u{2028}' | '\u{2029}') {
        true => ' ',
        false => c,
    };
    // Joiners and selectors change the form of letters and stay; marks of direction would only confuse a single line.
    let layout = |c: &char| {
        matches!(c, '\u{AD}' | '\u{61C}' | '\u{200B}' | '\u{200E}' | '\u{200F}' | '\u{202A}'..='\u{202E}'
            | '\u{2060}'..='\u{206F}' | '\u{FEFF}')
    };
    let text: String = name
        .nfc()
        .map(spaced)
        .filter(|c| !layout(c))
        .collect::<String>();
    let words: Vec<&str> = text.split_whitespace().collect();
    let text = words.join(" ");
    let shows = text.chars().any(|c| !c.is_whitespace() && !is_ignorable(c));
    shows.then_some(text)
}

/// `text` in at most `columns` columns, cut between two letters and ended by an ellipsis if it is longer.
pub fn truncate(text: &str, columns: usize) -> Cow<'_, str> {
    if text.width() <= columns {
        return text.into();
    }
    let (mut end, mut taken) = (0, 0);
    for (at, cluster) in text.grapheme_indices(true) {
        taken += cluster.width();
        if taken >= columns {
            break;
        }
        end = at + cluster.len();
    }
    format!("{}…", text.get(..end).unwrap_or_default()).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn captions(names: &[&str]) -> Captions {
        Captions::new(names.iter().copied(), Fonts::built_in())
    }

    #[test]
    fn names_are_one_clean_line() {
        let cleaned = |name| clean_name(name).unwrap_or_default();
        assert_eq!(cleaned("traffic light"), "traffic light");
        assert_eq!(
            cleaned(" two\r\nlines\tand\u{7} bells "),
            "two lines and bells"
        );
        assert_eq!(cleaned("e\u{301}te\u{301}"), "été");
        assert_eq!(cleaned("a\u{202E}b\u{200B}c\u{FEFF}"), "abc");
        assert_eq!(
            cleaned("क्\u{200D}ष"),
            "क्\u{200D}ष",
            "a joiner has a meaning"
        );
        for empty in ["", " \n", "\u{200B}\u{FEFF}", "\u{3164}", "\u{FE0F}"] {
            assert_eq!(clean_name(empty), None, "{empty:?}");
        }
    }

    #[test]
    fn what_cannot_be_drawn_gives_way_to_its_id() {
        let captions = captions(&["sky", "猫", "", "\n", "cat 🐱", "e\u{301}te\u{301}"]);
        let names: Vec<_> = (0..6).map(|id| captions.name(id)).collect();
        assert_eq!(
            names,
            ["sky", "class 1", "class 2", "class 3", "class 4", "été"]
        );
        assert_eq!(captions.numbered(0), "sky 0");
        assert_eq!(captions.numbered(1), "class 1");
        assert_eq!(captions.name(99), "class 99");
    }

    #[test]
    fn other_scripts_are_drawn_where_there_are_fonts() {
        let fonts = crate::vision::render::text_layout::tests::all_fonts();
        let captions = Captions::new(["天空", "חתול", "sky"], fonts);
        assert_eq!(captions.name(0), "天空");
        assert_eq!(captions.numbered(1), "\u{2068}חתול\u{2069} 1");
        assert_eq!(captions.numbered(2), "sky 2");
        assert!(captions.has_name(1) && !captions.has_name(3));
    }

    #[test]
    fn endless_names_are_cut_between_letters() {
        assert_eq!(truncate("chair", 5), "chair");
        assert_eq!(truncate("chairs", 5), "chai…");
        assert_eq!(truncate("天空天空", 8), "天空天空");
        assert_eq!(truncate("天空天空", 7), "天空天…");
        assert_eq!(truncate("天空天空", 6), "天空…");
        // A letter with its vowel sign and its tone stays whole.
        assert_eq!(truncate("ที่ที่ที่", 2), "ที่…");
        assert_eq!(
            captions(&[&"x".repeat(1000)]).name(0).chars().count(),
            NAME_COLUMNS
        );
    }
}
