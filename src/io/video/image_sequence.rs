//! Folders of numbered images as clips (FFmpeg's `image2`): each image is a frame, decoded as a photo.

use std::path::{Path, PathBuf};

use image::RgbImage;

use super::clip::{Clip, ClipReader};
use super::colour::ColorTags;
use super::ratio::Ratio;
use super::times::FrameTime;
use crate::error::{Error, FileFault, Result};
use crate::io::inputs::{PhotoDecoder, Source, natural};

/// Extensions of files that count as frames.
const IMAGE_EXTENSIONS: [&str; 17] = [
    "png", "jpg", "jpeg", "webp", "tif", "tiff", "bmp", "ppm", "pgm", "pnm", "qoi", "ff", "jxl",
    "jp2", "avif", "heic", "gif",
];

/// The images in a folder in natural order, `frame2` before `frame10`, without hidden files.
///
/// # Errors
/// Names the folder, if it cannot be listed.
pub(super) fn list_images(folder: &Path) -> Result<Vec<PathBuf>> {
    let failed = |error: std::io::Error| Error::io(folder, &error);
    let mut images = Vec::new();
    for entry in std::fs::read_dir(folder).map_err(failed)? {
        let path = entry.map_err(failed)?.path();
        let is_hidden = path
            .file_name()
            .is_none_or(|name| name.as_encoded_bytes().starts_with(b"."));
        let ending = path.extension().and_then(|ending| ending.to_str());
        let is_picture = ending.is_some_and(|ending| {
            IMAGE_EXTENSIONS
                .iter()
                .any(|known| known.eq_ignore_ascii_case(ending))
        });
        if is_picture && !is_hidden && path.is_file() {
            images.push(path);
        }
    }
    images.sort_by(|a, b| natural::compare(a.as_os_str(), b.as_os_str()));
    Ok(images)
}

/// Describes `images` as a clip whose frames are one tick of 1/`rate` second each.
///
/// # Errors
/// If there are not images, or the first cannot be read.
pub(super) fn probe(path: &Path, images: Vec<PathBuf>, rate: Ratio) -> Result<Clip> {
    let Some(first) = images.first() else {
        return Err(Error::file_with_fault(
            path,
            "holds no pictures to take as frames",
            FileFault::NotImage,
        ));
    };
    let (width, height) = PhotoDecoder::plain().size(&Source::from_path(first))?;
    let time_base = rate.inverse();
    let frames = (0..images.len() as i64).map(|time| FrameTime { time, duration: 1 });
    let ending = first.extension().unwrap_or_default().to_string_lossy();
    Ok(Clip {
        path: path.to_owned(),
        width,
        height,
        rotation: 0,
        pixel_aspect: (1, 1),
        frames: frames.collect(),
        time_base,
        origin: 0,
        rate,
        codec: ending.to_ascii_lowercase(),
        pixel_format: "rgb24".into(),
        bits: 8,
        colour: ColorTags::default(),
        audio: None,
        truncated: None,
        notes: find_gap(&images).into_iter().collect(),
        reader: ClipReader::Images(images),
    })
}

/// The last number in an image's name.
fn frame_number(image: &Path) -> Option<u64> {
    let stem = image.file_stem()?.to_str()?;
    let digits = stem.trim_end_matches(|letter: char| !letter.is_ascii_digit());
    let before = digits.trim_end_matches(|letter: char| letter.is_ascii_digit());
    digits[before.len()..].parse().ok()
}

/// A sentence about the first gap in the numbers of `images`, if there is one.
fn find_gap(images: &[PathBuf]) -> Option<String> {
    let numbers: Option<Vec<u64>> = images.iter().map(|image| frame_number(image)).collect();
    let numbers = numbers?;
    let step = numbers
        .windows(2)
        .map(|pair| pair[1].saturating_sub(pair[0]))
        .min()?;
    let (at, pair) = numbers
        .windows(2)
        .enumerate()
        .find(|(_, pair)| pair[1].saturating_sub(pair[0]) > step)?;
    (step > 0).then(|| {
        format!(
            "has no frames between {} and {}, of numbers {} and {}; those behind follow at once",
            images[at].file_name().unwrap_or_default().display(),
            images[at + 1].file_name().unwrap_or_default().display(),
            pair[0],
            pair[1]
        )
    })
}

/// Decodes the frame with the given index.
///
/// # Errors
/// Names the image: if it cannot be read, or is of another size than the first.
pub(super) fn decode_image(clip: &Clip, index: u64, photos: &PhotoDecoder) -> Result<RgbImage> {
    let ClipReader::Images(images) = &clip.reader else {
        return Err(Error::file(&clip.path, "is no folder of pictures"));
    };
    let path = usize::try_from(index)
        .ok()
        .and_then(|index| images.get(index));
    let path = path.ok_or_else(|| Error::file(&clip.path, format!("has no frame {index}")))?;
    let rgb = photos.decode(&Source::from_path(path))?.rgb;
    if rgb.dimensions() != clip.size() {
        let why = format!(
            "has {} x {} pixels, where the first frame, {}, has {} x {}; frames of one clip are of one size",
            rgb.width(),
            rgb.height(),
            images[0].display(),
            clip.width,
            clip.height
        );
        return Err(Error::file_with_fault(path, why, FileFault::Option));
    }
    Ok(rgb)
}
