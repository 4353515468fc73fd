//! NumPy arrays (NPY, specified in NumPy's NEP 1) of any real type, in C or Fortran order and either byte order, and
//! archives of them (NPZ).

use std::io::{Cursor, Read};

use half::f16;
use npyz::{DType, Endianness, NpyHeader, Order, TypeChar};
use zip::ZipArchive;

use super::raster::{LabelRaster, RasterContent};

/// Largest array in an archive in bytes: 16 for each of 200 million pixels.
const LARGEST: u64 = 16 * 200_000_000;

/// Decodes an array `[height, width]`, also with axes of length 1 before or behind; `[height, width, 3 or 4]` of bytes
/// are colours.
pub(super) fn decode(bytes: &[u8]) -> Result<LabelRaster, String> {
    let mut data = bytes;
    let header = NpyHeader::from_reader(&mut data)
        .map_err(|error| format!("is a damaged NPY file: {error}"))?;
    let all: Vec<usize> = header.shape().iter().map(|&side| side as usize).collect();
    let array = NpyArray::new(&header, data, &all)?;
    if let Some(pixels) = colors(&all).filter(|_| (array.kind, array.size) == (TypeChar::Uint, 1)) {
        return Ok(array.colors(pixels));
    }
    match plane(&all) {
        [height, width] => {
            let content = array.content((*height, *width))?;
            Ok(LabelRaster::new((*width, *height), content, "NPY"))
        }
        _ => Err(format!(
            "is an array of the shape {all:?}; expected [height, width], at most with more sides of 1"
        )),
    }
}

/// Decodes the only array of an archive, or the one with the first name of `keys` that exists.
pub(super) fn decode_archive(bytes: &[u8], keys: &[&str]) -> Result<LabelRaster, String> {
    let damaged = |why: String| format!("is a damaged NPZ file: {why}");
    let mut archive =
        ZipArchive::new(Cursor::new(bytes)).map_err(|error| damaged(error.to_string()))?;
    let arrays: Vec<String> = archive
        .file_names()
        .filter_map(|name| Some(name.ok()?.strip_suffix(".npy")?.to_owned()))
        .collect();
    let chosen = match &arrays[..] {
        [] => return Err("is an archive without an array (.npy) in it".into()),
        [only] => only,
        _ => keys
            .iter()
            .find_map(|key| arrays.iter().find(|array| array == key))
            .ok_or_else(|| {
                format!(
                    "is an archive of the arrays {}; expected one, or one that is called {}",
                    arrays.join(", "),
                    keys.join(" or ")
                )
            })?,
    };
    let name = format!("{chosen}.npy");
    let file = archive
        .by_name(&name)
        .map_err(|error| damaged(error.to_string()))?;
    let mut array = Vec::new();
    file.take(LARGEST)
        .read_to_end(&mut array)
        .map_err(|error| damaged(error.to_string()))?;
    let mut raster = decode(&array).map_err(|why| format!("its array {chosen} {why}"))?;
    raster.format = "NPZ";
    Ok(raster)
}

/// A shape without axes of length 1 around height and width.
fn plane(mut shape: &[usize]) -> &[usize] {
    while shape.len() > 2 {
        shape = match shape {
            [rest @ .., 1] | [1, rest @ ..] => rest,
            _ => break,
        };
    }
    shape
}

/// Height, width and channels, where the shape is that of colours.
fn colors(mut shape: &[usize]) -> Option<[usize; 3]> {
    while let [1, rest @ ..] = shape
        && rest.len() >= 3
    {
        shape = rest;
    }
    <[usize; 3]>::try_from(shape)
        .ok()
        .filter(|[_, _, channels]| matches!(channels, 3 | 4))
}

/// The bytes of an array and the type of its numbers.
struct NpyArray<'a> {
    data: &'a [u8],
    kind: TypeChar,
    /// Bytes of one number.
    size: usize,
    is_big_endian: bool,
    order: Order,
}

