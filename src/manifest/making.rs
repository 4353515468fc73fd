//! How outputs are made, by digests.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::error::Result;
use crate::inputs::Source;
use crate::manifest::Digest;
use crate::output::PICTURE;

/// How a task makes its outputs.
#[derive(Debug, Clone)]
pub struct Making {
    /// The word in their names.
    pub kind: String,
    /// Digests of the settings, by the extension of the output.
    settings: BTreeMap<&'static str, Digest>,
    /// The ends of the names of all files that are ever made of a photo, but the picture.
    pub(super) siblings: &'static [&'static str],
    /// Digest of the settings of a document about all photos.
    pub document: Option<Digest>,
    /// Digest of what is fitted to all photos.
    pub fit: Option<Digest>,
}

impl Making {
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
        Ok(Making {
            settings: settings.collect::<Result<_>>()?,
            kind,
            siblings: &[],
            document: None,
            fit: None,
        })
    }

    /// With the ends of the names of all files that are ever made of a photo, but the picture.
    #[must_use]
    pub fn with_siblings(self, siblings: &'static [&'static str]) -> Self {
        Making { siblings, ..self }
    }

    /// Learns what was not known before the backbone was loaded.
    pub fn meet(&mut self, known: Making) {
        self.settings = known.settings;
        self.document = known.document;
    }

    /// How an output of `source` is made: pages of a file differ in nothing but their numbers.
    pub(super) fn recipe(&self, extension: &str, source: &Source) -> Digest {
        self.recipe_of_page(extension, source.page_number())
    }

    /// How an output of this page of a photo is made, 0 where it has one.
    pub(super) fn recipe_of_page(&self, extension: &str, page: u32) -> Digest {
        let settings = self.settings.get(extension);
        let settings = settings.map_or(&[0; 32], Digest::as_bytes);
        Digest::of_bytes(&[self.kind.as_bytes(), &[0], settings, &page.to_le_bytes()].concat())
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
        let recipe = self.recipe_of_page(PICTURE, 0);
        Digest::of_bytes(&[fit.as_bytes().as_slice(), recipe.as_bytes()].concat())
    }

    /// How a document about all photos is made.
    pub(super) fn recipe_of_document(&self) -> Digest {
        let nothing = || Digest::of_bytes(&[]);
        let settings = self.document.unwrap_or_else(nothing);
        let kind = self.kind.as_bytes();
        Digest::of_bytes(&[kind, b"\0document\0", settings.as_bytes()].concat())
    }
}
