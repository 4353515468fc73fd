//! The fonts that draw text: the built-in one (Roboto Medium, see `font/`), faces that are preferred to it, and faces
//! for the letters that it lacks. This module parses bytes; [`system_fonts`](crate::vision::render::system_fonts) finds
//! the files.

use std::sync::{Arc, LazyLock};

use ab_glyph::{Font as _, FontRef};
use harfrust::Font;
use harfrust::font::Blob;
use unicode_normalization::UnicodeNormalization;
use unicode_normalization::char::is_combining_mark;

/// The file of the built-in font.
const BUILT_IN_BYTES: &[u8] = include_bytes!("font/Roboto-Medium.ttf");

/// The built-in font, parsed for drawing letter by letter without shaping.
pub(super) static BUILT_IN_FONT: LazyLock<FontRef<'static>> = LazyLock::new(|| {
    // The file is part of the program, and a test reads it.
    #[allow(clippy::expect_used)]
    FontRef::try_from_slice(BUILT_IN_BYTES).expect("the font is sound")
});

/// Weight of the built-in font; variable fonts are set to it.
const WEIGHT: f32 = 500.0;
/// Most faces that are read from one file.
const MAX_FACES: u32 = 64;

/// One face of a font file.
#[derive(Clone)]
pub struct FontFace {
    pub(super) font: Font,
}

impl FontFace {
    /// Parses the face at `index` of a TrueType, OpenType or collection file; none if it is broken or maps no letters
    /// to outlines.
    pub fn parse(bytes: impl Into<Blob>, index: u32) -> Option<Self> {
        let font = Font::new(bytes.into(), index)?;
        let usable = font.units_per_em() > 0
            && font.charmap().has_unicode()
            && !font.outline_glyphs().is_empty();
        let varied = || font.instance_builder().variations([("wght", WEIGHT)]);
        usable.then(|| Self {
            font: varied().build(),
        })
    }

    /// Parses the faces of a file, in its order, up to the first that cannot be drawn with.
    pub fn parse_all(bytes: Vec<u8>) -> Vec<Self> {
        let bytes: Arc<dyn AsRef<[u8]> + Send + Sync> = Arc::new(bytes);
        let face = |index| Self::parse(Blob::from(bytes.clone()), index);
        (0..MAX_FACES).map_while(face).collect()
    }

    /// Whether it maps every character of `cluster` (a grapheme cluster), composed or decomposed.
    fn covers(&self, cluster: &str) -> bool {
        let map = self.font.charmap();
        let has = |c: char| is_ignorable(c) || map.map_unicode(c).is_some();
        cluster.chars().all(has) || cluster.nfd().all(has)
    }
}

/// Faces in order of preference. The built-in one is always among them, so that Latin, Greek and Cyrillic text can be
/// drawn.
#[derive(Clone)]
pub struct Fonts {
    pub(super) faces: Vec<FontFace>,
    /// Number of faces before the built-in one.
    preferred: usize,
    /// The language whose forms Chinese characters take, as a BCP 47 tag.
    pub(super) han_language: &'static str,
}

impl Fonts {
    /// The built-in font alone, whose letters are drawn the same on every machine.
    pub fn built_in() -> Self {
        Self::preferring(Vec::new())
    }

    /// The built-in font behind `faces`, which are preferred to it.
    pub fn preferring(faces: Vec<FontFace>) -> Self {
        static FACE: LazyLock<Option<FontFace>> =
            LazyLock::new(|| FontFace::parse(BUILT_IN_BYTES, 0));
        Self {
            preferred: faces.len(),
            faces: faces.into_iter().chain(FACE.clone()).collect(),
            han_language: "zh-Hans",
        }
    }

    /// Adds a face behind all others, for letters that those lack.
    pub fn push(&mut self, face: FontFace) {
        self.faces.push(face);
    }

    /// Removes the last face.
    pub fn pop(&mut self) {
        self.faces.pop();
    }

