//! Attention of the cls token against PyTorch in f64 (`tests/goldens/attention.py`): four shrunken models, and the real
//! `vits14-focus` on two photos.

use candle_core::{DType, Device};
use dino::io::inputs::{PhotoDecoder, Source};
use dino::model::backbone::{Backbone, Checkpoint, ClsAttention};
use dino::model::input::{Padding, SizeRule, Unpad};
use dino::model::weights::{Store, load};
use dino::system::http::NetworkAccess;
use dino::vision::preprocess::{PreparedImage, Preprocessor, Resample};

use crate::backbone_goldens::{GRIDS, config, pixels};
use crate::goldens::{Golden, max_abs};
use crate::program::{sample, store_with_focus};

fn rows(found: &[ClsAttention]) -> Vec<f64> {
    let row = |one: &ClsAttention, head| [one.specials(head), one.patches(head)].concat();
    found
        .iter()
        .flat_map(|one| (0..one.heads).flat_map(|head| row(one, head)))
        .map(f64::from)
        .collect()
}

#[test]
fn shrunken_models_agree_with_pytorch() {
    let golden = Golden::load("attention");
    for name in ["plain", "reg", "swiglu", "v1"] {
        let weights = Golden::load(name);
        let checkpoint = || Checkpoint::from_raw("golden", weights.under("weights.")).unwrap();
        let cpu = Device::Cpu;
        let by_kernels = Backbone::new(config(name), checkpoint(), &cpu, DType::F32).unwrap();
        let by_tensors =
            Backbone::with_tensors(config(name), checkpoint(), &cpu, DType::F32).unwrap();
        let p = config(name).patch_size;
        for (rows_, cols) in GRIDS {
            let blocks = if (rows_, cols) == (4, 6) {
                &[0, 2][..]
            } else {
                &[2]
            };
            for &block in blocks {
                let expected = golden.numbers(&format!("{name}.{rows_}x{cols}.block{block}"));
                for (backbone, gate) in [(&by_kernels, 1e-5), (&by_tensors, 1e-5)] {
                    let pixels = pixels(2, rows_ * p, cols * p);
                    let found = backbone.cls_attention(&pixels, block).unwrap();
                    assert_eq!(found.len(), 2);
                    let difference = max_abs(&rows(&found), &expected);
                    assert!(
                        difference < gate,
                        "{name} {rows_}x{cols} block {block}: {difference:e}"
                    );
                }
            }
        }
    }
}

#[test]
fn half_precision_is_near_and_a_wrong_block_is_an_error() {
    let golden = Golden::load("attention");
    let weights = Golden::load("reg");
    let checkpoint = Checkpoint::from_raw("golden", weights.under("weights.")).unwrap();
    let backbone = Backbone::new(config("reg"), checkpoint, &Device::Cpu, DType::BF16).unwrap();
    let pixels = pixels(2, 4 * 14, 6 * 14);
    let found = backbone.cls_attention(&pixels, 2).unwrap();
    let difference = max_abs(&rows(&found), &golden.numbers("reg.4x6.block2"));
    assert!(difference < 0.03, "{difference:e}");
    let sums = found.iter().flat_map(|one| {
        (0..2).map(|head| {
            one.specials(head)
                .iter()
                .chain(one.patches(head))
                .sum::<f32>()
        })
    });
    sums.for_each(|sum| assert!((sum - 1.0).abs() < 1e-5, "{sum}"));
    let error = backbone.cls_attention(&pixels, 3).unwrap_err().to_string();
    assert!(error.contains("blocks 0 to 2"), "{error}");
}

#[test]
fn the_real_backbone_agrees_with_transformers() {
    let (golden, known) = (Golden::load("attention"), Golden::load("focus"));
    let store = Store::at(store_with_focus());
    let fetch = NetworkAccess::Forbidden("this test".into());
    let model = load(&store, Some("vits14-focus"), &fetch, &mut |_| Ok(())).unwrap();
    let config = model.variant.config;
    let backbone = Backbone::from_source(config, &model.tensors, &Device::Cpu, DType::F32).unwrap();
    let preprocessor = Preprocessor {
        size: SizeRule::Native,
        resample: Resample::Bicubic,
        patch_size: 14,
        padding: Padding::Center,
        unpad: Unpad::Crop,
        max_patches: None,
        center_crop: None,
    };
    let mut worst = 0f64;
    for photo in ["astronaut", "chelsea"] {
        let source = Source::from_path(sample(&format!("{photo}.png")));
        let rgb = PhotoDecoder::plain().decode(&source).unwrap().rgb;
        let prepared = preprocessor.prepare(&rgb).unwrap();
        let pixels = PreparedImage::stack(&[&prepared]).unwrap();
        let tokens = known.numbers(&format!("{photo}.tokens"));
        for block in [5, 11] {
            let found = &backbone.cls_attention(&pixels, block).unwrap()[0];
            let heads = 0..found.heads;
            let patches: Vec<f64> = heads
                .clone()
                .flat_map(|head| tokens.iter().map(move |&t| found.patches(head)[t as usize]))
                .map(f64::from)
                .collect();
            let cls: Vec<f64> = heads
                .map(|head| f64::from(found.specials(head)[0]))
                .collect();
            let name = format!("focus.{photo}.block{block}");
            let expected = golden.numbers(&name);
            worst = worst.max(max_abs(&patches, &expected));
            worst = worst.max(max_abs(&cls, &golden.numbers(&format!("{name}.cls"))));
        }
    }
    assert!(worst < 2e-5, "{worst:e}");
    println!("largest difference from transformers in f64: {worst:.1e}");
}
