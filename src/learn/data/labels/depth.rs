//! Depth labels in metres, from every format that holds numbers. Floats are metres, unless `--depth-scale` is given and
//! their median is plausible only with it; whole numbers are units of a fraction of a metre (the depth scale: 1000
//! units per metre by default, 256 for KITTI).
//!
//! In: a decoded raster and the depth scale. Out: a [`DepthLabel`], and warnings about probable mistakes.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use super::decode;
use super::label::DepthLabel;
use super::raster::{LabelRaster, RasterContent};
use crate::error::{Error, Result};
use crate::io::output::{CONTENT_KEY, DEPTH_CONTENT, DEPTH_SCALE_KEY, UNIT_KEY};
use crate::model::head::RELATIVE_INVERSE_DEPTH;
use crate::terminal::warnings::Warnings;

/// Units per metre in files of most depth cameras and data sets.
const MILLIMETRES: f64 = 1000.0;

/// Names of the depth array in an archive of several, the surest first.
const KEYS: [&str; 3] = ["depth", "depths", "arr_0"];

/// From this many distinct numbers on, all of them multiples of 257 means 8 bits widened to 16.
const WIDENED: usize = 4;

/// Reads depth labels in metres.
#[derive(Debug, Clone)]
pub struct DepthLabelReader {
    /// Units per metre in files of whole numbers, where the user named them.
    scale: Option<f64>,
    /// Units per metre where neither the user nor the file names them.
    default_scale: f64,
    warnings: Warnings,
}

impl DepthLabelReader {
    /// A reader with the depth scale that the user named (`--depth-scale`), in units per metre. For whole numbers the
    /// scale that a file of this program states takes precedence; without either they are millimetres.
    pub fn new(scale: Option<f64>, warnings: Warnings) -> Self {
        DepthLabelReader {
            scale,
            default_scale: MILLIMETRES,
            warnings,
        }
    }

    /// With another default scale than millimetres, in units per metre, for data sets such as KITTI (256).
    pub fn with_default_scale(self, usual_scale: f64) -> Self {
        DepthLabelReader {
            default_scale: usual_scale,
            ..self
        }
    }

    /// Reads a depth label: NPY and NPZ of any real type, PFM, OpenEXR, TIFF, 16-bit PNG, PGM and Sintel's `.dpt`; with
    /// a named scale also 8-bit greys. Numbers that are not positive and finite are no readings. Where the mask of a
    /// DIODE map (`NAME_depth_mask.npy`) lies beside it, it is applied.
    ///
    /// # Errors
    /// Where the file cannot be decoded, is a picture, holds colours, truth values, relative depth or transparent
    /// pixels, has 8 bits (or 8 bits widened to 16) and no scale was named, or has no reading at all.
    pub fn read(&self, path: &Path) -> Result<DepthLabel> {
        let raster = decode::read(path, &KEYS)?;
        let mut metres = self
            .metres(&raster, &path.display().to_string())
            .map_err(|why| Error::file(path, why))?;
        if let Some(mask) = diode_mask(path) {
            apply_mask(&mut metres, (raster.width, raster.height), &mask)?;
        }
        if metres.iter().all(|&metres| metres <= 0.0) {
            return Err(Error::file(
                path,
                "has no reading: no pixel is above 0, which stands for none",
            ));
        }
        Ok(DepthLabel {
            width: raster.width,
            height: raster.height,
            metres,
        })
    }

