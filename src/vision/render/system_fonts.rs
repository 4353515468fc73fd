//! The fonts of a run: the file of `--font`, the built-in font, and the system's fonts (or those of the folder in
//! `$DINO_FONTS`), which are searched only when a name has letters that neither of the others has.
//!
//! The choice does not depend on the order in which a file system lists its files.

use std::cmp::Reverse;
use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use ab_glyph::{Font as _, FontRef};
use fontdb::{Database, FaceInfo, Source, Style};
use unicode_normalization::UnicodeNormalization;

use crate::error::{Error, Result};
use crate::terminal::warnings::Warnings;
use crate::vision::render::fonts::is_ignorable;
use crate::vision::render::{Captions, FontFace, Fonts, captions};

/// Parts of the names of families that draw a box or nothing for every letter.
const PLACEHOLDERS: [&str; 5] = [
    "lastresort",
    "last resort",
    "adobe blank",
    "fallback",
    "tofu",
];
/// Words in the names of families whose style differs from that of the built-in font.
const DISSIMILAR_WORDS: [&str; 6] = ["serif", "mono", "ming", "mincho", "song", "nastaliq"];
/// Most names that a warning lists.
const MAX_LISTED: usize = 3;

/// The captions of classes with `names`, drawn in the font of `file` where it has the letters. Names that no font can
/// draw are replaced by the ids of their classes, with one warning.
///
/// # Errors
/// [`Error::File`] if `file` cannot be read or is no font, or if `$DINO_FONTS` is no folder.
pub fn build_captions<'a>(
    names: impl IntoIterator<Item = &'a str>,
    file: Option<&Path>,
    warnings: &Warnings,
) -> Result<Captions> {
    let names: Vec<&str> = names.into_iter().collect();
    let captions = Captions::new(names.iter().copied(), load_fonts(&names, file)?);
    let blank = |id: &usize| captions::clean_name(names[*id]).is_none();
    let ids = (0..names.len()).filter(|&id| !captions.has_name(id));
    let lacking: Vec<usize> = ids.filter(|id| !blank(id)).collect();
    if let Some(&first) = lacking.first() {
        let listed: Vec<String> = lacking.iter().map(|&id| quoted(names[id])).collect();
        let subject = match lacking.len() {
            1 => format!("class {}", listed[0]),
            n if n <= MAX_LISTED => format!("classes {}", listed.join(", ")),
            n => format!(
                "classes {} and {} more",
                listed[..MAX_LISTED].join(", "),
                n - MAX_LISTED
            ),
        };
        let (whose, more) = match lacking.len() {
            1 => ("its", ""),
            _ => ("their", " and so on"),
        };
        warnings.add(
            "letters without a font",
            &subject,
            format_args!(
                "no font at hand has all {whose} letters, so pictures say \"class {first}\"{more} instead; name a font \
                 that has them with --font"
            ),
        );
    }
    Ok(captions)
}

/// The font of `file`, then the built-in one, then those of the system that `texts` need.
///
/// # Errors
/// As [`build_captions()`].
pub fn load_fonts(texts: &[&str], file: Option<&Path>) -> Result<Fonts> {
    let mut fonts = Fonts::preferring(file.map(read_faces).transpose()?.unwrap_or_default());
    let texts: Vec<String> = texts
        .iter()
        .filter_map(|text| captions::clean_name(text))
        .collect();
    let language = fonts.choose_han_language(texts.iter().map(String::as_str));
    let lacking: Vec<&String> = texts
        .iter()
        .filter(|text| !fonts.missing(text).is_empty())
        .collect();
    if !lacking.is_empty() {
        let missing = lacking.iter().flat_map(|text| fonts.missing(text));
        let letters: BTreeSet<char> = missing
            .flat_map(|part| part.chars().chain(part.nfd()))
            .collect();
        let mut others = SystemFaces::find(&letters, language)?;
        lacking
            .iter()
            .for_each(|text| others.add_missing(&mut fonts, text));
    }
    Ok(fonts)
}

/// Reads all faces of a font file.
fn read_faces(path: &Path) -> Result<Vec<FontFace>> {
    let bytes = crate::system::files::pipe::read_whole(path)?;
    let faces = FontFace::parse_all(bytes);
    match faces.is_empty() {
        true => Err(Error::file(
            path,
            "is no font with outlines that can be read; --font takes TTF, OTF and TTC files",
        )),
        false => Ok(faces),
    }
}

/// A name within a message: one line of at most 40 columns, in backticks.
fn quoted(name: &str) -> String {
    let name = captions::clean_name(name).unwrap_or_default();
    format!("`{}`", captions::truncate(&name, 40))
}

