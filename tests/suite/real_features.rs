//! The real `vits14-focus` on two samples against transformers in f64 (`tests/goldens/real.py`): everything from the
//! photo file to the features, at the native grid and at a non-square one.

use candle_core::{DType, Device};
use dino::io::inputs::{PhotoDecoder, Source};
use dino::model::backbone::{Backbone, LayerRequest};
use dino::model::input::{Padding, SizeRule, Unpad};
use dino::model::weights::{Store, load};
use dino::system::http::NetworkAccess;
use dino::vision::preprocess::{PreparedImage, Preprocessor, Resample};

use crate::goldens::{Golden, max_abs, numbers};
use crate::program::{sample, store_with_focus};

const GATE: f64 = 5e-4;

#[test]
fn features_of_real_photos_agree_with_transformers() {
    let golden = Golden::load("focus");
    let store = Store::at(store_with_focus());
    let model = load(
        &store,
        Some("vits14-focus"),
        &NetworkAccess::Forbidden("this test".into()),
        &mut |_| Ok(()),
    )
    .unwrap();
    let backbone = Backbone::from_source(
        model.variant.config,
        &model.tensors,
        &Device::Cpu,
        DType::F32,
    )
    .unwrap();
    let preprocessor = Preprocessor {
        size: SizeRule::Native,
        resample: Resample::Bicubic,
        patch_size: 14,
        padding: Padding::Center,
        unpad: Unpad::Crop,
        max_patches: None,
        center_crop: None,
    };
    let channels: Vec<usize> = golden
        .numbers("channels")
        .iter()
        .map(|&c| c as usize)
        .collect();
    let layers = [
        ("block2", 2, false),
        ("block5", 5, false),
        ("block8", 8, false),
        ("block11", 11, false),
        ("norm", 11, true),
    ];
    let requests = layers.map(|(_, block, norm)| LayerRequest { block, norm });
    let mut worst = 0f64;
    for photo in ["astronaut", "chelsea"] {
        let source = Source::from_path(sample(&format!("{photo}.png")));
        let rgb = PhotoDecoder::plain().decode(&source).unwrap().rgb;
        let prepared = preprocessor.prepare(&rgb).unwrap();
        let features = backbone
            .forward(&PreparedImage::stack(&[&prepared]).unwrap(), &requests)
            .unwrap();
        let positions = golden.numbers(&format!("{photo}.tokens"));
        for (layer, (name, ..)) in features.layers.iter().zip(layers) {
            let tokens = numbers(&layer.patch_tokens);
            let dim = backbone.config().dim;
            let pick = |row: &[f64]| channels.iter().map(|&c| row[c]).collect::<Vec<_>>();
            let found: Vec<f64> = positions
                .iter()
                .flat_map(|&p| pick(&tokens[p as usize * dim..][..dim]))
                .collect();
            let mut check = |what: &str, found: &[f64], key: &str| {
                let difference = max_abs(found, &golden.numbers(key));
                worst = worst.max(difference);
                assert!(difference < GATE, "{photo} {name} {what}: {difference:e}");
            };
            check("patch tokens", &found, &format!("{photo}.{name}"));
            check(
                "cls token",
                &pick(&numbers(&layer.cls_token)),
                &format!("{photo}.{name}.cls"),
            );
            let mean = tokens.iter().sum::<f64>() / tokens.len() as f64;
            let variance =
                tokens.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / tokens.len() as f64;
            check(
                "mean and std",
                &[mean, variance.sqrt()],
                &format!("{photo}.{name}.mean_std"),
            );
        }
    }
    println!("largest difference from transformers in f64: {worst:.1e}");
}