    /// The depths of a raster, metres; 0 where there is no reading.
    fn metres(&self, raster: &LabelRaster, name: &str) -> Result<Vec<f32>, String> {
        if raster.is_own_picture() {
            return Err(
                "is a picture that dino drew, whose colours are no distances; `dino depth --save npy` writes those"
                    .into(),
            );
        }
        if raster.note(UNIT_KEY) == Some(RELATIVE_INVERSE_DEPTH) {
            return Err(format!(
                "holds {RELATIVE_INVERSE_DEPTH}, whose larger numbers are nearer, and no distances; `dino depth --scale A --shift B` makes \
                 metres of it"
            ));
        }
        self.warn_of_content(raster, name);
        let reading = |metres: f64| match metres.is_finite() && metres > 0.0 {
            true => metres as f32,
            false => 0.0,
        };
        match &raster.content {
            RasterContent::Floats(values) => {
                if let Some(scale) = self.scale
                    && let Some(median) = median_in_other_unit(values, scale)
                {
                    self.warnings.add(
                        "depth in floats of another unit",
                        name,
                        format_args!(
                            "holds floats, which are metres elsewhere; with {median} in the median these are none, and \
                             --depth-scale {scale} is applied to them"
                        ),
                    );
                    return Ok(values.iter().map(|&value| reading(value / scale)).collect());
                }
                if let Some(scale) = self.scale {
                    self.warnings.add(
                        "depth in floats",
                        name,
                        format_args!("holds floats, which are metres; --depth-scale {scale} is not applied to them"),
                    );
                }
                if let Some(factor) = raster.unapplied_scale {
                    self.warnings.add(
                        "scale factor of a PFM",
                        name,
                        format_args!("its numbers are taken as metres; the scale factor {factor} that it states is not applied"),
                    );
                }
                Ok(values.iter().map(|&value| reading(value)).collect())
            }
            RasterContent::Integers { values, bits } => {
                let scale = self.scale_of(raster, name, *bits, values)?;
                let is_none = |value: i64| Some(value) == raster.nodata;
                let metres = |&value: &i64| match is_none(value) {
                    true => 0.0,
                    false => reading(value as f64 / scale),
                };
                check_opaque(raster)?;
                Ok(values.iter().map(metres).collect())
            }
            RasterContent::Booleans(_) => Err("is an array of truths (bool), not of depths".into()),
            content => {
                let greys = greys(content).ok_or_else(|| {
                    format!(
                        "is a {} in colours, not a depth map; expected one number a pixel (16-bit PNG or TIFF, or floats \
                         as NPY, PFM, EXR or TIFF)",
                        raster.format
                    )
                })?;
                let scale = self.scale_of(raster, name, 8, &greys)?;
                check_opaque(raster)?;
                let metres = greys.iter().map(|&grey| reading(grey as f64 / scale));
                Ok(metres.collect())
            }
        }
    }

    /// Units per metre of a file of whole numbers: what it states, what the user named, or the default.
    fn scale_of(
        &self,
        raster: &LabelRaster,
        name: &str,
        bits: u8,
        values: &[i64],
    ) -> Result<f64, String> {
        if let Some(own) = own_scale(raster) {
            if let Some(scale) = self.scale.filter(|&scale| scale != own) {
                self.warnings.add(
                    "scale of the file itself",
                    name,
                    format_args!(
                        "says that {own} of its units are a metre, which is followed; --depth-scale {scale} says otherwise"
                    ),
                );
            }
            return Ok(own);
        }
        if let Some(scale) = self.scale {
            return Ok(scale);
        }
        let settle =
            "if its numbers are distances, --depth-scale says how many of them are a metre";
        if bits <= 8 {
            return Err(format!(
                "is a {} of {bits} bits a pixel, a picture of depth that can hardly hold millimetres; {settle}",
                raster.format
            ));
        }
        let different: BTreeSet<i64> = values.iter().copied().collect();
        if bits == 16 && different.len() >= WIDENED && different.iter().all(|v| v % 257 == 0) {
            return Err(format!(
                "is a {} of 16 bits that holds the {} levels of an 8-bit picture, each times 257, which are hardly \
                 millimetres; {settle}",
                raster.format,
                different.len()
            ));
        }
        Ok(self.default_scale)
    }

