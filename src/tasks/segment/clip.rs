//! Labels of the frames of a clip, of a head and of clusters.

use std::io::{self, Write};

use serde_json::{Map, Value, json};

use crate::io::output::ids;
use crate::tasks::clip::{DrawnFrame, FrameNumbers, NumberFilm};
use crate::tasks::recipe::LabelFormat;
use crate::vision::postprocess::LabelMap;

use super::names::{extension, formats};
use super::painter::LabelPainter;

/// The labels of a frame, where they are kept.
fn labels(frame: &DrawnFrame) -> Option<&LabelMap> {
    match &frame.numbers {
        FrameNumbers::Labels(map) => Some(map),
        _ => None,
    }
}

impl LabelPainter {
    /// The ends of the names of files of ids that each frame has.
    pub fn number_files(&self) -> Vec<&'static str> {
        let formats = formats(&self.recipe).into_iter();
        let of_frames = formats.filter(|it| matches!(it, LabelFormat::Ids | LabelFormat::Npy));
        of_frames.map(extension).collect()
    }

    /// Writes the ids of a frame as the file with this extension holds them.
    ///
    /// # Errors
    /// If writing fails.
    pub fn write_numbers(
        &self,
        of: &str,
        writer: &mut dyn Write,
        frame: &DrawnFrame,
    ) -> io::Result<()> {
        let Some(map) = labels(frame) else {
            return Ok(());
        };
        match of == extension(LabelFormat::Npy) {
            true => ids::write_ids_npy(writer, map, self.classes.len()),
            false => ids::write_ids_png(writer, map, &self.classes),
        }
    }

    /// Video of ids, if that is asked for.
    pub fn number_film(&self) -> Option<NumberFilm> {
        let is_wanted = self.recipe.save.contains(&LabelFormat::Ffv1);
        is_wanted.then_some(NumberFilm {
            extension: extension(LabelFormat::Ffv1),
            bytes: if self.classes.len() <= 255 { 1 } else { 2 },
        })
    }

    /// The ids of a frame of that video; no class is the largest number.
    pub fn film_numbers(&self, frame: &DrawnFrame) -> Vec<u8> {
        let ids = labels(frame).map_or(&[][..], |map| &map.ids);
        match self.classes.len() <= 255 {
            true => ids.iter().map(|id| (*id).min(255) as u8).collect(),
            false => ids.iter().flat_map(|id| id.to_le_bytes()).collect(),
        }
    }

    /// What is said about all frames.
    pub fn facts(&self) -> Map<String, Value> {
        let classes = self.classes.iter().enumerate().map(|(id, class)| {
            let [r, g, b] = class.color;
            json!({"id": id, "name": class.name, "color": format!("#{r:02x}{g:02x}{b:02x}")})
        });
        let made_by = self.made_by.iter();
        let facts = made_by.map(|(key, value)| ((*key).to_owned(), json!(value)));
        let classes = ("classes".to_owned(), classes.collect());
        facts.chain([classes]).collect()
    }
}
