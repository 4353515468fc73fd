//! Decoded frames of a clip as a [`FrameSource`] of the engine. It also queues the frames' times, which the engine does
//! not carry, until the frames are written.

use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};

use dino::Result;
use dino::engine::FrameSource;
use dino::io::video::{Clip, Frames, PlannedFrame};
use image::RgbImage;

/// The frames of a clip, and the times of those between decoding and writing.
pub(super) struct ClipFeed {
    frames: Mutex<Frames>,
    /// Width and height in pixels.
    size: (u32, u32),
    /// Times of the frames in flight, and the number of written frames.
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

    /// Time and duration of the next frame to be written; frames leave the engine in the order in which they came.
    pub fn take_time(&self) -> PlannedFrame {
        let mut moments = self.times.lock().unwrap_or_else(PoisonError::into_inner);
        moments.1 += 1;
        moments.0.pop_front().unwrap_or(PlannedFrame {
            index: 0,
            time: 0,
            duration: 1,
        })
    }

    /// Number of frames whose times were taken.
    pub fn written_frames(&self) -> usize {
        let moments = self.times.lock().unwrap_or_else(PoisonError::into_inner);
        moments.1
    }
}

impl FrameSource for ClipFeed {
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
