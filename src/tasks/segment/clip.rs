//! Labels of the frames of a clip, of a head and of clusters.

use std::io::{self, Write};

use serde_json::{Map, Value, json};

use super::file_names::{extension, formats};
use super::renderer::LabelRenderer;
use crate::io::output::label_map;
use crate::tasks::clip::{FrameValues, RenderedFrame, ValueVideo};
use crate::tasks::recipe::LabelFileFormat;
use crate::vision::postprocess::LabelMap;

/// The labels of a frame, where they are kept.
fn label_map(frame: &RenderedFrame) -> Option<&LabelMap> {
    match &frame.numbers {
        FrameValues::Labels(map) => Some(map),
        _ => None,
    }
}

impl LabelRenderer {
    /// The ends of the names of files of ids that each frame has.
    pub fn value_extensions(&self) -> Vec<&'static str> {
        let formats = formats(&self.recipe).into_iter();
        let of_frames =
            formats.filter(|it| matches!(it, LabelFileFormat::Ids | LabelFileFormat::Npy));
        of_frames.map(extension).collect()
    }

    /// Writes the ids of a frame as the file with this extension holds them.
    ///
    /// # Errors
    /// If writing fails.
    pub fn write_values(
        &self,
        of: &str,
        writer: &mut dyn Write,
        frame: &RenderedFrame,
    ) -> io::Result<()> {
        let Some(map) = label_map(frame) else {
            return Ok(());
        };
        match of == extension(LabelFileFormat::Npy) {
            true => label_map::write_ids_npy(writer, map, self.classes.len()),
            false => label_map::write_ids_png(writer, map, &self.classes),
        }
    }

    /// Video of ids, if that is asked for.
    pub fn value_video(&self) -> Option<ValueVideo> {
        let is_wanted = self.recipe.save.contains(&LabelFileFormat::Ffv1);
        is_wanted.then_some(ValueVideo {
            extension: extension(LabelFileFormat::Ffv1),
            bytes: if self.classes.len() <= 255 { 1 } else { 2 },
        })
    }

    /// The ids of a frame of that video; no class is the largest number.
    pub fn encode_values(&self, frame: &RenderedFrame) -> Vec<u8> {
        let ids = label_map(frame).map_or(&[][..], |map| &map.ids);
        match self.classes.len() <= 255 {
            true => ids.iter().map(|id| (*id).min(255) as u8).collect(),
            false => ids.iter().flat_map(|id| id.to_le_bytes()).collect(),
        }
    }

    /// What is said about all frames.
    pub fn metadata(&self) -> Map<String, Value> {
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
