//! The encoders of ffmpeg: the codec of a film, and the arguments and filters for it.

use std::io::ErrorKind;
use std::sync::{Mutex, PoisonError};

use super::colour::SCALER_FLAGS;
use super::container::VideoContainer;
use super::ffmpeg::{FfmpegPrograms, capture};
use super::ratio::Ratio;
use crate::error::{Error, Result};

/// The pixel format of frames to encode; rows without padding.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RawPixelFormat {
    /// Red, green and blue, one byte each, in sRGB.
    Rgb24,
    /// One byte of grey or of a class id.
    Gray8,
    /// One 16-bit number, little-endian.
    Gray16,
}

impl RawPixelFormat {
    /// Bytes per pixel.
    pub fn bytes(self) -> usize {
        match self {
            RawPixelFormat::Rgb24 => 3,
            RawPixelFormat::Gray8 => 1,
            RawPixelFormat::Gray16 => 2,
        }
    }

    /// ffmpeg's FourCC for uncompressed video of this format.
    pub(super) fn fourcc(self) -> &'static [u8; 4] {
        match self {
            RawPixelFormat::Rgb24 => b"RGB\x18",
            RawPixelFormat::Gray8 => b"Y800",
            RawPixelFormat::Gray16 => b"Y1\0\x10",
        }
    }
}

/// The codec of a film.
#[derive(Debug, Clone, PartialEq)]
pub enum VideoCodec {
    /// H.264, profile High, 4:2:0, by libx264.
    H264 {
        /// The constant rate factor, 0 (best) to 51; at 14 depth maps show no banding.
        crf: u8,
        /// libx264's preset, from `ultrafast` to `veryslow`.
        preset: String,
    },
    /// FFV1, lossless: decoded frames equal the written ones bit for bit.
    Ffv1,
    /// An encoder by ffmpeg's name, such as `libx265`.
    Named {
        /// ffmpeg's name of the encoder.
        encoder: String,
        /// Its constant rate factor; `None` for the encoder's default.
        crf: Option<u8>,
    },
}

impl Default for VideoCodec {
    fn default() -> Self {
        VideoCodec::H264 {
            crf: 14,
            preset: "medium".into(),
        }
    }
}

/// Encoders to suggest if one is missing, the better ones first, without those that need frames in GPU memory.
const SUGGESTED_ENCODERS: [&str; 11] = [
    "libx264",
    "libopenh264",
    "h264_nvenc",
    "h264_videotoolbox",
    "h264_mf",
    "libx265",
    "libsvtav1",
    "libaom-av1",
    "libvpx-vp9",
    "mpeg4",
    "ffv1",
];

/// Pixel formats for pictures, the most widely played first.
const PIXEL_FORMATS: [&str; 8] = [
    "yuv420p",
    "nv12",
    "yuv422p",
    "yuv422p10le",
    "yuv444p",
    "yuvj420p",
    "bgr0",
    "rgb24",
];

/// Arguments of ffmpeg for one encoder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct EncoderArguments {
    /// A chain for `-vf`.
    pub filters: String,
    /// Arguments of the encoder.
    pub arguments: Vec<String>,
    /// Width and height of what is written.
    pub size: (u32, u32),
}

impl VideoCodec {
    /// ffmpeg's name of the encoder.
    pub fn encoder(&self) -> &str {
        match self {
            VideoCodec::H264 { .. } => "libx264",
            VideoCodec::Ffv1 => "ffv1",
            VideoCodec::Named { encoder, .. } => encoder,
        }
    }

