//! Tests of damaged and unsuitable files.

use super::*;
use crate::error::{Error, FileFault};
use crate::io::inputs::{DecodeOptions, has_video_extension};
use crate::terminal::warnings::Warnings;

fn probe_error(path: &Path) -> (String, FileFault) {
    match Clip::probe(path).unwrap_err() {
        Error::File {
            reason: why, fault, ..
        } => (why, fault),
        other => panic!("{other}"),
    }
}

const H264: [&str; 4] = ["-c:v", "libx264", "-pix_fmt", "yuv420p"];

/// The first `percent` of a file.
fn cut(path: &Path, percent: usize) {
    let bytes = std::fs::read(path).unwrap();
    std::fs::write(path, &bytes[..bytes.len() * percent / 100]).unwrap();
}

fn moving(clips: &Clips, name: &str, more: &[&str]) -> PathBuf {
    let source = [
        "-f",
        "lavfi",
        "-i",
        "testsrc=s=160x120:r=25",
        "-frames:v",
        "50",
    ];
    clips.make(name, &[&source[..], &H264, more].concat())
}

#[test]
fn files_without_frames_say_what_they_hold() {
    let clips = Clips::new();
    let sine = ["-f", "lavfi", "-i", "sine=d=0.2"];
    let sound = clips.make("sound.mp4", &sine);
    assert_eq!(
        probe_error(&sound),
        (
            "holds sound alone, and no video".into(),
            FileFault::NotImage
        )
    );
    let cover = clips.at("cover.png");
    RgbImage::new(32, 32).save(&cover).unwrap();
    let cover = cover.display().to_string();
    let attached = [
        "-i",
        &cover,
        "-map",
        "0",
        "-map",
        "1",
        "-c:v",
        "copy",
        "-disposition:v:0",
        "attached_pic",
    ];
    let song = clips.make("song.mp4", &[&sine[..], &attached].concat());
    assert_eq!(
        probe_error(&song).0,
        "holds sound with a cover picture, and no video"
    );
    for name in ["none.mp4", "none.mkv"] {
        let none = clips.make(
            name,
            &[
                "-f",
                "lavfi",
                "-i",
                "testsrc=s=32x32",
                "-frames:v",
                "0",
                "-c:v",
                "libx264",
            ],
        );
        let (why, _) = probe_error(&none);
        assert!(
            why.contains("no tracks") || why.contains("before its first frame"),
            "{name}: {why}"
        );
    }
    let text = clips.at("text.mp4");
    std::fs::write(&text, "not a clip at all").unwrap();
    assert!(
        probe_error(&text)
            .0
            .contains("no clip that ffmpeg can read"),
        "{:?}",
        probe_error(&text)
    );
    std::fs::write(&text, "").unwrap();
    assert_eq!(probe_error(&text).0, "is empty");
    assert_eq!(probe_error(&clips.at("missing.mp4")).1, FileFault::Missing);
}

#[test]
fn truncated_clips_give_what_is_there_and_then_say_so() {
    let clips = Clips::new();
    for (name, more) in [
        ("a.mp4", &["-movflags", "+faststart"][..]),
        ("a.mkv", &[]),
        ("a.avi", &["-bf", "0"]),
    ] {
        let path = moving(&clips, name, more);
        assert_eq!(Clip::probe(&path).unwrap().truncated, None, "{name}");
        cut(&path, 60);
        let clip = Clip::probe(&path).unwrap();
        assert!(clip.truncated.is_some(), "{name}: {:?}", clip.frames.len());
        let found: Vec<_> = frames(&clip, &FrameSelection::default()).collect();
        let whole = found.iter().take_while(|frame| frame.is_ok()).count();
        assert!(
            whole > 5 && whole + 1 == found.len(),
            "{name}: {whole} of {}",
            found.len()
        );
        let error = found.last().unwrap().as_ref().unwrap_err().to_string();
        assert!(
            error.contains("is truncated")
                && error.contains(&format!("{whole} frames were decoded")),
            "{name}: {error}"
        );
        // What is asked for is there.
        let few = FrameSelection {
            max_frames: Some(3),
            ..FrameSelection::default()
        };
        assert_eq!(decode(&clip, &few).len(), 3);
    }
    let path = moving(&clips, "b.mp4", &[]);
    cut(&path, 60);
    let (why, fault) = probe_error(&path);
    assert!(
        why.contains("is truncated") && why.contains("moov atom not found"),
        "{why}"
    );
    assert_eq!(fault, FileFault::Damaged);
}

#[test]
fn damage_in_the_middle_is_told() {
    let clips = Clips::new();
    let path = moving(&clips, "a.mkv", &["-bf", "0"]);
    let mut bytes = std::fs::read(&path).unwrap();
    let middle = bytes.len() / 2;
    let mut random = fastrand::Rng::with_seed(3);
    bytes[middle..middle + 200].fill_with(|| random.u8(..));
    std::fs::write(&path, bytes).unwrap();
    let clip = Clip::probe(&path).unwrap();
    let photos = PhotoDecoder::plain();
    let found: Vec<_> = Frames::open(&clip, &FrameSelection::default(), &photos)
        .unwrap()
        .collect();
    let counts = photos.warnings.counts();
    let is_told = found.last().unwrap().is_err() || !counts.is_empty();
    assert!(is_told, "{} frames", found.len());
}

#[test]
fn large_frames_are_refused() {
    let clips = Clips::new();
    let clip = Clip::probe(&clips.ramp("a.mkv", "64x48", "25", 1, &["-c:v", "ffv1"])).unwrap();
    let photos = PhotoDecoder {
        options: DecodeOptions {
            max_pixels: 1000,
            ..DecodeOptions::default()
        },
        warnings: Warnings::silent(),
    };
    let error = Frames::open(&clip, &FrameSelection::default(), &photos)
        .unwrap_err()
        .to_string();
    assert!(
        error.contains("64 x 48") && error.contains("--max-megapixels"),
        "{error}"
    );
}

#[test]
fn endings_of_video_are_known() {
    for name in ["a.mp4", "b.MOV", "c.webm", "d.m2ts", "e.y4m"] {
        assert!(has_video_extension(Path::new(name)), "{name}");
    }
    for name in ["a.jpg", "b.gif", "c.webp", "d.png", "mp4", "e.mp4.txt", "f"] {
        assert!(!has_video_extension(Path::new(name)), "{name}");
    }
}
