//! Heads against the naive form in PyTorch f64, and metrics against numpy and scikit-learn
//! (`tests/goldens/{heads,eval}.py`).

use candle_core::Tensor;
use dino::learn::eval::{Confusion, Crop, DepthEvaluator};
use dino::model::backbone::{Features, LayerFeatures, LayerRequest};
use dino::model::head::global_token::GlobalToken;
use dino::model::head::linear::Dense;
use dino::model::head::meta::{Bins, Spacing};
use dino::model::head::{
    Class, DepthReadout, Head, HeadInput, HeadMeta, HeadNetwork, HeadTask, LinearHead,
};
use dino::model::input::{CoarseScale, Geometry, PatchGrid, Unpad};
use dino::vision::postprocess::depth::{BinSpread, decode_bins};
use dino::vision::postprocess::segment::label;

use crate::goldens::{Golden, max_abs};
use crate::made_up_heads::made_up_meta;

const GRID: PatchGrid = PatchGrid { rows: 4, cols: 6 };
const BINS: usize = 7;

fn geometry() -> Geometry {
    Geometry {
        photo: (151, 101),
        resized: (80, 53),
        padded: (84, 56),
        pad_left: 2,
        pad_top: 1,
        patch_size: 14,
        reduced: false,
        unpad: Unpad::Crop,
    }
}

/// Features of both blocks; the coarse scale has the cls tokens of the fine one, because heads do not read its own.
fn features(golden: &Golden) -> Features {
    let look = |patches: &str, grid: PatchGrid, coarse: Option<Box<Features>>| {
        let layers = [0usize, 1].map(|block| {
            let cls: Tensor = golden.tensor(&format!("cls.{block}")).clone();
            LayerFeatures {
                request: LayerRequest { block, norm: false },
                patch_tokens: golden
                    .tensor(&format!("{patches}.{block}"))
                    .unsqueeze(0)
                    .unwrap(),
                registers: cls.narrow(0, 0, 0).unwrap().unsqueeze(0).unwrap(),
                cls_token: cls,
            }
        });
        Features {
            layers: layers.into(),
            grid,
            coarse,
        }
    };
    let coarse = look("cpatch", coarse().grid(GRID), None);
    look("patch", GRID, Some(Box::new(coarse)))
}

fn coarse() -> CoarseScale {
    60.try_into().unwrap()
}

fn dense(golden: &Golden, weight: &str, bias: &str) -> Dense {
    let floats =
        |name: &str| -> Vec<f32> { golden.numbers(name).into_iter().map(|v| v as f32).collect() };
    Dense {
        inputs: golden.tensor(weight).dim(1).unwrap(),
        weight: floats(weight),
        bias: floats(bias),
    }
}

