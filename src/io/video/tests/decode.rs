//! Tests of decoded frames and their times.

use std::time::Duration;

use super::*;

const H264: [&str; 4] = ["-c:v", "libx264", "-pix_fmt", "yuv420p"];

#[test]
fn every_frame_comes_once_with_its_time() {
    let clips = Clips::new();
    let path = clips.ramp("a.mp4", "64x48", "30000/1001", 24, &H264);
    let clip = Clip::probe(&path).unwrap();
    assert_eq!((clip.size(), clip.rotation, clip.bits), ((64, 48), 0, 8));
    assert_eq!(clip.time_base, Ratio::new(1, 30000).unwrap());
    assert_eq!(clip.rate, Ratio::new(30000, 1001).unwrap());
    assert_eq!(times(&clip), (0..24).map(|n| n * 1001).collect::<Vec<_>>());
    assert!(clip.frames.iter().all(|frame| frame.duration == 1001) && clip.has_constant_rate());
    assert!((clip.duration() - 24.0 * 1.001 / 30.0).abs() < 1e-9);
    let found = decode(&clip, &FrameSelection::default());
    assert_eq!(found.len(), 24);
    for (n, frame) in (0..).zip(&found) {
        assert_eq!(
            (frame.index as i64, frame.time, number(&frame.rgb)),
            (n, n * 1001, n)
        );
    }
}

#[test]
fn variable_rates_keep_their_times() {
    let clips = Clips::new();
    let some = [
        "-vf",
        "select=not(mod(n\\,5))+eq(mod(n\\,7)\\,1)",
        "-vsync",
        "vfr",
    ];
    for name in ["a.mp4", "a.mkv", "a.ts", "a.webm"] {
        let codec: &[&str] = match name {
            "a.webm" => &["-c:v", "libvpx-vp9", "-b:v", "0", "-crf", "20"],
            _ => &H264,
        };
        let path = clips.ramp(name, "64x48", "25", 10, &[&some[..], codec].concat());
        let clip = Clip::probe(&path).unwrap();
        let kept: Vec<i64> = (0..60)
            .filter(|n| n % 5 == 0 || n % 7 == 1)
            .take(10)
            .collect();
        let seconds: Vec<f64> = kept.iter().map(|&n| n as f64 / 25.0).collect();
        let found = decode(&clip, &FrameSelection::default());
        assert_eq!(found.len(), 10, "{name}");
        assert!(!clip.has_constant_rate());
        for ((frame, seconds), n) in found.iter().zip(seconds).zip(kept) {
            assert!(
                (clip.seconds(frame.time) - seconds).abs() < 1e-3,
                "{name}: {frame:?} {seconds}"
            );
            // No grey is brighter.
            assert_eq!(number(&frame.rgb), n.min(27), "{name}");
        }
    }
}

#[test]
fn selections_are_exact_and_far_ones_are_sought() {
    let clips = Clips::new();
    let key_frames = ["-g", "10", "-bf", "2"];
    // Each second frame of its own brightness; the rest is as bright as can be.
    let path = clips.ramp(
        "a.mp4",
        "32x32",
        "2",
        26,
        &[&H264[..], &key_frames].concat(),
    );
    let clip = Clip::probe(&path).unwrap();
    let select = |selection: FrameSelection| -> Vec<(u64, i64)> {
        let found = decode(&clip, &selection);
        found
            .iter()
            .map(|frame| (frame.index, number(&frame.rgb)))
            .collect()
    };
    // Beyond the threshold of a seek, in the middle of a group.
    let far = FrameSelection {
        start: Some(Duration::from_millis(11_500)),
        end: Some(Duration::from_millis(12_600)),
        ..FrameSelection::default()
    };
    assert_eq!(select(far), [(23, 23), (24, 24), (25, 25)]);
    let thinned = FrameSelection {
        start: Some(Duration::from_secs(1)),
        every: Some(5),
        max_frames: Some(4),
        ..FrameSelection::default()
    };
    assert_eq!(select(thinned), [(2, 2), (7, 7), (12, 12), (17, 17)]);
    let slow = FrameSelection {
        fps: Ratio::new(1, 3),
        ..FrameSelection::default()
    };
    assert_eq!(select(slow), [(0, 0), (6, 6), (12, 12), (18, 18), (24, 24)]);
    assert_eq!(
        EncoderConfig::from_clip(&clip, &far).origin,
        clip.frames[23].time
    );
    // Continuing after a frame gives the same remaining frames.
    for selection in [thinned, slow] {
        let all: Vec<(u64, i64)> = frames(&clip, &selection)
            .map(|frame| frame.map(|frame| (frame.index, frame.time)).unwrap())
            .collect();
        for (done, &(index, _)) in all.iter().enumerate() {
            let rest =
                Frames::open_after(Some(index), &clip, &selection, &PhotoDecoder::plain()).unwrap();
            let rest: Vec<(u64, i64)> = rest
                .map(|frame| frame.map(|frame| (frame.index, frame.time)).unwrap())
                .collect();
            assert_eq!(rest, all[done + 1..], "{selection:?} behind {index}");
        }
    }
    let none = FrameSelection {
        start: Some(Duration::from_secs(60)),
        ..FrameSelection::default()
    };
    let error = Frames::open(&clip, &none, &PhotoDecoder::plain())
        .unwrap_err()
        .to_string();
    assert!(error.contains("none of its 26 frames"), "{error}");
}

