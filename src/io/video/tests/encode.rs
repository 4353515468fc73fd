//! Tests of written films, checked with ffprobe and ffmpeg.

use super::*;

/// Writes `clip` again, frame for frame.
fn copy(clip: &Clip, to: &Path) -> EncodedClip {
    let frames = frames(clip, &FrameSelection::default());
    let spec = EncoderConfig::from_clip(clip, &FrameSelection::default());
    written(frames, spec, to)
}

#[test]
fn copies_have_the_times_of_their_sources() {
    let clips = Clips::new();
    let h264 = ["-c:v", "libx264", "-pix_fmt", "yuv420p"];
    let variable = [
        "-vf",
        "select=not(mod(n\\,5))+eq(mod(n\\,7)\\,1)",
        "-vsync",
        "vfr",
        "-bf",
        "0",
    ];
    let late = ["-vf", "setpts=PTS+0.6/TB"];
    let cases: [(&str, &str, u32, &[&str]); 8] = [
        ("cfr.mp4", "25", 20, &[]),
        ("ntsc.mp4", "30000/1001", 20, &[]),
        ("vfr.mp4", "25", 10, &variable),
        ("vfr.mkv", "25", 10, &variable),
        ("late.mp4", "25", 7, &late),
        ("late.mkv", "25", 7, &late),
        ("one.mp4", "25", 1, &[]),
        ("two.mov", "24", 2, &[]),
    ];
    for (name, rate, count, more) in cases {
        let path = clips.ramp(name, "64x48", rate, count, &[&h264[..], more].concat());
        let source = Clip::probe(&path).unwrap();
        let target = clips.at(&format!("{name}.copy.mp4"));
        let finished = copy(&source, &target);
        assert_eq!(
            (finished.frames, finished.size),
            (count.into(), (64, 48)),
            "{name}"
        );
        let written = Clip::probe(&target).unwrap();
        assert_eq!(written.time_base, source.time_base, "{name}");
        assert_eq!(times(&written), times(&source), "{name}");
        assert_eq!(written.frames, source.frames, "{name}");
        for (n, frame) in decode(&source, &FrameSelection::default())
            .iter()
            .enumerate()
        {
            assert_eq!(frame.time, written.frames[n].time);
        }
        let again = decode(&written, &FrameSelection::default());
        let before = decode(&source, &FrameSelection::default());
        for (a, b) in again.iter().zip(&before) {
            assert_eq!(number(&a.rgb), number(&b.rgb), "{name}");
        }
        let duration = |path: &Path| {
            let told = ffprobe(path, "format=duration");
            told.trim()
                .trim_start_matches("duration=")
                .parse::<f64>()
                .unwrap()
        };
        // Releases differ in whether Matroska's counts from 0 or from the first frame.
        assert!(
            name.ends_with(".mkv") || (duration(&target) - duration(&path)).abs() < 1e-3,
            "{name}: {} {}",
            duration(&target),
            duration(&path)
        );
    }
    assert!(clips.names().iter().all(|name| !name.starts_with('.')));
}

#[test]
fn pictures_are_what_players_play() {
    let clips = Clips::new();
    let source = [
        "-f",
        "lavfi",
        "-i",
        "testsrc=s=63x47:r=10:d=5,format=yuv444p",
        "-c:v",
        "ffv1",
    ];
    let clip = Clip::probe(&clips.make("a.mkv", &source)).unwrap();
    let target = clips.at("b.mp4");
    let mut spec = EncoderConfig::from_clip(&clip, &FrameSelection::default());
    spec.tags = vec![
        ("comment".into(), "depth in metres".into()),
        ("dino_unit".into(), "m".into()),
    ];
    let mut encoder = VideoEncoder::new(&target, spec).unwrap();
    for frame in frames(&clip, &FrameSelection::default()) {
        let frame = frame.unwrap();
        encoder
            .write(frame.rgb.as_raw(), frame.time, frame.duration)
            .unwrap();
    }
    assert_eq!(encoder.finish().unwrap().size, (62, 46));
    let told = ffprobe(
        &target,
        "stream=profile,width,height,pix_fmt,color_range,color_space,color_transfer,color_primaries,sample_aspect_ratio:\
         format_tags=comment,dino_unit",
    );
    for part in [
        "profile=High|",
        "width=62",
        "height=46",
        "pix_fmt=yuv420p",
        "color_range=tv",
        "color_space=bt709",
        "color_transfer=bt709",
        "color_primaries=bt709",
        "tag:comment=depth in metres",
        "tag:dino_unit=m",
    ] {
        assert!(told.contains(part), "{part}: {told}");
    }
    let keys = ffprobe(&target, "packet=pts_time,flags");
    let keys: Vec<&str> = keys
        .lines()
        .filter(|line| line.contains("flags=K"))
        .collect();
    assert!(
        keys.len() >= 3 && keys.iter().any(|line| line.contains("pts_time=2.0")),
        "{keys:?}"
    );
    // The index stands before the pictures.
    let bytes = std::fs::read(&target).unwrap();
    let at = |name: &[u8]| bytes.windows(4).position(|window| window == name).unwrap();
    assert!(at(b"moov") < at(b"mdat"));
}

