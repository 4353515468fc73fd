//! How outputs are made, by digests.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::error::Result;
use crate::inputs::Source;
use crate::manifest::Digest;

/// How a task makes its outputs.
#[derive(Debug, Clone)]
pub struct Making {
    /// The word in their names.
    pub kind: String,
    /// Digests of the settings, by the extension of the output.
    settings: BTreeMap<&'static str, Digest>,
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
            document: None,
            fit: None,
        })
    }

    /// Learns what was not known before the backbone was loaded.
    pub fn meet(&mut self, known: Making) {
        self.settings = known.settings;
        self.document = known.document;
    }

    /// How an output of `source` is made: pages of a file differ in nothing but their numbers.
    pub(super) fn recipe(&self, extension: &str, source: &Source) -> Digest {
        let page = source.page().map_or(0, |page| page.number);
        let settings = self.settings.get(extension);
        let settings = settings.map_or(&[0; 32], Digest::as_bytes);
        Digest::of_bytes(&[self.kind.as_bytes(), &[0], settings, &page.to_le_bytes()].concat())
    }

    /// How a document about all photos is made.
    pub(super) fn recipe_of_document(&self) -> Digest {
        let nothing = || Digest::of_bytes(&[]);
        let settings = self.document.unwrap_or_else(nothing);
        let kind = self.kind.as_bytes();
        Digest::of_bytes(&[kind, b"\0document\0", settings.as_bytes()].concat())
    }
}