/// A face of the system that has some of the letters that are missing.
struct SystemFace {
    path: PathBuf,
    index: u32,
    letters: BTreeSet<char>,
}

impl SystemFace {
    /// Whether it has the letters of `part`, composed or decomposed.
    fn covers(&self, part: &str) -> bool {
        let has = |c: char| is_ignorable(c) || self.letters.contains(&c);
        part.chars().all(has) || part.nfd().all(has)
    }
}

/// The faces of the system that can help, the most similar to the built-in font first.
struct SystemFaces(Vec<SystemFace>);

impl SystemFaces {
    /// Finds the faces that have any of `letters`; among those for Chinese characters, faces for `language` come first.
    fn find(letters: &BTreeSet<char>, language: &str) -> Result<Self> {
        let mut database = Database::new();
        match std::env::var_os("DINO_FONTS").filter(|folder| !folder.is_empty()) {
            None => database.load_system_fonts(),
            Some(folder) if Path::new(&folder).is_dir() => database.load_fonts_dir(folder),
            Some(folder) => {
                return Err(Error::file(
                    folder,
                    "is no folder; DINO_FONTS names one whose fonts are used in place of the system's",
                ));
            }
        }
        let mut faces: Vec<&FaceInfo> = database.faces().filter(|face| is_usable(face)).collect();
        faces.sort_by_cached_key(|face| preference_key(face, language));
        let found = faces.into_iter().filter_map(|face| {
            let Source::File(path) = &face.source else {
                return None;
            };
            let letters = database.with_face_data(face.id, |data, index| {
                let font = FontRef::try_from_slice_and_index(data, index).ok()?;
                let has = |c: &char| font.glyph_id(*c).0 != 0;
                Some(letters.iter().copied().filter(has).collect())
            });
            let letters: BTreeSet<char> = letters.flatten()?;
            (!letters.is_empty()).then(|| SystemFace {
                path: path.clone(),
                index: face.index,
                letters,
            })
        });
        Ok(Self(found.collect()))
    }

    /// Adds faces to `fonts` until `text` can be drawn, or no face helps.
    fn add_missing(&mut self, fonts: &mut Fonts, text: &str) {
        loop {
            let missing = fonts.missing(text);
            let covered =
                |face: &SystemFace| missing.iter().filter(|part| face.covers(part)).count();
            // On ties, the first.
            let best = (0..self.0.len()).max_by_key(|&i| (covered(&self.0[i]), Reverse(i)));
            let Some(best) = best.filter(|&i| covered(&self.0[i]) > 0) else {
                return;
            };
            // Each face is tried once, whether it can be drawn with or not.
            let face = self.0.remove(best);
            let face = fs::read(&face.path)
                .ok()
                .and_then(|bytes| FontFace::parse(bytes, face.index));
            if let Some(face) = face {
                fonts.push(face);
                if fonts.missing(text).len() >= missing.len() {
                    fonts.pop();
                }
            }
        }
    }
}

/// Whether a face draws letters rather than placeholders.
fn is_usable(face: &FaceInfo) -> bool {
    let lower = |name: &String| name.to_lowercase();
    let mut families = face.families.iter().map(|(name, _)| lower(name));
    !families.any(|name| PLACEHOLDERS.iter().any(|word| name.contains(word)))
}

/// The sort key of a face: by similarity to the built-in font first, then by name and path.
fn preference_key(face: &FaceInfo, language: &str) -> impl Ord + use<> {
    let family = face.families.first().map_or("", |(name, _)| name.as_str());
    let lower = family.to_lowercase();
    let unlike = face.monospaced || DISSIMILAR_WORDS.iter().any(|word| lower.contains(word));
    // The East Asian region of a family, by which the names of the large ones end.
    let regions = [
        ("SC", "zh-Hans"),
        ("CN", "zh-Hans"),
        ("JP", "ja"),
        ("KR", "ko"),
        ("TC", ""),
        ("HK", ""),
        ("TW", ""),
    ];
    let foreign = regions
        .iter()
        .any(|(ending, suits)| family.ends_with(ending) && *suits != language);
    let path = match &face.source {
        Source::File(path) => path.clone(),
        _ => PathBuf::new(),
    };
    (
        (unlike, foreign, face.style != Style::Normal),
        face.stretch.to_number().abs_diff(5),
        // Roboto Medium's weight.
        face.weight.0.abs_diff(500),
        !lower.starts_with("noto sans"),
        (family.to_owned(), face.post_script_name.clone()),
        (path, face.index),
    )
}
