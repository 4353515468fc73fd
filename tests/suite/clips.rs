//! Clips: films that have the frames and times of their sources, and the exact numbers behind them. Clips are made by
//! ffmpeg's own sources and of the samples; what only needs frames runs on a constant network.

use std::path::Path;
use std::process::Command;

use image::imageops::FilterType;
use serde_json::Value;
use tempfile::TempDir;

use crate::program::{Run, dino_with_model, sample};
use crate::results::{first_json, read_npy};

/// Runs ffmpeg in `folder`.
fn ffmpeg(folder: &Path, args: &[&str]) {
    let mut command = Command::new("ffmpeg");
    command
        .current_dir(folder)
        .args(["-v", "error", "-nostdin", "-y"])
        .args(args);
    let output = command.output().expect("ffmpeg is installed");
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
}

/// Makes the clip `to` of one of ffmpeg's own sources.
pub fn make(folder: &Path, source: &str, options: &[&str], to: &str) {
    ffmpeg(
        folder,
        &[&["-f", "lavfi", "-i", source], options, &[to]].concat(),
    );
}

/// What ffprobe says of the frames of a film: width, height, and times in seconds.
pub fn probe(path: &Path) -> (u64, u64, Vec<f64>) {
    let output = Command::new("ffprobe")
        .args([
            "-v",
            "error",
            "-select_streams",
            "v:0",
            "-of",
            "json",
            "-show_entries",
        ])
        .args(["stream=width,height:frame=best_effort_timestamp_time"])
        .arg(path)
        .output()
        .unwrap();
    let told: Value = serde_json::from_slice(&output.stdout).unwrap();
    let stream = &told["streams"][0];
    let time = |frame: &Value| {
        frame["best_effort_timestamp_time"]
            .as_str()
            .unwrap()
            .parse()
            .unwrap()
    };
    let times = told["frames"].as_array().unwrap().iter().map(time);
    let side = |key: &str| stream[key].as_u64().unwrap();
    (side("width"), side("height"), times.collect())
}

/// The bytes of all frames in one pixel format.
pub fn raw(path: &Path, format: &str) -> Vec<u8> {
    let output = Command::new("ffmpeg")
        .args(["-v", "error", "-nostdin", "-i"])
        .arg(path)
        .args(["-f", "rawvideo", "-pix_fmt", format, "-"])
        .output()
        .unwrap();
    output.stdout
}

pub fn folder() -> TempDir {
    tempfile::tempdir().unwrap()
}

pub fn dino(folder: &Path, args: &[&str]) -> Run {
    dino_with_model(folder, args)
}

/// On a constant network, at a size at which it takes no time.
pub fn fast(folder: &Path, args: &[&str]) -> Run {
    dino(
        folder,
        &[args, &["--device", "null", "--size", "56"]].concat(),
    )
}

pub fn same_times(a: &[f64], b: &[f64]) {
    assert_eq!(a.len(), b.len());
    for (a, b) in a.iter().zip(b) {
        assert!((a - b).abs() < 1e-4, "{a} {b}");
    }
}

