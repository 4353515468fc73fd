//! [`TaskDigests`]: digests of a task's settings, from which the recipes of its outputs are computed.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use crate::error::Result;
use crate::io::inputs::{DecodeOptions, Source};
use crate::io::output::PICTURE_EXTENSION;
use crate::system::files::Digest;

/// Version of the program; part of the recipe of failures.
pub(super) const VERSION: &str = env!("CARGO_PKG_VERSION");

/// Digests of the settings with which a task makes its outputs, and the facts to record about them.
#[derive(Debug, Clone)]
pub struct TaskDigests {
    /// Name of the task, such as `depth`, which is also in the names of its outputs.
    pub task: String,
    /// For each output extension, the digest of the settings that determine the output.
    settings: BTreeMap<&'static str, Digest>,
    /// Name endings of all files that the task can make of a photo, except the picture.
    pub(super) siblings: &'static [&'static str],
    /// Digest of the settings of a document about all photos, if there is one.
    pub document: Option<Digest>,
    /// Digest of the fit to all photos; `None` until it is known, and for tasks without one.
    pub fit: Option<Digest>,
    /// Digest of what determines whether a photo can be decoded.
    decoding: Digest,
    /// Facts for every photo: model, head, settings; see [`ManifestEntry::facts`](super::ManifestEntry::facts).
    pub(super) facts: Map<String, Value>,
}

impl TaskDigests {
    /// Digests for outputs with these `extensions`; `settings` gives the settings of each as JSON.
    ///
    /// # Errors
    /// Those of `settings`.
    pub fn new(
        task: String,
        extensions: &[&'static str],
        settings: impl Fn(&'static str) -> Result<Value>,
    ) -> Result<Self> {
        let settings = extensions.iter().map(|&extension| {
            let settings = settings(extension)?;
            Ok((extension, Digest::of_json(&settings)))
        });
        Ok(TaskDigests {
            settings: settings.collect::<Result<_>>()?,
            task,
            siblings: &[],
            document: None,
            fit: None,
            decoding: Digest::of_bytes(&[]),
            facts: Map::new(),
        })
    }

    /// Adds the decoding options and limits: a photo that failed under others, or with another version of the program,
    /// is tried again.
    #[must_use]
    pub fn with_decoding(mut self, options: &DecodeOptions) -> Self {
        self.decoding = Digest::of_json(&json!({
            "photos": options.tag(),
            "pixels": options.max_pixels,
            "program": VERSION,
        }));
        self
    }

    /// Adds the facts for every photo that is done: a JSON object, whose null and empty values are dropped.
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

    /// Sets the name endings of all files that the task can make of a photo, except the picture.
    #[must_use]
    pub fn with_siblings(self, siblings: &'static [&'static str]) -> Self {
        TaskDigests { siblings, ..self }
    }

    /// Replaces settings, document and facts by those of `known`, which were completed after the backbone was loaded.
    pub fn complete_from(&mut self, known: TaskDigests) {
        self.settings = known.settings;
        self.document = known.document;
        self.facts = known.facts;
    }

    /// The recipe of the output of `source` with this extension; pages of a file differ only in their numbers.
    pub(super) fn recipe(&self, extension: &str, source: &Source) -> Digest {
        self.recipe_of_page(extension, source.page_number())
    }

    /// The recipe of the output with this extension of a page; page 0 if the photo has one page.
    pub(super) fn recipe_of_page(&self, extension: &str, page: u32) -> Digest {
        let settings = self.settings.get(extension);
        let settings = settings.map_or(&[0; 32], Digest::as_bytes);
        Digest::of_bytes(&[self.task.as_bytes(), &[0], settings, &page.to_le_bytes()].concat())
    }

    /// The recipe of a failure: digest of everything besides the photo that determines whether it can be decoded.
    pub(super) fn recipe_of_failure(&self) -> Digest {
        let task = self.task.as_bytes();
        Digest::of_bytes(&[task, b"\0failed\0", self.decoding.as_bytes()].concat())
    }

    /// A recipe for all outputs of a photo together, for packs.
    pub(super) fn recipe_of_all(&self) -> Digest {
        let mut all = Vec::new();
        for extension in self.settings.keys() {
            all.extend(extension.as_bytes());
            all.push(0);
            all.extend(self.recipe_of_page(extension, 0).as_bytes());
        }
        Digest::of_bytes(&all)
    }

    /// Digest of a fit and the settings, for the name of its file.
    pub(super) fn key_of_fit(&self, fit: &Digest) -> Digest {
        let recipe = self.recipe_of_page(PICTURE_EXTENSION, 0);
        Digest::of_bytes(&[fit.as_bytes().as_slice(), recipe.as_bytes()].concat())
    }

    /// The recipe of a document about all photos.
    pub(super) fn recipe_of_document(&self) -> Digest {
        let nothing = || Digest::of_bytes(&[]);
        let settings = self.document.unwrap_or_else(nothing);
        let task = self.task.as_bytes();
        Digest::of_bytes(&[task, b"\0document\0", settings.as_bytes()].concat())
    }
}
