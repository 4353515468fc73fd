//! Manifest entries of outputs that are made from one layer: digests of the settings that decide them, by which a later
//! run tells whether they are up to date, and facts for people.

use dino::Result;
use dino::io::inputs::DecodeOptions;
use dino::io::manifest::TaskDigests;
use serde_json::{Map, Value, json};

use crate::commands::model::ResolvedModel;

/// The settings of `dino attention` or `dino similar`.
///
/// The order of keys counts, for digests are of the JSON's text.
pub struct LayerManifest<'a> {
    /// The task's name in the manifest and in the names of files.
    pub task: String,
    /// Extensions of the outputs of this run.
    pub extensions: &'a [&'static str],
    /// Extensions that other options of the same command would write.
    pub siblings: &'static [&'static str],
    /// The backbone and its number type.
    pub resolved: &'a ResolvedModel,
    /// How photos are decoded.
    pub decoding: DecodeOptions,
    /// An object of what decides all outputs beside model, number type and decoding.
    pub settings: Value,
    /// What decides pictures alone, not the numbers in `.npy` files.
    pub style: String,
    /// An object of parameters for people.
    pub parameters: Value,
}

impl LayerManifest<'_> {
    /// The digests and facts for weights of this `fingerprint`; none where the weights are not installed yet.
    ///
    /// # Errors
    /// What [`TaskDigests::new`] returns.
    pub fn digests(&self, fingerprint: Option<&str>) -> Result<TaskDigests> {
        let (dtype, photos) = (&self.resolved.dtype, self.decoding.tag());
        let digests = TaskDigests::new(self.task.clone(), self.extensions, |extension| {
            let mut settings = Map::new();
            settings.insert("model".into(), json!(fingerprint));
            settings.insert("dtype".into(), json!(dtype));
            settings.insert("photos".into(), json!(photos));
            if let Value::Object(own) = &self.settings {
                settings.extend(own.clone());
            }
            let style = (extension != "npy").then_some(&self.style);
            settings.insert("look".into(), json!(style));
            Ok(Value::Object(settings))
        });
        let digests = digests?.with_siblings(self.siblings);
        Ok(digests.with_decoding(&self.decoding).with_facts(json!({
            "model": {"name": self.resolved.model.name, "fingerprint": fingerprint},
            "dtype": dtype,
            "photos": photos,
            "parameters": self.parameters,
        })))
    }
}
