//! [`PassRunner`], the interface between the engine and what a device computes of a batch, and the runners that need no
//! head.

use image::RgbImage;

use super::pass::{BackboneOutput, BackbonePass};
use super::ready_photo::ReadyPhoto;
use crate::error::{Error, Result};
use crate::model::backbone::{Backbone, ClsAttention};
use crate::model::device;
use crate::model::input::Geometry;
use crate::vision::preprocess::PreparedImage;

/// What a device computes of photos. The methods but [`PassRunner::run_batch`] are called from other threads, to plan
/// and prepare.
pub trait PassRunner: Sync {
    /// What it computes of one photo, such as features or head outputs.
    type Output: Send;

    /// Name of its device for messages, such as `cuda:0`.
    fn device_name(&self) -> String;

    /// Photos of different keys do not share a batch; `index` is that of the photo in the run.
    fn batch_key(&self, _index: usize) -> u64 {
        0
    }

    /// The layout of a photo of `photo` (width, height) pixels in the input of each backbone pass over the whole photo.
    fn layouts(&self, index: usize, photo: (u32, u32)) -> Vec<Geometry>;

    /// The resized, padded and normalised inputs of a photo, one for each of its [`PassRunner::layouts`].
    ///
    /// # Errors
    /// If there is not enough memory.
    fn prepare(&self, index: usize, photo: &RgbImage) -> Result<Vec<PreparedImage>>;

    /// Host memory in bytes that a photo of (width, height) takes from its decoded pixels until it is finished, pixels
    /// included.
    fn memory(&self, index: usize, photo: (u32, u32)) -> u64;

    /// Device memory in bytes that a photo of these `layouts` takes in a batch, an estimate for the choice of the batch
    /// size; none where photos are not computed together.
    fn device_memory(&self, _index: usize, _layouts: &[Geometry]) -> Option<u64> {
        None
    }

    /// Refuses a photo by its (width, height) before its pixels are decoded.
    ///
    /// # Errors
    /// The reason, as the end of a sentence that begins with the photo's path.
    fn check_photo_size(&self, _index: usize, _photo: (u32, u32)) -> Result<(), String> {
        Ok(())
    }

    /// Computes the output of each of `photos`, which have one padded size and batch key, in their order. The time is
    /// added to their stage timings.
    ///
    /// # Errors
    /// If the device fails. The engine tries a batch of several photos again: in smaller parts if memory ran out
    /// ([`is_out_of_memory`](crate::model::device::is_out_of_memory)), else one by one.
    fn run_batch(&self, photos: &mut [ReadyPhoto]) -> Result<Vec<Self::Output>>;
}

/// Bytes of the decoded pixels (8-bit RGB) of a photo of (width, height).
pub fn decoded_bytes((width, height): (u32, u32)) -> u64 {
    3 * u64::from(width) * u64::from(height)
}

/// A [`PassRunner`] that returns the features of one pass, in host memory.
pub struct FeaturePass<'a> {
    /// The backbone.
    pub backbone: &'a Backbone,
    /// The pass.
    pub pass: BackbonePass,
    /// Host memory in bytes that a photo of a layout takes after the backbone, its own pixels not counted.
    pub bytes_after: &'a (dyn Fn(&Geometry) -> u64 + Sync),
    /// Gets the progress of the batch that is being computed, from 0 to 100 percent.
    pub on_progress: &'a (dyn Fn(usize) + Sync),
}

impl FeaturePass<'_> {
    fn layout(&self, photo: (u32, u32)) -> Geometry {
        self.pass.preprocessor.geometry(photo)
    }
}

impl PassRunner for FeaturePass<'_> {
    type Output = BackboneOutput;

    fn device_name(&self) -> String {
        device::name(self.backbone.device())
    }

    fn layouts(&self, _: usize, photo: (u32, u32)) -> Vec<Geometry> {
        vec![self.layout(photo)]
    }

    fn prepare(&self, _: usize, photo: &RgbImage) -> Result<Vec<PreparedImage>> {
        let layout = self.layout(photo.dimensions());
        Ok(vec![self.pass.preprocessor.prepare_with(photo, layout)?])
    }

    fn memory(&self, _: usize, photo: (u32, u32)) -> u64 {
        let layout = self.layout(photo);
        let computed = self.pass.memory(self.backbone, &layout, None);
        decoded_bytes(photo) + computed.max((self.bytes_after)(&layout))
    }

    fn device_memory(&self, _: usize, layouts: &[Geometry]) -> Option<u64> {
        let layout = layouts.first()?;
        // Features stay until they are copied, beside those of the next batch.
        let kept = self
            .backbone
            .feature_memory(layout.grid(), self.pass.requests.len());
        Some(self.pass.device_memory(self.backbone, layout) + kept)
    }

    fn run_batch(&self, photos: &mut [ReadyPhoto]) -> Result<Vec<BackboneOutput>> {
        let patches = photos.first().and_then(|photo| photo.prepared.first());
        let all = patches.map_or(1, |one| self.pass.patch_count(&one.geometry).max(1));
        let tick = |done: usize| (self.on_progress)(100 * done / all);
        time_stage(photos, 0, "backbone", |prepared| {
            let output = self.pass.forward(self.backbone, prepared, &tick)?;
            output.to_host()?.split()
        })
    }
}

/// A [`PassRunner`] that returns the attention weights of the cls token in one block.
pub struct AttentionPass<'a> {
    /// How photos are prepared; the layers of its pass are not used.
    pub pass: FeaturePass<'a>,
    /// 0-based index of the block.
    pub block: usize,
}

impl PassRunner for AttentionPass<'_> {
    type Output = ClsAttention;

    fn device_name(&self) -> String {
        self.pass.device_name()
    }

    fn layouts(&self, index: usize, photo: (u32, u32)) -> Vec<Geometry> {
        self.pass.layouts(index, photo)
    }

    fn prepare(&self, index: usize, photo: &RgbImage) -> Result<Vec<PreparedImage>> {
        self.pass.prepare(index, photo)
    }

    fn memory(&self, index: usize, photo: (u32, u32)) -> u64 {
        self.pass.memory(index, photo)
    }

    fn device_memory(&self, index: usize, layouts: &[Geometry]) -> Option<u64> {
        self.pass.device_memory(index, layouts)
    }

    fn run_batch(&self, photos: &mut [ReadyPhoto]) -> Result<Vec<ClsAttention>> {
        time_stage(photos, 0, "backbone", |prepared| {
            let pixels = PreparedImage::stack(prepared)?;
            self.pass.backbone.cls_attention(&pixels, self.block)
        })
    }
}

/// Calls `work` with the inputs of `photos` for the layout of this index, and adds an equal share of the time to
/// `stage` of each photo.
///
/// # Errors
/// That of `work`; [`Error::Model`] if a photo lacks the layout.
pub fn time_stage<T>(
    photos: &mut [ReadyPhoto],
    layout: usize,
    stage: &'static str,
    work: impl FnOnce(&[&PreparedImage]) -> Result<T>,
) -> Result<T> {
    let start = std::time::Instant::now();
    let prepared: Option<Vec<&PreparedImage>> = photos
        .iter()
        .map(|photo| photo.prepared.get(layout))
        .collect();
    let prepared = prepared.ok_or_else(|| Error::Model("a photo lacks a layout".into()))?;
    let result = work(&prepared)?;
    let share = start.elapsed() / photos.len().max(1) as u32;
    photos
        .iter_mut()
        .for_each(|photo| photo.timings.add(stage, share));
    Ok(result)
}
