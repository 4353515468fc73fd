//! Tests of colours after decoding and encoding.

use super::*;

/// The middle pixel of the first frame.
fn middle(path: &Path) -> [u8; 3] {
    let clip = Clip::probe(path).unwrap();
    let found = decode(&clip, &FrameSelection::default());
    found[0].rgb.get_pixel(clip.width / 2, clip.height / 2).0
}

fn is_near(a: [u8; 3], b: [u8; 3], most: u8) -> bool {
    a.iter().zip(b).all(|(a, b)| a.abs_diff(b) <= most)
}

#[test]
fn colours_are_what_was_written() {
    let clips = Clips::new();
    let base = Ratio::new(1, 5).unwrap();
    let wanted = [
        [255, 0, 0],
        [0, 255, 0],
        [0, 0, 255],
        [200, 120, 40],
        [10, 20, 30],
        [255, 255, 255],
        [0, 0, 0],
    ];
    let spec = EncoderConfig {
        width: 32,
        height: 32,
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
    let path = clips.at("a.mp4");
    let mut encoder = VideoEncoder::new(&path, spec).unwrap();
    for (n, colour) in (0..).zip(wanted) {
        encoder.write(&colour.repeat(32 * 32), n, 1).unwrap();
    }
    encoder.finish().unwrap();
    let found = decode(&Clip::probe(&path).unwrap(), &FrameSelection::default());
    for (frame, colour) in found.iter().zip(wanted) {
        let pixel = frame.rgb.get_pixel(16, 16).0;
        assert!(is_near(pixel, colour, 4), "{pixel:?} {colour:?}");
    }
    // Others see the same.
    let others = raw(&path, "rgb24");
    assert!(
        is_near([others[0], others[1], others[2]], [255, 0, 0], 4),
        "{:?}",
        &others[..3]
    );
}

#[test]
fn matrices_and_ranges_are_heeded() {
    let clips = Clips::new();
    let colour = [200, 60, 30];
    let source = |size: &str| format!("color=c=0xc83c1e:s={size}:r=5,format=rgb24");
    let cases: [(&str, &str, &str, &[&str]); 5] = [
        (
            "bt709.mkv",
            "64x48",
            "scale=out_color_matrix=bt709,format=yuv444p",
            &["-colorspace", "bt709"],
        ),
        (
            "bt601.mkv",
            "64x48",
            "scale=out_color_matrix=bt601,format=yuv444p",
            &["-colorspace", "smpte170m"],
        ),
        (
            "none-small.mkv",
            "64x48",
            "scale=out_color_matrix=bt601,format=yuv444p",
            &[],
        ),
        (
            "none-large.mkv",
            "64x720",
            "scale=out_color_matrix=bt709,format=yuv444p",
            &[],
        ),
        (
            "full-10.mkv",
            "64x48",
            "scale=out_color_matrix=bt709:out_range=pc,format=yuv444p10le",
            &["-colorspace", "bt709", "-color_range", "pc"],
        ),
    ];
    for (name, size, filters, tags) in cases {
        let source = source(size);
        let arguments = [
            "-f",
            "lavfi",
            "-i",
            &source,
            "-frames:v",
            "1",
            "-vf",
            filters,
            "-c:v",
            "ffv1",
        ];
        let path = clips.make(name, &[&arguments[..], tags].concat());
        let found = middle(&path);
        assert!(is_near(found, colour, 2), "{name}: {found:?}");
    }
    assert_eq!(Clip::probe(&clips.at("full-10.mkv")).unwrap().bits, 10);
}

#[test]
fn high_dynamic_range_is_mapped_or_told() {
    let clips = Clips::new();
    // 1000 candelas a square metre in PQ: 752 of 1023, of limited range 722.
    let source = "color=c=black:s=64x48:r=5,format=yuv420p10le,geq=lum=722:cb=512:cr=512,crop=63:47:0:0:exact=1,\
                  setparams=color_primaries=bt2020:color_trc=smpte2084:colorspace=bt2020nc:range=tv";
    let tags = [
        "-color_primaries",
        "bt2020",
        "-color_trc",
        "smpte2084",
        "-colorspace",
        "bt2020nc",
        "-color_range",
        "tv",
    ];
    let arguments = [
        "-f",
        "lavfi",
        "-i",
        source,
        "-frames:v",
        "1",
        "-c:v",
        "ffv1",
    ];
    let path = clips.make("a.mkv", &[&arguments[..], &tags].concat());
    let clip = Clip::probe(&path).unwrap();
    assert_eq!((clip.colour.hdr(), clip.bits), (Some("PQ"), 10));
    let photos = PhotoDecoder::plain();
    let found: Vec<_> = Frames::open(&clip, &FrameSelection::default(), &photos)
        .unwrap()
        .map(Result::unwrap)
        .collect();
    let pixel = found[0].rgb.get_pixel(30, 20).0;
    assert_eq!(found[0].rgb.dimensions(), (63, 47));
    assert!(is_near(pixel, [pixel[0]; 3], 1), "{pixel:?}");
    let programs = FfmpegPrograms::find(&path).unwrap();
    match programs.has_filter("zscale") && programs.has_filter("tonemap") {
        // Without tone mapping they would be 192; ten times the brightness of paper is nearly white.
        true => assert!(
            pixel[0] > 205 && photos.warnings.counts().is_empty(),
            "{pixel:?}"
        ),
        false => assert!(!photos.warnings.counts().is_empty()),
    }
    // What can be known without the filters is said.
    let can = colour::FfmpegFeatures {
        has_tone_mapping: false,
        has_scaler_threads: false,
    };
    let note = clip.colour.rgb_filters(clip.size(), can).note.unwrap();
    assert!(note.contains("zscale"), "{note}");
}
