//! What decides how an output comes out, beside the photo: as JSON, whose digest tells outputs of different settings apart.

use std::path::Path;

use serde::Serialize;
use serde_json::{Map, Value, json};

use crate::error::{Error, Result};
use crate::system::files::Digest;

/// What of a recipe is not as usual; nothing if a name in it is no Unicode.
pub fn non_default_settings<R: Serialize + Default>(recipe: &R) -> Value {
    let json = |recipe: &R| serde_json::to_value(recipe).ok();
    // Names that are no Unicode are not noted, and nothing depends on it.
    let (Some(Value::Object(own)), Some(Value::Object(usual))) =
        (json(recipe), json(&R::default()))
    else {
        return Value::Null;
    };
    let differs = |(name, value): &(String, Value)| usual.get(name) != Some(value);
    Value::Object(own.into_iter().filter(differs).collect())
}

/// Settings of one output.
#[derive(Debug, Default)]
pub struct OutputSettings(Map<String, Value>);

impl OutputSettings {
    /// Those of a recipe, which must hold nothing that is a matter of other outputs.
    ///
    /// # Errors
    /// If a name in it is no Unicode.
    pub fn from_recipe(recipe: &impl Serialize) -> Result<Self> {
        let recipe = serde_json::to_value(recipe)
            .map_err(|error| Error::Usage(format!("these settings cannot be noted: {error}")))?;
        Ok(OutputSettings(Map::from_iter([(
            "recipe".to_owned(),
            recipe,
        )])))
    }

    /// With what a name in the recipe stands for.
    #[must_use]
    pub fn with(mut self, name: &str, digest: Digest) -> Self {
        self.0.insert(name.to_owned(), json!(digest));
        self
    }

    /// With a number that counts how often the way changed in which this version makes the output: what was made in another
    /// way is made again.
    #[must_use]
    pub fn with_revision(mut self, revision: u32) -> Self {
        self.0.insert("revision".to_owned(), json!(revision));
        self
    }

    /// With the font, by its content where that can be read.
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

    /// With what is known of the letters that the system's fonts draw.
    #[must_use]
    pub fn with_text(mut self, key: Option<String>) -> Self {
        if let Some(key) = key {
            self.0.insert("text".to_owned(), json!(key));
        }
        self
    }

    /// As JSON.
    pub fn into_json(self) -> Value {
        Value::Object(self.0)
    }
}
