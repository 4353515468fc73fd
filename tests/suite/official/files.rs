//! `dino heads import` of files that torch.save wrote (`tests/goldens/official/`): ordinary, unusual and hostile ones.

use std::path::Path;

use candle_core::{Device, Tensor};
use dino::model::head::{HeadNetwork, file};
use dino::model::weights::import::read_tensors_of;

use super::seeded::{self, fixture, torch_file};
use crate::models::{dino, fixtures, out, run};
use crate::program::Run;

fn import(home: &Path, args: &[&str]) -> Run {
    run(dino(home).args(["heads", "import"]).args(args))
}

/// Writes `bytes` to `name` in `home` and imports it.
fn import_bytes(home: &Path, name: &str, bytes: &[u8], more: &[&str]) -> Run {
    let path = home.join(name);
    std::fs::write(&path, bytes).unwrap();
    import(home, &[&[path.to_str().unwrap()], more].concat())
}

fn installed(home: &Path, name: &str) -> dino::model::head::Head {
    let path = home.join("heads").join(format!("{name}.safetensors"));
    file::from_bytes(&std::fs::read(path).unwrap()).unwrap()
}

#[test]
fn a_file_with_training_state_becomes_a_head_a_third_as_large() {
    let home = tempfile::tempdir().unwrap();
    let tensors = seeded::linear_depth(768);
    // Its meta data holds a numpy scalar and a configuration, its optimiser moments.
    let bytes = torch_file("nyu-linear-s", &tensors);
    let done = import_bytes(
        home.path(),
        "dinov2_vits14_nyu_linear_head.pth",
        &bytes,
        &[],
    )
    .expect_code(0)
    .expect_stderr("nyu-linear-vits14 installed (for `dino depth` on vits14, licence Apache-2.0)");
    assert!(
        out(&done)
            .trim()
            .ends_with("heads/nyu-linear-vits14.safetensors")
    );
    let head = installed(home.path(), "nyu-linear-vits14");
    let HeadNetwork::Linear(linear) = &head.network else {
        panic!("a linear head");
    };
    let expected = seeded::numbers("decode_head.conv_depth.weight", &[256, 768, 1, 1]);
    assert_eq!(linear.output.weight, expected);
    let info = run(dino(home.path()).args(["heads", "info", "nyu-linear-vits14"])).expect_code(0);
    let text = out(&info);
    for part in [
        "0.001 to 10 m",
        "protocol  plain",
        "Apache-2.0",
        "0.4490",
        "blocks [11], with cls tokens",
    ] {
        assert!(text.contains(part), "{part}: {text}");
    }
}

#[test]
fn heads_that_look_alike_are_asked_for_by_name() {
    let home = tempfile::tempdir().unwrap();
    let bytes = torch_file("nyu-linear-s", &seeded::linear_depth(768));
    import_bytes(home.path(), "head.pth", &bytes, &[])
        .expect_code(1)
        .expect_stderr("could be nyu-linear-vits14 or kitti-linear-vits14")
        .expect_stderr("--as NAME");
    import_bytes(
        home.path(),
        "head.pth",
        &bytes,
        &["--as", "kitti-linear-vits14"],
    )
    .expect_code(0);
    let meta = installed(home.path(), "kitti-linear-vits14").meta;
    assert_eq!(format!("{:?}", meta.task).matches("80.0").count(), 1);
    import_bytes(
        home.path(),
        "head.pth",
        &bytes,
        &["--as", "nyu-linear-vitb14"],
    )
    .expect_code(1)
    .expect_stderr("reads 768 numbers, but nyu-linear-vitb14 is");
    import_bytes(home.path(), "head.pth", &bytes, &["--as", "nyu"])
        .expect_code(2)
        .expect_stderr("is no published head");
    // The data set in the file's name is enough.
    import_bytes(home.path(), "my-NYU-head.pth", &bytes, &[])
        .expect_code(0)
        .expect_stderr("nyu-linear-vits14 installed");
}

