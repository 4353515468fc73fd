//! `dino::Predictor` returns the same results to Rust programs as the commands write.

use std::path::Path;
use std::{fs, thread};

use dino::io::inputs::{PhotoDecoder, Source};
use dino::model::device::DeviceChoice;
use dino::model::head::{HeadTask, file};
use dino::model::input::SizeRule;
use dino::predictor::{Prediction, PredictorBuilder};
use dino::{Error, Predictor};
use image::{RgbImage, Rgba, RgbaImage};
use npyz::{Deserialize, NpyFile};

use crate::depth::depth_head;
use crate::program::{dino_with_model, sample, store_with_focus};

fn builder() -> PredictorBuilder {
    Predictor::builder()
        .store(store_with_focus())
        .device(DeviceChoice::Cpu)
}

fn photo(name: &str) -> RgbImage {
    let decoded = PhotoDecoder::plain().decode(&Source::from_path(sample(name)));
    decoded.unwrap().rgb
}

fn npy<T: Deserialize>(path: &Path) -> (Vec<u64>, Vec<T>) {
    let bytes = fs::read(path).unwrap();
    let file = NpyFile::new(&bytes[..]).unwrap();
    (file.shape().to_vec(), file.into_vec().unwrap())
}

fn bits(values: &[f32]) -> Vec<u32> {
    values.iter().map(|value| value.to_bits()).collect()
}

/// Compares results with what `dino depth` and `dino segment` write for the photo `name` with these options.
#[track_caller]
fn assert_written(found: &Prediction, name: &str, options: &[&str], of_depth: &[&str]) {
    let folder = tempfile::tempdir().unwrap();
    let path = sample(name);
    let photo = [path.to_str().unwrap(), "--save", "npy", "-o", "out"];
    let depth = [
        &["depth", "--head", "indoor"],
        &photo[..],
        options,
        of_depth,
    ]
    .concat();
    let segment = [&["segment", "--head", "everyday"], &photo[..], options].concat();
    for args in [depth, segment] {
        dino_with_model(folder.path(), &args).expect_code(0);
    }
    let stem = path.file_stem().unwrap().to_str().unwrap();
    let written = |end: &str| folder.path().join(format!("out/{stem}.{end}.npy"));
    let (shape, metres) = npy::<f32>(&written("depth"));
    let depth = found.depth().unwrap();
    let (width, height) = depth.size();
    assert_eq!(shape, [u64::from(height), u64::from(width)]);
    assert!(bits(depth.metres().unwrap()) == bits(&metres));
    assert_eq!(depth.values(), depth.metres().unwrap());
    assert_eq!(depth.unit(), "m");
    match of_depth.contains(&"--uncertainty") {
        true => {
            let deviation = npy::<f32>(&written("depth.std")).1;
            assert!(bits(depth.deviation().unwrap()) == bits(&deviation));
        }
        false => assert_eq!(depth.deviation(), None),
    }
    let labels = found.labels().unwrap();
    // So few classes are written as bytes.
    let (shape, ids) = npy::<u8>(&written("segment.ids"));
    let ids: Vec<u16> = ids.into_iter().map(u16::from).collect();
    assert_eq!(shape, [u64::from(height), u64::from(width)]);
    assert_eq!(labels.size(), (width, height));
    assert!(labels.ids() == ids);
    let class = &labels.classes()[usize::from(ids[ids.len() - 1])];
    assert_eq!(labels.at(width - 1, height - 1), Some(class));
    assert_eq!(labels.confidence().len(), ids.len());
}

#[test]
fn an_image_in_memory_gives_what_the_commands_write() {
    let dino = builder().depth("indoor").segment("everyday");
    let dino = dino.build().unwrap();
    let room = photo("room.jpg");
    let found = dino.predict(&room).unwrap();
    assert_written(&found, "room.jpg", &[], &[]);
    assert!(found.notes().is_empty() && dino.notes().is_empty());
    // Threads share it.
    let again = thread::scope(|threads| {
        let running = [(); 2].map(|()| threads.spawn(|| dino.predict(&room).unwrap()));
        running.map(|thread| thread.join().unwrap())
    });
    assert!(again.iter().all(|again| *again == found));
}

