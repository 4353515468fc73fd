//! How outputs are made, by digests.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use crate::error::Result;
use crate::io::inputs::{DecodeOptions, Source};
use crate::io::output::PICTURE_EXTENSION;
use crate::system::files::Digest;

/// Version of the program.
pub(super) const VERSION: &str = env!("CARGO_PKG_VERSION");

/// How a task makes its outputs.
#[derive(Debug, Clone)]
pub struct TaskDigests {
    /// The word in their names.
    pub task: String,
    /// Digests of the settings, by the extension of the output.
    settings: BTreeMap<&'static str, Digest>,
    /// The ends of the names of all files that are ever made of a photo, but the picture.
    pub(super) siblings: &'static [&'static str],
    /// Digest of the settings of a document about all photos.
    pub document: Option<Digest>,
    /// Digest of what is fitted to all photos.
    pub fit: Option<Digest>,
    /// Digest of what decides whether a photo can be read.
    decoding: Digest,
    /// What is noted of every photo: the model, the head, the settings.
    pub(super) facts: Map<String, Value>,
}

impl TaskDigests {
    /// Of the outputs with these `extensions`, by the settings of each.
    ///
    /// # Errors
    /// Those of `settings`.
    pub fn new(
        kind: String,
        extensions: &[&'static str],
        settings: impl Fn(&'static str) -> Result<Value>,
    ) -> Result<Self> {
        let settings = extensions.iter().map(|&extension| {
            let settings = settings(extension)?;
            Ok((extension, Digest::of_json(&settings)))
        });
        Ok(TaskDigests {
            settings: settings.collect::<Result<_>>()?,
            task: kind,
            siblings: &[],
            document: None,
            fit: None,
            decoding: Digest::of_bytes(&[]),
            facts: Map::new(),
        })
    }

    /// With how photos are decoded, and what is refused: what fails under other limits, or another version of the program,
    /// may not fail now.
    #[must_use]
    pub fn with_decoding(mut self, options: &DecodeOptions) -> Self {
        self.decoding = Digest::of_json(&json!({
            "photos": options.tag(),
            "pixels": options.max_pixels,
            "program": VERSION,
        }));
        self
    }

    /// With what is noted of every photo that is done.
    #[must_use]
    pub fn with_facts(mut self, facts: Value) -> Self {
        if let Value::Object(facts) = facts {
            let is_said = |value: &Value| match value {
                Value::Null => false,
                Value::Object(map) => !map.is_empty(),
                Value::String(text) => !text.is_empty(),
                _ => true,
            };
            self.facts = facts.into_iter().filter(|(_, v)| is_said(v)).collect();
        }
        self
    }

    /// With the ends of the names of all files that are ever made of a photo, but the picture.
    #[must_use]
    pub fn with_siblings(self, siblings: &'static [&'static str]) -> Self {
        TaskDigests { siblings, ..self }
    }

    /// Learns what was not known before the backbone was loaded.
    pub fn complete_from(&mut self, known: TaskDigests) {
        self.settings = known.settings;
        self.document = known.document;
        self.facts = known.facts;
    }

    /// How an output of `source` is made: pages of a file differ in nothing but their numbers.
    pub(super) fn recipe(&self, extension: &str, source: &Source) -> Digest {
        self.recipe_of_page(extension, source.page_number())
    }

    /// How an output of this page of a photo is made, 0 where it has one.
    pub(super) fn recipe_of_page(&self, extension: &str, page: u32) -> Digest {
        let settings = self.settings.get(extension);
        let settings = settings.map_or(&[0; 32], Digest::as_bytes);
        Digest::of_bytes(&[self.task.as_bytes(), &[0], settings, &page.to_le_bytes()].concat())
    }

    /// What decides, beside the photo, whether anything can be made of it.
    pub(super) fn recipe_of_failure(&self) -> Digest {
        let kind = self.task.as_bytes();
        Digest::of_bytes(&[kind, b"\0failed\0", self.decoding.as_bytes()].concat())
    }

    /// How all outputs of a photo are made.
    pub(super) fn recipe_of_all(&self) -> Digest {
        let mut all = Vec::new();
        for extension in self.settings.keys() {
            all.extend(extension.as_bytes());
            all.push(0);
            all.extend(self.recipe_of_page(extension, 0).as_bytes());
        }
        Digest::of_bytes(&all)
    }

    /// What tells a fit to photos from one that was made in another way.
    pub(super) fn key_of_fit(&self, fit: &Digest) -> Digest {
        let recipe = self.recipe_of_page(PICTURE_EXTENSION, 0);
        Digest::of_bytes(&[fit.as_bytes().as_slice(), recipe.as_bytes()].concat())
    }

    /// How a document about all photos is made.
    pub(super) fn recipe_of_document(&self) -> Digest {
        let nothing = || Digest::of_bytes(&[]);
        let settings = self.document.unwrap_or_else(nothing);
        let kind = self.task.as_bytes();
        Digest::of_bytes(&[kind, b"\0document\0", settings.as_bytes()].concat())
    }
}