    /// Warns of maps that this program wrote of something else than depth, and of lossy compression.
    fn warn_of_content(&self, raster: &LabelRaster, name: &str) {
        if let Some(content) = raster
            .note(CONTENT_KEY)
            .filter(|&content| content != DEPTH_CONTENT)
        {
            self.warnings.add(
                "maps of something else",
                name,
                format_args!("says that it holds the {content}; it is read as depth all the same"),
            );
        }
        if raster.is_lossy {
            self.warnings.add(
                "lossy depth map",
                name,
                format_args!("is a {}, which changes numbers to save room", raster.format),
            );
        }
    }
}

/// The median of floats that can be distances in units of 1/`scale` metre, but hardly in metres; else none.
fn median_in_other_unit(values: &[f64], scale: f64) -> Option<f64> {
    // Metres beyond which hardly any map has half of its readings.
    const FAR: f64 = 100.0;
    let mut known: Vec<f64> = values
        .iter()
        .copied()
        .filter(|v| v.is_finite() && *v > 0.0)
        .collect();
    let middle = known.len() / 2;
    if known.is_empty() {
        return None;
    }
    let (_, median, _) = known.select_nth_unstable_by(middle, f64::total_cmp);
    let is_other = scale > 1.0 && *median > FAR && (0.05..=2.0 * FAR).contains(&(*median / scale));
    is_other.then_some(*median)
}

/// The brightness of 8-bit colours that are all grey; else none.
fn greys(content: &RasterContent) -> Option<Vec<i64>> {
    let grey = |&[r, g, b]: &[u8; 3]| (r == g && g == b).then_some(i64::from(r));
    match content {
        RasterContent::Colors(colors) => colors.iter().map(grey).collect(),
        RasterContent::Indexed { indices, palette } => {
            let color = |index: &u8| palette.get(usize::from(*index));
            indices.iter().map(|index| grey(color(index)?)).collect()
        }
        _ => None,
    }
}

/// Refuses transparent pixels, of which it is not known whether they are readings.
fn check_opaque(raster: &LabelRaster) -> Result<(), String> {
    match raster.transparent {
        0 => Ok(()),
        count => Err(format!(
            "has {count} pixels that are not opaque, and it is not known whether they are readings; save it without alpha"
        )),
    }
}

/// Units per metre that a file of this program states.
fn own_scale(raster: &LabelRaster) -> Option<f64> {
    let scale = raster
        .note(DEPTH_SCALE_KEY)
        .and_then(|text| text.parse().ok());
    // Early releases wrote the unit alone, always millimetres.
    let millimetres = raster.note(UNIT_KEY).filter(|&unit| unit == "mm");
    scale
        .or(millimetres.map(|_| MILLIMETRES))
        .filter(|scale: &f64| scale.is_finite() && *scale > 0.0)
}

/// The file of valid readings beside a depth map of the DIODE data set (`NAME_depth.npy`), where there is one.
fn diode_mask(path: &Path) -> Option<PathBuf> {
    let stem = path.file_stem()?.to_str()?;
    let is_array = path.extension()?.eq_ignore_ascii_case("npy");
    let mask = path.with_file_name(format!("{stem}_mask.npy"));
    (is_array && stem.ends_with("_depth") && mask.is_file()).then_some(mask)
}

/// Sets depths to 0 (no reading) where the mask at `path` is 0.
fn apply_mask(metres: &mut [f32], size: (usize, usize), path: &Path) -> Result<()> {
    let raster = decode::read(path, &[])?;
    if (raster.width, raster.height) != size {
        let (width, height) = size;
        let why = format!(
            "is {} x {}, but the depth beside it {width} x {height}",
            raster.width, raster.height
        );
        return Err(Error::file(path, why));
    }
    let holds: Vec<bool> = match &raster.content {
        RasterContent::Booleans(values) | RasterContent::Integers { values, .. } => {
            values.iter().map(|&value| value != 0).collect()
        }
        RasterContent::Floats(values) => values.iter().map(|&value| value != 0.0).collect(),
        _ => return Err(Error::file(path, "is no mask of a depth map")),
    };
    for (metres, holds) in metres.iter_mut().zip(holds) {
        *metres *= f32::from(u8::from(holds));
    }
    Ok(())
}
