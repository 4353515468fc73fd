//! The frames of a clip, for the engine.

use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};

use dino::Result;
use dino::engine::FrameFeed;
use dino::io::video::{Clip, Frames, Planned};
use image::RgbImage;

/// The frames of a clip for the engine; their times wait here until they are written.
pub(super) struct Feed {
    frames: Mutex<Frames>,
    size: (u32, u32),
    moments: Mutex<(VecDeque<Planned>, usize)>,
}

impl Feed {
    pub fn new(frames: Frames, clip: &Clip) -> Self {
        Feed {
            frames: Mutex::new(frames),
            size: clip.size(),
            moments: Mutex::default(),
        }
    }

    /// When the next frame that is written appears.
    pub fn take_moment(&self) -> Planned {
        let mut moments = self.moments.lock().unwrap_or_else(PoisonError::into_inner);
        moments.1 += 1;
        moments.0.pop_front().unwrap_or(Planned {
            index: 0,
            time: 0,
            duration: 1,
        })
    }

    /// Frames that were written.
    pub fn given(&self) -> usize {
        let moments = self.moments.lock().unwrap_or_else(PoisonError::into_inner);
        moments.1
    }
}

impl FrameFeed for Feed {
    fn size(&self) -> (u32, u32) {
        self.size
    }

    fn next_frame(&self) -> Result<Option<RgbImage>> {
        let mut frames = self.frames.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(frame) = frames.next().transpose()? else {
            return Ok(None);
        };
        let mut moments = self.moments.lock().unwrap_or_else(PoisonError::into_inner);
        moments.0.push_back(Planned {
            index: frame.index,
            time: frame.time,
            duration: frame.duration,
        });
        Ok(Some(frame.rgb))
    }
}