#[test]
fn numbers_come_back_bit_for_bit() {
    let clips = Clips::new();
    let (width, height) = (37, 21);
    let area = width * height;
    let random = |bytes: usize| -> Vec<u8> {
        let mut random = fastrand::Rng::with_seed(7);
        std::iter::repeat_with(|| random.u8(..))
            .take(bytes)
            .collect()
    };
    for (name, pixel, format) in [
        ("d.mkv", RawPixelFormat::Gray16, "gray16le"),
        ("l.mkv", RawPixelFormat::Gray8, "gray"),
        ("c.mkv", RawPixelFormat::Rgb24, "rgb24"),
    ] {
        let all = random(area * pixel.bytes() * 3);
        let spec = EncoderConfig {
            width: width as u32,
            height: height as u32,
            pixel_format: pixel,
            codec: VideoCodec::Ffv1,
            time_base: Ratio::new(1, 25).unwrap(),
            origin: 0,
            rate: Ratio::new(25, 1).unwrap(),
            is_variable: false,
            pixel_aspect: (1, 1),
            tags: vec![
                ("DINO_UNIT".into(), "mm".into()),
                ("DINO_SCALE".into(), "0.001".into()),
            ],
            audio: None,
        };
        let mut encoder = VideoEncoder::new(&clips.at(name), spec).unwrap();
        for (n, frame) in all.chunks_exact(area * pixel.bytes()).enumerate() {
            encoder.write(frame, n as i64, 1).unwrap();
        }
        let finished = encoder.finish().unwrap();
        assert!(
            finished
                .stamp
                .unwrap()
                .matches_file(&clips.at(name))
                .unwrap()
        );
        assert_eq!(raw(&clips.at(name), format), all, "{name}");
        let told = ffprobe(
            &clips.at(name),
            "stream=codec_name:format_tags=DINO_UNIT,DINO_SCALE",
        );
        for part in [
            "codec_name=ffv1",
            "tag:DINO_UNIT=mm",
            "tag:DINO_SCALE=0.001",
        ] {
            assert!(told.contains(part), "{part}: {told}");
        }
        assert_eq!(times(&Clip::probe(&clips.at(name)).unwrap()), [0, 40, 80]);
    }
}

