//! Tasks on several backbones, all of them on the CPU.

use candle_core::{DType, Device, Tensor};
use image::{Rgb, RgbImage};
use tempfile::TempDir;

use crate::engine::{BackboneOutput, DecodeStage, Engine, ReadyPhoto};
use crate::error::{Error, Result};
use crate::io::inputs::{PhotoDecoder, Source};
use crate::model::backbone::{
    Backbone, BackboneConfig, Checkpoint, Features, Ffn, LayerFeatures, LayerRequest, variants,
};
use crate::model::head_zoo::builtin;
use crate::model::input::{Geometry, PatchGrid, SizeRule};
use crate::tasks::inference::device_heads::DeviceHeads;
use crate::tasks::inference::layer;
use crate::tasks::inference::multi_task::OutputsByTask;
use crate::tasks::{InferenceMode, MultiTaskRunner, TaskOutput, TaskPredictor};
use crate::terminal::console::Console;

const LAYER: LayerRequest = LayerRequest {
    block: 1,
    norm: true,
};

/// This number of copies of one small backbone.
fn backbones(count: usize) -> Vec<Backbone> {
    let config = BackboneConfig {
        dim: 8,
        depth: 2,
        heads: 2,
        ffn: Ffn::Mlp { hidden: 16 },
        native_grid: 3,
        ..variants::find("vits14").unwrap().config
    };
    let checkpoint = Checkpoint::random(&config).unwrap();
    let build = |_| Backbone::new(config, checkpoint.clone(), &Device::Cpu, DType::F32).unwrap();
    (0..count).map(build).collect()
}

/// Predicts the tokens of [`LAYER`].
struct Tokens(InferenceMode);

impl TaskPredictor for Tokens {
    fn mode(&self) -> &InferenceMode {
        &self.0
    }

    fn memory(&self, _: &Geometry) -> u64 {
        0
    }

    fn predict(&self, seen: &BackboneOutput) -> Result<TaskOutput> {
        let tokens = layer::layer_tokens(&seen.features, LAYER)?;
        Ok(TaskOutput::Tokens(tokens, seen.features.grid))
    }
}

/// Photos of different colours, in a temporary folder.
fn photos(count: u8) -> (TempDir, Vec<Source>) {
    let folder = tempfile::tempdir().unwrap();
    let write = |index: u8| {
        let path = folder.path().join(format!("{index}.png"));
        let photo = RgbImage::from_fn(28, 28, |x, _| Rgb([10 * index, x as u8, 7]));
        photo.save(&path).unwrap();
        Source::from_path(path)
    };
    let sources = (0..count).map(write).collect();
    (folder, sources)
}

/// The tokens of every photo.
fn tokens(backbones: &[Backbone], sources: &[&Source]) -> Vec<Vec<f32>> {
    let console = Console::new(true, false);
    let pass = layer::layer_pass(LAYER, SizeRule::ShortSide(28), 14);
    let finder = Tokens(InferenceMode::Whole(pass));
    let batch_size = "2".parse().unwrap();
    let networks = backbones.iter().map(|backbone| {
        MultiTaskRunner::new(
            backbone,
            vec![&finder],
            (vec![1; sources.len()], &|_| String::new()),
            batch_size,
            &console,
            &|_| (),
        )
    });
    let networks: Vec<MultiTaskRunner<'_>> = networks.collect();
    let decoding = DecodeStage::new(PhotoDecoder::plain());
    let engine = Engine::new(backbones, decoding, batch_size, &console).unwrap();
    let finish = |mut ready: ReadyPhoto, given: OutputsByTask| {
        let given = given.into_iter().flatten().next().unwrap()?;
        networks[0].predict(0, given, &mut ready.timings)
    };
    let mut all = Vec::new();
    let report = |_: usize, found: Result<TaskOutput>| {
        let TaskOutput::Tokens(tokens, _) = found? else {
            return Err(no_tokens());
        };
        all.push(tokens);
        Ok(())
    };
    engine
        .run(sources, &networks, |_, _, _| (), finish, report)
        .unwrap();
    all
}

fn no_tokens() -> Error {
    Error::Model("something else than tokens".into())
}

#[test]
fn several_devices_find_what_one_does() {
    let (_folder, sources) = photos(9);
    let sources: Vec<&Source> = sources.iter().collect();
    let backbones = backbones(3);
    let one = tokens(&backbones[..1], &sources);
    assert_eq!(one.len(), 9);
    assert_ne!(one[0], one[1]);
    assert_eq!(tokens(&backbones, &sources), one);
}

#[test]
fn a_head_is_taken_from_the_device_of_the_features() {
    let (_, head) = builtin::all().next().unwrap();
    let head = head.unwrap();
    let zeros = |shape: &[usize]| Tensor::zeros(shape, DType::F32, &Device::Cpu).unwrap();
    let backbones = backbones(1);
    let layer = LayerFeatures {
        request: LAYER,
        patch_tokens: zeros(&[1, 4, 8]),
        cls_token: zeros(&[1, 8]),
        registers: zeros(&[1, 0, 8]),
    };
    let seen = BackboneOutput {
        features: Features {
            layers: vec![layer],
            grid: PatchGrid { rows: 2, cols: 2 },
            coarse: None,
        },
        mirrored: None,
    };
    let placed = DeviceHeads::on_devices_of(&head, &backbones).unwrap();
    assert_eq!(
        placed.on_device_of(&seen.features).unwrap().meta.name,
        head.meta.name
    );
    let nowhere = DeviceHeads::from(head)
        .on_device_of(&seen.features)
        .map(|_| ());
    assert!(
        nowhere
            .unwrap_err()
            .to_string()
            .contains("not on the device")
    );
}
