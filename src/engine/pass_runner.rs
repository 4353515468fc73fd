//! What the device does with photos that are ready.

use image::RgbImage;

use super::pass::{BackboneOutput, BackbonePass};
use super::ready_photo::ReadyPhoto;
use crate::error::{Error, Result};
use crate::model::backbone::{Backbone, ClsAttention};
use crate::model::device;
use crate::model::input::Geometry;
use crate::vision::preprocess::PreparedImage;

/// Whatever runs on the thread that has the device.
pub trait PassRunner: Sync {
    /// What it finds in a photo.
    type Output: Send;

    /// What the device is called that it runs on.
    fn device_name(&self) -> String;

    /// Photos of another key do not run together.
    fn batch_key(&self, _index: usize) -> u64 {
        0
    }

    /// How a photo of this (width, height) is laid out, for each pass of the backbone over it as a whole.
    fn layouts(&self, index: usize, photo: (u32, u32)) -> Vec<Geometry>;

    /// What the backbone sees of a photo, by [`PassRunner::layouts`].
    ///
    /// # Errors
    /// If there is no memory for it.
    fn prepare(&self, index: usize, photo: &RgbImage) -> Result<Vec<PreparedImage>>;

    /// Bytes that a photo of this (width, height) takes once it is decoded, to the end.
    fn memory(&self, index: usize, photo: (u32, u32)) -> u64;

    /// Bytes of the device that a photo of these `layouts` takes while it is computed with others; nothing where
    /// photos are not computed together. An estimate, by which batches are chosen.
    fn device_memory(&self, _index: usize, _layouts: &[Geometry]) -> Option<u64> {
        None
    }

    /// Refuses a photo by its (width, height) before it is decoded.
    ///
    /// # Errors
    /// A part of a sentence about it.
    fn check_photo_size(&self, _index: usize, _photo: (u32, u32)) -> Result<(), String> {
        Ok(())
    }

    /// Finds one thing in each of `photos`, which have one layout; the time goes to their watches.
    ///
    /// # Errors
    /// If the device fails. Photos that were several are tried again then: fewer at once if it lacked memory
    /// ([`is_out_of_memory`](crate::model::device::is_out_of_memory)), else one by one.
    fn run_batch(&self, photos: &mut [ReadyPhoto]) -> Result<Vec<Self::Output>>;
}

/// Bytes of a photo of this (width, height) as it was decoded.
pub fn decoded_bytes((width, height): (u32, u32)) -> u64 {
    3 * u64::from(width) * u64::from(height)
}

/// One pass, for what is made of features alone.
pub struct FeaturePass<'a> {
    /// The backbone.
    pub backbone: &'a Backbone,
    /// The pass.
    pub pass: BackbonePass,
    /// Bytes that a photo of a layout takes after the backbone, itself not counted.
    pub bytes_after: &'a (dyn Fn(&Geometry) -> u64 + Sync),
    /// Is told how many percent of the network a photo, or a batch of them, has gone through.
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
        // The features are there until they are finished, beside those of the next batch.
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
            let seen = self.pass.forward(self.backbone, prepared, &tick)?;
            seen.to_host()?.split()
        })
    }
}

/// What the cls token attends to in a block.
pub struct AttentionPass<'a> {
    /// How photos are prepared; its layers are not looked at.
    pub pass: FeaturePass<'a>,
    /// The block.
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

/// Runs `work` over the layout of this number of `photos`, whose watches share the time under `stage`.
///
/// # Errors
/// That of `work`.
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
    let found = work(&prepared)?;
    let share = start.elapsed() / photos.len().max(1) as u32;
    photos
        .iter_mut()
        .for_each(|photo| photo.watch.add(stage, share));
    Ok(found)
}