#[test]
fn what_is_not_finished_leaves_nothing() {
    let clips = Clips::new();
    let path = clips.at("a.mp4");
    std::fs::write(&path, "old").unwrap();
    let base = Ratio::new(1, 25).unwrap();
    let spec = EncoderConfig {
        width: 16,
        height: 16,
        pixel_format: RawPixelFormat::Rgb24,
        codec: VideoCodec::default(),
        time_base: base,
        origin: 0,
        rate: base.inverse(),
        is_variable: false,
        pixel_aspect: (1, 1),
        tags: Vec::new(),
        audio: None,
    };
    let mut encoder = VideoEncoder::new(&path, spec.clone()).unwrap();
    encoder.write(&[9; 768], 0, 1).unwrap();
    assert!(
        encoder
            .write(&[9; 768], 0, 1)
            .unwrap_err()
            .to_string()
            .contains("behind")
    );
    assert!(
        encoder
            .write(&[9; 767], 1, 1)
            .unwrap_err()
            .to_string()
            .contains("767")
    );
    drop(encoder);
    assert_eq!(
        (std::fs::read(&path).unwrap(), clips.names()),
        (b"old".to_vec(), vec!["a.mp4".to_owned()])
    );
    let error = VideoEncoder::new(&path, spec.clone())
        .unwrap()
        .finish()
        .unwrap_err()
        .to_string();
    assert!(error.contains("no frames"), "{error}");
    let missing = EncoderConfig {
        codec: VideoCodec::Named {
            encoder: "libx999".into(),
            crf: None,
        },
        ..spec.clone()
    };
    let error = VideoEncoder::new(&path, missing).unwrap_err().to_string();
    assert!(
        error.contains("no encoder libx999") && error.contains("libx264"),
        "{error}"
    );
    let without_factor = EncoderConfig {
        codec: VideoCodec::Named {
            encoder: "mpeg4".into(),
            crf: Some(3),
        },
        ..spec.clone()
    };
    let error = VideoEncoder::new(&path, without_factor)
        .unwrap_err()
        .to_string();
    assert!(
        error.contains("mpeg4 has no constant rate factor"),
        "{error}"
    );
    let error = VideoEncoder::new(&clips.at("a.txt"), spec.clone())
        .unwrap_err()
        .to_string();
    assert!(error.contains(".mp4"), "{error}");
    let wrong = EncoderConfig {
        codec: VideoCodec::H264 {
            crf: 14,
            preset: "nonsense".into(),
        },
        ..spec
    };
    let mut encoder = VideoEncoder::new(&path, wrong).unwrap();
    let wrote = (0..200).try_for_each(|n| encoder.write(&[9; 768], n, 1));
    let error = wrote
        .and_then(|()| encoder.finish().map(|_| ()))
        .unwrap_err()
        .to_string();
    assert!(
        error.contains("a.mp4: ffmpeg could not write it"),
        "{error}"
    );
    assert_eq!(clips.names(), ["a.mp4"]);
}

#[test]
fn other_encoders_can_be_named() {
    let clips = Clips::new();
    let path = clips.ramp("a.mkv", "48x32", "25", 6, &["-c:v", "ffv1"]);
    let clip = Clip::probe(&path).unwrap();
    for (encoder, crf, name, codec) in [
        ("mpeg4", None, "b.mp4", "mpeg4"),
        ("libvpx-vp9", Some(20), "b.webm", "vp9"),
    ] {
        let mut spec = EncoderConfig::from_clip(&clip, &FrameSelection::default());
        spec.codec = VideoCodec::Named {
            encoder: encoder.into(),
            crf,
        };
        let mut writer = VideoEncoder::new(&clips.at(name), spec).unwrap();
        for frame in frames(&clip, &FrameSelection::default()) {
            let frame = frame.unwrap();
            writer
                .write(frame.rgb.as_raw(), frame.time, frame.duration)
                .unwrap();
        }
        writer.finish().unwrap();
        let written = Clip::probe(&clips.at(name)).unwrap();
        assert_eq!(
            (written.codec.as_str(), times(&written)),
            (codec, times(&clip))
        );
    }
}

#[test]
fn every_end_is_exact() {
    let clips = Clips::new();
    let mut random = fastrand::Rng::with_seed(5);
    let base = Ratio::new(1, 90000).unwrap();
    for (case, count) in [1, 2, 3, 30].into_iter().enumerate() {
        let steps: Vec<i64> = (0..count)
            .map(|_| {
                *random
                    .choice(&[1, 900, 3003, 3600, 18_000, 63_001])
                    .unwrap()
            })
            .collect();
        let mut time = 90_000 + random.i64(0..5000);
        let mut wanted = Vec::new();
        for &duration in &steps {
            wanted.push(FrameTime {
                time: time - 90_000,
                duration,
            });
            time += duration;
        }
        let spec = EncoderConfig {
            width: 16,
            height: 16,
            pixel_format: RawPixelFormat::Rgb24,
            codec: VideoCodec::default(),
            time_base: base,
            origin: 90_000,
            rate: Ratio::new(25, 1).unwrap(),
            is_variable: true,
            pixel_aspect: (4, 3),
            tags: Vec::new(),
            audio: None,
        };
        let path = clips.at(&format!("{case}.mp4"));
        let mut encoder = VideoEncoder::new(&path, spec).unwrap();
        for frame in &wanted {
            encoder
                .write(&[40; 768], frame.time + 90_000, frame.duration)
                .unwrap();
        }
        encoder.finish().unwrap();
        let written = Clip::probe(&path).unwrap();
        assert_eq!(
            (written.frames, written.time_base, written.pixel_aspect),
            (wanted, base, (4, 3))
        );
    }
}