    /// Chooses the forms of Chinese characters by the script of `texts`: Japanese if there is kana among them, Korean
    /// if there is hangul, else simplified Chinese. Returns the BCP 47 tag.
    pub fn choose_han_language<'a>(
        &mut self,
        texts: impl IntoIterator<Item = &'a str>,
    ) -> &'static str {
        let (mut kana, mut hangul) = (false, false);
        for c in texts.into_iter().flat_map(str::chars) {
            kana |= matches!(c, '\u{3041}'..='\u{30FF}');
            hangul |= matches!(c, '\u{1100}'..='\u{11FF}' | '\u{AC00}'..='\u{D7A3}');
        }
        self.han_language = match (kana, hangul) {
            (true, _) => "ja",
            (false, true) => "ko",
            (false, false) => "zh-Hans",
        };
        self.han_language
    }

    /// Number of faces, with the built-in one.
    pub fn count(&self) -> usize {
        self.faces.len()
    }

    /// Whether the built-in font draws `text` letter by letter from left to right, without shaping.
    pub(super) fn is_built_in(&self, text: &str) -> bool {
        let plain =
            |c| !is_ignorable(c) && !is_combining_mark(c) && BUILT_IN_FONT.glyph_id(c).0 != 0;
        let preferred = &self.faces[..self.preferred.min(self.faces.len())];
        // A preferred font that has only the spaces of a text is not used for it.
        let is_theirs = |c: char| {
            let mut buffer = [0; 4];
            let cluster = &*c.encode_utf8(&mut buffer);
            !c.is_whitespace() && preferred.iter().any(|face| face.covers(cluster))
        };
        text.chars().all(plain) && !text.chars().any(is_theirs)
    }

    /// Index of the first face that covers `cluster`.
    pub(super) fn face_for(&self, cluster: &str) -> Option<usize> {
        self.faces.iter().position(|face| face.covers(cluster))
    }
}

/// Whether a character is invisible where it is not supported (Unicode's Default_Ignorable_Code_Point).
pub(crate) fn is_ignorable(c: char) -> bool {
    matches!(c,
        '\u{AD}' | '\u{34F}' | '\u{61C}' | '\u{115F}'..='\u{1160}' | '\u{17B4}'..='\u{17B5}'
        | '\u{180B}'..='\u{180F}' | '\u{200B}'..='\u{200F}' | '\u{202A}'..='\u{202E}' | '\u{2060}'..='\u{206F}'
        | '\u{3164}' | '\u{FE00}'..='\u{FE0F}' | '\u{FEFF}' | '\u{FFA0}' | '\u{FFF0}'..='\u{FFF8}'
        | '\u{1BCA0}'..='\u{1BCA3}' | '\u{1D173}'..='\u{1D17A}' | '\u{E0000}'..='\u{E0FFF}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_built_in_font_has_what_labels_need() {
        let signs = "0123456789.±−–≤ m°ABCxyzäéçñßŁžШжΩ…";
        assert!(Fonts::built_in().is_built_in(signs));
        assert_eq!(Fonts::built_in().missing(signs), [""; 0]);
        assert_eq!(Fonts::built_in().faces.len(), 1, "both readers take it");
    }

    #[test]
    fn latin_greek_and_cyrillic_letters_are_all_built_in() {
        let blocks = [
            0x20..=0x7E,
            0xA1..=0x24F,
            0x370..=0x3E1,
            0x3F0..=0x3FF,
            0x400..=0x482,
            0x48A..=0x52F,
            0x1E00..=0x1EFF,
            0x1F00..=0x1FFF,
        ];
        // The soft hyphen is never drawn.
        let letters = blocks.into_iter().flatten().filter(|code| *code != 0xAD);
        for c in letters.filter_map(char::from_u32) {
            // Codes that Unicode has not given away yet are in no font.
            let given = c.is_alphabetic() || c.is_ascii();
            assert!(
                !given || Fonts::built_in().is_built_in(&c.to_string()),
                "{c:?}"
            );
        }
        for name in ["ghișeu", "ghế tựa", "Ґанок", "орындық ұ", "καρέκλα ἄλφα"]
        {
            assert_eq!(Fonts::built_in().missing(name), [""; 0], "{name}");
        }
    }

    #[test]
    fn broken_files_are_no_fonts() {
        for bytes in [&b""[..], b"no font", &BUILT_IN_BYTES[..900]] {
            assert!(FontFace::parse_all(bytes.to_vec()).is_empty());
        }
        assert_eq!(FontFace::parse_all(BUILT_IN_BYTES.to_vec()).len(), 1);
        // Every cut is either refused or can be drawn with, without a panic.
        for cut in (0..BUILT_IN_BYTES.len()).step_by(3_001) {
            let faces = FontFace::parse_all(BUILT_IN_BYTES[..cut].to_vec());
            let _ = Fonts::preferring(faces).missing("chair");
        }
    }

    #[test]
    fn chinese_characters_suit_their_readers() {
        let mut fonts = Fonts::built_in();
        assert_eq!(fonts.choose_han_language(["猫", "狗"]), "zh-Hans");
        assert_eq!(fonts.choose_han_language(["猫", "いぬ"]), "ja");
        assert_eq!(fonts.choose_han_language(["猫", "개"]), "ko");
    }
}
