//! A second, coarser look at a photo: what the network saw of it, made smaller.
//!
//! At a small size the network sees rooms where it sees corners at a large one. Both looks are of the same padded input,
//! so the coarse grid stretched to the fine one lies right.

use std::str::FromStr;

use bytemuck::cast_slice;
use fast_image_resize as fir;
use serde::{Deserialize, Serialize};

use crate::backbone::Grid;
use crate::error::{Error, Result};
use crate::preprocess::{Geometry, Prepared, SizeRule};

/// How much coarser the second look is: the share of the first one's sides, in percent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "u32", into = "u32")]
pub struct Coarse(u32);

/// Shares that make sense.
const PERCENT: std::ops::RangeInclusive<u32> = 10..=90;

impl TryFrom<u32> for Coarse {
    type Error = String;

    fn try_from(percent: u32) -> Result<Self, String> {
        match PERCENT.contains(&percent) {
            true => Ok(Self(percent)),
            false => Err(format!(
                "expected {} to {} percent of the sides, not {percent}",
                PERCENT.start(),
                PERCENT.end()
            )),
        }
    }
}

impl From<Coarse> for u32 {
    fn from(coarse: Coarse) -> Self {
        coarse.0
    }
}

impl FromStr for Coarse {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let percent = text.parse::<u32>();
        percent
            .map_err(|_| format!("expected a number of percent, such as 60, not {text:?}"))?
            .try_into()
    }
}

impl Coarse {
    /// The grid of the second look, by that of the first.
    pub fn grid(self, fine: Grid) -> Grid {
        let cells = |fine: usize| ((fine * self.0 as usize + 50) / 100).max(1);
        Grid {
            rows: cells(fine.rows),
            cols: cells(fine.cols),
        }
    }

    /// What the network sees at the second look: the padded input of the first, antialiased bicubic.
    ///
    /// # Errors
    /// Not of a sound input.
    pub fn look(self, fine: &Prepared) -> Result<Prepared> {
        let Geometry {
            padded, patch_size, ..
        } = fine.geometry;
        let grid = self.grid(fine.geometry.grid());
        let (width, height) = (
            (grid.cols * patch_size) as u32,
            (grid.rows * patch_size) as u32,
        );
        let plane = padded.0 as usize * padded.1 as usize;
        let mut pixels = Vec::with_capacity(3 * width as usize * height as usize);
        for plane in fine.pixels.chunks_exact(plane) {
            let smaller = shrink(plane, padded, (width, height)).map_err(|why| {
                Error::Model(format!("resizing an input to {width}x{height}: {why}"))
            })?;
            pixels.extend(smaller);
        }
        Ok(Prepared {
            pixels,
            geometry: Geometry::new((width, height), SizeRule::Native, patch_size),
        })
    }
}

/// One channel at another size.
fn shrink(
    plane: &[f32],
    (width, height): (u32, u32),
    to: (u32, u32),
) -> std::result::Result<Vec<f32>, Box<dyn std::error::Error>> {
    let bytes = cast_slice(plane);
    let source = fir::images::ImageRef::new(width, height, bytes, fir::PixelType::F32)?;
    let mut out = vec![0f32; to.0 as usize * to.1 as usize];
    let target = bytemuck::cast_slice_mut(&mut out);
    let mut target = fir::images::Image::from_slice_u8(to.0, to.1, target, fir::PixelType::F32)?;
    let kernel = fir::ResizeAlg::Convolution(fir::FilterType::CatmullRom);
    let options = fir::ResizeOptions::new().resize_alg(kernel);
    fir::Resizer::new().resize(&source, &mut target, &options)?;
    drop(target);
    Ok(out)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn shares_are_percent() {
        let coarse: Coarse = "60".parse().unwrap();
        let fine = Grid { rows: 35, cols: 46 };
        assert_eq!(coarse.grid(fine), Grid { rows: 21, cols: 28 });
        assert_eq!(coarse.grid(Grid { rows: 1, cols: 2 }).rows, 1);
        assert_eq!(serde_json::to_string(&coarse).unwrap(), "60");
        assert!(serde_json::from_str::<Coarse>("100").is_err());
        for bad in ["0", "9", "91", "x", "0.5"] {
            assert!(bad.parse::<Coarse>().is_err(), "{bad}");
        }
    }

    #[test]
    fn what_is_even_stays_so_and_the_mirror_image_is_one() {
        let geometry = Geometry::new((70, 42), SizeRule::Native, 14);
        let pixels = |value: fn(usize) -> f32| Prepared {
            pixels: (0..3 * 70 * 42).map(value).collect(),
            geometry,
        };
        let coarse = Coarse(40);
        let even = coarse.look(&pixels(|_| -1.5)).unwrap();
        assert_eq!(even.geometry.padded, (28, 14));
        assert_eq!(even.pixels.len(), 3 * 28 * 14);
        assert!(even.pixels.iter().all(|v| (v + 1.5).abs() < 1e-5));
        let photo = pixels(|i| ((i * 37) % 101) as f32 / 50.0);
        let mirrored = coarse.look(&photo.mirrored()).unwrap();
        let same = coarse.look(&photo).unwrap().mirrored();
        let off = mirrored.pixels.iter().zip(&same.pixels);
        assert!(off.map(|(a, b)| (a - b).abs()).all(|off| off < 1e-4));
    }
}
