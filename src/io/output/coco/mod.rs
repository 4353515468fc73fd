//! Label maps in COCO's JSON, as pycocotools and datumaro read it: one annotation for each class or connected region,
//! as run-length encoded mask or as polygons ([`trace_contours`]).
//!
//! A document is about one photo, or about all photos of a run ([`RunDocument`]). Image and annotation ids follow from
//! the photo's path ([`ImageIds`]), so that a photo has the same ids in both, and lists of many documents can be
//! joined. Category ids are the classes' indices plus one, since some readers take 0 for "none".

mod ids;
mod rle;
mod run_document;

use std::io::{self, Write};
use std::path::Path;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::io::output::path_bytes;
use crate::model::head::Class;
use crate::system::files::signature::PROGRAM;
use crate::vision::postprocess::contours::{NO_LABEL, trace_contours};
use crate::vision::postprocess::{ClassArea, LabelMap, NO_CLASS, Regions};

pub use ids::{ImageIds, MAX_ANNOTATIONS};
pub use run_document::{RunDocument, file_names};

/// What the annotations of a photo are about.
#[derive(Debug, Clone, Copy)]
pub enum AnnotationSubjects<'a> {
    /// One annotation for each class of the map.
    Classes(&'a [ClassArea]),
    /// One annotation for each connected region.
    Regions(&'a Regions),
}

/// The encoding of an annotation's pixels.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MaskEncoding {
    /// Run lengths in COCO's compressed string form.
    Rle,
    /// Polygons along the edges of pixels.
    Polygons,
}

/// A photo's path, relative to the folder that was searched, as COCO's `file_name`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct CocoFileName {
    /// The path with `/` between its parts on all systems; lossy for names that are not valid Unicode.
    pub file_name: String,
    /// The bytes as [`path_bytes`] encodes them, only for names that are not valid Unicode.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub file_name_bytes: Option<String>,
}

impl From<&Path> for CocoFileName {
    fn from(path: &Path) -> Self {
        let parts: Vec<_> = path.iter().map(|part| part.to_string_lossy()).collect();
        CocoFileName {
            file_name: parts.join("/"),
            file_name_bytes: path_bytes(path),
        }
    }
}

/// An entry of `images`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct CocoImage {
    /// The id of the photo, from [`ImageIds`].
    pub id: u64,
    /// The path of the photo.
    #[serde(flatten)]
    pub name: CocoFileName,
    /// Width in pixels.
    pub width: usize,
    /// Height in pixels.
    pub height: usize,
}

/// An entry of `annotations`.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct CocoAnnotation {
    id: u64,
    image_id: u64,
    category_id: u32,
    segmentation: Segmentation,
    /// Number of pixels.
    area: u64,
    /// Bounding box: x, y, width and height in pixels.
    bbox: [usize; 4],
    iscrowd: u8,
    /// Mean softmax probability of the pixels, 0..1.
    score: f64,
}

/// The pixels of an annotation.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(untagged)]
enum Segmentation {
    Rle {
        /// Height and width.
        size: [usize; 2],
        counts: String,
    },
    /// Each polygon as x, y, x, y, and so on.
    Polygons(Vec<Vec<u32>>),
}

/// All annotations of a photo. `subjects` must have been computed from `map`; `encoding` is that of the masks.
///
/// # Errors
/// A sentence, if there are more than [`MAX_ANNOTATIONS`].
pub fn annotate_photo(
    image: &CocoImage,
    map: &LabelMap,
    subjects: AnnotationSubjects<'_>,
    encoding: MaskEncoding,
) -> Result<Vec<CocoAnnotation>, String> {
    match subjects {
        AnnotationSubjects::Classes(areas) => {
            let label = |index: usize| match map.ids[index] {
                NO_CLASS => NO_LABEL,
                id => u32::from(id),
            };
            let entries = areas.iter().map(|area| AnnotationEntry {
                label: usize::from(area.id),
                class: area.id,
                pixels: area.pixels,
                confidence: area.confidence,
            });
            build_annotations(image, encoding, label, &entries.collect::<Vec<_>>())
        }
        AnnotationSubjects::Regions(regions) => {
            let entries = regions
                .list
                .iter()
                .enumerate()
                .map(|(label, region)| AnnotationEntry {
                    label,
                    class: region.class,
                    pixels: region.pixels,
                    confidence: region.confidence,
                });
            let label = |index: usize| regions.labels[index];
            build_annotations(image, encoding, label, &entries.collect::<Vec<_>>())
        }
    }
}

