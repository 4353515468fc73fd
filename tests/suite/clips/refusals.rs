//! Files that are not clips, and options that mean nothing for a clip, are refused.

use super::{dino, fast, ffmpeg, folder, make, probe};
use crate::program::sample;

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
