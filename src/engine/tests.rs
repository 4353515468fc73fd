//! The engine with a fake [`PassRunner`] on fake devices.

mod lanes;

use std::collections::BTreeSet;
use std::sync::{Arc, Condvar, Mutex};
use std::time::Duration;

use image::RgbImage;
use tempfile::TempDir;

use super::*;
use crate::error::Error;
use crate::io::inputs::PhotoDecoder;
use crate::model::input::SizeRule;
use crate::terminal::console::Console;
use crate::vision::preprocess::PreparedImage;

/// A runner whose output is the index of each photo.
struct Fake {
    /// The number of photos that its device has memory for at once.
    fits: usize,
    /// Indices of photos on which any batch with them fails.
    bad: BTreeSet<usize>,
    /// Device memory of a photo in bytes.
    bytes: Option<u64>,
    /// The indices of each batch, in the order of the calls.
    runs: Mutex<Vec<Vec<usize>>>,
    /// Whether `run_batch` panics.
    has_fault: bool,
    /// The barrier that it waits at in its first batch.
    meeting: Option<Arc<Meeting>>,
}

/// A barrier for a number of devices, with a timeout.
struct Meeting {
    missing: Mutex<usize>,
    changed: Condvar,
}

impl Meeting {
    fn of(count: usize) -> Arc<Self> {
        Arc::new(Meeting {
            missing: Mutex::new(count),
            changed: Condvar::new(),
        })
    }

    fn come(&self) {
        let mut missing = self.missing.lock().unwrap();
        *missing = missing.saturating_sub(1);
        self.changed.notify_all();
        let patience = Duration::from_secs(60);
        let met = self
            .changed
            .wait_timeout_while(missing, patience, |missing| *missing > 0);
        assert!(!met.unwrap().1.timed_out(), "another device never came");
    }
}

impl Fake {
    fn with_room_for(fits: usize) -> Self {
        Fake {
            fits,
            bad: BTreeSet::new(),
            bytes: None,
            runs: Mutex::default(),
            has_fault: false,
            meeting: None,
        }
    }

    fn sizes(&self) -> Vec<usize> {
        self.runs.lock().unwrap().iter().map(Vec::len).collect()
    }
}

impl PassRunner for Fake {
    type Output = usize;

    fn device_name(&self) -> String {
        "cuda:0".into()
    }

    fn layouts(&self, _: usize, photo: (u32, u32)) -> Vec<Geometry> {
        vec![Geometry::new(photo, SizeRule::Native, 1)]
    }

    fn prepare(&self, index: usize, photo: &RgbImage) -> Result<Vec<PreparedImage>> {
        let layouts = self.layouts(index, photo.dimensions()).into_iter();
        let prepared = layouts.map(|geometry| PreparedImage {
            pixels: Vec::new(),
            geometry,
        });
        Ok(prepared.collect())
    }

    fn memory(&self, _: usize, photo: (u32, u32)) -> u64 {
        decoded_bytes(photo)
    }

    fn device_memory(&self, _: usize, _: &[Geometry]) -> Option<u64> {
        self.bytes
    }

    fn run_batch(&self, photos: &mut [ReadyPhoto]) -> Result<Vec<usize>> {
        let indices: Vec<usize> = photos.iter().map(|photo| photo.index).collect();
        assert!(!self.has_fault, "a fault of a device");
        let is_first = {
            let mut runs = self.runs.lock().unwrap();
            runs.push(indices.clone());
            runs.len() == 1
        };
        if let Some(meeting) = self.meeting.as_ref().filter(|_| is_first) {
            meeting.come();
        }
        if photos.len() > self.fits {
            let text = "DriverError(CUDA_ERROR_OUT_OF_MEMORY, \"out of memory\")";
            return Err(Error::Tensor(candle_core::Error::Msg(text.into())));
        }
        match indices.iter().find(|index| self.bad.contains(index)) {
            Some(index) => Err(Error::Model(format!("photo {index} is bad"))),
            None => Ok(indices),
        }
    }
}

/// Photos of these widths and height 2, in a temporary folder.
fn photos(widths: &[u32]) -> (TempDir, Vec<Source>) {
    let folder = tempfile::tempdir().unwrap();
    let write = |(index, &width): (usize, &u32)| {
        let path = folder.path().join(format!("{index}.png"));
        RgbImage::new(width, 2).save(&path).unwrap();
        Source::from_path(path)
    };
    let sources = widths.iter().enumerate().map(write).collect();
    (folder, sources)
}

