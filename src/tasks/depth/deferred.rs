//! The photos of `--range global` between the passes, and the common range of their depths or of those of a clip's
//! frames.

use crate::error::Result;
use crate::io::output::OutputJob;
use crate::maths::StreamSampler;
use crate::system::files::spool::FloatSpool;
use crate::tasks::DeferredPhoto;
use crate::vision::postprocess::rows::RowSource;
use crate::vision::render::ValueRange;

/// About the largest number of values that one photo adds to the common range, so that large photos count little more
/// than small ones.
const SAMPLES_PER_PHOTO: usize = 1 << 16;

/// The deferred photos and their common range.
pub(super) struct DeferredDepth {
    /// The map of each photo over the padded input: depths, then deviations.
    maps: FloatSpool,
    sampler: StreamSampler,
    /// The photos, in the order of their maps.
    photos: Vec<DeferredPhoto>,
    /// The range of all samples; 0 to 1 until it is fitted.
    pub range: ValueRange,
}

/// Calls `each` with depths that are evenly spread over the map.
pub(super) fn for_each_sample(depth: &dyn RowSource, each: impl FnMut(f32)) {
    let (width, height) = depth.size();
    // An odd stride does not keep to the same few columns of photos whose width is a power of two.
    let stride = (width * height).div_ceil(SAMPLES_PER_PHOTO) | 1;
    depth.for_each_nth(stride, each);
}

impl DeferredDepth {
    /// No photos, and the range 0 to 1.
    pub fn new() -> Self {
        DeferredDepth {
            maps: FloatSpool::new("depth maps", "--range auto"),
            sampler: StreamSampler::default(),
            photos: Vec::new(),
            range: ValueRange {
                low: 0.0,
                high: 1.0,
            },
        }
    }

    /// Adds a photo for the second pass; its map goes to the spool, and its samples to the range.
    ///
    /// # Errors
    /// If the spool cannot be written.
    pub fn push_photo(&mut self, mut photo: DeferredPhoto) -> Result<()> {
        self.maps.push(&std::mem::take(&mut photo.values))?;
        for value in std::mem::take(&mut photo.samples) {
            self.sampler.push(value);
        }
        self.photos.push(photo);
        Ok(())
    }

    /// Adds samples of a frame, which only takes part in the range.
    pub fn add_frame(&mut self, depth: &dyn RowSource) {
        for_each_sample(depth, |value| self.sampler.push(value));
    }

    /// How many photos wait for the second pass.
    pub fn photo_count(&self) -> usize {
        self.photos.len()
    }

    /// Sets the range from all samples.
    pub fn fit_range(&mut self) {
        self.range = ValueRange::from_sampler(std::mem::take(&mut self.sampler));
    }

    /// The deferred photo number `index`, with its map unless it is `up_to_date`.
    ///
    /// # Errors
    /// If the spool cannot be read.
    pub fn read(
        &mut self,
        index: usize,
        job: &OutputJob,
        up_to_date: bool,
    ) -> Result<DeferredPhoto> {
        let values = match up_to_date {
            true => Vec::new(),
            false => self.maps.read(index)?,
        };
        Ok(self.photos[index].resume(job, values))
    }
}