#[test]
fn rates_in_a_filter_are_those_of_the_plan() {
    let clips = Clips::new();
    let path = clips.ramp("a.mkv", "32x32", "30000/1001", 28, &["-c:v", "ffv1"]);
    let clip = Clip::probe(&path).unwrap();
    for fps in ["24", "23.976", "7", "10.5", "29.97"] {
        let selection = FrameSelection {
            fps: Some(fps.parse().unwrap()),
            ..FrameSelection::default()
        };
        let planned = frames(&clip, &selection).plan().to_vec();
        let found = decode(&clip, &selection);
        let found: Vec<i64> = found.iter().map(|frame| frame.time).collect();
        let planned: Vec<i64> = planned.iter().map(|planned| planned.time).collect();
        assert_eq!(found, planned, "{fps}");
    }
}

#[test]
fn phones_that_were_held_upright_give_upright_frames() {
    let clips = Clips::new();
    let source = ["-f", "lavfi", "-i", "testsrc=s=64x48:r=5", "-frames:v", "2"];
    let path = clips.make("a.mp4", &[&source[..], &H264, &["-bf", "0"]].concat());
    let plain = decode(&Clip::probe(&path).unwrap(), &FrameSelection::default());
    // The matrix of the track's header, turned by 90 degrees clockwise.
    let mut bytes = std::fs::read(&path).unwrap();
    let header = bytes
        .windows(4)
        .position(|window| window == b"tkhd")
        .unwrap()
        + 4;
    let turned: [i32; 9] = [0, 1 << 16, 0, -(1 << 16), 0, 0, 48 << 16, 0, 1 << 30];
    for (place, value) in bytes[header + 40..].chunks_exact_mut(4).zip(turned) {
        place.copy_from_slice(&value.to_be_bytes());
    }
    std::fs::write(&path, bytes).unwrap();
    let clip = Clip::probe(&path).unwrap();
    assert_eq!((clip.size(), clip.rotation), ((48, 64), 90));
    let found = decode(&clip, &FrameSelection::default());
    let expected = image::imageops::rotate90(&plain[1].rgb);
    let far = |a: &RgbImage, b: &RgbImage| {
        let pairs = a.as_raw().iter().zip(b.as_raw());
        pairs.map(|(a, b)| u64::from(a.abs_diff(*b))).sum::<u64>() as f64 / a.as_raw().len() as f64
    };
    assert_eq!(found[1].rgb.dimensions(), (48, 64));
    assert!(far(&found[1].rgb, &expected) < 3.0);
}

#[test]
fn one_frame_is_a_clip() {
    let clips = Clips::new();
    let path = clips.ramp("a.mp4", "64x48", "25", 1, &H264);
    let clip = Clip::probe(&path).unwrap();
    assert_eq!((clip.frames.len(), clip.duration()), (1, 0.04));
    assert_eq!(decode(&clip, &FrameSelection::default()).len(), 1);
}

#[test]
fn odd_sizes_and_transport_streams_are_as_they_are() {
    let clips = Clips::new();
    let odd = clips.make(
        "a.mkv",
        &[
            "-f",
            "lavfi",
            "-i",
            "testsrc=s=63x47:r=5,format=yuv444p",
            "-frames:v",
            "2",
            "-c:v",
            "ffv1",
        ],
    );
    let clip = Clip::probe(&odd).unwrap();
    assert_eq!(clip.size(), (63, 47));
    assert_eq!(
        decode(&clip, &FrameSelection::default())[1]
            .rgb
            .dimensions(),
        (63, 47)
    );
    let stream = clips.ramp("a.ts", "64x48", "25", 12, &H264);
    let clip = Clip::probe(&stream).unwrap();
    // Broadcast streams begin at any time.
    assert!(clip.origin > 0 && clip.seconds(clip.frames[0].time).abs() < 1e-6);
    let found = decode(&clip, &FrameSelection::default());
    assert_eq!(
        found
            .iter()
            .map(|frame| number(&frame.rgb))
            .collect::<Vec<_>>(),
        (0..12).collect::<Vec<_>>()
    );
}

#[test]
fn containers_without_times_are_decoded_for_them() {
    let clips = Clips::new();
    let path = clips.ramp(
        "a.avi",
        "64x48",
        "25",
        12,
        &[&H264[..], &["-bf", "2"]].concat(),
    );
    let clip = Clip::probe(&path).unwrap();
    let found = decode(&clip, &FrameSelection::default());
    assert_eq!(
        found
            .iter()
            .map(|frame| number(&frame.rgb))
            .collect::<Vec<_>>(),
        (0..12).collect::<Vec<_>>()
    );
    let steps: Vec<i64> = found
        .windows(2)
        .map(|pair| pair[1].time - pair[0].time)
        .collect();
    assert!(steps.iter().all(|&step| step == steps[0]), "{steps:?}");
}
