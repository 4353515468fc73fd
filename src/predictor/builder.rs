//! What a predictor is to be made of, and the making.

use std::path::PathBuf;

use super::Predictor;
use crate::engine::BatchSize;
use crate::error::{Error, Result};
use crate::model::backbone::{Backbone, BackboneConfig};
use crate::model::device::{DeviceChoice, DtypeChoice};
use crate::model::head::{DepthReadout, Head};
use crate::model::head_zoo::{HeadStore, LocatedHead};
use crate::model::input::SizeRule;
use crate::model::weights::{self, FetchEvent, Store};
use crate::system::http::NetworkAccess;
use crate::system::memory;
use crate::tasks::depth::{DepthPredictor, readout_of};
use crate::tasks::recipe::HeadRecipe;
use crate::tasks::segment::LabelPredictor;
use crate::tasks::{InferenceMode, TaskPredictor};
use crate::terminal::console::Console;

/// What a [`Predictor`] is to be made of: one head at least. Whatever is not said is as the commands have it.
#[derive(Debug, Clone, Default)]
pub struct PredictorBuilder {
    depth: Option<PathBuf>,
    segment: Option<PathBuf>,
    model: Option<String>,
    store: Option<PathBuf>,
    offline: bool,
    device: DeviceChoice,
    dtype: DtypeChoice,
    batch_size: BatchSize,
    max_memory: Option<u64>,
    size: Option<SizeRule>,
    flip: bool,
    refine: Option<bool>,
    uncertainty: bool,
    no_calibration: bool,
}

impl PredictorBuilder {
    /// Finds depths, with the head of this name (`dino heads list` shows them) or in this `.safetensors` file.
    pub fn depth(mut self, head: impl Into<PathBuf>) -> Self {
        self.depth = Some(head.into());
        self
    }

    /// Finds labels, with the head of this name or in this file.
    pub fn segment(mut self, head: impl Into<PathBuf>) -> Self {
        self.segment = Some(head.into());
        self
    }

    /// Another backbone than the heads name; they refuse one that they were not trained on.
    pub fn model(mut self, name: impl Into<String>) -> Self {
        self.model = Some(name.into());
        self
    }

    /// The folder of models and heads, in place of `$DINO_HOME` or else the platform's data folder.
    pub fn store(mut self, folder: impl Into<PathBuf>) -> Self {
        self.store = Some(folder.into());
        self
    }

    /// Whether nothing is ever fetched.
    pub fn offline(mut self, offline: bool) -> Self {
        self.offline = offline;
        self
    }

    /// Where to compute. Several GPUs share what [`Predictor::predict_each`] is given.
    pub fn device(mut self, device: DeviceChoice) -> Self {
        self.device = device;
        self
    }

    /// The number type of the backbone.
    pub fn dtype(mut self, dtype: DtypeChoice) -> Self {
        self.dtype = dtype;
        self
    }

    /// How many photos of one size [`Predictor::predict_each`] computes at once.
    pub fn batch_size(mut self, photos: BatchSize) -> Self {
        self.batch_size = photos;
        self
    }

    /// Bytes of memory that photos may take, together in [`Predictor::predict_each`]; else four fifths of what is free.
    pub fn max_memory(mut self, bytes: u64) -> Self {
        self.max_memory = Some(bytes);
        self
    }

    /// What the backbone sees of an image, in place of the size that a head was trained for.
    pub fn size(mut self, size: SizeRule) -> Self {
        self.size = Some(size);
        self
    }

    /// Whether the mirrored image is averaged in, for twice the time.
    pub fn flip(mut self, flip: bool) -> Self {
        self.flip = flip;
        self
    }

    /// Whether borders are fitted to the image's own edges; if nothing is said, those of labels are, and depths are not.
    pub fn refine(mut self, refine: bool) -> Self {
        self.refine = Some(refine);
        self
    }

    /// Whether depths come with their standard deviations.
    pub fn uncertainty(mut self, uncertainty: bool) -> Self {
        self.uncertainty = uncertainty;
        self
    }

    /// Whether depths are converted as `dino calibrate depth` fitted it for the head, if it did; they are if nothing is said.
    pub fn calibration(mut self, calibration: bool) -> Self {
        self.no_calibration = !calibration;
        self
    }

    /// Finds the heads and loads the backbone, on every device. `vits14-focus`, which the heads that come with the program
    /// read, is fetched into the store if it is not there; other backbones are not.
    ///
    /// # Errors
    /// [`Error::Usage`] if no head is asked for, or a wish cannot be fulfilled; [`Error::Model`] if there is no such head or
    /// backbone, or they do not fit each other; if a device fails, or a download.
    pub fn build(self) -> Result<Predictor> {
        let store = match &self.store {
            Some(folder) => Store::at(folder),
            None => Store::open()?,
        };
        let heads = HeadStore::at(store.root());
        let choose = |task: &str, name: &Option<PathBuf>| -> Result<Option<LocatedHead>> {
            let Some(name) = name else { return Ok(None) };
            Ok(Some(heads.choose(task, Some(name.as_os_str()))?))
        };
        let mut notes = Vec::new();
        let depth = choose("depth", &self.depth)?;
        let calibration = match depth.as_ref().filter(|_| !self.no_calibration) {
            Some(found) => heads.calibration(found, &mut |why| notes.push(why))?,
            None => None,
        };
        let depth = depth.map(|found| found.head);
        let labels = choose("segment", &self.segment)?.map(|found| found.head);
        if let Some(head) = depth.as_ref().filter(|_| self.uncertainty) {
            notes.extend(note_on_deviation(head)?);
        }
        let heads: Vec<&Head> = depth.iter().chain(&labels).collect();
        let (backbones, config) = self.load_backbones(&store, &heads, &mut notes)?;
        // Shows nothing, and what it is told comes to nothing: what matters of that is in the notes.
        let console = Console::new(true, false).recorder();
        let (recipe, patch_size) = (self.head_recipe(), config.patch_size);
        let depth = depth.map(|head| -> Result<DepthPredictor> {
            let deviation = self.uncertainty;
            let mut reader = DepthPredictor::new(&recipe, head, deviation, patch_size, &console)?;
            reader.attach_backbones(&backbones)?;
            let Some(calibration) = &calibration else {
                return Ok(reader);
            };
            notes.push(calibration.summary());
            notes.extend(calibration.input_mismatch(&reader.describe_input()));
            reader.with_conversion(calibration.scale, calibration.shift)
        });
        let depth = depth.transpose()?;
        let labels = labels.map(|head| -> Result<LabelPredictor> {
            let mut reader = LabelPredictor::new(&recipe, head, patch_size, &console)?;
            reader.attach_backbones(&backbones)?;
            notes.extend(note_on_protocol(&reader));
            Ok(reader)
        });
        let labels = labels.transpose()?;
        Ok(Predictor {
            backbones,
            depth,
            classes: labels
                .as_ref()
                .map_or(&[][..], LabelPredictor::classes)
                .into(),
            labels,
            batch_size: self.batch_size,
            max_memory: self.max_memory,
            notes,
            console,
        })
    }

