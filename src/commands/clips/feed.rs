//! The frames of a clip, for the engine.

use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};

use dino::Result;
use dino::engine::FrameFeed;
use dino::io::video::{Clip, Frames, PlannedFrame};
use image::RgbImage;

/// The frames of a clip for the engine; their times wait here until they are written.
pub(super) struct ClipFeed {
    frames: Mutex<Frames>,
    size: (u32, u32),
    times: Mutex<(VecDeque<PlannedFrame>, usize)>,
}

impl ClipFeed {
    pub fn new(frames: Frames, clip: &Clip) -> Self {
        ClipFeed {
            frames: Mutex::new(frames),
            size: clip.size(),
            times: Mutex::default(),
        }
    }

    /// When the next frame that is written appears.
    pub fn take_time(&self) -> PlannedFrame {
        let mut moments = self.times.lock().unwrap_or_else(PoisonError::into_inner);
        moments.1 += 1;
        moments.0.pop_front().unwrap_or(PlannedFrame {
            index: 0,
            time: 0,
            duration: 1,
        })
    }

    /// Frames that were written.
    pub fn written_frames(&self) -> usize {
        let moments = self.times.lock().unwrap_or_else(PoisonError::into_inner);
        moments.1
    }
}

impl FrameFeed for ClipFeed {
    fn size(&self) -> (u32, u32) {
        self.size
    }

    fn next_frame(&self) -> Result<Option<RgbImage>> {
        let mut frames = self.frames.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(frame) = frames.next().transpose()? else {
            return Ok(None);
        };
        let mut moments = self.times.lock().unwrap_or_else(PoisonError::into_inner);
        moments.0.push_back(PlannedFrame {
            index: frame.index,
            time: frame.time,
            duration: frame.duration,
        });
        Ok(Some(frame.rgb))
    }
}
