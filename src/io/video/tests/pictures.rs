//! Tests of clips that are read without ffmpeg.

use std::fs::File;

use image::Rgb;

use super::*;
use crate::io::inputs::{Background, DecodeOptions};
use crate::terminal::warnings::Warnings;

fn on_white() -> PhotoDecoder {
    PhotoDecoder {
        options: DecodeOptions {
            background: Background::Colour([255; 3]),
            ..DecodeOptions::default()
        },
        warnings: Warnings::silent(),
    }
}

fn pixels(clip: &Clip, at: (u32, u32)) -> Vec<[u8; 3]> {
    let found = Frames::open(clip, &FrameSelection::default(), &on_white()).unwrap();
    found
        .map(|frame| frame.unwrap().rgb.get_pixel(at.0, at.1).0)
        .collect()
}

#[test]
fn gifs_have_their_delays_and_disposals() {
    let clips = Clips::new();
    let path = clips.at("a.gif");
    let palette = [255, 0, 0, 0, 255, 0, 0, 0, 255, 0, 0, 0];
    let mut encoder = gif::Encoder::new(File::create(&path).unwrap(), 4, 4, &palette).unwrap();
    let mut add = |colour: u8, left: u16, delay: u16, dispose: gif::DisposalMethod| {
        let frame = gif::Frame {
            delay,
            left,
            width: 4 - left,
            height: 4,
            dispose,
            buffer: vec![colour; usize::from(4 - left) * 4].into(),
            ..gif::Frame::default()
        };
        encoder.write_frame(&frame).unwrap();
    };
    add(0, 0, 7, gif::DisposalMethod::Keep);
    // Covers the right half, and is taken away again.
    add(1, 2, 0, gif::DisposalMethod::Previous);
    add(2, 3, 25, gif::DisposalMethod::Background);
    add(2, 1, 10, gif::DisposalMethod::Keep);
    drop(encoder);
    let clip = Clip::probe(&path).unwrap();
    assert_eq!((clip.size(), clip.codec.as_str()), ((4, 4), "gif"));
    let seconds: Vec<f64> = clip
        .frames
        .iter()
        .map(|frame| clip.seconds(frame.time))
        .collect();
    assert_eq!(seconds, [0.0, 0.07, 0.17, 0.42]);
    assert!((clip.duration() - 0.52).abs() < 1e-9 && clip.notes[0].contains("no delay"));
    let (red, green, blue) = ([255, 0, 0], [0, 255, 0], [0, 0, 255]);
    assert_eq!(pixels(&clip, (0, 0)), [red, red, red, red]);
    assert_eq!(pixels(&clip, (2, 0)), [red, green, red, blue]);
    assert_eq!(pixels(&clip, (3, 0)), [red, green, blue, blue]);
    let some = FrameSelection {
        every: Some(2),
        ..FrameSelection::default()
    };
    assert_eq!(
        decode(&clip, &some)
            .iter()
            .map(|frame| frame.index)
            .collect::<Vec<_>>(),
        [0, 2]
    );
    // Half a file: the frames it holds, then an error.
    let bytes = std::fs::read(&path).unwrap();
    std::fs::write(&path, &bytes[..bytes.len() - 12]).unwrap();
    let clip = Clip::probe(&path).unwrap();
    let found: Vec<_> = frames(&clip, &FrameSelection::default()).collect();
    assert!(
        found.len() >= 3 && found[2].is_ok() && found.last().unwrap().is_err(),
        "{}",
        found.len()
    );
}

#[test]
fn animated_pngs_have_the_fractions_of_their_delays() {
    let clips = Clips::new();
    let path = clips.at("a.png");
    let mut encoder = png::Encoder::new(File::create(&path).unwrap(), 3, 2);
    encoder.set_color(png::ColorType::Rgba);
    encoder.set_animated(3, 0).unwrap();
    let mut writer = encoder.write_header().unwrap();
    for (n, (num, den)) in [(1, 30), (1, 25), (1001, 30000)].into_iter().enumerate() {
        writer.set_frame_delay(num, den).unwrap();
        writer.set_blend_op(png::BlendOp::Source).unwrap();
        let alpha = [255, 0, 51][n];
        writer
            .write_image_data(&[100, 150, 200, alpha].repeat(6))
            .unwrap();
    }
    writer.finish().unwrap();
    let clip = Clip::probe(&path).unwrap();
    let base = clip.time_base;
    assert_eq!((base.num(), base.den()), (1, 30000));
    let durations: Vec<i64> = clip.frames.iter().map(|frame| frame.duration).collect();
    assert_eq!(durations, [1000, 1200, 1001]);
    assert_eq!(
        pixels(&clip, (1, 1)),
        [[100, 150, 200], [255, 255, 255], [224, 234, 244]]
    );
    // A still image is not an animation.
    let still = clips.at("b.png");
    RgbImage::new(2, 2).save(&still).unwrap();
    assert!(
        animation_header::AnimationFormat::of_file(&still)
            .unwrap()
            .is_none()
    );
}

