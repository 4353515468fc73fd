//! Warnings that depths are probably wrong: a head for rooms on an outdoor photo, a head for streets on a room, or
//! converted inverse depths beyond the farthest distance that is told apart.

use super::head::{METRE, depth_readout, unit};
use super::predictor::DepthPredictor;
use crate::model::head_zoo::depth_anything::{DepthAnythingHead, DepthAnythingScene};
use crate::model::head_zoo::official::{OfficialDataset, OfficialHead};
use crate::vision::postprocess::rows::RowSource;

/// Metres: a photo of which more than half is nearer is taken for indoors.
const INDOOR_METRES: f32 = 5.0;

/// A photo that shows a room with a smaller probability than this is taken for outdoors; one with a larger probability
/// than 1 minus this for a room.
const OUTDOOR_PROBABILITY: f32 = 0.3;

/// Metres: a head whose range ends here or nearer is for rooms.
const LARGEST_ROOM_METRES: f64 = 20.0;

impl DepthPredictor {
    /// A warning about the `depth` of a photo that shows a room with a probability of `room`, where that is known: a
    /// head for rooms on an outdoor photo, one for streets on a room or a near scene, or metres at
    /// [`DepthPredictor::farthest`].
    pub fn warning(&self, depth: &dyn RowSource, room: Option<f32>) -> Option<String> {
        self.scene_warning(room)
            .or_else(|| self.depth_warning(depth))
    }

    /// A warning about the head, for a photo that shows a room with this probability.
    pub fn scene_warning(&self, room: Option<f32>) -> Option<String> {
        let (room, meta) = (room?, &self.head().meta);
        let readout = depth_readout(meta).ok()?;
        if readout.is_inverse() || unit(meta) != METRE {
            return None;
        }
        let (_, farthest) = readout.range();
        let name = &meta.name;
        if room < OUTDOOR_PROBABILITY && farthest <= LARGEST_ROOM_METRES {
            return Some(format!(
                "seems to be out of doors ({:.0} % sure), and {name} knows rooms alone, up to {farthest} m: its metres mean \
                 nothing here; a kitti or da2-outdoor head is for streets, da2-small tells near from far anywhere",
                100.0 * (1.0 - room)
            ));
        }
        (room > 1.0 - OUTDOOR_PROBABILITY && farthest >= 2.0 * LARGEST_ROOM_METRES).then(|| {
            format!(
                "seems to be a room ({:.0} % sure), and {name} tells distances of streets, up to {farthest} m; a nyu or \
                 da2-indoor head is for rooms",
                100.0 * room
            )
        })
    }

    /// A warning about the depths themselves: converted pixels at the farthest depth, or a published head for streets
    /// on a scene of which most is nearer than [`INDOOR_METRES`].
    fn depth_warning(&self, depth: &dyn RowSource) -> Option<String> {
        if let Some(farthest) = self.farthest() {
            let mut beyond = 0usize;
            depth.for_each(|metres| beyond += usize::from(metres >= farthest));
            let (width, height) = depth.size();
            return (beyond > 0).then(|| {
                format!(
                    "by scale and shift, {beyond} of {} pixels are {farthest} m away or more; they count as {farthest} m",
                    width * height
                )
            });
        }
        let meta = &self.head().meta;
        let of_streets = OfficialHead::of(meta)
            .is_some_and(|head| head.dataset == OfficialDataset::Kitti)
            || DepthAnythingHead::of(meta)
                .is_some_and(|head| head.scene == DepthAnythingScene::Outdoor);
        let is_near = || {
            let (mut near, mut all) = (0usize, 0usize);
            depth.for_each(|metres| {
                near += usize::from(metres < INDOOR_METRES);
                all += 1;
            });
            2 * near > all
        };
        (of_streets && is_near()).then(|| {
            format!(
                "most of it is nearer than {INDOOR_METRES} m, so it may be indoors; {} was trained on streets, and {} heads are \
                 for rooms",
                meta.name,
                match OfficialHead::of(meta) {
                    Some(_) => "nyu",
                    None => "da2-indoor",
                }
            )
        })
    }
}
