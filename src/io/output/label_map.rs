//! A [`LabelMap`] as exact ids (an indexed PNG in its classes' colours, or a NumPy array), and as one black and white
//! mask for each class.
//!
//! Ids have 8 bits if the head has at most 255 classes, else 16; the largest value (255 or 65535) means no class, as in
//! common data sets.

use std::collections::HashSet;
use std::io::{self, Write};

use unicode_normalization::UnicodeNormalization;
use unicode_normalization::char::is_combining_mark;
use unicode_segmentation::UnicodeSegmentation;

use crate::io::output::npy::write_npy;
use crate::io::output::png::{PngPixels, write_png};
use crate::model::head::Class;
use crate::vision::postprocess::{LabelMap, NO_CLASS};
use crate::vision::render::fonts::is_ignorable;

/// Palette colour of pixels without a class: that of `void` in PASCAL VOC, which no class has.
const NONE_COLOR: [u8; 3] = [224, 224, 192];

/// The PNG keyword of the class names of a file of ids, as a JSON list.
pub const MASK_CLASSES_KEY: &str = "dino:classes";

/// The PNG keyword of the name of the class that is white in a mask.
pub const MASK_CLASS_KEY: &str = "dino:class";

/// Class ids of a map, in 8 bits if the number of classes allows it, else 16.
enum NarrowIds<'a> {
    Bytes(Vec<u8>),
    Words(&'a [u16]),
}

impl<'a> NarrowIds<'a> {
    fn new(map: &'a LabelMap, classes: usize) -> Self {
        match classes <= usize::from(u8::MAX) {
            // No class (65535) becomes 255.
            true => NarrowIds::Bytes(map.ids.iter().map(|&id| id.min(255) as u8).collect()),
            false => NarrowIds::Words(&map.ids),
        }
    }
}

/// Writes the ids as a PNG: indexed with the colours of `classes`, or 16-bit grey for more than 255 classes, with the
/// names under [`MASK_CLASSES_KEY`].
///
/// # Errors
/// If writing fails.
pub fn write_ids_png(writer: impl Write, map: &LabelMap, classes: &[Class]) -> io::Result<()> {
    let names: Vec<&str> = classes.iter().map(|class| class.name.as_str()).collect();
    let text = [(MASK_CLASSES_KEY, serde_json::to_string(&names)?)];
    let size = (map.width as u32, map.height as u32);
    match NarrowIds::new(map, classes.len()) {
        NarrowIds::Bytes(bytes) => {
            let mut palette: Vec<[u8; 3]> = classes.iter().map(|class| class.color).collect();
            palette.resize(255, [0; 3]);
            palette.push(NONE_COLOR);
            write_png(writer, size, PngPixels::Indexed(&bytes, &palette), &text)
        }
        NarrowIds::Words(words) => write_png(writer, size, PngPixels::Gray16(words), &text),
    }
}

/// Writes the ids as a NumPy array `[height, width]` of uint8, or of uint16 for more than 255 classes.
///
/// # Errors
/// If writing fails.
pub fn write_ids_npy(writer: impl Write, map: &LabelMap, classes: usize) -> io::Result<()> {
    let shape = [map.height, map.width];
    match NarrowIds::new(map, classes) {
        NarrowIds::Bytes(bytes) => write_npy(writer, &shape, &bytes),
        NarrowIds::Words(words) => write_npy(writer, &shape, words),
    }
}

/// Writes the pixels of the class `id` as white on black, with its name under [`MASK_CLASS_KEY`].
///
/// # Errors
/// If writing fails.
pub fn write_mask(
    writer: impl Write,
    map: &LabelMap,
    id: u16,
    classes: &[Class],
) -> io::Result<()> {
    let bytes: Vec<u8> = map
        .ids
        .iter()
        .map(|&other| {
            if other == id && id != NO_CLASS {
                255
            } else {
                0
            }
        })
        .collect();
    let size = (map.width as u32, map.height as u32);
    let name = classes.get(usize::from(id));
    let text = name.map(|class| (MASK_CLASS_KEY, class.name.clone()));
    write_png(writer, size, PngPixels::Gray8(&bytes), text.as_slice())
}

/// Maximum number of characters of a class's name in its file name: file systems allow 255 bytes, and a character may
/// need four.
const STEM_CHARS: usize = 48;
/// Names of devices, which on Windows cannot be files, whatever their extension.
const RESERVED_NAMES: [&str; 4] = ["con", "prn", "aux", "nul"];

/// A distinct file name without extension for each class: its name, with characters that a file system may refuse
/// replaced by `-`, and its id appended where two would be equal. Letters of all scripts stay, composed (NFC) and with
/// their marks.
pub fn file_stems(classes: &[Class]) -> Vec<String> {
    let ports = (0..10).flat_map(|n| [format!("com{n}"), format!("lpt{n}")]);
    let mut taken: HashSet<String> = RESERVED_NAMES
        .map(str::to_owned)
        .into_iter()
        .chain(ports)
        .collect();
    classes
        .iter()
        .enumerate()
        .map(|(id, class)| {
            let name = plain_stem(&class.name);
            // Some file systems ignore case.
            match !name.is_empty() && taken.insert(name.to_lowercase()) {
                true => name,
                false => {
                    let mut unique = format!("{name}-{id}").trim_matches('-').to_owned();
                    while !taken.insert(unique.to_lowercase()) {
                        unique.push('_');
                    }
                    unique
                }
            }
        })
        .collect()
}

