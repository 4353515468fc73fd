//! Frames, times and ids of output films, spans and rates, animations, and clips with transparent frames or gaps.

use super::{dino, fast, ffmpeg, folder, make, probe, raw, same_times};
use crate::program::sample;
use crate::results::{first_json, read_npy};

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
