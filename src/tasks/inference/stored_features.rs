//! Stored features that replace the backbone (`--features`): which tasks they suffice for, and the backbone's output
//! read from them.
//!
//! In: a dataset of `dino features`. Out: a [`BackboneOutput`] for each photo that has a row.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use candle_core::{Device, Tensor};

use crate::engine::{BackboneOutput, BackbonePass, FlipViews, InputScales, StoredPhoto};
use crate::error::{Error, Result};
use crate::io::features::{Dataset, DatasetMeta, FeatureRow, RowInfo, RowName};
use crate::io::inputs::{Page, Source};
use crate::io::manifest::Ledger;
use crate::io::output::{OutputOptions, OutputTarget};
use crate::model::backbone::variants::{self, Variant};
use crate::model::backbone::{Features, LayerFeatures, LayerRequest};
use crate::model::input::PatchGrid;
use crate::model::weights::NamedModel;
use crate::tasks::Task;
use crate::tasks::features::{changed_part_error, describe_input, row_name};

/// A dataset that replaces the backbone.
pub struct StoredFeatures {
    dataset: Dataset,
    by_name: HashMap<RowName, usize>,
    variant: &'static Variant,
}

impl StoredFeatures {
    /// Opens the dataset in `folder`.
    ///
    /// # Errors
    /// As [`Dataset::open`]; names a dataset of a backbone that this version does not know.
    pub fn open(folder: &Path) -> Result<Self> {
        let dataset = Dataset::open(folder)?;
        let ledger = Ledger::open(&OutputOptions {
            target: OutputTarget::Folder(dataset.folder().to_owned()),
            ..OutputOptions::default()
        });
        // Without a readable record, changes of the parts cannot be noticed.
        if let Ok(ledger) = ledger {
            for part in dataset.part_paths() {
                if ledger.is_changed(part)? {
                    return Err(changed_part_error(part));
                }
            }
        }
        if dataset.is_empty() {
            return Err(Error::file(folder, "holds no features yet"));
        }
        let named = &dataset.meta().variant;
        let variant = variants::find(named).ok_or_else(|| {
            let why =
                format!("is of the backbone {named}, which is unknown to this version of dino");
            Error::file(folder, why)
        })?;
        let names = dataset.rows().iter().enumerate();
        Ok(StoredFeatures {
            by_name: names
                .map(|(index, row)| (row.name.clone(), index))
                .collect(),
            dataset,
            variant,
        })
    }

    /// The dataset's description: model, layers, input.
    pub fn meta(&self) -> &DatasetMeta {
        self.dataset.meta()
    }

    /// The dataset's folder.
    pub fn folder(&self) -> &Path {
        self.dataset.folder()
    }

    /// The backbone that computed the features.
    pub fn model(&self) -> NamedModel {
        let meta = self.meta();
        NamedModel {
            name: meta.model.clone(),
            fingerprint: Some(meta.fingerprint.clone()),
            variant: self.variant,
        }
    }

    /// The photos that have a row, in the order of the rows.
    pub fn sources(&self) -> Vec<Source> {
        let mut pages: HashMap<&str, u32> = HashMap::new();
        for RowInfo { name, .. } in self.dataset.rows() {
            let most = pages.entry(&name.path).or_default();
            *most = name.page.max(*most);
        }
        let source = |row: &RowInfo| {
            let path = PathBuf::from(&row.name.path);
            let key = match row.name.page {
                0 => row.key.as_str(),
                page => row
                    .key
                    .strip_suffix(&format!(".p{page:03}"))
                    .unwrap_or(&row.key),
            };
            let mut relative = PathBuf::from(key).into_os_string();
            if let Some(extension) = path.extension()
                && Path::new(key).extension() != Some(extension)
            {
                relative.push(".");
                relative.push(extension);
            }
            Source::File {
                path,
                relative: relative.into(),
                is_named: false,
                page: (row.name.page > 0).then(|| Page {
                    number: row.name.page,
                    count: pages[row.name.path.as_str()],
                }),
            }
        };
        self.dataset.rows().iter().map(source).collect()
    }

    /// The number of a photo's row, if it has one.
    pub fn row_of(&self, source: &Source) -> Option<usize> {
        self.by_name.get(&row_name(source)).copied()
    }

    /// The error for the photo `name`, which has no row.
    pub fn missing_error(&self, name: &str) -> Error {
        let folder = self.folder().display();
        Error::Model(format!(
            "{name} has no features in {folder}; add them with `dino features`"
        ))
    }

    /// The size and digest of the photo of a row; its pixels are decoded only where a task needs them.
    pub fn stored_photo(&self, row: usize, needs_pixels: bool) -> StoredPhoto {
        let row = &self.dataset.rows()[row];
        StoredPhoto {
            size: row.photo_size,
            digest: row.digest,
            needs_pixels,
        }
    }