    /// How all heads are used.
    fn head_recipe(&self) -> HeadRecipe {
        HeadRecipe {
            size: self.size,
            flip: self.flip,
            refine: self.refine,
            ..HeadRecipe::default()
        }
    }

    /// The backbone that `heads` read, on each device, and what it is.
    fn load_backbones(
        &self,
        store: &Store,
        heads: &[&Head],
        notes: &mut Vec<String>,
    ) -> Result<(Vec<Backbone>, BackboneConfig)> {
        let Some(first) = heads.first() else {
            let why =
                "no head is asked for; call .depth(NAME), .segment(NAME) or both on the builder";
            return Err(Error::Usage(why.into()));
        };
        // Wrong wishes are found before anything is fetched.
        let devices = self.device.open_all(&mut |note| notes.push(note))?;
        let dtypes = devices.iter().map(|device| self.dtype.resolve(device));
        let dtypes: Vec<_> = dtypes.collect::<Result<_>>()?;
        let name = self.model.as_deref().unwrap_or(&first.meta.backbone);
        let access = match self.offline {
            true => NetworkAccess::Forbidden(".offline(true)".into()),
            false => NetworkAccess::from_offline_flag(false)?,
        };
        let loaded = weights::load(store, Some(name), &access, &mut |event| {
            if let FetchEvent::Note(text) | FetchEvent::Resumed(text) | FetchEvent::Warning(text) =
                event
            {
                notes.push(text.to_owned());
            }
            Ok(())
        })?;
        let (record, config) = (&loaded.record, loaded.variant.config);
        for head in heads {
            let weights = (record.variant.as_str(), record.fingerprint.as_str());
            head.check_backbone(&record.name, weights, &config)?;
        }
        memory::check_weights(&record.name, record.bytes)?;
        let backbones = devices
            .iter()
            .zip(dtypes)
            .map(|(device, dtype)| Backbone::from_source(config, &loaded.tensors, device, dtype));
        Ok((backbones.collect::<Result<_>>()?, config))
    }
}

/// What is to be said of the standard deviations of `head`.
///
/// # Errors
/// [`Error::Usage`] if it gives none.
fn note_on_deviation(head: &Head) -> Result<Option<String>> {
    let name = &head.meta.name;
    match (readout_of(&head.meta)?, &head.meta.calibration) {
        (DepthReadout::Bins { .. }, Some(_)) => Ok(None),
        (
            DepthReadout::Direct { .. }
            | DepthReadout::Sigmoid { .. }
            | DepthReadout::Inverse { .. },
            _,
        ) => Err(Error::Usage(format!(
            ".uncertainty(true): the head {name} gives depths alone; heads with bins know how sure they are"
        ))),
        (DepthReadout::Bins { .. }, None) => Ok(Some(format!(
            "the head {name} was not calibrated, so its deviations are the plain spread over its bins, which may be far wider \
             than its errors"
        ))),
    }
}

/// Says where a head is run in another way than its publisher does.
fn note_on_protocol(reader: &LabelPredictor) -> Option<String> {
    let meta = &reader.head().meta;
    let protocol = meta.protocol?;
    let follows = matches!(reader.mode(), InferenceMode::Protocol(..));
    (!follows).then(|| {
        format!(
            "the size, the mirrored image or the borders that were asked for take the place of the protocol {} of the head {}",
            protocol.name(),
            meta.name
        )
    })
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn why(builder: PredictorBuilder) -> String {
        let folder = tempfile::tempdir().unwrap();
        let built = builder.store(folder.path()).offline(true).build();
        built.map(|_| ()).unwrap_err().to_string()
    }

    #[test]
    fn wrong_wishes_are_named_in_the_builders_terms() {
        let builder = Predictor::builder;
        assert!(why(builder()).contains("call .depth(NAME)"));
        assert!(why(builder().depth("indor")).contains("no head called indor"));
        let crossed = why(builder().depth("everyday"));
        assert!(
            crossed.contains("everyday") && crossed.contains("segment"),
            "{crossed}"
        );
        let offline = why(builder().depth("indoor").device(DeviceChoice::Cpu));
        assert!(offline.contains(".offline(true) forbids"), "{offline}");
        let half = builder().depth("indoor").device(DeviceChoice::Cpu);
        assert!(why(half.dtype(DtypeChoice::F16)).contains("f16"));
    }
}
