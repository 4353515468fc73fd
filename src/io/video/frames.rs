//! Decoding a clip: the selected frames one at a time, upright and in sRGB, with their exact times.

use std::time::Duration;

use image::RgbImage;

use super::animation::AnimationPlayer;
use super::clip::{Clip, ClipReader, VideoStream};
use super::decoder::{DecoderExit, FfmpegDecoder, clip_rgb_filters};
use super::ffmpeg::FfmpegPrograms;
use super::image_sequence;
use super::times::{FrameSelection, PlannedFrame};
use crate::error::{Error, FileFault, Result};
use crate::io::inputs::PhotoDecoder;

/// A decoded frame, upright.
#[derive(Debug, Clone)]
pub struct Frame {
    /// Its number in the clip, counted from 0.
    pub index: u64,
    /// Presentation time in ticks of the clip's time base; later than that of the previous frame.
    pub time: i64,
    /// Duration in ticks; at least 1.
    pub duration: i64,
    /// The pixels, 8-bit sRGB, `[height, width, 3]`, of the clip's size.
    pub rgb: RgbImage,
}

/// Iterator that decodes the selected frames of a clip in order, one at a time.
///
/// Each item is a frame; if decoding fails, the last item is the error.
#[derive(Debug)]
pub struct Frames {
    clip: Clip,
    plan: Vec<PlannedFrame>,
    /// Number of planned frames that were decoded or skipped.
    done: usize,
    /// Number of decoded frames.
    decoded: u64,
    last_time: Option<i64>,
    /// Number of frames whose times were not later than the previous one's and were moved.
    retimed: u64,
    photos: PhotoDecoder,
    /// `None` once decoding has ended.
    decoder: Option<FrameDecoder>,
}

#[derive(Debug)]
enum FrameDecoder {
    Ffmpeg(Box<FfmpegDecoder>, VideoStream),
    Animation(AnimationPlayer),
    Images,
}

impl Frames {
    /// Begins to decode the frames of `clip` that `selection` selects. The background and limits of `photos` apply to
    /// frames too, and its warnings receive the clip's.
    ///
    /// # Errors
    /// Names the clip: if nothing is selected, its frames are larger than allowed, or it cannot be opened.
    pub fn open(clip: &Clip, selection: &FrameSelection, photos: &PhotoDecoder) -> Result<Self> {
        Frames::open_after(None, clip, selection, photos)
    }

    /// As [`Frames::open`], but continues after the frame with the index `behind`, with the same times as without the
    /// interruption; there may be no frame left.
    ///
    /// # Errors
    /// As [`Frames::open`].
    pub fn open_after(
        behind: Option<u64>,
        clip: &Clip,
        selection: &FrameSelection,
        photos: &PhotoDecoder,
    ) -> Result<Self> {
        let mut plan = selection.plan(&clip.frames, clip.time_base, clip.origin);
        let mut selection = *selection;
        let is_past = |planned: &PlannedFrame| behind.is_some_and(|behind| planned.index <= behind);
        let mut passed = plan.iter().take_while(|planned| is_past(planned)).count();
        let is_over = passed > 0 && passed == plan.len();
        // The frames that a rate selects depend on the first frame, so the earlier ones are decoded and discarded.
        if passed > 0 && !is_over && selection.fps.is_none() {
            plan.drain(..passed);
            // With a start, ffmpeg selects from the first frame of the plan on.
            selection.start.get_or_insert(Duration::ZERO);
            passed = 0;
        }
        let (Some(&first), Some(&last)) = (plan.first(), plan.last()) else {
            let why = format!(
                "lasts {:.2} s, and none of its {} frames is in the selected span",
                clip.duration(),
                clip.frames.len()
            );
            return Err(Error::file_with_fault(&clip.path, why, FileFault::Option));
        };
        let pixels = u64::from(clip.width) * u64::from(clip.height);
        if pixels > photos.options.max_pixels {
            let why = format!(
                "its frames have {} x {} pixels, more than --max-megapixels allows",
                clip.width, clip.height
            );
            return Err(Error::file_with_fault(&clip.path, why, FileFault::TooLarge));
        }
        let decoder = match &clip.reader {
            _ if is_over => None,
            ClipReader::Ffmpeg(stream) => {
                if let Some(note) = clip_rgb_filters(clip, FfmpegPrograms::find(&clip.path)?).note {
                    let name = clip.path.display().to_string();
                    photos
                        .warnings
                        .add("colours that are not sRGB", &name, note);
                }
                let decoder = FfmpegDecoder::start(
                    clip,
                    stream,
                    &selection,
                    (first, last),
                    photos.options.background,
                )?;
                Some(FrameDecoder::Ffmpeg(Box::new(decoder), stream.clone()))
            }
            ClipReader::Animation(animation) => {
                let player = AnimationPlayer::start(clip, *animation, &plan, photos)?;
                Some(FrameDecoder::Animation(player))
            }
            ClipReader::Images(_) => Some(FrameDecoder::Images),
        };
        let mut frames = Frames {
            clip: clip.clone(),
            plan,
            done: 0,
            decoded: 0,
            last_time: None,
            retimed: 0,
            photos: photos.clone(),
            decoder,
        };
        while !is_over && frames.done < passed && frames.read()?.is_some() {}
        Ok(frames)
    }

    /// All selected frames, with the times listed in the file, including those already decoded.
    pub fn plan(&self) -> &[PlannedFrame] {
        &self.plan
    }

