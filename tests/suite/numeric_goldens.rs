//! Resizers against OpenCV, Pillow and PyTorch, and the PCA against numpy (`tests/goldens/{resize,pca}.py`).

use dino::analysis::pca::{Basis, Moments, foreground};
use dino::maths::{StreamSampler, quantile};
use dino::model::input::{CoarseScale, Geometry, PatchGrid, SizeRule};
use dino::vision::preprocess::resize::{Resample, resize_rgb};
use dino::vision::preprocess::{PreparedImage, shrink_input};
use image::RgbImage;

use crate::goldens::{Golden, max_abs};

fn golden_image(golden: &Golden) -> RgbImage {
    let bytes = golden
        .numbers("image")
        .into_iter()
        .map(|v| v as u8)
        .collect();
    RgbImage::from_raw(61, 47, bytes).unwrap()
}

/// Bilinear gives cv2's bytes. Bicubic rounds to 8 bits and differs from the reference that rounds too by at most one
/// level. Both differ from the exact numbers by little more than the rounding of two passes; cv2 rounds down between
/// them.
#[test]
fn resizers_agree_with_their_references() {
    let golden = Golden::load("resize");
    let image = golden_image(&golden);
    for (width, height) in [(23, 31), (90, 70)] {
        for (resample, kind, library, gate, most) in [
            (Resample::Bicubic, "bicubic_aa", "pil", 1.0, 0.05),
            (Resample::Bilinear, "bilinear", "cv2", 0.0, 0.2),
        ] {
            let found = resize_rgb(&image, width, height, resample).unwrap();
            let found: Vec<f64> = found.iter().map(|&v| f64::from(v)).collect();
            let size = format!("{kind}.{width}x{height}");
            let difference = max_abs(&found, &golden.numbers(&format!("{size}.{library}")));
            assert!(difference <= gate, "{size}.{library}: {difference}");
            if library == "pil" {
                let own = dino::vision::preprocess::pillow::bicubic(&image, width, height);
                let own: Vec<f64> = own.iter().map(|&v| f64::from(v)).collect();
                assert_eq!(own, golden.numbers(&format!("{size}.pil")));
            }
            let exact: Vec<f64> = golden
                .numbers(&format!("{size}.torch"))
                .iter()
                .map(|v| v.clamp(0.0, 255.0))
                .collect();
            let difference = max_abs(&found, &exact);
            assert!(difference <= 1.05, "{size}.torch: {difference}");
            let bias =
                found.iter().zip(&exact).map(|(a, b)| a - b).sum::<f64>() / found.len() as f64;
            assert!(bias.abs() < most, "{size}: biased by {bias}");
        }
    }
}

#[test]
fn a_coarser_look_is_the_input_made_smaller() {
    let golden = Golden::load("resize");
    let image = golden_image(&golden);
    let channel = |channel: usize| {
        image
            .pixels()
            .map(move |rgb| f32::from(rgb[channel]) / 255.0)
    };
    let fine = PreparedImage {
        pixels: (0..3).flat_map(channel).collect(),
        geometry: Geometry::new(image.dimensions(), SizeRule::Native, 1),
    };
    let look = shrink_input(CoarseScale::try_from(60).unwrap(), &fine).unwrap();
    assert_eq!(look.geometry.padded, (37, 28));
    let found: Vec<f64> = look.pixels.iter().map(|&v| f64::from(v)).collect();
    let difference = max_abs(&found, &golden.numbers("look"));
    assert!(difference < 1e-5, "{difference}");
}

fn fitted(golden: &Golden, k: usize) -> (Vec<f32>, Basis) {
    let tokens: Vec<f32> = golden
        .tensor("tokens")
        .flatten_all()
        .unwrap()
        .to_vec1()
        .unwrap();
    let mut moments = Moments::new(24);
    for image in tokens.chunks(24 * 37) {
        moments.add(image);
    }
    let basis = Basis::fit(&moments, k).unwrap();
    (tokens, basis)
}

