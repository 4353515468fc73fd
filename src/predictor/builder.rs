//! [`PredictorBuilder`]: chooses the heads, backbone, devices and sizes of a [`Predictor`], and loads it.

use std::path::PathBuf;

use super::predict::Predictor;
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
use crate::tasks::depth::{DepthPredictor, depth_readout};
use crate::tasks::recipe::HeadRecipe;
use crate::tasks::segment::LabelPredictor;
use crate::tasks::{InferenceMode, TaskPredictor};
use crate::terminal::console::Console;

/// Settings of a [`Predictor`], with at least one head. The defaults are those of the commands.
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

impl Predictor {
    /// A builder with the defaults of the commands, and no head yet.
    pub fn builder() -> PredictorBuilder {
        PredictorBuilder::default()
    }
}

impl PredictorBuilder {
    /// Predicts depth with a head: its name (`dino heads list` shows them), or the path of its `.safetensors` file.
    pub fn depth(mut self, head: impl Into<PathBuf>) -> Self {
        self.depth = Some(head.into());
        self
    }

    /// Predicts a class for each pixel with a head, given by name or path as in [`PredictorBuilder::depth`].
    pub fn segment(mut self, head: impl Into<PathBuf>) -> Self {
        self.segment = Some(head.into());
        self
    }

    /// The name of a backbone. Default: the one that the first head names. [`PredictorBuilder::build`] fails if a head
    /// was not trained on it.
    pub fn model(mut self, name: impl Into<String>) -> Self {
        self.model = Some(name.into());
        self
    }

    /// The folder of models and heads. Default: `$DINO_HOME`, or else the platform's data folder.
    pub fn store(mut self, folder: impl Into<PathBuf>) -> Self {
        self.store = Some(folder.into());
        self
    }

    /// Whether fetching a missing backbone is forbidden. Default: false, unless the environment forbids it.
    pub fn offline(mut self, offline: bool) -> Self {
        self.offline = offline;
        self
    }

    /// The device, or devices, to compute on. Default: the first that works of CUDA, Metal and the CPU. Several GPUs
    /// share the photos of [`Predictor::predict_each`].
    pub fn device(mut self, device: DeviceChoice) -> Self {
        self.device = device;
        self
    }

    /// The number type that the backbone computes in.
    pub fn dtype(mut self, dtype: DtypeChoice) -> Self {
        self.dtype = dtype;
        self
    }

    /// How many photos of one padded size [`Predictor::predict_each`] computes as one batch.
    pub fn batch_size(mut self, photos: BatchSize) -> Self {
        self.batch_size = photos;
        self
    }

    /// The most bytes of host memory that photos may take, those of [`Predictor::predict_each`] together. Default: four
    /// fifths of the free memory, less 64 MiB.
    pub fn max_memory(mut self, bytes: u64) -> Self {
        self.max_memory = Some(bytes);
        self
    }

    /// The size at which an image goes through the backbone. Default: the size that a head was trained for.
    pub fn size(mut self, size: SizeRule) -> Self {
        self.size = Some(size);
        self
    }

    /// Whether the scores of the mirrored image are averaged in, which takes twice the time. Default: false.
    pub fn flip(mut self, flip: bool) -> Self {
        self.flip = flip;
        self
    }

    /// Whether borders are refined along the image's own edges. Default: for labels, not for depths.
    pub fn refine(mut self, refine: bool) -> Self {
        self.refine = Some(refine);
        self
    }

    /// Whether depths come with their standard deviations
    /// ([`DepthPrediction::deviation`](super::DepthPrediction::deviation)). Default: false.
    pub fn uncertainty(mut self, uncertainty: bool) -> Self {
        self.uncertainty = uncertainty;
        self
    }

    /// Whether depths are scaled and shifted as `dino calibrate depth` fitted it for the head, if it did. Default:
    /// true.
    pub fn calibration(mut self, calibration: bool) -> Self {
        self.no_calibration = !calibration;
        self
    }

    /// Finds the heads, and loads the backbone on every device. `vits14-focus`, the backbone of the heads that come
    /// with the program, is fetched into the store if it is missing; other backbones are not.
    ///
    /// # Errors
    /// [`Error::Usage`] if there is no head, or a setting is not possible with it or on the device; [`Error::Model`] if
    /// there is no such head or backbone, or they do not fit each other; if a device or a download fails.
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
            Some(located) => heads.calibration(located, &mut |why| notes.push(why))?,
            None => None,
        };
        let depth = depth.map(|located| located.head);
        let labels = choose("segment", &self.segment)?.map(|located| located.head);
        if let Some(head) = depth.as_ref().filter(|_| self.uncertainty) {
            notes.extend(note_on_deviation(head)?);
        }
        let heads: Vec<&Head> = depth.iter().chain(&labels).collect();
        let (backbones, config) = self.load_backbones(&store, &heads, &mut notes)?;
        // Prints nothing; what matters of its messages is in the notes.
        let console = Console::new(true, false).recorder();
        let (recipe, patch_size) = (self.head_recipe(), config.patch_size);
        let depth = depth.map(|head| -> Result<DepthPredictor> {
            let deviation = self.uncertainty;
            let mut predictor =
                DepthPredictor::new(&recipe, head, deviation, patch_size, &console)?;
            predictor.attach_backbones(&backbones)?;
            let Some(calibration) = &calibration else {
                return Ok(predictor);
            };
            notes.push(calibration.summary());
            notes.extend(calibration.input_mismatch(&predictor.describe_input()));
            predictor.with_conversion(calibration.scale, calibration.shift)
        });
        let depth = depth.transpose()?;
        let labels = labels.map(|head| -> Result<LabelPredictor> {
            let mut predictor = LabelPredictor::new(&recipe, head, patch_size, &console)?;
            predictor.attach_backbones(&backbones)?;
            notes.extend(note_on_protocol(&predictor));
            Ok(predictor)
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

    /// The settings that all heads share.
    fn head_recipe(&self) -> HeadRecipe {
        HeadRecipe {
            size: self.size,
            flip: self.flip,
            refine: self.refine,
            ..HeadRecipe::default()
        }
    }

    /// The backbone of `heads`, once on each device, and its shape.
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
        // Settings are checked before anything is fetched.
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

/// A note where the standard deviations of `head` are not calibrated.
///
/// # Errors
/// [`Error::Usage`] if the head gives no standard deviations.
fn note_on_deviation(head: &Head) -> Result<Option<String>> {
    let name = &head.meta.name;
    match (depth_readout(&head.meta)?, &head.meta.calibration) {
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

/// A note where settings replace the evaluation protocol of the head.
fn note_on_protocol(predictor: &LabelPredictor) -> Option<String> {
    let meta = &predictor.head().meta;
    let protocol = meta.protocol?;
    let follows = matches!(predictor.mode(), InferenceMode::Protocol(..));
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