    /// Refuses a task that needs other features than are stored. `kind` names it in the message; `photos` is the tag of
    /// the decoding options, which must be those of the dataset.
    ///
    /// # Errors
    /// [`Error::Usage`], which names the dataset and what it lacks.
    pub fn check_task(&self, kind: &str, task: &dyn Task, photos: &str) -> Result<()> {
        let folder = self.folder().display();
        let lacks = |why: String| Err(Error::Usage(format!("--features {folder}: {why}")));
        let meta = self.meta();
        if task.has_own_record() {
            return lacks("stored features are not stored again; leave --save-features out".into());
        }
        let Some(pass) = task
            .mode()
            .whole_pass()
            .filter(|pass| pass.views == FlipViews::Plain)
        else {
            return lacks(format!(
                "{kind} looks at photos in windows or mirrored too, for which no features are stored; leave that out \
                 (--protocol none, no --slide, no --tta), or --features"
            ));
        };
        if let Some((_, shown)) = &meta.basis {
            return lacks(format!(
                "holds {shown} components of the tokens, and {kind} reads the tokens themselves; make a dataset without --basis"
            ));
        }
        if let Some(side) = meta.pool {
            return lacks(format!(
                "holds tokens that were pooled to {side} x {side}, and {kind} reads all of them; make a dataset without --pool"
            ));
        }
        let again = "make a dataset with `dino features --for HEAD`";
        if !(meta.patches && (meta.cls || task.head().is_none())) {
            return lacks(format!(
                "holds no patch tokens, or no cls token, which {kind} reads; {again}"
            ));
        }
        let stored = |wanted: &LayerRequest| {
            meta.layers
                .iter()
                .any(|one| LayerRequest::from(*one) == *wanted)
        };
        if let Some(layer) = pass.requests.iter().find(|layer| !stored(layer)) {
            let has: Vec<String> = meta
                .layers
                .iter()
                .map(|layer| layer.block.to_string())
                .collect();
            let norm = if layer.norm { "with" } else { "without" };
            return lacks(format!(
                "holds tokens of block {} {}, and {kind} reads block {} {norm} the final norm; {again}, or name --blocks",
                has.join(", "),
                if meta.layers.iter().any(|layer| layer.norm) {
                    "with the final norm"
                } else {
                    "without it"
                },
                layer.block
            ));
        }
        let wanted = describe_input(&pass.preprocessor, photos);
        if wanted != meta.input {
            let words = |input: &serde_json::Value| {
                let text = |key: &str| input[key].to_string().replace('"', "");
                let photos = match text("photos").as_str() {
                    "" => String::new(),
                    tag => format!(", decoded with {tag}"),
                };
                format!("size {}, padding {}{photos}", text("size"), text("padding"))
            };
            return lacks(format!(
                "the backbone saw photos at {}, and {kind} wants {}; say --size as the dataset was made, or {again}",
                words(&meta.input),
                words(&wanted)
            ));
        }
        match pass.scales {
            InputScales::Full => Ok(()),
            InputScales::FullAndCoarse(coarse) if meta.coarse == Some(coarse.into()) => Ok(()),
            InputScales::FullAndCoarse(_) | InputScales::Coarse(_) => lacks(format!(
                "holds no coarser look at photos, which {kind} reads; {again}"
            )),
        }
    }

    /// The layers that `pass` requests, as the backbone gave them for the photo of a row.
    ///
    /// # Errors
    /// Names the part that cannot be read.
    pub fn read_output(&self, row: usize, pass: &BackbonePass) -> Result<BackboneOutput> {
        let FeatureRow {
            grid,
            cls,
            patches,
            registers,
            coarse,
            ..
        } = self.dataset.read(row)?;
        let mut features = self.build_features((grid, &cls, &patches, &registers), pass)?;
        if let (InputScales::FullAndCoarse(_), Some((grid, cls, patches))) = (pass.scales, coarse) {
            let coarse = self.build_features((grid, &cls, &patches, &[]), pass)?;
            features.coarse = Some(Box::new(coarse));
        }
        Ok(BackboneOutput {
            features,
            mirrored: None,
        })
    }

    /// Features on the CPU, from the stored cls, patch and register tokens of all layers.
    fn build_features(
        &self,
        (grid, cls, patches, registers): (PatchGrid, &[f32], &[f32], &[f32]),
        pass: &BackbonePass,
    ) -> Result<Features> {
        let meta = self.meta();
        let dim = meta.dim;
        let part = |values: &[f32], index: usize, count: usize| -> Result<Tensor> {
            let length = count * dim;
            let values = values.get(index * length..(index + 1) * length);
            let values = values.unwrap_or_default().to_vec();
            let count = values.len() / dim;
            Ok(Tensor::from_vec(values, (1, count, dim), &Device::Cpu)?)
        };
        let layer = |request: &LayerRequest| {
            let index = meta
                .layers
                .iter()
                .position(|one| LayerRequest::from(*one) == *request);
            let index = index
                .ok_or_else(|| Error::Model(format!("block {} is not stored", request.block)))?;
            Ok(LayerFeatures {
                request: *request,
                patch_tokens: part(patches, index, grid.len())?,
                cls_token: part(cls, index, 1)?.flatten_to(1)?,
                registers: part(registers, index, meta.registers)?,
            })
        };
        Ok(Features {
            layers: pass.requests.iter().map(layer).collect::<Result<_>>()?,
            grid,
            coarse: None,
        })
    }
}
