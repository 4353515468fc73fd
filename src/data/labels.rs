//! Labels as they lie on the disk: masks of class ids and maps of depth, whatever encoding they come in.

use std::fs::File;
use std::io::{BufReader, Cursor};
use std::path::Path;

use image::DynamicImage;
use png::{BitDepth, ColorType};

use crate::error::{Error, Result};

/// A class id at every pixel.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mask {
    /// In pixels.
    pub width: usize,
    /// In pixels.
    pub height: usize,
    /// `[height, width]`.
    pub ids: Vec<u16>,
}

/// A depth at every pixel.
#[derive(Debug, Clone, PartialEq)]
pub struct Depth {
    /// In pixels.
    pub width: usize,
    /// In pixels.
    pub height: usize,
    /// `[height, width]`, metres; 0 where there is no reading.
    pub metres: Vec<f32>,
}

impl Depth {
    /// The part that `cut` gives for this size: left, top, width, height.
    pub fn cut(&self, cut: impl Fn((u32, u32)) -> (u32, u32, u32, u32)) -> Self {
        let (x, y, width, height) = cut((self.width as u32, self.height as u32));
        let (x, y, width, height) = (x as usize, y as usize, width as usize, height as usize);
        let rows = self.metres.chunks_exact(self.width.max(1));
        let metres = rows.skip(y).take(height);
        Self {
            width,
            height,
            metres: metres.flat_map(|row| &row[x..x + width]).copied().collect(),
        }
    }
}

/// Reads a mask: a grey or palette PNG of 1 to 16 bits (of a palette the indices count, not the colours), or a grey
/// image of another format.
///
/// # Errors
/// Names the file; a mask in colours cannot be told from a photo, so it is refused.
pub fn read_mask(path: &Path) -> Result<Mask> {
    let (width, height, ids) = read_grey(path, "a mask")?;
    Ok(Mask { width, height, ids })
}

/// Reads a depth map: a grey 16-bit PNG or TIFF in units of 1/`scale` metre, or an NPY array `[height, width]` in
/// metres of f32 or f64 (of u16: in the same units).
///
/// # Errors
/// Names the file; also if it holds no reading at all.
pub fn read_depth(path: &Path, scale: f64) -> Result<Depth> {
    let depth = match path.extension().and_then(|e| e.to_str()) {
        Some("npy") => read_npy(path, scale)?,
        _ => {
            let (width, height, units) = read_grey(path, "a depth map")?;
            let metres = units
                .iter()
                .map(|&unit| (f64::from(unit) / scale) as f32)
                .collect();
            Depth {
                width,
                height,
                metres,
            }
        }
    };
    if depth.metres.iter().all(|&metres| metres <= 0.0) {
        return Err(Error::file(
            path,
            "has no reading: every pixel is 0, which stands for none",
        ));
    }
    Ok(depth)
}

fn read_grey(path: &Path, what: &str) -> Result<(usize, usize, Vec<u16>)> {
    let bytes = std::fs::read(path).map_err(|error| Error::io(path, &error))?;
    let failed = |why: String| Error::file(path, why);
    let colours = format!(
        "is a picture in colours, not {what}; expected one number a pixel (grey or palette PNG)"
    );
    if bytes.starts_with(b"\x89PNG") {
        return read_png(&bytes).map_err(|why| failed(why.unwrap_or(colours)));
    }
    let image = image::load_from_memory(&bytes)
        .map_err(|error| failed(format!("cannot be read as {what}: {error}")))?;
    let (width, height) = (image.width() as usize, image.height() as usize);
    let values = match image {
        DynamicImage::ImageLuma8(grey) => grey.iter().map(|&v| u16::from(v)).collect(),
        DynamicImage::ImageLuma16(grey) => grey.into_raw(),
        _ => return Err(failed(colours)),
    };
    Ok((width, height, values))
}

/// The numbers of a PNG, unexpanded; an error without words means colours.
fn read_png(bytes: &[u8]) -> Result<(usize, usize, Vec<u16>), Option<String>> {
    let damaged = |error: png::DecodingError| Some(format!("is a damaged PNG: {error}"));
    let mut reader = png::Decoder::new(Cursor::new(bytes))
        .read_info()
        .map_err(damaged)?;
    let info = reader.info();
    let (width, height) = (info.width as usize, info.height as usize);
    let (color, depth) = (info.color_type, info.bit_depth);
    if !matches!(color, ColorType::Grayscale | ColorType::Indexed) {
        return Err(None);
    }
    let size = reader
        .output_buffer_size()
        .ok_or_else(|| Some("is too large".to_owned()))?;
    let mut buffer = vec![0; size];
    reader.next_frame(&mut buffer).map_err(damaged)?;
    let line = reader
        .output_line_size(width as u32)
        .ok_or_else(|| Some("is too large".to_owned()))?;
    let mut values = Vec::with_capacity(width * height);
    for row in buffer.chunks_exact(line).take(height) {
        match depth {
            BitDepth::Sixteen => values.extend(
                row.chunks_exact(2)
                    .map(|pair| u16::from_be_bytes([pair[0], pair[1]])),
            ),
            BitDepth::Eight => values.extend(row.iter().map(|&v| u16::from(v))),
            BitDepth::One | BitDepth::Two | BitDepth::Four => {
                let bits = depth as usize;
                let one = |x: usize| {
                    let shift = 8 - bits - (x * bits) % 8;
                    u16::from(row[x * bits / 8] >> shift) & ((1 << bits) - 1)
                };
                values.extend((0..width).map(one));
            }
        }
    }
    Ok((width, height, values))
}