impl<'a> NpyArray<'a> {
    /// The array of this header and data.
    ///
    /// # Errors
    /// Where the type is no real number, or the data ends before the shape is filled.
    fn new(header: &NpyHeader, data: &'a [u8], shape: &[usize]) -> Result<Self, String> {
        let kind = match header.dtype() {
            DType::Plain(kind) => kind,
            other => return Err(format!("is an array of records ({})", other.descr())),
        };
        let size = kind.num_bytes().unwrap_or(0);
        let known = match kind.type_char() {
            TypeChar::Bool => size == 1,
            TypeChar::Int | TypeChar::Uint => matches!(size, 1 | 2 | 4 | 8),
            TypeChar::Float => matches!(size, 2 | 4 | 8),
            _ => false,
        };
        if !known {
            return Err(format!(
                "is an array of the type {kind}; expected whole numbers, or floats of 16, 32 or 64 bits"
            ));
        }
        let length = shape
            .iter()
            .try_fold(size, |product, &side| product.checked_mul(side));
        match length.and_then(|length| data.get(..length)) {
            Some(data) => Ok(NpyArray {
                data,
                kind: kind.type_char(),
                size,
                is_big_endian: kind.endianness() == Endianness::Big,
                order: header.order(),
            }),
            None => Err("is an NPY file that ends too early".into()),
        }
    }

    /// The raster of bytes that are red, green, blue and perhaps alpha.
    fn colors(&self, [height, width, channels]: [usize; 3]) -> LabelRaster {
        let at = |y: usize, x: usize, c: usize| match self.order {
            Order::C => (y * width + x) * channels + c,
            Order::Fortran => y + height * (x + width * c),
        };
        let pixels = (0..height).flat_map(|y| (0..width).map(move |x| (y, x)));
        let color = |(y, x)| [0, 1, 2].map(|c| self.data[at(y, x, c)]);
        let content = RasterContent::Colors(pixels.clone().map(color).collect());
        let mut raster = LabelRaster::new((width, height), content, "NPY");
        if channels == 4 {
            let opaque = |&(y, x): &(usize, usize)| self.data[at(y, x, 3)] == u8::MAX;
            raster.transparent = pixels.filter(|pixel| !opaque(pixel)).count();
        }
        raster
    }

    /// The content of an array of one number for each pixel, in C order.
    fn content(&self, (height, width): (usize, usize)) -> Result<RasterContent, String> {
        let bits = (self.size * 8) as u8;
        Ok(match self.kind {
            TypeChar::Float => {
                RasterContent::Floats(self.numbers(height, width, |bits, size| match size {
                    2 => f16::from_bits(bits as u16).to_f64(),
                    4 => f64::from(f32::from_bits(bits as u32)),
                    _ => f64::from_bits(bits),
                }))
            }
            TypeChar::Bool => {
                RasterContent::Booleans(self.numbers(height, width, |bits, _| i64::from(bits != 0)))
            }
            TypeChar::Int => RasterContent::Integers {
                // Shifting up and down again extends the sign.
                values: self.numbers(height, width, |bits, size| {
                    let free = 64 - 8 * size as u32;
                    ((bits << free) as i64) >> free
                }),
                bits,
            },
            _ => RasterContent::Integers {
                // No label has numbers of 2^63.
                values: self.numbers(height, width, |bits, _| {
                    i64::try_from(bits).unwrap_or(i64::MAX)
                }),
                bits,
            },
        })
    }

    /// Converts every number, in C order, from its bits and its size in bytes.
    fn numbers<T>(&self, height: usize, width: usize, number: impl Fn(u64, usize) -> T) -> Vec<T> {
        let one = |at: usize| {
            let word = &self.data[at * self.size..][..self.size];
            let shift = |sum: u64, byte: &u8| sum << 8 | u64::from(*byte);
            let bits = match self.is_big_endian {
                true => word.iter().fold(0, shift),
                false => word.iter().rev().fold(0, shift),
            };
            number(bits, self.size)
        };
        match self.order {
            Order::C => (0..height * width).map(one).collect(),
            Order::Fortran => {
                let pixels = (0..height).flat_map(|y| (0..width).map(move |x| y + x * height));
                pixels.map(one).collect()
            }
        }
    }
}
