//! GIF, APNG and animated WebP as clips: probed from their headers and decoded in a thread, without ffmpeg.

use std::fs::File;
use std::io::{self, BufReader};
use std::path::Path;
use std::sync::mpsc::{Receiver, sync_channel};
use std::thread;

use image::codecs::gif::GifDecoder;
use image::codecs::png::PngDecoder;
use image::{AnimationDecoder, RgbImage};

use super::animation_header::{AnimationFormat, gif_header, png_header, webp_header};
use super::clip::{Clip, ClipReader};
use super::colour::ColorTags;
use super::ratio::{Ratio, gcd};
use super::times::{FrameTime, PlannedFrame};
use crate::error::{Error, FileFault, Result};
use crate::io::inputs::{Background, PhotoDecoder};

/// Delays up to this many milliseconds, which old programs wrote for "as fast as possible", become 100 ms, as in
/// browsers and ffmpeg.
const MIN_DELAY_MS: u64 = 10;

/// Describes the animation at `path`.
///
/// # Errors
/// Names the file, if it cannot be read, is damaged before its first frame, or has none.
pub(super) fn probe(path: &Path, animation: AnimationFormat) -> Result<Clip> {
    let file = File::open(path).map_err(|error| Error::io(path, &error))?;
    let reader = BufReader::new(file);
    let damaged = |why: String| Error::file_with_fault(path, why, FileFault::Damaged);
    let header = match animation {
        AnimationFormat::Gif => gif_header(reader),
        AnimationFormat::Png => png_header(reader),
        AnimationFormat::WebP => webp_header(reader),
    };
    let mut header =
        header.map_err(|why| damaged(format!("damaged {}: {why}", animation.name())))?;
    if header.delays.is_empty() || header.size.0 == 0 || header.size.1 == 0 {
        return Err(damaged("holds no frames".into()));
    }
    let mut notes = Vec::new();
    let mut short = 0;
    for delay in &mut header.delays {
        if delay.0 * 1000 <= MIN_DELAY_MS * delay.1 {
            *delay = (1, 10);
            short += 1;
        }
    }
    if short > 0 && header.delays.len() > 1 {
        notes.push(format!(
            "{short} of its frames have no delay, and stay for 100 ms, as browsers show them"
        ));
    }
    let common = header.delays.iter().try_fold(1u64, |all, &(num, den)| {
        let den = den / gcd(num, den).max(1);
        let all = (all / gcd(all, den)).checked_mul(den)?;
        (all <= 1_000_000).then_some(all)
    });
    // Delays without a common denominator up to 1,000,000 are rounded to microseconds.
    let base = common.unwrap_or(1_000_000);
    let mut time = 0;
    let frames: Vec<FrameTime> = header
        .delays
        .iter()
        .map(|&(num, den)| {
            let duration = ((2 * num * base + den) / (2 * den)).max(1) as i64;
            time += duration;
            FrameTime {
                time: time - duration,
                duration,
            }
        })
        .collect();
    let time_base = Ratio::one_over(base);
    let count = frames.len() as u64;
    let rate = Ratio::new(count * base, time.unsigned_abs()).unwrap_or(Ratio::one_over(1));
    Ok(Clip {
        path: path.to_owned(),
        width: header.size.0,
        height: header.size.1,
        rotation: 0,
        pixel_aspect: (1, 1),
        frames,
        time_base,
        origin: 0,
        rate,
        codec: animation.name().into(),
        pixel_format: if animation == AnimationFormat::Gif {
            "pal8"
        } else {
            "rgba"
        }
        .into(),
        bits: 8,
        colour: ColorTags::default(),
        audio: None,
        truncated: header
            .is_truncated
            .then(|| format!("is truncated: it ends after {count} frames")),
        notes,
        reader: ClipReader::Animation(animation),
    })
}

/// Decodes an animation in a thread of its own, one frame ahead.
#[derive(Debug)]
pub(super) struct AnimationPlayer {
    frames: Receiver<Result<RgbImage, String>>,
}