/// A head of the golden: its name, and what it reads beside patch tokens.
type Reads = (&'static str, &'static [usize], &'static [GlobalToken]);
const COARSE: Reads = ("coarse", &[3], &[]);
const CLS: Reads = ("cls", &[], &[GlobalToken::Cls]);
const NONE: Reads = ("nocls", &[], &[]);
const ALL: Reads = ("all", &[], &GlobalToken::ALL);
const SQUARES: Reads = ("squares", &[3, 5], &[GlobalToken::Mean]);

fn head(
    golden: &Golden,
    (name, context, globals): Reads,
    hidden: usize,
    task: HeadTask,
) -> (Head, String) {
    let outputs = match &task {
        HeadTask::Depth { readout, .. } => readout.outputs(),
        HeadTask::Segment { classes } => classes.len(),
        HeadTask::Classify { classes } => classes.len(),
    };
    let key = format!("{name}.{outputs}.{hidden}");
    let first = dense(golden, &format!("W.{key}"), &format!("b.{key}"));
    let (hidden, output) = match hidden {
        0 => (None, first),
        _ => {
            let last = dense(golden, &format!("W2.{key}"), &format!("b2.{key}"));
            (Some(first), last)
        }
    };
    let meta = HeadMeta {
        name: "golden".into(),
        blocks: vec![0, 1],
        norm: false,
        context: context.to_vec(),
        globals: globals.to_vec(),
        input: HeadInput {
            size: "native".into(),
            padding: "center".into(),
            coarse: (name == "coarse").then(coarse),
            crop: None,
        },
        ..made_up_meta(task, "none", "0")
    };
    (
        Head {
            meta,
            network: HeadNetwork::Linear(LinearHead::new(hidden, output)),
        },
        key,
    )
}

fn kept(map: &[f32]) -> Vec<f64> {
    let rows = map.chunks_exact(151).step_by(6);
    rows.flat_map(|row| row.iter().step_by(5))
        .map(|&v| f64::from(v))
        .collect()
}

#[test]
fn depth_heads_agree_with_the_naive_form() {
    let golden = Golden::load("heads");
    let features = features(&golden);
    for (spacing, name) in [(Spacing::Linear, "linear"), (Spacing::Log, "log")] {
        for (kind, hidden, upsample) in [
            (CLS, 0, 4),
            (NONE, 0, 4),
            (CLS, 8, 4),
            (NONE, 8, 1),
            (CLS, 0, 1),
            (ALL, 0, 4),
            (ALL, 8, 1),
            (SQUARES, 0, 4),
            (SQUARES, 8, 1),
            (COARSE, 0, 4),
            (COARSE, 8, 1),
        ] {
            let bins = Bins {
                spacing,
                min: 0.5,
                max: 10.0,
                count: BINS,
            };
            let task = HeadTask::Depth {
                readout: DepthReadout::Bins { bins, upsample },
                unit: "m".into(),
            };
            let (head, key) = head(&golden, kind, hidden, task);
            let scores = head.scores(&features).unwrap();
            let values: Vec<f64> = scores.values.iter().map(|&v| f64::from(v)).collect();
            assert!(max_abs(&values, &golden.numbers(&format!("scores.{key}"))) < 1e-5);
            let map = decode_bins(&scores, &bins.centres(), upsample, BinSpread::Unscaled)
                .to_photo(&geometry());
            let which = kind.0;
            let expected = |what: &str| {
                golden.numbers(&format!("{what}.{name}.{which}.{hidden}.up{upsample}"))
            };
            let depth = max_abs(&kept(&map.depth), &expected("depth"));
            let deviation = max_abs(&kept(&map.deviation), &expected("deviation"));
            assert!(
                depth < 1e-5 && deviation < 5e-5,
                "{name} {key}: {depth} {deviation}"
            );
        }
    }
}

#[test]
fn labels_are_the_argmax_of_upsampled_scores() {
    let golden = Golden::load("heads");
    let features = features(&golden);
    for kind in [CLS, NONE, ALL, SQUARES, COARSE] {
        let class = |i: u8| Class {
            name: i.to_string(),
            color: [i; 3],
        };
        let task = HeadTask::Segment {
            classes: (0..5).map(class).collect(),
        };
        let (head, _) = head(&golden, kind, 0, task);
        let map = label(&head.scores(&features).unwrap(), &geometry(), &[]).unwrap();
        let found: Vec<f32> = map.ids.iter().map(|&id| f32::from(id)).collect();
        let margin = golden.numbers(&format!("margin.{}", kind.0));
        let expected = golden.numbers(&format!("labels.{}", kind.0));
        assert_eq!(kept(&found).len(), expected.len());
        for ((found, expected), margin) in kept(&found).iter().zip(expected).zip(margin) {
            assert!(*found == expected || margin < 1e-5);
        }
    }
}

#[test]
fn depth_figures_agree_with_numpy() {
    let golden = Golden::load("eval");
    let maps =
        |name: &str| -> Vec<f32> { golden.numbers(name).into_iter().map(|v| v as f32).collect() };
    let (prediction, truth) = (maps("depth.prediction"), maps("depth.truth"));
    for (crop, name) in [(Crop::None, "none"), (Crop::Eigen, "eigen")] {
        let judge = DepthEvaluator {
            crop,
            min: 0.5,
            max: 9.0,
        };
        for image in 0..2 {
            let own = image * 24 * 32..(image + 1) * 24 * 32;
            let errors = judge
                .errors(&prediction[own.clone()], &truth[own], (32, 24))
                .unwrap();
            for (figure, value) in errors.named_values() {
                let expected = golden.numbers(&format!("depth.{figure}.{name}"))[image];
                assert!(
                    (value - expected).abs() < 1e-9 * expected.max(1.0),
                    "{figure} {name}: {value}, numpy {expected}"
                );
            }
        }
    }
}

#[test]
fn segmentation_figures_agree_with_scikit_learn() {
    let golden = Golden::load("eval");
    let (prediction, truth) = (
        golden.numbers("segment.prediction"),
        golden.numbers("segment.truth"),
    );
    let mut all = Confusion::new(6);
    for (prediction, truth) in prediction.chunks(600).zip(truth.chunks(600)) {
        let mut own = Confusion::new(6);
        let labelled = truth.iter().zip(prediction).filter(|(t, _)| **t < 255.0);
        own.add(labelled.map(|(&t, &p)| (t as u16, Some(p as u16))));
        all.merge(&own);
    }
    let counts: Vec<f64> = (0..6)
        .flat_map(|id| all.row(id)[..6].iter().map(|&n| n as f64))
        .collect();
    assert_eq!(counts, golden.numbers("segment.confusion"));
    let ious: Vec<f64> = all.per_id().iter().map(|one| one.iou.unwrap()).collect();
    assert!(max_abs(&ious, &golden.numbers("segment.iou")) < 1e-12);
    let summary = [
        all.mean_iou(),
        all.pixel_accuracy(),
        all.mean_accuracy(),
        all.mean_iou_of_present(),
    ];
    assert!(max_abs(&summary, &golden.numbers("segment.summary")) < 1e-12);
    assert_eq!(all.per_id()[5].images, 0);
}