#[test]
fn animated_webps_clear_what_they_should() {
    let clips = Clips::new();
    // A frame of 2 x 2 lossless pixels of one colour.
    let frame = |colour: [u8; 4], left: u32, duration: u32, flags: u8| -> Vec<u8> {
        let mut still = Vec::new();
        image_webp::WebPEncoder::new(&mut still)
            .encode(&colour.repeat(4), 2, 2, image_webp::ColorType::Rgba8)
            .unwrap();
        let start = still
            .windows(4)
            .position(|window| window == b"VP8L")
            .unwrap();
        let three = |value: u32| value.to_le_bytes()[..3].to_vec();
        let mut data = [
            three(left / 2),
            three(0),
            three(1),
            three(1),
            three(duration),
            vec![flags],
        ]
        .concat();
        data.extend(&still[start..]);
        let mut chunk = b"ANMF".to_vec();
        chunk.extend((data.len() as u32).to_le_bytes());
        chunk.extend(data);
        chunk
    };
    let (dispose, overwrite) = (1, 2);
    let mut body = b"WEBPVP8X".to_vec();
    body.extend(10u32.to_le_bytes());
    body.extend([0b10010, 0, 0, 0, 3, 0, 0, 1, 0, 0]);
    body.extend(b"ANIM");
    body.extend(6u32.to_le_bytes());
    body.extend([0; 6]);
    body.extend(frame([255, 0, 0, 255], 0, 40, dispose));
    body.extend(frame([0, 255, 0, 255], 2, 35, overwrite));
    body.extend(frame([0, 0, 255, 255], 2, 120, overwrite));
    let mut file = b"RIFF".to_vec();
    file.extend((body.len() as u32).to_le_bytes());
    file.extend(body);
    let path = clips.at("a.webp");
    std::fs::write(&path, &file).unwrap();
    let clip = Clip::probe(&path).unwrap();
    assert_eq!((clip.size(), clip.codec.as_str()), ((4, 2), "webp"));
    let seconds: Vec<f64> = clip
        .frames
        .iter()
        .map(|frame| clip.seconds(frame.time))
        .collect();
    assert_eq!(seconds, [0.0, 0.04, 0.075]);
    // The decoder's blending changes opaque pixels slightly too.
    let (red, green, blue, white) = ([254, 0, 0], [0, 255, 0], [0, 0, 255], [255; 3]);
    assert_eq!(pixels(&clip, (0, 0)), [red, white, white]);
    assert_eq!(pixels(&clip, (2, 0)), [white, green, blue]);
    std::fs::write(&path, &file[..file.len() - 20]).unwrap();
    let clip = Clip::probe(&path).unwrap();
    assert!(clip.truncated.is_some());
    let found: Vec<_> = frames(&clip, &FrameSelection::default()).collect();
    assert_eq!(found.iter().filter(|frame| frame.is_ok()).count(), 2);
    assert!(
        found[2]
            .as_ref()
            .unwrap_err()
            .to_string()
            .contains("is truncated")
    );
}

#[test]
fn folders_of_pictures_are_clips() {
    let clips = Clips::new();
    let colour = |n: u8| Rgb([n * 20, 0, 0]);
    for n in [1, 2, 10] {
        RgbImage::from_pixel(5, 4, colour(n))
            .save(clips.at(&format!("frame{n}.png")))
            .unwrap();
    }
    std::fs::write(clips.at("notes.txt"), "none of them").unwrap();
    let rate = "30000/1001".parse().unwrap();
    let clip = Clip::from_folder(clips.0.path(), rate).unwrap();
    assert_eq!(
        (clip.size(), clip.frames.len(), clip.rate),
        ((5, 4), 3, rate)
    );
    let found = decode(&clip, &FrameSelection::default());
    let seen: Vec<u8> = found
        .iter()
        .map(|frame| frame.rgb.get_pixel(0, 0).0[0])
        .collect();
    assert_eq!(seen, [20, 40, 200]);
    assert!((clip.seconds(found[2].time) - 2.0 * 1.001 / 30.0).abs() < 1e-9);
    RgbImage::new(6, 4).save(clips.at("frame3.png")).unwrap();
    let clip = Clip::from_folder(clips.0.path(), rate).unwrap();
    let found: Vec<_> = frames(&clip, &FrameSelection::default()).collect();
    assert_eq!(found.len(), 3);
    let error = found[2].as_ref().unwrap_err().to_string();
    assert!(
        error.contains("frame3.png: has 6 x 4") && error.contains("frame1.png, has 5 x 4"),
        "{error}"
    );
    let empty = tempfile::tempdir().unwrap();
    assert!(Clip::from_folder(empty.path(), rate).is_err());
}