/// An engine with two workers for this number of `devices`, each with 1000 bytes of free memory.
fn engine(devices: usize, batch_size: &str, console: &Console) -> Engine {
    let at_once = |number| BatchLimit::new(usize::MAX, "photos", format!("cuda:{number}"), console);
    Engine {
        decoding: DecodeStage::new(PhotoDecoder::plain()),
        batch_size: batch_size.parse().unwrap(),
        free_bytes: Some(1000),
        batch_limits: (0..devices).map(at_once).collect(),
        workers: rayon::ThreadPoolBuilder::new()
            .num_threads(2)
            .build()
            .unwrap(),
    }
}

/// The results, in order, of photos of these widths, and the notes that were printed.
fn run(networks: &[Fake], widths: &[u32], batch_size: &str) -> (Vec<Result<usize>>, Vec<String>) {
    let (_folder, sources) = photos(widths);
    let sources: Vec<&Source> = sources.iter().collect();
    let console = Console::new(false, false).recorder();
    let engine = engine(networks.len(), batch_size, &console);
    let mut told = Vec::new();
    let finish = |ready: ReadyPhoto, found: usize| {
        assert_eq!(ready.index, found);
        Ok(found)
    };
    let report = |index: usize, result: Result<usize>| {
        assert_eq!(index, told.len());
        told.push(result);
        Ok(())
    };
    engine
        .run(&sources, networks, |_, _, _| (), finish, report)
        .unwrap();
    (told, console.recorded_notes())
}

/// The number of results, which must be the indices in order.
fn all_of(told: Vec<Result<usize>>) -> usize {
    let found: Vec<usize> = told.into_iter().map(Result::unwrap).collect();
    assert_eq!(found, (0..found.len()).collect::<Vec<_>>());
    found.len()
}

#[test]
fn photos_of_one_size_run_together_and_are_told_in_order() {
    let network = Fake::with_room_for(9);
    let (told, notes) = run(std::slice::from_ref(&network), &[3, 3, 3, 3, 5, 3, 3], "3");
    assert_eq!(all_of(told), 7);
    assert_eq!(network.sizes(), [3, 1, 1, 2]);
    assert_eq!(notes.len(), 0);
}

#[test]
fn a_lack_of_memory_halves_the_batch_for_the_rest_of_the_run() {
    let network = Fake::with_room_for(2);
    let (told, notes) = run(std::slice::from_ref(&network), &[3; 16], "8");
    assert_eq!(all_of(told), 16);
    assert_eq!(network.sizes(), [8, 4, 2, 2, 2, 2, 2, 2, 2, 2]);
    assert_eq!(notes.len(), 2);
    assert!(notes[0].contains("cuda:0 with 8 photos at once: going on with 4"));
    assert!(notes[1].contains("going on with 2 (--batch-size 2 says so from the start)"));
}

#[test]
fn a_photo_that_is_too_large_alone_fails_with_advice() {
    let network = Fake::with_room_for(0);
    let (told, notes) = run(std::slice::from_ref(&network), &[3; 2], "2");
    for result in told {
        let text = result.unwrap_err().to_string();
        assert!(
            text.contains("cuda:0") && text.contains("--size") && text.contains("--device cpu"),
            "{text}"
        );
    }
    assert_eq!((network.sizes(), notes.len()), (vec![2, 1, 1], 1));
}

#[test]
fn a_bad_photo_does_not_take_the_others_with_it() {
    let network = Fake {
        bad: BTreeSet::from([1]),
        ..Fake::with_room_for(9)
    };
    let (told, notes) = run(std::slice::from_ref(&network), &[3; 6], "3");
    let failed: Vec<usize> = (0..6).filter(|&index| told[index].is_err()).collect();
    assert_eq!(failed, [1]);
    // The next batch is whole again, and no note is printed.
    assert_eq!(network.sizes(), [3, 1, 1, 1, 3]);
    assert_eq!(notes.len(), 0);
}

#[test]
fn auto_makes_batches_by_the_memory_of_the_device() {
    let network = Fake {
        bytes: Some(40),
        ..Fake::with_room_for(99)
    };
    let (told, notes) = run(std::slice::from_ref(&network), &[3; 40], "auto");
    assert_eq!(all_of(told), 40);
    // The queue holds a whole batch, though there are fewer workers.
    assert_eq!(network.sizes(), [16, 16, 8]);
    assert_eq!(notes.len(), 0);
}

#[test]
fn auto_is_one_where_photos_do_not_run_together() {
    let network = Fake::with_room_for(99);
    let (told, _) = run(std::slice::from_ref(&network), &[3; 3], "auto");
    assert_eq!(all_of(told), 3);
    assert_eq!(network.sizes(), [1, 1, 1]);
}
