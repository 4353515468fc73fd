//! Tasks on several devices, all of which are the CPU.

use candle_core::{DType, Device, Tensor};
use image::{Rgb, RgbImage};
use tempfile::TempDir;

use super::*;
use crate::engine::{Decoding, Engine, Ready};
use crate::io::inputs::{PhotoDecoder, Source};
use crate::model::backbone::{
    BackboneConfig, Checkpoint, Features, Ffn, LayerFeatures, LayerRequest, variants,
};
use crate::model::head_zoo::builtin;
use crate::model::input::SizeRule;
use crate::tasks::network::FoundByTask;
use crate::tasks::placed::PlacedHead;

const LAYER: LayerRequest = LayerRequest {
    block: 1,
    norm: true,
};

/// The same small backbone this many times.
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

/// Finds the tokens of [`LAYER`].
struct Tokens(Way);

impl Finder for Tokens {
    fn way(&self) -> &Way {
        &self.0
    }

    fn memory(&self, _: &Geometry) -> u64 {
        0
    }

    fn find(&self, seen: &Seen) -> Result<Found> {
        let tokens = layer::tokens(&seen.features, LAYER)?;
        Ok(Found::Tokens(tokens, seen.features.grid))
    }
}

/// Photos of different colours, in a folder of their own.
fn photos(count: u8) -> (TempDir, Vec<Source>) {
    let folder = tempfile::tempdir().unwrap();
    let write = |index: u8| {
        let path = folder.path().join(format!("{index}.png"));
        let photo = RgbImage::from_fn(28, 28, |x, _| Rgb([10 * index, x as u8, 7]));
        photo.save(&path).unwrap();
        Source::named(path)
    };
    let sources = (0..count).map(write).collect();
    (folder, sources)
}

/// The tokens of every photo.
fn tokens(backbones: &[Backbone], sources: &[&Source]) -> Vec<Vec<f32>> {
    let console = Console::new(true, false);
    let pass = layer::pass(LAYER, SizeRule::ShortSide(28), 14);
    let finder = Tokens(Way::AtOnce(pass));
    let batch_size = "2".parse().unwrap();
    let networks = backbones.iter().map(|backbone| {
        TaskNetwork::new(
            backbone,
            vec![&finder],
            (vec![1; sources.len()], &|_| String::new()),
            batch_size,
            &console,
            &|_| (),
        )
    });
    let networks: Vec<TaskNetwork<'_>> = networks.collect();
    let decoding = Decoding::new(PhotoDecoder::plain());
    let engine = Engine::new(backbones, decoding, batch_size, &console).unwrap();
    let finish = |mut ready: Ready, given: FoundByTask| {
        let given = given.into_iter().flatten().next().unwrap()?;
        networks[0].find(0, given, &mut ready.watch)
    };
    let mut all = Vec::new();
    let report = |_: usize, found: Result<Found>| {
        let Found::Tokens(tokens, _) = found? else {
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
    let seen = Seen {
        features: Features {
            layers: vec![layer],
            grid: Grid { rows: 2, cols: 2 },
            coarse: None,
        },
        mirrored: None,
    };
    let placed = PlacedHead::beside(&head, &backbones).unwrap();
    assert_eq!(placed.of(&seen.features).unwrap().meta.name, head.meta.name);
    let nowhere = PlacedHead::from(head).of(&seen.features).map(|_| ());
    assert!(
        nowhere
            .unwrap_err()
            .to_string()
            .contains("not on the device")
    );
}