/// Label, area and score of one annotation, before its mask is encoded.
struct AnnotationEntry {
    label: usize,
    class: u16,
    pixels: u64,
    confidence: f64,
}

/// The annotations of `entries`; an entry's pixels are those for which `label_at` gives its label.
fn build_annotations(
    image: &CocoImage,
    encoding: MaskEncoding,
    label_at: impl Fn(usize) -> u32,
    entries: &[AnnotationEntry],
) -> Result<Vec<CocoAnnotation>, String> {
    if entries.len() as u64 > MAX_ANNOTATIONS {
        return Err(format!(
            "{} annotations are more than the {MAX_ANNOTATIONS} that a photo has ids for; --min-region leaves small regions out",
            entries.len()
        ));
    }
    let labels = entries.iter().map(|entry| entry.label + 1).max();
    let runs = rle::column_runs(image.width, image.height, &label_at, labels.unwrap_or(0));
    let mut polygons = vec![Vec::new(); runs.len()];
    if encoding == MaskEncoding::Polygons {
        for contour in trace_contours(image.width, image.height, &label_at) {
            let points = contour.points.into_flattened();
            polygons[contour.label as usize].push(points);
        }
    }
    let annotation = |(number, entry): (u64, &AnnotationEntry)| {
        let runs = &runs[entry.label];
        CocoAnnotation {
            id: ids::annotation_id(image.id, number),
            image_id: image.id,
            category_id: u32::from(entry.class) + 1,
            segmentation: match encoding {
                MaskEncoding::Rle => Segmentation::Rle {
                    size: [image.height, image.width],
                    counts: rle::encode_counts(&rle::counts(runs, image.width * image.height)),
                },
                MaskEncoding::Polygons => {
                    Segmentation::Polygons(std::mem::take(&mut polygons[entry.label]))
                }
            },
            area: entry.pixels,
            bbox: rle::bounds(runs, image.height),
            iscrowd: 0,
            score: entry.confidence,
        }
    };
    Ok((1..).zip(entries).map(annotation).collect())
}

/// The head of a document: its description and its categories.
#[derive(Debug, Clone, Copy)]
pub struct Preamble<'a> {
    /// The classes of the head or the clusters, which become the categories.
    pub classes: &'a [Class],
    /// The kind of annotations, such as `one annotation a class`.
    pub description: &'a str,
}

/// Writes the document of one photo.
///
/// # Errors
/// If writing fails.
pub fn write_document(
    mut writer: impl Write,
    preamble: Preamble<'_>,
    image: &CocoImage,
    annotations: &[CocoAnnotation],
) -> io::Result<()> {
    let annotations = json_lines(annotations)?;
    write_parts(&mut writer, preamble, &json_lines(&[image])?, |writer| {
        writer.write_all(&annotations)
    })
}

/// The entries of a JSON list, one a line.
fn json_lines<T: Serialize>(entries: &[T]) -> io::Result<Vec<u8>> {
    let mut text = Vec::new();
    for entry in entries {
        if !text.is_empty() {
            text.extend_from_slice(b",\n");
        }
        serde_json::to_writer(&mut text, entry)?;
    }
    Ok(text)
}

/// Writes a document from lists of images and annotations that are already encoded.
fn write_parts(
    writer: &mut dyn Write,
    preamble: Preamble<'_>,
    images: &[u8],
    annotations: impl FnOnce(&mut dyn Write) -> io::Result<()>,
) -> io::Result<()> {
    let description = format!("{PROGRAM}: {}", preamble.description);
    let info = json!({"description": description});
    let category = |(id, class): (u32, &Class)| json!({"id": id, "name": class.name, "supercategory": "", "color": class.color});
    let categories: Vec<Value> = (1..).zip(preamble.classes).map(category).collect();
    let categories = Value::from(categories);
    write!(
        writer,
        "{{\"info\":{info},\n\"licenses\":[],\n\"categories\":{categories},\n\"images\":[\n"
    )?;
    writer.write_all(images)?;
    writer.write_all(b"\n],\n\"annotations\":[\n")?;
    annotations(writer)?;
    writer.write_all(b"\n]}\n")
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests;