#[test]
fn pca_agrees_with_numpy() {
    let golden = Golden::load("pca");
    let (tokens, basis) = fitted(&golden, 4);
    assert!(max_abs(&basis.mean, &golden.numbers("mean")) < 1e-10);
    assert!(max_abs(&basis.variances, &golden.numbers("eigenvalues")[..4]) < 1e-9);
    // Same signs, so the components themselves agree, and with them the subspace.
    assert!(max_abs(&basis.components, &golden.numbers("components")) < 1e-8);
    let ratio = basis.explained_variance_ratio();
    assert!(max_abs(&ratio, &golden.numbers("explained_variance_ratio")) < 1e-10);

    let widen = |scores: Vec<f32>| scores.into_iter().map(f64::from).collect::<Vec<_>>();
    let scores = widen(basis.project(&tokens, &[0, 1, 2, 3], false));
    assert!(max_abs(&scores[..80], &golden.numbers("projections")) < 1e-5); // stored as f32
    let whitened = widen(basis.project(&tokens[..5 * 24], &[0, 1, 2, 3], true));
    assert!(max_abs(&whitened, &golden.numbers("whitened")) < 1e-6);

    let percentiles = golden.numbers("percentiles");
    for column in 0..4 {
        let mut sampler = StreamSampler::default();
        scores
            .iter()
            .skip(column)
            .step_by(4)
            .for_each(|&v| sampler.push(v as f32));
        let sorted = sampler.into_sorted();
        let found = [
            quantile::percentile(&sorted, 1.0),
            quantile::percentile(&sorted, 99.0),
        ]
        .map(f64::from);
        assert!(
            max_abs(&found, &percentiles[2 * column..][..2]) < 1e-5,
            "component {column}"
        );
    }
}

#[test]
fn otsu_agrees_with_the_exact_definition() {
    let golden = Golden::load("pca");
    let (tokens, basis) = fitted(&golden, 1);
    let mut scores = basis.project(&tokens, &[0], false);
    scores.sort_unstable_by(f32::total_cmp);
    let threshold = foreground::otsu_threshold(&scores).unwrap();
    assert!((threshold - golden.numbers("otsu")[0]).abs() < 1e-5);
    let low = scores.iter().filter(|&&s| f64::from(s) < threshold).count();
    assert_eq!(low as f64, golden.numbers("otsu_low_count")[0]);
}

/// Enlarged pictures against torch's bilinear and nearest-exact interpolation of the golden map.
#[test]
fn upscaling_agrees_with_pytorch() {
    use dino::model::input::{Geometry, SizeRule};
    use dino::vision::render::{Upscale, upscale_rows};
    use std::sync::Mutex;

    let golden = Golden::load("resize");
    let channels = golden.tensor("map").permute((1, 2, 0)).unwrap(); // [h, w, k]
    let map: Vec<f32> = channels.flatten_all().unwrap().to_vec1().unwrap();
    for (width, height) in [(26u32, 37u32), (50, 23), (5, 4)] {
        // A photo of that size, squeezed to one pixel a patch: the grid is the map's own.
        let geometry = Geometry::new(
            (width, height),
            SizeRule::Exact {
                width: 7,
                height: 9,
            },
            1,
        );
        assert_eq!(geometry.grid(), PatchGrid { rows: 9, cols: 7 });
        for (upscale, name) in [
            (Upscale::Bilinear, "bilinear"),
            (Upscale::Nearest, "nearest_exact"),
        ] {
            let expected = golden
                .tensor(&format!("map.{width}x{height}.{name}"))
                .permute((1, 2, 0))
                .unwrap();
            let expected = crate::goldens::numbers(&expected.contiguous().unwrap());
            let seen = Mutex::new(Vec::new());
            rayon::ThreadPoolBuilder::new()
                .num_threads(1)
                .build()
                .unwrap()
                .install(|| {
                    upscale_rows(&map, 4, &geometry, upscale, |samples, _| {
                        // Channel by channel; the golden has them pixel by pixel.
                        let width = width as usize;
                        let pixels = (0..width).flat_map(|x| (0..4).map(move |k| k * width + x));
                        let values = pixels.map(|at| f64::from(samples[at]));
                        seen.lock().unwrap().extend(values);
                    })
                })
                .unwrap();
            let found = seen.into_inner().unwrap();
            // Rows may come in any order of splitting; one thread keeps them in order.
            let difference = max_abs(&found, &expected);
            assert!(difference < 1e-5, "{name} {width}x{height}: {difference:e}");
        }
    }
}
