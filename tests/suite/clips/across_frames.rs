//! What holds over a whole clip: one fit, cuts between scenes, and labels that stay with moving objects.

use image::imageops::FilterType;

use super::{dino, ffmpeg, folder, probe, raw};
use crate::program::sample;
use crate::results::{first_json, read_npy};

#[test]
fn one_fit_is_for_all_frames_and_cuts_are_found() {
    let folder = folder();
    let at = folder.path();
    let pan = "scale=640:-2,crop=400:300:x='6*n':y=60,fps=25";
    for (name, photo) in [("a", "room.jpg"), ("b", "dogs.jpg")] {
        let photo = sample(photo);
        ffmpeg(
            at,
            &[
                "-loop",
                "1",
                "-i",
                photo.to_str().unwrap(),
                "-frames:v",
                "8",
                "-vf",
                pan,
                "-c:v",
                "ffv1",
                "-pix_fmt",
                "gbrp",
                &format!("{name}.mkv"),
            ],
        );
    }
    ffmpeg(
        at,
        &[
            "-i",
            "a.mkv",
            "-i",
            "b.mkv",
            "-filter_complex",
            "concat=n=2",
            "-c:v",
            "ffv1",
            "-pix_fmt",
            "gbrp",
            "c.mkv",
        ],
    );
    let run = dino(
        at,
        &[
            "pca",
            "c.mkv",
            "--size",
            "224",
            "--json",
            "--save-basis",
            "basis.safetensors",
        ],
    )
    .expect_code(0);
    assert_eq!(first_json(&run)["cuts"], serde_json::json!([8]));
    assert_eq!(probe(&at.join("dino-out/c.pca.mp4")).2.len(), 16);
    // The mean over time begins anew there.
    let depths = |more: &[&str]| {
        let own = [
            "depth", "c.mkv", "--size", "224", "--save", "npy", "--force",
        ];
        dino(at, &[&own, more].concat()).expect_code(0);
        let map =
            |number: usize| read_npy(at.join(format!("dino-out/c.depth.frames/{number:06}.npy"))).1;
        [map(1), map(4), map(9)]
    };
    let (plain, smooth) = (depths(&["--smooth", "0"]), depths(&["--smooth", "0.8"]));
    assert!(plain[0] == smooth[0] && plain[1] != smooth[1] && plain[2] == smooth[2]);
    // A frame is as the photo is.
    ffmpeg(at, &["-i", "c.mkv", "-frames:v", "1", "first.png"]);
    dino(
        at,
        &["depth", "first.png", "--size", "224", "--save", "npy"],
    )
    .expect_code(0);
    assert!(read_npy(at.join("dino-out/first.depth.npy")).1 == plain[0]);
}

#[test]
fn labels_follow_what_they_lie_on() {
    let folder = folder();
    let at = folder.path();
    // A cat's face, cut out, wanders over mountains.
    let open = |name: &str| image::open(sample(name)).unwrap();
    let behind = open("mountains.jpg")
        .resize_exact(280, 280, FilterType::Triangle)
        .into_rgb8();
    let face = open("chelsea.png").crop_imm(90, 20, 220, 220);
    let face = face
        .resize_exact(110, 110, FilterType::Triangle)
        .into_rgb8();
    let is_face = |x: u32, y: u32| {
        let off = |at: u32| (f64::from(at) - 54.5) / 55.0;
        off(x).powi(2) + off(y).powi(2) < 1.0
    };
    let corner = |number: u32| (20 + 12 * number, 90);
    std::fs::create_dir(at.join("frames")).unwrap();
    for number in 0..10 {
        let (left, top) = corner(number);
        let mut frame = behind.clone();
        for (x, y, pixel) in face.enumerate_pixels().filter(|(x, y, _)| is_face(*x, *y)) {
            frame.put_pixel(left + x, top + y, *pixel);
        }
        frame
            .save(at.join(format!("frames/{number:03}.png")))
            .unwrap();
    }
    let mask = |number: u32| {
        let (left, top) = corner(number);
        image::GrayImage::from_fn(280, 280, |x, y| {
            let is_within = x >= left && y >= top && x < left + 110 && y < top + 110;
            image::Luma([if is_within && is_face(x - left, y - top) {
                3
            } else {
                0
            }])
        })
    };
    mask(0).save(at.join("first.png")).unwrap();
    let run = dino(
        at,
        &[
            "track",
            "frames",
            "--video",
            "--mask",
            "first.png",
            "--size",
            "224",
            "--json",
        ],
    )
    .expect_code(0);
    let told = first_json(&run);
    assert_eq!(
        (told["frames"].as_u64(), told["ids"].clone()),
        (Some(10), serde_json::json!([3]))
    );
    let ids = raw(&at.join("dino-out/frames.track.ids.mkv"), "gray");
    let overlap = |number: u32, truth: &image::GrayImage| {
        let frame = &ids[280 * 280 * number as usize..][..280 * 280];
        let both = frame.iter().zip(truth.as_raw());
        let (and, or) = both.fold((0, 0), |(and, or), (a, b)| {
            (
                and + usize::from(*a == 3 && *b == 3),
                or + usize::from(*a == 3 || *b == 3),
            )
        });
        and as f64 / or as f64
    };
    assert_eq!(
        overlap(0, &mask(0)),
        1.0,
        "the first frame is as it was given"
    );
    let (followed, copied) = (overlap(9, &mask(9)), overlap(9, &mask(0)));
    assert!(followed > 0.8 && copied < 0.6, "{followed} {copied}");
    dino(
        at,
        &["track", "frames", "--video", "--mask", "frames/000.png"],
    )
    .expect_code(1);
    image::GrayImage::new(280, 280)
        .save(at.join("none.png"))
        .unwrap();
    dino(at, &["track", "frames", "--video", "--mask", "none.png"])
        .expect_code(2)
        .expect_stderr("0 everywhere");
}