    fn read(&mut self) -> Result<Option<Frame>> {
        let Some(&planned) = self.plan.get(self.done) else {
            return self.finish(false).map(|()| None);
        };
        let read = match &mut self.decoder {
            None => return Ok(None),
            Some(FrameDecoder::Ffmpeg(decoder, stream)) => decoder.next(stream)?,
            Some(FrameDecoder::Animation(player)) => {
                let read = player
                    .next()
                    .transpose()
                    .map_err(|why| self.decode_error(&why))?;
                read.map(|rgb| (Some(planned.time), rgb))
            }
            Some(FrameDecoder::Images) => {
                let rgb = image_sequence::decode_image(&self.clip, planned.index, &self.photos)?;
                Some((Some(planned.time), rgb))
            }
        };
        let Some((time, rgb)) = read else {
            return self.finish(true).map(|()| None);
        };
        Ok(Some(self.assign_time(time, rgb)))
    }

    /// Assigns a decoded frame its index and time; a time that is not later than the previous one is moved behind it.
    fn assign_time(&mut self, time: Option<i64>, rgb: RgbImage) -> Frame {
        let expected = self.plan[self.done];
        let mut time = time.unwrap_or(expected.time);
        // Skip planned frames that the decoder left out.
        let rest = &self.plan[self.done..];
        let passed = rest.partition_point(|planned| planned.time < time);
        let found = rest
            .get(passed)
            .filter(|planned| planned.time == time)
            .copied();
        self.done += passed + usize::from(found.is_some());
        if let Some(last) = self.last_time.filter(|&last| time <= last) {
            time = last + 1;
            self.retimed += 1;
        }
        self.last_time = Some(time);
        self.decoded += 1;
        match found {
            Some(PlannedFrame {
                index, duration, ..
            }) => Frame {
                index,
                time,
                duration: duration.max(1),
                rgb,
            },
            None => {
                let next = self.plan.get(self.done);
                let frames = &self.clip.frames;
                let index = frames.partition_point(|frame| frame.time <= time);
                Frame {
                    index: index.saturating_sub(1) as u64,
                    time,
                    duration: next.map_or(1, |next| next.time - time).max(1),
                    rgb,
                }
            }
        }
    }

    /// Ends the decoder and reports its warnings; `is_over` if the decoder reached its end by itself.
    fn finish(&mut self, is_over: bool) -> Result<()> {
        let Some(decoder) = self.decoder.take() else {
            return Ok(());
        };
        let name = self.clip.path.display().to_string();
        let warn = |kind, sentence: String| self.photos.warnings.add(kind, &name, sentence);
        if let FrameDecoder::Ffmpeg(decoder, _) = decoder {
            let others = decoder.resized_frames();
            if others > 0 {
                let sentence =
                    format!("changes its size: {others} frames were scaled to that of the first");
                warn("clip that changes its size", sentence);
            }
            let DecoderExit {
                failure,
                error_lines: complaints,
            } = decoder.stop(is_over);
            if let Some(why) = failure {
                return Err(self.decode_error(&why));
            }
            if self.decoded == 0 {
                let why = complaints.map_or_else(String::new, |(_, last)| format!(": {last}"));
                let why = format!("not one of its frames could be decoded{why}");
                return Err(Error::file_with_fault(
                    &self.clip.path,
                    why,
                    FileFault::Damaged,
                ));
            }
            if let Some((count, last)) = complaints.filter(|_| self.clip.truncated.is_none()) {
                let sentence = format!(
                    "is damaged, so that frames may be wrong ({count} complaints; the last: {last})"
                );
                warn("damaged clip", sentence);
            }
        }
        if self.retimed > 0 {
            let sentence = format!(
                "{} frames have times out of order, and follow the one before them",
                self.retimed
            );
            warn("clip with times out of order", sentence);
        }
        let listed = self.plan.len() as u64;
        if let Some(truncated) = self.clip.truncated.as_ref().filter(|_| self.reaches_end()) {
            let why = format!("{truncated}; {} frames were decoded", self.decoded);
            return Err(Error::file_with_fault(
                &self.clip.path,
                why,
                FileFault::Damaged,
            ));
        }
        if self.decoded != listed {
            let sentence = format!(
                "lists {listed} frames, of which the decoder gives {}",
                self.decoded
            );
            warn("clip with frames that are not shown", sentence);
        }
        Ok(())
    }

    /// Whether the clip's last frame is selected.
    fn reaches_end(&self) -> bool {
        let last = self.plan.last().map(|last| last.index + 1);
        last == Some(self.clip.frames.len() as u64)
    }

    /// The error that ends decoding, with the time reached.
    fn decode_error(&self, why: &str) -> Error {
        let at = self.last_time.map_or_else(String::new, |time| {
            format!(", at {:.2} s", self.clip.seconds(time))
        });
        let why = format!(
            "could not be decoded beyond {} of {} frames{at}: {why}",
            self.decoded,
            self.plan.len()
        );
        Error::file_with_fault(&self.clip.path, why, FileFault::Damaged)
    }
}

impl Iterator for Frames {
    type Item = Result<Frame>;

    fn next(&mut self) -> Option<Result<Frame>> {
        self.decoder.as_ref()?;
        let read = self.read();
        if read.is_err() {
            self.decoder = None;
        }
        read.transpose()
    }
}