    /// The arguments that encode frames of this width and height at `rate` frames per second.
    ///
    /// # Errors
    /// [`Error::Usage`] if this ffmpeg lacks the encoder, or the encoder supports no usable pixel format or no rate
    /// factor, or the frames are too small for it.
    pub(super) fn encoder_arguments(
        &self,
        programs: &FfmpegPrograms,
        (width, height): (u32, u32),
        pixel: RawPixelFormat,
        rate: Ratio,
        container: VideoContainer,
    ) -> Result<EncoderArguments> {
        let encoder = EncoderInfo::query(programs, self.encoder())?;
        let mut arguments = vec!["-c:v".to_owned(), self.encoder().to_owned()];
        let mut push =
            |more: &[&str]| arguments.extend(more.iter().map(|&argument| argument.to_owned()));
        if *self == VideoCodec::Ffv1 {
            push(&["-level", "3", "-g", "1", "-slicecrc", "1"]);
            let format = match pixel {
                RawPixelFormat::Rgb24 => "bgr0",
                RawPixelFormat::Gray8 => "gray",
                RawPixelFormat::Gray16 => "gray16le",
            };
            push(&["-pix_fmt", format]);
            return Ok(EncoderArguments {
                filters: format!("format={format}"),
                arguments,
                size: (width, height),
            });
        }
        let format = match self {
            VideoCodec::H264 { .. } => "yuv420p",
            _ => encoder.pixel_format()?,
        };
        match self {
            VideoCodec::H264 { crf, preset } => {
                push(&[
                    "-profile:v",
                    "high",
                    "-preset",
                    preset,
                    "-crf",
                    &crf.to_string(),
                ]);
            }
            VideoCodec::Named { crf: Some(crf), .. } => {
                if !encoder.has_option("-crf") {
                    let why = format!(
                        "--crf {crf}: the encoder {} has no constant rate factor",
                        self.encoder()
                    );
                    return Err(Error::Usage(why));
                }
                push(&["-crf", &crf.to_string()]);
                if self.encoder().starts_with("libvpx") || self.encoder() == "libaom-av1" {
                    push(&["-b:v", "0"]);
                }
            }
            _ => {}
        }
        if container.is_mp4() && (self.encoder().contains("265") || self.encoder().contains("hevc"))
        {
            // Without this tag Apple's players show nothing.
            push(&["-tag:v", "hvc1"]);
        }
        let two_seconds = (2.0 * rate.value()).round().clamp(1.0, 600.0);
        push(&[
            "-g",
            &format!("{two_seconds}"),
            "-force_key_frames",
            "expr:gte(t,n_forced*2)",
        ]);
        push(&["-pix_fmt", format]);
        let is_rgb = matches!(format, "bgr0" | "rgb24");
        let mut filters = Vec::new();
        let mut size = (width, height);
        if !is_rgb {
            size = (width & !1, height & !1);
            if size.0 == 0 || size.1 == 0 {
                let why = format!(
                    "frames of {width} x {height} pixels are too small for {}",
                    self.encoder()
                );
                return Err(Error::Usage(why));
            }
            if size != (width, height) {
                filters.push(format!("crop={}:{}:0:0", size.0, size.1));
            }
            filters.push(format!(
                "scale=in_range=pc:out_range=tv:out_color_matrix=bt709:{SCALER_FLAGS}"
            ));
            push(&["-colorspace", "bt709", "-color_range", "tv"]);
        }
        push(&["-color_primaries", "bt709", "-color_trc", "bt709"]);
        filters.push(format!("format={format}"));
        // Newer releases take the tags of the frames (setparams), older ones the options of the encoder.
        filters.push("setparams=color_primaries=bt709:color_trc=bt709".into());
        if !is_rgb {
            filters.push("setparams=colorspace=bt709:range=tv".into());
        }
        Ok(EncoderArguments {
            filters: filters.join(","),
            arguments,
            size,
        })
    }
}

/// An encoder of this ffmpeg with the text of `-h encoder=NAME`.
#[derive(Debug, Clone)]
struct EncoderInfo {
    name: String,
    description: String,
}

/// Cache of queried encoders, since a film in many parts starts one for each part.
static ENCODER_CACHE: Mutex<Vec<EncoderInfo>> = Mutex::new(Vec::new());

impl EncoderInfo {
    fn query(programs: &FfmpegPrograms, name: &str) -> Result<Self> {
        let known = || ENCODER_CACHE.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(info) = known().iter().find(|known| known.name == name) {
            return Ok(info.clone());
        }
        let failed = |error: std::io::Error| match error.kind() {
            ErrorKind::Interrupted => Error::Interrupted,
            _ => Error::Usage(format!("ffmpeg cannot be asked for its encoders: {error}")),
        };
        let question = format!("encoder={name}");
        let output =
            capture(programs.ffmpeg().args(["-v", "error", "-h", &question])).map_err(failed)?;
        let description = output.text();
        if description.contains(&format!("Encoder {name} ")) {
            let info = EncoderInfo {
                name: name.to_owned(),
                description,
            };
            known().push(info.clone());
            return Ok(info);
        }
        let output =
            capture(programs.ffmpeg().args(["-v", "error", "-encoders"])).map_err(failed)?;
        let listed = output.text();
        let has = |name: &str| {
            listed
                .lines()
                .any(|line| line.split_whitespace().nth(1) == Some(name))
        };
        let others: Vec<&str> = SUGGESTED_ENCODERS
            .into_iter()
            .filter(|other| has(other))
            .collect();
        Err(Error::Usage(format!(
            "{} on this machine has no encoder {name}; --codec takes one that it has ({}), or install a full build of ffmpeg",
            programs.version(),
            others.join(", ")
        )))
    }

    fn has_option(&self, option: &str) -> bool {
        let mut lines = self.description.lines();
        lines.any(|line| line.split_whitespace().next() == Some(option))
    }

    /// The most widely played of the pixel formats that the encoder accepts.
    fn pixel_format(&self) -> Result<&'static str> {
        let list = self
            .description
            .lines()
            .find_map(|line| line.trim().strip_prefix("Supported pixel formats:"));
        let Some(list) = list else {
            return Ok("yuv420p");
        };
        let takes = |format: &&&str| list.split_whitespace().any(|taken| taken == **format);
        PIXEL_FORMATS.iter().find(takes).copied().ok_or_else(|| {
            Error::Usage(format!(
                "the encoder {} takes none of the pixel formats that pictures are made in; it knows{list}",
                self.name
            ))
        })
    }
}
