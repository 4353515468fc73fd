//! The settings that decide an output's content beside the photo: as JSON, whose digest tells current outputs from
//! those of other settings.

use std::path::Path;

use serde::Serialize;
use serde_json::{Map, Value, json};

use crate::error::{Error, Result};
use crate::system::files::Digest;

/// The settings of a recipe that differ from the defaults; null if a path in it is not Unicode.
pub fn non_default_settings<R: Serialize + Default>(recipe: &R) -> Value {
    let json = |recipe: &R| serde_json::to_value(recipe).ok();
    // Paths that are not Unicode are not recorded; nothing depends on it.
    let (Some(Value::Object(own)), Some(Value::Object(usual))) =
        (json(recipe), json(&R::default()))
    else {
        return Value::Null;
    };
    let differs = |(name, value): &(String, Value)| usual.get(name) != Some(value);
    Value::Object(own.into_iter().filter(differs).collect())
}

/// Settings of the outputs of one extension.
#[derive(Debug, Default)]
pub struct OutputSettings(Map<String, Value>);

impl OutputSettings {
    /// The settings of a recipe that holds nothing but what decides this output.
    ///
    /// # Errors
    /// If a path in it is not Unicode.
    pub fn from_recipe(recipe: &impl Serialize) -> Result<Self> {
        let recipe = serde_json::to_value(recipe)
            .map_err(|error| Error::Usage(format!("these settings cannot be noted: {error}")))?;
        Ok(OutputSettings(Map::from_iter([(
            "recipe".to_owned(),
            recipe,
        )])))
    }

    /// Adds the digest of the file or head that the recipe names, under the key `name`.
    #[must_use]
    pub fn with(mut self, name: &str, digest: Digest) -> Self {
        self.0.insert(name.to_owned(), json!(digest));
        self
    }

    /// Adds the revision of the algorithm; outputs of an earlier revision are outdated.
    #[must_use]
    pub fn with_revision(mut self, revision: u32) -> Self {
        self.0.insert("revision".to_owned(), json!(revision));
        self
    }

    /// Adds the font: the digest of its file, or its path where that cannot be read.
    #[must_use]
    pub fn with_font(mut self, font: Option<&Path>) -> Self {
        if let Some(font) = font {
            let content = Digest::of_file(font).ok();
            let content =
                content.map_or_else(|| json!(font.to_string_lossy()), |digest| json!(digest));
            self.0.insert("font".to_owned(), content);
        }
        self
    }

    /// Adds which letters the system's fonts draw, where the text of a picture depends on it.
    #[must_use]
    pub fn with_text(mut self, key: Option<String>) -> Self {
        if let Some(key) = key {
            self.0.insert("text".to_owned(), json!(key));
        }
        self
    }

    /// The settings as a JSON object.
    pub fn into_json(self) -> Value {
        Value::Object(self.0)
    }
}