#[test]
fn films_have_the_frames_and_times_of_their_source() {
    let folder = folder();
    let at = folder.path();
    make(
        at,
        "testsrc=size=65x47:rate=30000/1001:duration=0.5",
        &["-c:v", "ffv1"],
        "a.mkv",
    );
    // Of a variable rate: some frames are left out, the times stay.
    make(
        at,
        "testsrc=size=64x48:rate=25:duration=1",
        &[
            "-vf",
            "select='not(mod(n\\,3))+lt(n\\,6)'",
            "-fps_mode",
            "passthrough",
            "-c:v",
            "libx264",
        ],
        "b.mp4",
    );
    let run = fast(at, &["depth", "a.mkv", "--save", "ffv1,npy", "--json"]).expect_code(0);
    let told = first_json(&run);
    assert_eq!(
        (told["frames"].as_u64(), told["unit"].as_str()),
        (Some(15), Some("m"))
    );
    let out = |name: &str| at.join("dino-out").join(name);
    let (source, film) = (probe(&at.join("a.mkv")), probe(&out("a.depth.mp4")));
    assert_eq!(
        (film.0, film.1),
        (64, 46),
        "cropped by a pixel, never padded"
    );
    same_times(&source.2, &film.2);
    // The numbers are those of every format.
    let lossless = raw(&out("a.depth.mm.mkv"), "gray16le");
    assert_eq!(lossless.len(), 2 * 65 * 47 * 15);
    for number in [1usize, 8, 15] {
        let (shape, metres) = read_npy(out(&format!("a.depth.frames/{number:06}.npy")));
        assert_eq!(shape, [47, 65]);
        let frame = &lossless[2 * 65 * 47 * (number - 1)..][..2 * 65 * 47];
        let steps = frame
            .as_chunks::<2>()
            .0
            .iter()
            .map(|b| u16::from_le_bytes(*b));
        let expected = metres
            .iter()
            .map(|m| (f64::from(*m) * 1000.0).round() as u16);
        assert!(steps.eq(expected), "frame {number}");
    }
    let list = std::fs::read_to_string(out("a.depth.frames/frames.csv")).unwrap();
    assert_eq!(list.lines().count(), 16);
    assert!(
        list.lines().nth(2).unwrap().starts_with("2,1,0.033"),
        "{list}"
    );

    dino(
        at,
        &["run", "b.mp4", "--depth", "--segment", "--device", "null"],
    )
    .expect_code(0);
    let source = probe(&at.join("b.mp4"));
    for task in ["depth", "segment"] {
        same_times(&source.2, &probe(&out(&format!("b.{task}.mp4"))).2);
    }
    // What is there is left, what would come out otherwise is made again, what is somebody's else is refused.
    let again = ["depth", "b.mp4", "--json", "--device", "null"];
    let run = dino(at, &again).expect_code(0);
    assert_eq!(first_json(&run)["status"], "skipped");
    let film = "dino-out/b.depth.mp4";
    let half = [
        "-map_metadata",
        "0",
        "-movflags",
        "use_metadata_tags",
        "-c",
        "copy",
    ];
    ffmpeg(
        at,
        &[&["-i", film][..], &half, &["-frames:v", "5", "half.mp4"]].concat(),
    );
    std::fs::rename(at.join("half.mp4"), at.join(film)).unwrap();
    let run = dino(at, &again)
        .expect_code(0)
        .expect_stderr("of 13 frames; it is made again");
    assert_eq!(first_json(&run)["status"], "done");
    fast(at, &["depth", "b.mp4", "--colormap", "gray"])
        .expect_code(0)
        .expect_stderr("it is made again");
    std::fs::copy(at.join("b.mp4"), out("b.depth.mp4")).unwrap();
    fast(at, &["depth", "b.mp4"])
        .expect_code(1)
        .expect_stderr("was not made by dino");
    fast(at, &["depth", "b.mp4", "--force"]).expect_code(0);
}

#[test]
fn a_span_and_a_rate_of_frames_are_taken() {
    let folder = folder();
    let at = folder.path();
    make(
        at,
        "testsrc=size=64x48:rate=20:duration=2",
        &["-c:v", "libx264"],
        "a.mp4",
    );
    let times = |args: &[&str]| {
        let own = ["depth", "a.mp4", "-o", "x.mp4", "--force"];
        fast(at, &[&own, args].concat()).expect_code(0);
        probe(&at.join("x.mp4")).2
    };
    let all = times(&[]);
    assert_eq!(all.len(), 40);
    let part = times(&["--start", "0.5", "--end", "1.0"]);
    assert_eq!((part.len(), part[0]), (10, 0.0));
    same_times(
        &times(&["--every", "4"]),
        &(0..10).map(|n| 0.2 * f64::from(n)).collect::<Vec<_>>(),
    );
    assert_eq!(times(&["--fps", "5", "--max-frames", "3"]).len(), 3);
    fast(at, &["depth", "a.mp4", "--start", "9"])
        .expect_code(1)
        .expect_stderr("none of its 40 frames");
}

#[test]
fn ids_are_exact_and_animations_are_clips_too() {
    let folder = folder();
    let at = folder.path();
    make(at, "testsrc=size=64x48:rate=10:duration=0.5", &[], "a.gif");
    let run = dino(
        at,
        &[
            "segment", "a.gif", "--video", "--size", "112", "--save", "ffv1,npy", "--json",
        ],
    )
    .expect_code(0);
    let told = first_json(&run);
    assert_eq!(told["frames"], 5);
    assert!(told["classes"].as_array().unwrap().len() > 80);
    let ids = raw(&at.join("dino-out/a.segment.ids.mkv"), "gray");
    for number in 1..=5usize {
        let bytes =
            std::fs::read(at.join(format!("dino-out/a.segment.frames/{number:06}.ids.npy")))
                .unwrap();
        let saved: Vec<u8> = npyz::NpyFile::new(&bytes[..]).unwrap().into_vec().unwrap();
        assert!(saved == ids[64 * 48 * (number - 1)..][..64 * 48]);
    }
    same_times(
        &probe(&at.join("dino-out/a.segment.mp4")).2,
        &[0.0, 0.1, 0.2, 0.3, 0.4],
    );
    // A folder of frames, of which pictures are made.
    std::fs::create_dir(at.join("frames")).unwrap();
    ffmpeg(at, &["-i", "a.gif", "frames/f%02d.png"]);
    fast(
        at,
        &["depth", "frames", "--video", "--fps", "12.5", "--frames"],
    )
    .expect_code(0);
    let list = std::fs::read_to_string(at.join("dino-out/frames.depth.frames/frames.csv")).unwrap();
    assert!(
        list.lines().nth(2).unwrap().starts_with("2,1,0.08"),
        "{list}"
    );
    assert!(at.join("dino-out/frames.depth.frames/000005.png").is_file());
}

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