#[test]
fn wishes_are_the_options() {
    let dino = builder().depth("indoor").segment("everyday");
    let dino = dino
        .size(SizeRule::ShortSide(112))
        .flip(true)
        .refine(true)
        .uncertainty(true)
        .build()
        .unwrap();
    let found = dino.predict(&photo("coffee.png")).unwrap();
    let options = ["--size", "112", "--tta", "flip", "--refine"];
    assert_written(&found, "coffee.png", &options, &["--uncertainty"]);
}

#[test]
fn many_photos_come_in_order_and_a_broken_one_stops_none() {
    let folder = tempfile::tempdir().unwrap();
    let broken = folder.path().join("broken.jpg");
    fs::write(&broken, b"no photo").unwrap();
    let dino = builder().segment("rooms").size(SizeRule::ShortSide(112));
    let dino = dino.build().unwrap();
    let odd = folder.path().join("odd.png");
    let translucent = RgbaImage::from_fn(60, 40, |x, y| Rgba([x as u8, y as u8, 9, 128]));
    translucent.save(&odd).unwrap();
    let sources = [sample("room.jpg"), broken, sample("coffee.png"), odd].map(Source::from_path);
    let mut all = Vec::new();
    dino.predict_each(&sources, |index, found| {
        assert_eq!(index, all.len());
        all.push(found);
        Ok(())
    })
    .unwrap();
    assert_eq!(all.len(), 4);
    for (index, name) in [(0, "room.jpg"), (2, "coffee.png")] {
        let alone = dino.predict(&photo(name)).unwrap();
        assert!(*all[index].as_ref().unwrap() == alone, "{name}");
        assert!(alone.depth().is_err());
    }
    let notes = all[3].as_ref().unwrap().notes();
    assert!(
        notes.len() == 1 && notes[0].contains("transparent"),
        "{notes:?}"
    );
    let why = all[1].as_ref().unwrap_err().to_string();
    assert!(why.contains("broken.jpg"), "{why}");
    let mut seen = 0;
    let stopped = dino.predict_each(&sources, |_, _| {
        seen += 1;
        Err(Error::Model("enough".into()))
    });
    assert_eq!(stopped.unwrap_err().to_string(), "enough");
    assert!(seen >= 1);
    dino.predict_each(&[], |_, _| unreachable!()).unwrap();
}

#[test]
fn what_cannot_be_is_named() {
    let why = |builder: PredictorBuilder| builder.build().map(|_| ()).unwrap_err().to_string();
    let indor = why(builder().depth("indor"));
    assert!(
        indor.contains("indor") && indor.contains("indoor"),
        "{indor}"
    );
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("head.safetensors");
    let mut head = depth_head(0.2);
    if let HeadTask::Depth { unit, .. } = &mut head.meta.task {
        *unit = "ells".into();
    }
    fs::write(&path, file::to_bytes(&head).unwrap()).unwrap();
    let dino = builder().depth(&path).build().unwrap();
    let found = dino.predict(&photo("coffee.png")).unwrap();
    let depth = found.depth().unwrap();
    assert_eq!(depth.unit(), "ells");
    let metres = depth.metres().unwrap_err().to_string();
    assert!(metres.contains("`ells`"), "{metres}");
    // Of another backbone.
    head.meta.fingerprint = "0".repeat(64);
    fs::write(&path, file::to_bytes(&head).unwrap()).unwrap();
    let other = why(builder().segment("everyday").depth(&path));
    assert!(other.contains("the head made-up was trained on"), "{other}");
}

#[test]
fn an_image_that_does_not_fit_is_refused() {
    let dino = builder().depth("indoor").max_memory(100 << 20);
    let dino = dino.build().unwrap();
    let large = RgbImage::new(6000, 6000);
    let error = dino.predict(&large).unwrap_err();
    assert!(matches!(error, Error::Memory(_)), "{error}");
    assert!(error.to_string().contains(".max_memory(BYTES)"), "{error}");
    let empty = dino.predict(&RgbImage::new(0, 7)).unwrap_err();
    assert!(empty.to_string().contains("no pixels"), "{empty}");
}

#[test]
fn threads_may_share_one() {
    fn shared<T: Send + Sync + 'static>() {}
    shared::<Predictor>();
    shared::<Prediction>();
}