#[test]
fn segmentation_and_dpt_heads_are_recognised() {
    let home = tempfile::tempdir().unwrap();
    let bytes = torch_file("ade20k-ms-s", &seeded::segmenter(4 * 384, 150));
    // Both names of numpy's scalar occur among the fixtures.
    import_bytes(home.path(), "dinov2_vits14_ade20k_ms_head.pth", &bytes, &[])
        .expect_code(0)
        .expect_stderr("ade20k-ms-vits14 installed");
    let bytes = torch_file("nyu-dpt-s", &seeded::dpt(384, 256));
    import_bytes(home.path(), "dinov2_vits14_nyu_dpt_head.pth", &bytes, &[])
        .expect_code(0)
        .expect_stderr("nyu-dpt-vits14 installed");
    let HeadNetwork::Dpt(dpt) = installed(home.path(), "nyu-dpt-vits14").network else {
        panic!("a DPT head");
    };
    let name = "fusion_blocks.2.res_conv_unit1.conv2.conv.weight";
    let found: Vec<f32> = dpt.weights()[name]
        .flatten_all()
        .unwrap()
        .to_vec1()
        .unwrap();
    let expected = seeded::numbers(&format!("decode_head.{name}"), &[256, 256, 3, 3]);
    assert_eq!(found, expected);
    let list = run(dino(home.path()).args(["heads", "list"])).expect_code(0);
    let text = out(&list);
    for part in ["nyu-dpt-vits14", "0.356*", "47.2*", "imagenet-linear4"] {
        assert!(text.contains(part), "{part}: {text}");
    }
}

#[test]
fn old_and_new_files_of_torch_are_read_alike() {
    let read = |name: &str| {
        let path = fixture(name);
        read_tensors_of(&path, name, |_| true).unwrap()
    };
    let new = read("tiny-new.pth");
    assert_eq!(new.keys().collect::<Vec<_>>(), ["bias", "weight"]);
    let numbers =
        |tensor: &Tensor| -> Vec<f32> { tensor.flatten_all().unwrap().to_vec1().unwrap() };
    let old = read("tiny-old.pth");
    for (key, tensor) in &new {
        assert_eq!(tensor.dims(), old[key].dims(), "{key}");
        assert_eq!(numbers(tensor), numbers(&old[key]), "{key}");
    }
    // A newer pickle than torch writes by itself has operations that are not known here.
    let path = fixture("tiny-protocol4.pth");
    let error = read_tensors_of(&path, "newer", |_| true)
        .unwrap_err()
        .to_string();
    assert!(
        error.contains("pickle_protocol=2") && error.lines().count() == 1,
        "{error}"
    );
    // Cut anywhere, each is an error, never a panic.
    let home = tempfile::tempdir().unwrap();
    for name in ["tiny-new.pth", "tiny-old.pth"] {
        let bytes = std::fs::read(fixture(name)).unwrap();
        for cut in (1..bytes.len()).step_by(37) {
            let path = home.path().join(name);
            std::fs::write(&path, &bytes[..cut]).unwrap();
            assert!(
                read_tensors_of(&path, name, |_| true).is_err(),
                "{name} {cut}"
            );
        }
    }
}

#[test]
fn hostile_and_wrong_files_are_refused_and_nothing_runs() {
    let home = tempfile::tempdir().unwrap();
    let marker = home.path().join("ran");
    let tensors = [(
        "decode_head.conv_depth.weight".to_owned(),
        Tensor::zeros((2, 2), candle_core::DType::BF16, &Device::Cpu).unwrap(),
    )]
    .into();
    let bytes = fixtures::torch_file(&tensors, &fixtures::attack(&marker));
    import_bytes(home.path(), "evil.pth", &bytes, &[])
        .expect_code(1)
        .expect_stderr("asks for `os.system`")
        .expect_stderr("nothing of it was run");
    assert!(!marker.exists());
    import_bytes(
        home.path(),
        "other.pth",
        &fixtures::torch_file(&tensors, b""),
        &[],
    )
    .expect_code(1)
    .expect_stderr("is none of the published heads");
    // A head for training of another width than any that was published.
    let bytes = torch_file("nyu-linear-s", &seeded::linear_depth(768));
    let half = &bytes[..bytes.len() / 2];
    import_bytes(home.path(), "dinov2_vits14_nyu_linear_head.pth", half, &[])
        .expect_code(1)
        .expect_stderr("zip");
    // A bomb: an entry that claims and holds far more than its bytes.
    let mut zip = zip::ZipWriter::new(std::io::Cursor::new(Vec::new()));
    let deflated = zip::write::SimpleFileOptions::default()
        .compression_method(zip::CompressionMethod::Deflated);
    zip.start_file("archive/data.pkl", deflated).unwrap();
    for _ in 0..80 {
        std::io::Write::write_all(&mut zip, &vec![b'('; 1 << 20]).unwrap();
    }
    let bomb = zip.finish().unwrap().into_inner();
    assert!(bomb.len() < 1 << 20);
    import_bytes(home.path(), "bomb.pth", &bomb, &[])
        .expect_code(1)
        .expect_stderr("its pickle is longer than");
    assert!(!home.path().join("heads").exists());
}