#[test]
fn what_is_no_clip_or_means_nothing_for_one_is_named() {
    let folder = folder();
    let at = folder.path();
    make(
        at,
        "testsrc=size=64x48:rate=10:duration=0.5",
        &["-c:v", "libx264"],
        "a.mp4",
    );
    make(at, "sine=duration=0.2", &[], "sound.mp4");
    std::fs::write(at.join("text.mp4"), "no clip").unwrap();
    std::fs::copy(sample("chelsea.png"), at.join("cat.png")).unwrap();
    let several = ["run", "a.mp4", "--depth", "--segment", "-o", "x.mp4"];
    dino(at, &several)
        .expect_code(2)
        .expect_stderr("one film for each");
    for (args, words) in [
        (
            &["depth", "a.mp4", "cat.png"][..],
            "a.mp4 is a clip, and cat.png is none",
        ),
        (
            &["depth", "cat.png", "--smooth", "0.5"],
            "--smooth is for clips",
        ),
        (
            &["depth", "cat.png", "--save", "ffv1"],
            "no input is a clip",
        ),
        (&["depth", "a.mp4", "--at", "1,1"], "--at is for photos"),
        (&["depth", "a.mp4", "-o", "x.png"], "a clip becomes a film"),
        (&["depth", "a.mp4", "-o", "-"], "not written to stdout"),
        (&["depth", "a.mp4", "--fps", "fast"], "is no rate"),
        (
            &["depth", "cat.png", "-o", "x.mp4"],
            "is a film, and no input is a clip",
        ),
        (
            &["depth", "a.mp4", "--codec", "ffv1", "--crf", "3"],
            "--crf 3",
        ),
    ] {
        fast(at, args).expect_code(2).expect_stderr(words);
    }
    for (clip, words) in [("sound.mp4", "sound"), ("text.mp4", "text.mp4")] {
        fast(at, &["depth", clip])
            .expect_code(1)
            .expect_stderr(words);
    }
    fast(at, &["depth", "a.mp4", "--bands", "1,1,1"])
        .expect_code(2)
        .expect_stderr("--bands is for photos and folders of frames");
    fast(at, &["depth", "a.mp4", "--audio", "-o", "silent"])
        .expect_code(0)
        .expect_stderr("it has no sound");
    fast(at, &["depth", "a.mp4", "-o", "out.webm"]).expect_code(0);
    assert_eq!(probe(&at.join("out.webm")).2.len(), 5);
    let scaled = [
        "depth",
        "a.mp4",
        "--save",
        "ffv1",
        "--depth-scale",
        "5000",
        "-o",
        "scaled",
    ];
    fast(at, &scaled).expect_code(0);
    // One that cannot be read does not stop the others.
    fast(at, &["depth", "text.mp4", "a.mp4"])
        .expect_code(1)
        .expect_stderr("text.mp4");
    assert!(at.join("dino-out/a.depth.mp4").is_file());
    // Of one that breaks off, what there is can be played.
    let bytes = std::fs::read(at.join("a.mp4")).unwrap();
    ffmpeg(at, &["-i", "a.mp4", "-c", "copy", "a.ts"]);
    let whole = std::fs::read(at.join("a.ts")).unwrap();
    std::fs::write(at.join("cut.mp4"), &bytes[..bytes.len() / 2]).unwrap();
    fast(at, &["depth", "cut.mp4"])
        .expect_code(1)
        .expect_stderr("cut.mp4");
    std::fs::write(at.join("cut.ts"), &whole[..whole.len() * 2 / 3]).unwrap();
    fast(at, &["depth", "cut.ts"]);
    assert!(!probe(&at.join("dino-out/cut.depth.mp4")).2.is_empty());
}

#[test]
fn transparent_frames_are_seen_over_the_background_and_gaps_are_told() {
    let folder = folder();
    let at = folder.path();
    let source = "testsrc=size=64x48:rate=10:duration=0.3,format=rgba,colorchannelmixer=aa=0";
    make(at, source, &["-c:v", "qtrle"], "clear.mov");
    for (background, grey) in [("black", 0), ("#ffffff", 255)] {
        let args = [
            "depth",
            "clear.mov",
            "--side-by-side",
            "--background",
            background,
            "--codec",
            "ffv1",
            "-o",
            background,
        ];
        fast(at, &args).expect_code(0);
        let seen = raw(&at.join(background).join("clear.depth.mkv"), "rgb24");
        assert!(
            seen[..3 * 64].iter().all(|value| *value == grey),
            "{background}"
        );
    }
    let frames = at.join("frames");
    std::fs::create_dir(&frames).unwrap();
    for number in [1, 2, 4] {
        std::fs::copy(
            sample("chelsea.png"),
            frames.join(format!("f{number:03}.png")),
        )
        .unwrap();
    }
    fast(at, &["depth", "--video", "frames"])
        .expect_code(0)
        .expect_stderr("no frames between f002.png and f004.png");
}
