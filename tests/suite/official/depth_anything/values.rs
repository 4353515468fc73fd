//! Weights with the names of either publisher are the same, and depths are those of transformers.

use candle_core::{DType, Device, Tensor};
use dino::engine::{BackbonePass, FlipViews, InputScales};
use dino::model::backbone::{Backbone, Checkpoint};
use dino::model::head::{Head, HeadNetwork, HeadTask};
use dino::model::head_zoo::convert::recognise;
use dino::model::head_zoo::depth_anything::find;
use dino::tasks::inference_mode::trained_preprocessor;
use dino::vision::postprocess::depth::{BinSpread, DepthDecoder, decode_photo};

use super::{by_authors_names, model};
use crate::goldens::{Golden, max_abs};
use crate::official::seeded::{self, Tensors};

/// Largest difference, as a share of the largest number of a map.
const GATE: f64 = 2e-4;

/// The numbers of a tensor.
fn numbers(tensor: &Tensor) -> Vec<f32> {
    tensor.flatten_all().unwrap().to_vec1().unwrap()
}

/// The network of the head in a checkpoint.
fn network(tensors: &Tensors) -> HeadNetwork {
    recognise(tensors.clone()).unwrap().into_network().unwrap()
}

#[test]
fn both_spellings_are_the_same_weights() {
    let (_, hub) = model();
    let authors = by_authors_names(&hub);
    assert_ne!(
        hub.keys().collect::<Vec<_>>(),
        authors.keys().collect::<Vec<_>>()
    );
    let (own, other) = (network(&hub), network(&authors));
    assert!(own == other);
    let backbone = |tensors: &Tensors| {
        Checkpoint::from_raw("file", tensors.clone())
            .unwrap()
            .tensors
    };
    let (own, other) = (backbone(&hub), backbone(&authors));
    assert_eq!(
        own.keys().collect::<Vec<_>>(),
        other.keys().collect::<Vec<_>>()
    );
    for (name, tensor) in &own {
        assert_eq!(numbers(tensor), numbers(&other[name]), "{name}");
    }
}

#[test]
fn photos_become_the_pixels_of_transformers() {
    let golden = Golden::load("depth_anything");
    let (config, tensors) = model();
    let checkpoint = Checkpoint::from_raw("seeded", tensors.clone()).unwrap();
    let backbone = Backbone::new(config, checkpoint, &Device::Cpu, DType::F32).unwrap();
    for (kind, name) in [("relative", "da2-small"), ("metric", "da2-indoor-small")] {
        let mut head = Head {
            meta: find(name).unwrap().meta(),
            network: network(&tensors),
        };
        head.meta.blocks = (0..config.depth).collect();
        let HeadTask::Depth { readout, .. } = head.meta.task.clone() else {
            panic!("a depth head");
        };
        assert_eq!(readout.is_inverse(), kind == "relative");
        let decoder = DepthDecoder::new(&readout, BinSpread::Omitted);
        let pass = BackbonePass {
            preprocessor: trained_preprocessor(&head, 14).unwrap(),
            requests: head.meta.requests(),
            views: FlipViews::Plain,
            scales: InputScales::Full,
        };
        for (width, height, every) in [(532, 518, 7), (151, 101, 3), (700, 600, 7)] {
            let photo = seeded::photo(width, height);
            let prepared = pass.preprocessor.prepare(&photo).unwrap();
            let batch = pass.forward(&backbone, &[&prepared], &|_| ()).unwrap();
            let seen = batch.split().unwrap().remove(0);
            let scores = head.scores(&seen.features).unwrap();
            let map = decode_photo(&scores, None, &prepared.geometry, &decoder);
            let strided = |map: &[f32], width: usize, every: usize| -> Vec<f64> {
                let rows = map.chunks_exact(width).step_by(every);
                rows.flat_map(|row| row.iter().step_by(every))
                    .map(|&v| f64::from(v))
                    .collect()
            };
            let name = format!("{kind}.{width}x{height}");
            let extent = golden.numbers(&format!("{name}.extent"));
            let expected = golden.numbers(&format!("{name}.raw"));
            let off = max_abs(&strided(&map.depth, map.width, 7), &expected) / extent[1];
            println!("{name}: its own map {off:.1e} of the largest");
            assert!(off < GATE, "{name}: its own map {off:e}");
            let whole = map.to_photo(&prepared.geometry);
            assert_eq!(
                (whole.width, whole.height),
                (width as usize, height as usize)
            );
            // transformers' cubic way back overshoots what the model says anywhere.
            let expected: Vec<f64> = golden
                .numbers(&name)
                .into_iter()
                .map(|value| value.clamp(extent[0], extent[1]))
                .collect();
            let found = strided(&whole.depth, whole.width, every);
            let off = max_abs(&found, &expected) / extent[1];
            println!("{name}: {off:.1e} of the largest");
            assert!(off < GATE, "{name}: {off:e}");
            // A few rows at a time they are the same.
            let rows = map.depth_rows(&prepared.geometry).collect().unwrap();
            assert_eq!(rows, whole.depth, "{name}");
        }
    }
}