fn read_npy(path: &Path, scale: f64) -> Result<Depth> {
    let file = File::open(path).map_err(|error| Error::io(path, &error))?;
    let npy = npyz::NpyFile::new(BufReader::new(file)).map_err(|error| Error::io(path, &error))?;
    let shape: Vec<usize> = npy.shape().iter().map(|&side| side as usize).collect();
    let [height, width] = shape[..] else {
        return Err(Error::file(
            path,
            format!("has the shape {shape:?}, expected [height, width]"),
        ));
    };
    let expected = || Error::file(path, "expected numbers of type f4, f8 or u2 in C order");
    if npy.order() != npyz::Order::C {
        return Err(expected());
    }
    let unread = |error: std::io::Error| Error::io(path, &error);
    let metres: Vec<f32> = match npy.dtype().descr().trim_matches('\'') {
        "<f4" => npy.into_vec::<f32>().map_err(unread)?,
        "<f8" => npy
            .into_vec::<f64>()
            .map_err(unread)?
            .into_iter()
            .map(|v| v as f32)
            .collect(),
        "<u2" => npy
            .into_vec::<u16>()
            .map_err(unread)?
            .into_iter()
            .map(|v| (f64::from(v) / scale) as f32)
            .collect(),
        _ => return Err(expected()),
    };
    let metres = metres
        .into_iter()
        .map(|v| if v.is_finite() && v > 0.0 { v } else { 0.0 })
        .collect();
    Ok(Depth {
        width,
        height,
        metres,
    })
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::output::{Pixels, write_npy, write_png};

    fn png(pixels: Pixels<'_>, size: (u32, u32)) -> tempfile::NamedTempFile {
        let file = tempfile::Builder::new().suffix(".png").tempfile().unwrap();
        write_png(&file, size, pixels, &[]).unwrap();
        file
    }

    #[test]
    fn a_palette_counts_by_its_indices() {
        let palette = [[200, 0, 0], [0, 200, 0], [0, 0, 200]];
        let file = png(Pixels::Indexed(&[2, 0, 1], &palette), (3, 1));
        assert_eq!(read_mask(file.path()).unwrap().ids, [2, 0, 1]);
        let file = png(Pixels::Gray16(&[300, 7]), (2, 1));
        assert_eq!(read_mask(file.path()).unwrap().ids, [300, 7]);
    }

    #[test]
    fn narrow_bits_are_unpacked() {
        let mut bytes = Vec::new();
        let mut encoder = png::Encoder::new(&mut bytes, 3, 2);
        encoder.set_color(ColorType::Grayscale);
        encoder.set_depth(BitDepth::Two);
        let mut writer = encoder.write_header().unwrap();
        writer
            .write_image_data(&[0b0110_1100, 0b1100_0100])
            .unwrap();
        writer.finish().unwrap();
        let (width, height, values) = read_png(&bytes).unwrap();
        assert_eq!((width, height), (3, 2));
        assert_eq!(values, [1, 2, 3, 3, 0, 1]);
    }

    #[test]
    fn colours_and_empty_depth_get_a_sentence() {
        let file = png(Pixels::Rgb8(&[1, 2, 3]), (1, 1));
        let error = read_mask(file.path()).unwrap_err().to_string();
        assert!(error.contains("in colours"), "{error}");
        let file = png(Pixels::Gray16(&[0, 0]), (2, 1));
        let error = read_depth(file.path(), 1000.0).unwrap_err().to_string();
        assert!(error.contains("no reading"), "{error}");
    }

    #[test]
    fn depth_comes_in_metres() {
        let file = png(Pixels::Gray16(&[0, 2560]), (2, 1));
        assert_eq!(read_depth(file.path(), 1000.0).unwrap().metres, [0.0, 2.56]);
        assert_eq!(read_depth(file.path(), 256.0).unwrap().metres, [0.0, 10.0]);
        let mut file = tempfile::Builder::new().suffix(".npy").tempfile().unwrap();
        write_npy(&mut file, &[2, 1], &[1.5, f32::NAN]).unwrap();
        let depth = read_depth(file.path(), 1000.0).unwrap();
        assert_eq!((depth.height, depth.metres), (2, vec![1.5, 0.0]));
    }
}
