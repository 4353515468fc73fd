//! Several devices, and the end of a run by errors and panics.

use std::panic::{AssertUnwindSafe, catch_unwind};

use super::*;

/// Two runners that wait for each other, so that both get a batch.
fn two(fits: [usize; 2]) -> [Fake; 2] {
    let meeting = Meeting::of(2);
    fits.map(|fits| Fake {
        meeting: Some(meeting.clone()),
        ..Fake::with_room_for(fits)
    })
}

/// The batches of all devices, sorted by their first photo.
fn batches(networks: &[Fake]) -> Vec<Vec<usize>> {
    let runs = networks
        .iter()
        .flat_map(|network| network.runs.lock().unwrap().clone());
    let mut runs: Vec<Vec<usize>> = runs.collect();
    runs.sort();
    runs
}

#[test]
fn two_devices_share_the_batches_that_one_would_have() {
    let widths = [3, 3, 3, 3, 5, 3, 3, 3, 3, 3, 3];
    let one = [Fake::with_room_for(9)];
    assert_eq!(all_of(run(&one, &widths, "2").0), widths.len());
    let both = two([9, 9]);
    assert_eq!(all_of(run(&both, &widths, "2").0), widths.len());
    assert!(both.iter().all(|network| !network.sizes().is_empty()));
    assert_eq!(batches(&both), batches(&one));
}

#[test]
fn a_lack_of_memory_concerns_one_device() {
    let both = two([1, 9]);
    let (told, notes) = run(&both, &[3; 12], "2");
    assert_eq!(all_of(told), 12);
    let [poor, rich] = &both;
    assert_eq!(poor.sizes()[..3], [2, 1, 1]);
    assert!(poor.sizes()[3..].iter().all(|&size| size == 1));
    assert!(rich.sizes().iter().all(|&size| size == 2));
    assert_eq!(notes.len(), 1);
    assert!(notes[0].contains("cuda:0 with 2 photos at once: going on with 1"));
}

#[test]
fn a_bad_photo_fails_on_whichever_device_it_is() {
    let both = two([9, 9]).map(|network| Fake {
        bad: BTreeSet::from([0, 7]),
        ..network
    });
    let (told, _) = run(&both, &[3; 8], "2");
    let failed: Vec<usize> = (0..8).filter(|&index| told[index].is_err()).collect();
    assert_eq!(failed, [0, 7]);
}

/// Runs more photos than fit into the queues. The report of the first one returns an error; with `fault`, `finish`
/// panics.
fn end_early(networks: &[Fake], fault: bool) -> Result<()> {
    let (_folder, sources) = photos(&[3; 100]);
    let sources: Vec<&Source> = sources.iter().collect();
    let engine = engine(networks.len(), "2", &Console::new(true, false));
    let before = |_: usize, _: &[Geometry], _: u64| ();
    let finish = |ready: ReadyPhoto, _: usize| {
        assert!(!fault, "a fault of a worker");
        if ready.index > 0 {
            std::thread::sleep(Duration::from_millis(5));
        }
        Ok(())
    };
    engine.run(&sources, networks, before, finish, |index, _| match index {
        0 => Err(Error::Interrupted),
        _ => Ok(()),
    })
}

#[test]
fn whatever_ends_a_run_ends_all_devices() {
    for networks in [vec![Fake::with_room_for(9)], two([9, 9]).into()] {
        let ended = end_early(&networks, false);
        assert!(matches!(ended, Err(Error::Interrupted)));
        let computed: usize = networks.iter().flat_map(Fake::sizes).sum();
        assert!(computed < 100, "{computed}");
    }
}

#[test]
fn a_fault_is_carried_over() {
    for count in [1, 2] {
        let networks: Vec<Fake> = (0..count)
            .map(|_| Fake {
                has_fault: true,
                ..Fake::with_room_for(9)
            })
            .collect();
        let ended = catch_unwind(AssertUnwindSafe(|| end_early(&networks, false)));
        let fault = ended.unwrap_err();
        assert_eq!(fault.downcast_ref::<&str>(), Some(&"a fault of a device"));
    }
    for networks in [vec![Fake::with_room_for(9)], two([9, 9]).into()] {
        let ended = catch_unwind(AssertUnwindSafe(|| end_early(&networks, true)));
        let fault = ended.unwrap_err();
        assert_eq!(fault.downcast_ref::<&str>(), Some(&"a fault of a worker"));
    }
}

#[test]
fn without_a_network_nothing_runs() {
    assert!(
        end_early(&[], false)
            .unwrap_err()
            .to_string()
            .contains("no network")
    );
}
