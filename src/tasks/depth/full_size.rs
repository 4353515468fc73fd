//! A map over the patch grid, brought to the photo's size: a few rows at a time, or fitted to the photo's edges.

use image::RgbImage;

use super::head::depth_readout;
use crate::error::Result;
use crate::model::head::HeadMeta;
use crate::model::input::Geometry;
use crate::vision::postprocess::metres::ConvertedRows;
use crate::vision::postprocess::rows::{InMemoryRows, RowSource};
use crate::vision::postprocess::{DepthMap, MetricConversion, refine};

/// The least relative inverse depth that is fitted to edges, as a share of the greatest: the fit is by logarithms.
const LEAST_INVERSE: f32 = 1e-3;

/// Depths `[height, width]` at the photo's size, in metres where they are converted.
pub(super) struct FullSizeDepth<'m> {
    /// The depths, computed a few rows at a time; those fitted to the photo's edges are in memory.
    pub depth: Box<dyn RowSource + 'm>,
    /// Standard deviations, where the head gives them.
    pub deviation: Option<Box<dyn RowSource + 'm>>,
}

impl<'m> FullSizeDepth<'m> {
    /// The depths of a `map` over the padded input that a head of this `meta` gave. With a `guide`, the photo or a
    /// running mean of frames, they are fitted to its edges and held in `buffer`.
    ///
    /// # Errors
    /// As [`refine_depth`].
    pub fn new(
        (meta, conversion): (&HeadMeta, Option<MetricConversion>),
        map: &'m DepthMap,
        geometry: &Geometry,
        guide: Option<&RgbImage>,
        buffer: &'m mut Vec<f32>,
    ) -> Result<Self> {
        let depth: Box<dyn RowSource + 'm> = match guide {
            None => map.depth_rows(geometry),
            Some(guide) => {
                *buffer = refine_depth(meta, map, geometry, guide)?.depth;
                Box::new(InMemoryRows {
                    width: geometry.photo.0 as usize,
                    values: buffer,
                })
            }
        };
        let deviation = map.deviation_rows(geometry);
        let deviation = deviation.map(|rows| Box::new(rows) as Box<dyn RowSource + 'm>);
        let converted = |rows: Box<dyn RowSource + 'm>| match conversion {
            Some(conversion) => Box::new(ConvertedRows { rows, conversion }),
            None => rows,
        };
        Ok(FullSizeDepth {
            depth: converted(depth),
            deviation: deviation.map(converted),
        })
    }

    /// Standard deviations `[height, width]`, where the head gives them.
    pub fn deviation(&self) -> Option<&dyn RowSource> {
        self.deviation.as_deref()
    }
}

/// A `map` over the padded input that a head of this `meta` gave, at the size of `photo` and fitted to its edges.
///
/// # Errors
/// If the photo cannot be resized, or memory runs out.
pub fn refine_depth(
    meta: &HeadMeta,
    map: &DepthMap,
    geometry: &Geometry,
    photo: &RgbImage,
) -> Result<DepthMap> {
    if !depth_readout(meta)?.is_inverse() {
        return refine::refine_depth(map, geometry, photo);
    }
    // Inverse depth 0, infinitely far, has no logarithm.
    let greatest = map.depth.iter().copied().fold(0.0, f32::max);
    let least = (LEAST_INVERSE * greatest).max(f32::MIN_POSITIVE);
    let raised = DepthMap {
        depth: map.depth.iter().map(|value| value.max(least)).collect(),
        ..map.clone()
    };
    refine::refine_depth(&raised, geometry, photo)
}
