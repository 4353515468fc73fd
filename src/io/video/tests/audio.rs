//! Tests of sound that is copied to films.

use std::time::Duration;

use super::*;

/// When the sound of a clip begins and ends, in seconds, and its codec.
fn sound(path: &Path) -> (f64, f64, String) {
    let mut command = Command::new("ffprobe");
    command.args([
        "-v",
        "error",
        "-select_streams",
        "a:0",
        "-of",
        "compact=p=0:nk=1",
    ]);
    command
        .args(["-show_entries", "packet=pts_time:stream=codec_name"])
        .arg(path);
    let told = String::from_utf8(command.output().unwrap().stdout).unwrap();
    let times: Vec<f64> = told
        .split_whitespace()
        .filter_map(|line| line.split('|').next()?.parse().ok())
        .collect();
    let codec = told.split_whitespace().last().unwrap().to_owned();
    (times[0], times[times.len() - 1], codec)
}

fn copy(clip: &Clip, selection: &FrameSelection, to: &Path) -> EncodedClip {
    let frames = frames(clip, selection);
    let mut spec = EncoderConfig::from_clip(clip, selection);
    spec.audio = AudioTrack::of(clip);
    spec.tags = vec![("comment".into(), "with sound".into())];
    assert!(spec.audio.is_some());
    written(frames, spec, to)
}

#[test]
fn sound_is_copied_and_cut_with_the_pictures() {
    let clips = Clips::new();
    let source = [
        "-f",
        "lavfi",
        "-i",
        "testsrc=s=64x48:r=10:d=4",
        "-f",
        "lavfi",
        "-i",
        "sine=d=6:f=880",
    ];
    let h264 = ["-c:v", "libx264", "-pix_fmt", "yuv420p", "-c:a", "aac"];
    let path = clips.make("a.mp4", &[&source[..], &h264].concat());
    let clip = Clip::probe(&path).unwrap();
    assert_eq!(clip.audio.as_ref().unwrap().codec, "aac");
    let finished = copy(&clip, &FrameSelection::default(), &clips.at("b.mp4"));
    assert_eq!((finished.frames, finished.notes.len()), (40, 0));
    let written = Clip::probe(&clips.at("b.mp4")).unwrap();
    assert_eq!(written.frames, clip.frames);
    let (begin, end, codec) = sound(&clips.at("b.mp4"));
    assert_eq!(codec, "aac");
    assert!(
        begin.abs() < 0.05 && (3.9..4.01).contains(&end),
        "{begin} {end}"
    );
    let told = ffprobe(&clips.at("b.mp4"), "format_tags=comment");
    assert!(told.contains("with sound"), "{told}");
    // A part: both begin at 0.
    let part = FrameSelection {
        start: Some(Duration::from_millis(1500)),
        end: Some(Duration::from_secs(3)),
        ..FrameSelection::default()
    };
    let finished = copy(&clip, &part, &clips.at("c.mov"));
    assert_eq!(finished.frames, 15);
    let written = Clip::probe(&clips.at("c.mov")).unwrap();
    assert_eq!((written.frames[0].time, written.duration()), (0, 1.5));
    let (begin, end, _) = sound(&clips.at("c.mov"));
    assert!(
        begin.abs() < 0.1 && (1.3..1.51).contains(&end),
        "{begin} {end}"
    );
}

#[test]
fn broadcasts_keep_their_sound_in_step() {
    let clips = Clips::new();
    let source = [
        "-f",
        "lavfi",
        "-i",
        "testsrc=s=64x48:r=10:d=2",
        "-itsoffset",
        "0.4",
        "-f",
        "lavfi",
        "-i",
        "sine=d=1",
    ];
    let path = clips.make(
        "a.ts",
        &[
            &source[..],
            &["-c:v", "libx264", "-pix_fmt", "yuv420p", "-c:a", "mp2"],
        ]
        .concat(),
    );
    let clip = Clip::probe(&path).unwrap();
    let before = sound(&path).0 - clip.frames[0].time as f64 * clip.time_base.value();
    copy(&clip, &FrameSelection::default(), &clips.at("b.mp4"));
    let written = Clip::probe(&clips.at("b.mp4")).unwrap();
    let after =
        sound(&clips.at("b.mp4")).0 - written.frames[0].time as f64 * written.time_base.value();
    assert!(
        (before - after).abs() < 0.002 && before > 0.3,
        "{before} {after}"
    );
    assert_eq!(written.frames.len(), 20);
}

#[test]
fn sound_that_does_not_fit_is_converted_with_a_word() {
    let clips = Clips::new();
    let source = [
        "-f",
        "lavfi",
        "-i",
        "testsrc=s=64x48:r=10:d=1",
        "-f",
        "lavfi",
        "-i",
        "sine=d=1",
    ];
    let path = clips.make(
        "a.mkv",
        &[&source[..], &["-c:v", "ffv1", "-c:a", "pcm_s16le"]].concat(),
    );
    let clip = Clip::probe(&path).unwrap();
    let finished = copy(&clip, &FrameSelection::default(), &clips.at("b.mp4"));
    assert!(
        finished.notes[0].contains("pcm_s16le") && finished.notes[0].contains("now aac"),
        "{:?}",
        finished.notes
    );
    assert_eq!(sound(&clips.at("b.mp4")).2, "aac");
    let finished = copy(&clip, &FrameSelection::default(), &clips.at("b.mkv"));
    assert!(finished.notes.is_empty());
    assert_eq!(sound(&clips.at("b.mkv")).2, "pcm_s16le");
}
