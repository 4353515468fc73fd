//! Labels of segmentation heads, and logits of classifiers.

use dino::engine::FlipViews;
use dino::model::backbone::Backbone;
use dino::model::head::{Head, Protocol};
use dino::model::input::Unpad;
use dino::vision::inference::protocol;
use dino::vision::postprocess::{LabelMap, views};

use super::{GATE, backbone, head, network, pass};
use crate::goldens::{Golden, max_abs};
use crate::official::seeded;

/// Largest share of labels that may differ.
const LABELS: f64 = 1e-3;

/// Labels of the seeded photo under a protocol, and the scores of its views.
fn labels(
    backbone: &Backbone,
    head: &Head,
    protocol: Protocol,
    (width, height): (u32, u32),
) -> (LabelMap, Vec<protocol::ScoredView>) {
    let pass = pass(head, FlipViews::Plain);
    let photo = seeded::photo(width, height);
    let looks = protocol::views(protocol, (width, height)).unwrap();
    let seen = protocol::score_views(&photo, looks, 14, 4, |windows| {
        let windows: Vec<_> = windows.iter().collect();
        let features = pass.forward(backbone, &windows, &|_| ())?.split()?;
        features
            .iter()
            .map(|seen| head.scores(&seen.features))
            .collect()
    })
    .unwrap();
    let size = (width as usize, height as usize);
    (views::label_views(&seen, size, Unpad::Squeeze), seen)
}

/// Compares every `every`th label of a map with the golden.
fn compare(golden: &Golden, name: &str, map: &LabelMap, every: usize) {
    let rows = map.ids.chunks_exact(map.width).step_by(every);
    let found: Vec<u16> = rows
        .flat_map(|row| row.iter().step_by(every).copied())
        .collect();
    let expected = golden.numbers(&format!("{name}.labels"));
    assert_eq!(found.len(), expected.len());
    let wrong = found
        .iter()
        .zip(&expected)
        .filter(|(a, b)| f64::from(**a) != **b)
        .count() as f64
        / found.len() as f64;
    println!("{name}: {:.3} % of the labels differ", 100.0 * wrong);
    assert!(wrong < LABELS, "{name}: {wrong}");
}

/// Compares the probabilities of the labels with the golden.
fn winners(golden: &Golden, name: &str, map: &LabelMap, every: usize) {
    let rows = map.confidence.chunks_exact(map.width).step_by(every);
    let found: Vec<f64> = rows
        .flat_map(|row| row.iter().step_by(every))
        .map(|&v| f64::from(v))
        .collect();
    let off = max_abs(&found, &golden.numbers(&format!("{name}.winner")));
    println!("{name}: probabilities {off:.1e}");
    assert!(off < GATE, "{name}: {off:e}");
}

#[test]
fn segmentation_heads_give_the_papers_labels() {
    let golden = Golden::load("official");
    let small = backbone("S");
    let ade = head("ade20k-linear-vits14", network(seeded::segmenter(384, 150)));
    let (map, seen) = labels(&small, &ade, Protocol::Slide, (200, 150));
    // [150, 16, 22]: every 32nd row and column of the view, before it is resized to the photo.
    let rows = (0..512).step_by(32).map(|row| {
        let scores = views::blended_row(&seen[0], row, Unpad::Squeeze);
        let pixels = scores.chunks_exact(150).step_by(32);
        pixels.map(<[f32]>::to_vec).collect::<Vec<_>>()
    });
    let rows: Vec<Vec<Vec<f32>>> = rows.collect();
    let found: Vec<f64> = (0..150)
        .flat_map(|class| {
            rows.iter()
                .flatten()
                .map(move |pixel| f64::from(pixel[class]))
        })
        .collect();
    let off = max_abs(&found, &golden.numbers("seg.ade20k.linear.S.slide.logits"));
    println!("seg.ade20k.linear.S.slide: logits {off:.1e}");
    assert!(off < GATE, "logits: {off:e}");
    compare(&golden, "seg.ade20k.linear.S.slide", &map, 1);
    winners(&golden, "seg.ade20k.linear.S.slide", &map, 5);
    let (map, _) = labels(&small, &ade, Protocol::Whole, (200, 150));
    compare(&golden, "seg.ade20k.linear.S.whole", &map, 1);
    let (map, _) = labels(&small, &ade, Protocol::Slide, (1190, 600));
    compare(&golden, "seg.ade20k.linear.S.shrunk.slide", &map, 4);
    winners(&golden, "seg.ade20k.linear.S.shrunk.slide", &map, 20);
    let voc = head("voc2012-linear-vits14", network(seeded::segmenter(384, 21)));
    let (map, _) = labels(&small, &voc, Protocol::Slide, (200, 150));
    compare(&golden, "seg.voc2012.linear.S.slide", &map, 1);
}

#[test]
fn many_scales_give_the_papers_labels() {
    let golden = Golden::load("official");
    let tiny = backbone("t");
    for (data, classes) in [("ade20k", 150), ("voc2012", 21)] {
        let network = network(seeded::segmenter(4 * 32, classes));
        let mut head = head(&format!("{data}-ms-vits14"), network);
        head.meta.blocks = vec![0, 1, 2, 3];
        let (map, _) = labels(&tiny, &head, Protocol::Ms, (64, 56));
        let name = format!("seg.{data}.ms.t.ms");
        compare(&golden, &name, &map, 1);
        // The golden has every class at every eighth pixel; the best of them is what the map has.
        let probabilities = golden.numbers(&format!("{name}.probabilities"));
        let (rows, cols) = (56 / 8, 64 / 8);
        for row in 0..rows {
            for col in 0..cols {
                let best = (0..classes)
                    .map(|class| probabilities[(class * rows + row) * cols + col])
                    .fold(0.0, f64::max);
                let found = f64::from(map.confidence[row * 8 * 64 + col * 8]);
                assert!((best - found).abs() < GATE, "{row} {col}: {best} {found}");
            }
        }
    }
}

#[test]
fn classifiers_give_the_papers_logits() {
    let golden = Golden::load("official");
    for (size, model) in [("S", "vits14"), ("S-reg", "vits14-reg")] {
        let backbone = backbone(size);
        for (method, parts) in [("linear", 2), ("linear4", 5)] {
            let network = network(seeded::classifier(384 * parts));
            let head = head(&format!("imagenet-{method}-{model}"), network);
            let check = |photo: (u32, u32), name: &str| {
                let pass = pass(&head, FlipViews::Plain);
                let photo = seeded::photo(photo.0, photo.1);
                let prepared = pass.preprocessor.prepare(&photo).unwrap();
                let seen = pass
                    .forward(&backbone, &[&prepared], &|_| ())
                    .unwrap()
                    .split()
                    .unwrap()
                    .remove(0);
                let features = seen.features;
                let found: Vec<f64> = head
                    .classify(&features)
                    .unwrap()
                    .into_iter()
                    .map(f64::from)
                    .collect();
                let off = max_abs(&found, &golden.numbers(&format!("{name}.logits")));
                println!("{name}: {off:.1e}");
                assert!(off < GATE, "{name}: {off:e}");
            };
            check((200, 150), &format!("classify.{method}.{size}"));
            if (method, size) == ("linear", "S") {
                check((620, 500), "classify.linear.S.shrunk");
            }
        }
    }
}
