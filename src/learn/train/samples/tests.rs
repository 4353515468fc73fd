use super::{SampleDraw, Targets, TrainingSamples};

/// Two sets of ten patches; of each set the first has class 1, the rest class 0.
fn samples() -> TrainingSamples {
    let shares: Vec<(u16, f32)> = (0..20).map(|i| (u16::from(i % 10 == 0), 1.0)).collect();
    TrainingSamples {
        views: Vec::new(),
        folds: Vec::new(),
        view: vec![0; 20],
        patch: vec![0; 20],
        targets: Targets::Shares {
            starts: (0..=20).collect(),
            shares,
        },
        sets: vec![0..10, 10..20],
    }
}

#[test]
fn even_draws_take_everything_before_anything_again() {
    let draw = SampleDraw {
        count: 20,
        set_shares: vec![0.5, 0.5],
        balance: 0.0,
    };
    let mut order = samples().draw(&draw, 1);
    assert_eq!(order, samples().draw(&draw, 1));
    assert_ne!(order, samples().draw(&draw, 2));
    order.sort_unstable();
    assert_eq!(order, (0..20).collect::<Vec<u32>>());
}

#[test]
fn sets_have_their_parts_and_rare_classes_more() {
    let draw = SampleDraw {
        count: 4000,
        set_shares: vec![0.75, 0.25],
        balance: 1.0,
    };
    let order = samples().draw(&draw, 3);
    let of_first = order.iter().filter(|&&sample| sample < 10).count();
    assert_eq!(of_first, 3000);
    let rare = order.iter().filter(|&&sample| sample % 10 == 0).count();
    assert!((1800..2200).contains(&rare), "{rare}");
    assert_eq!(samples().set_of(9), 0);
    assert_eq!(samples().set_of(10), 1);
}
