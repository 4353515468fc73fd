use super::*;
use crate::learn::eval::Crop;

const JUDGE: DepthEvaluator = DepthEvaluator {
    crop: Crop::None,
    min: 0.001,
    max: 100.0,
};

/// Photos of five scenes whose head says `of(metres)`, with errors that differ from photo to photo.
fn photos(of: impl Fn(f64) -> f64, wobble: f64) -> Vec<PhotoReadings> {
    let photo = |number: usize| {
        let error = (wobble * ((number * 7 % 11) as f64 / 5.0 - 1.0)).exp();
        let pairs = (1..=50).map(|at| {
            let metres = 0.5 + f64::from(at) * 0.1;
            ((of(metres * error)) as f32, metres as f32)
        });
        PhotoReadings {
            fold: number % 5,
            pairs: pairs.collect(),
        }
    };
    (0..40).map(photo).collect()
}

#[test]
fn a_factor_is_found_and_helps() {
    let verdict =
        fit_calibration(&photos(|metres| metres / 1.4, 0.05), (false, None), &JUDGE).unwrap();
    let MetricConversion::Factor(factor) = verdict.conversion else {
        panic!("{verdict:?}")
    };
    assert!((factor - 1.4).abs() < 0.02, "{factor}");
    assert!(verdict.is_improvement() && verdict.fold_conversions.len() == 5);
    assert!(verdict.after.errors.abs_rel < 0.06 && verdict.before.errors.abs_rel > 0.25);
}

#[test]
fn a_head_that_is_right_is_left_as_it_is() {
    let verdict = fit_calibration(&photos(|metres| metres, 0.1), (false, None), &JUDGE).unwrap();
    assert!(!verdict.is_improvement(), "{verdict:?}");
}

#[test]
fn scale_and_shift_of_relative_depth_are_found() {
    let of = |metres: f64| (1.0 / metres - 0.05) / 0.02;
    let verdict = fit_calibration(&photos(of, 0.02), (true, None), &JUDGE).unwrap();
    let MetricConversion::Inverse(to) = verdict.conversion else {
        panic!("{verdict:?}")
    };
    assert!((to.scale - 0.02).abs() < 1e-3, "{to:?}");
    assert!((to.shift - 0.05).abs() < 5e-3, "{to:?}");
    assert!(verdict.is_improvement() && verdict.after.errors.delta1 > 0.99);
}

#[test]
fn a_shift_is_left_out_where_the_scale_does_it_alone() {
    let verdict =
        fit_calibration(&photos(|metres| 30.0 / metres, 0.0), (true, None), &JUDGE).unwrap();
    let MetricConversion::Inverse(to) = verdict.conversion else {
        panic!("{verdict:?}")
    };
    assert!(
        (to.scale - 1.0 / 30.0).abs() < 1e-6 && to.shift.abs() < 1e-6,
        "{to:?}"
    );
}

#[test]
fn what_says_nothing_about_depth_does_not_help() {
    let noise = |metres: f64| 5.0 + 4.0 * (metres * 977.0).sin();
    let verdict = fit_calibration(&photos(noise, 0.0), (true, None), &JUDGE).unwrap();
    assert!(!verdict.is_improvement(), "{verdict:?}");
    let mut one = photos(|metres| metres, 0.0);
    one.iter_mut().for_each(|photo| photo.fold = 3);
    assert_eq!(fit_calibration(&one, (false, None), &JUDGE), None);
}

#[test]
fn readings_are_spread_over_what_counts() {
    let truth: Vec<f32> = (0..10_000).map(|at| (at % 2) as f32).collect();
    let map = vec![2.0; 10_000];
    let readings = PhotoReadings::of(&JUDGE, (&map, &truth), (100, 100), 0).unwrap();
    assert_eq!(readings.pairs.len(), MOST_READINGS);
    assert!(readings.pairs.iter().all(|pair| *pair == (2.0, 1.0)));
    assert!(PhotoReadings::of(&JUDGE, (&map, &[0.0; 100]), (10, 10), 0).is_none());
}

#[test]
fn readings_come_from_all_columns() {
    for (width, height) in [(4096usize, 2048usize), (1024, 768), (512, 512), (640, 480)] {
        let truth = vec![1.0; width * height];
        let map: Vec<f32> = (0..width * height).map(|at| (at % width) as f32).collect();
        let readings = PhotoReadings::of(&JUDGE, (&map, &truth), (width, height), 0).unwrap();
        let mut columns: Vec<u32> = readings.pairs.iter().map(|pair| pair.0 as u32).collect();
        columns.sort_unstable();
        columns.dedup();
        assert!(columns.len() > 200, "{width} x {height}: {}", columns.len());
    }
}

#[test]
fn what_is_in_force_is_judged_too() {
    let photos = photos(|metres| metres, 0.1);
    let verdict = |factor| {
        let in_force = Some(MetricConversion::Factor(factor));
        fit_calibration(&photos, (false, in_force), &JUDGE).unwrap()
    };
    assert!(verdict(1.6).is_current_harmful() && !verdict(1.0).is_current_harmful());
}

#[test]
fn metres_that_say_nothing_do_not_help_either() {
    let noise = |metres: f64| 0.01 * (5.0 + 4.0 * (metres * 977.0).sin());
    let verdict = fit_calibration(&photos(noise, 0.0), (false, None), &JUDGE).unwrap();
    assert!(verdict.after.log_rmse < verdict.before.log_rmse && !verdict.is_improvement());
}