/// Letters, digits and `_` of a name, with `-` for each other character.
fn plain_stem(name: &str) -> String {
    let composed: String = name.trim().nfc().filter(|&c| !is_ignorable(c)).collect();
    let (mut stem, mut count) = (String::new(), 0);
    // By grapheme clusters, so that a letter keeps its combining marks.
    for cluster in composed.graphemes(true) {
        count += cluster.chars().count();
        if count > STEM_CHARS {
            break;
        }
        let is_letter = cluster.starts_with(|c: char| c.is_alphanumeric() || c == '_');
        let keeps = |c: char| c.is_alphanumeric() || c == '_' || is_letter && is_combining_mark(c);
        stem.extend(cluster.chars().map(|c| if keeps(c) { c } else { '-' }));
    }
    stem.trim_matches('-').to_owned()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn classes(count: usize) -> Vec<Class> {
        let class = |i: usize| Class {
            name: format!("class {i}"),
            color: [i as u8, 7, 9],
        };
        (0..count).map(class).collect()
    }

    fn map() -> LabelMap {
        LabelMap {
            width: 2,
            height: 2,
            ids: vec![0, 2, NO_CLASS, 1],
            confidence: vec![1.0; 4],
        }
    }

    /// Raw samples of a PNG, its colour type and its text.
    fn decode(bytes: &[u8]) -> (Vec<u8>, png::ColorType, String) {
        let mut reader = png::Decoder::new(io::Cursor::new(bytes))
            .read_info()
            .unwrap();
        let mut samples = vec![0; reader.output_buffer_size().unwrap()];
        reader.next_frame(&mut samples).unwrap();
        let info = reader.info();
        let text = info.uncompressed_latin1_text.last().unwrap().text.clone();
        (samples, info.color_type, text)
    }

    #[test]
    fn few_classes_are_bytes_with_a_palette() {
        let mut bytes = Vec::new();
        write_ids_png(&mut bytes, &map(), &classes(255)).unwrap();
        let (samples, color, text) = decode(&bytes);
        assert_eq!(
            (samples, color),
            (vec![0, 2, 255, 1], png::ColorType::Indexed)
        );
        assert!(text.starts_with(r#"["class 0","class 1""#), "{text}");
        let shown = image::load_from_memory(&bytes).unwrap().into_rgb8();
        assert_eq!(shown.get_pixel(1, 0).0, [2, 7, 9]);
        assert_eq!(shown.get_pixel(0, 1).0, NONE_COLOR);
    }

    #[test]
    fn many_classes_are_words() {
        let mut bytes = Vec::new();
        write_ids_png(&mut bytes, &map(), &classes(256)).unwrap();
        let (samples, color, _) = decode(&bytes);
        assert_eq!(samples, [0, 0, 0, 2, 255, 255, 0, 1]);
        assert_eq!(color, png::ColorType::Grayscale);
        let array = |count: usize| {
            let mut bytes = Vec::new();
            write_ids_npy(&mut bytes, &map(), count).unwrap();
            bytes
        };
        let (few, many) = (array(255), array(256));
        let few = npyz::NpyFile::new(&few[..]).unwrap().into_vec::<u8>();
        let many = npyz::NpyFile::new(&many[..]).unwrap().into_vec::<u16>();
        assert_eq!(few.unwrap(), [0, 2, 255, 1]);
        assert_eq!(many.unwrap(), [0, 2, 65535, 1]);
    }

    #[test]
    fn a_mask_is_white_where_its_class_is() {
        let mut bytes = Vec::new();
        write_mask(&mut bytes, &map(), 2, &classes(3)).unwrap();
        let mask = image::load_from_memory(&bytes).unwrap();
        assert_eq!(mask.as_luma8().unwrap().as_raw(), &[0, 255, 0, 0]);
    }

    #[test]
    fn stems_are_distinct_and_harmless() {
        let names = [
            "traffic light",
            "../../etc/passwd",
            "Sky",
            "sky",
            "",
            "été",
            "sky-3",
            "a/b",
            "a b",
            "天空",
            "बिल्ली",
            "ท้องฟ้า",
            "שָׁמַיִם",
            "e\u{301}te\u{301}",
            "👩\u{200D}💻",
            "🐱 cat",
            "14",
            "con",
            "LPT1",
        ];
        let classes: Vec<Class> = names
            .iter()
            .map(|name| Class {
                name: (*name).into(),
                color: [0; 3],
            })
            .collect();
        let stems = file_stems(&classes);
        assert_eq!(
            stems,
            [
                "traffic-light",
                "etc-passwd",
                "Sky",
                "sky-3",
                "4",
                "été",
                "sky-3-6",
                "a-b",
                "a-b-8",
                "天空",
                "बिल्ली",
                "ท้องฟ้า",
                // The composed form has the dots as marks of their own.
                "שׁ\u{5B8}מַיִם".nfc().collect::<String>().as_str(),
                "été-13",
                "14",
                "cat",
                "14-16",
                "con-17",
                "LPT1-18",
            ]
        );
        let long = Class {
            name: "ที่".repeat(100),
            color: [0; 3],
        };
        assert_eq!(file_stems(&[long])[0], "ที่".repeat(16));
    }
}