impl AnimationPlayer {
    /// Begins to decode the frames of `plan`.
    ///
    /// # Errors
    /// If the file cannot be opened, or no thread started.
    pub fn start(
        clip: &Clip,
        animation: AnimationFormat,
        plan: &[PlannedFrame],
        photos: &PhotoDecoder,
    ) -> Result<Self> {
        let failed = |error: io::Error| Error::io(&clip.path, &error);
        let reader = BufReader::new(File::open(&clip.path).map_err(failed)?);
        let wanted: Vec<u64> = plan.iter().map(|planned| planned.index).collect();
        let background = photos.options.background;
        let (sender, frames) = sync_channel(1);
        let thread = thread::Builder::new().name("animation".into());
        thread
            .spawn(move || {
                let mut wanted = wanted.into_iter().peekable();
                let mut index = 0;
                // Returns whether another frame is needed. Sending fails once the player is dropped.
                let mut take = |pixels: &[u8], size: (u32, u32)| {
                    if wanted.next_if_eq(&index).is_some() {
                        let flat = flatten(pixels, size, background);
                        if sender.send(flat).is_err() {
                            return false;
                        }
                    }
                    index += 1;
                    wanted.peek().is_some()
                };
                if let Err(why) = decode_canvases(reader, animation, &mut take) {
                    let _ = sender.send(Err(why));
                }
            })
            .map_err(failed)?;
        Ok(AnimationPlayer { frames })
    }

    /// The next frame of the plan; `None` after the last.
    ///
    /// # Errors
    /// Why the decoder failed; no further frames follow.
    pub fn next(&mut self) -> Option<Result<RgbImage, String>> {
        self.frames.recv().ok()
    }
}

/// Calls `take` with the canvas after each frame (3 or 4 bytes per pixel, row by row) and its width and height, until
/// it returns `false`.
fn decode_canvases(
    reader: BufReader<File>,
    animation: AnimationFormat,
    take: &mut impl FnMut(&[u8], (u32, u32)) -> bool,
) -> Result<(), String> {
    let failed = |error: image::ImageError| error.to_string();
    let frames = match animation {
        AnimationFormat::Gif => GifDecoder::new(reader).map_err(failed)?.into_frames(),
        AnimationFormat::Png => PngDecoder::new(reader)
            .and_then(PngDecoder::apng)
            .map_err(failed)?
            .into_frames(),
        AnimationFormat::WebP => return decode_webp_canvases(reader, take),
    };
    for frame in frames {
        let canvas = frame.map_err(failed)?.into_buffer();
        if !take(canvas.as_raw(), canvas.dimensions()) {
            break;
        }
    }
    Ok(())
}

/// As [`decode_canvases`], for WebP: the crate `image` ignores the disposal flag of frames, while `image-webp` honours
/// it once it has a background colour.
fn decode_webp_canvases(
    reader: BufReader<File>,
    take: &mut impl FnMut(&[u8], (u32, u32)) -> bool,
) -> Result<(), String> {
    let failed = |error: image_webp::DecodingError| error.to_string();
    let mut decoder = image_webp::WebPDecoder::new(reader).map_err(failed)?;
    decoder.set_background_color([0; 4]).map_err(failed)?;
    let bytes = decoder
        .output_buffer_size()
        .ok_or("its canvas is too large")?;
    let mut canvas = vec![0; bytes];
    for _ in 0..decoder.num_frames() {
        decoder.read_frame(&mut canvas).map_err(failed)?;
        if !take(&canvas, decoder.dimensions()) {
            break;
        }
    }
    Ok(())
}

/// Blends RGBA pixels over `background`; RGB pixels pass unchanged. `pixels` are `[height, width, channels]`.
///
/// # Errors
/// If there are fewer pixels than the size needs.
pub(super) fn flatten(
    pixels: &[u8],
    (width, height): (u32, u32),
    background: Background,
) -> Result<RgbImage, String> {
    let area = width as usize * height as usize;
    let rgb = match pixels.len() == area * 3 {
        true => pixels.to_vec(),
        false => {
            let mut rgb = Vec::with_capacity(area * 3);
            let behind = background.colour();
            for &[r, g, b, a] in pixels.as_chunks::<4>().0 {
                let over = |value: u8, behind: u8| {
                    let sum =
                        u32::from(value) * u32::from(a) + u32::from(behind) * u32::from(255 - a);
                    ((sum + 127) / 255) as u8
                };
                rgb.extend(match behind {
                    Some([x, y, z]) => [over(r, x), over(g, y), over(b, z)],
                    None => [r, g, b],
                });
            }
            rgb
        }
    };
    RgbImage::from_raw(width, height, rgb)
        .ok_or_else(|| "holds fewer pixels than its size says".into())
}
