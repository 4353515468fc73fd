//! Arguments of ffmpeg's muxers that encoding and remuxing share: tags, MP4's time scale, and the position of its
//! index.

use super::container::VideoContainer;
use super::ffmpeg::FfmpegPrograms;
use super::ratio::Ratio;

/// From this release of ffmpeg on, its MP4 muxer writes the durations of a film and of its last frame in ticks of the
/// track.
pub(super) const EXACT_DURATION_RELEASE: (u32, u32) = (5, 0);

/// The argument for MP4's time scale, in which every tick of `base` is a whole number; empty for other containers.
pub(super) fn time_scale_arguments(
    base: Ratio,
    container: VideoContainer,
    programs: &FfmpegPrograms,
) -> Vec<String> {
    if !container.is_mp4() {
        return Vec::new();
    }
    let scale = time_scale(base).to_string();
    let mut all = vec!["-video_track_timescale".to_owned(), scale.clone()];
    if programs.is_at_least(EXACT_DURATION_RELEASE) {
        all.extend(["-movie_timescale".to_owned(), scale]);
    }
    all
}

/// Time scale (units per second) of an MP4 track whose unit divides every tick of `base`; 1000 at least.
pub(super) fn time_scale(base: Ratio) -> u64 {
    let mut scale = base.den();
    // Some players reject coarser scales.
    while scale < 1000 {
        scale *= 2;
    }
    scale
}

/// Puts MP4's index before the frames, so that playing can begin while the file arrives.
pub(super) fn fast_start_arguments(container: VideoContainer) -> Vec<&'static str> {
    match container.is_mp4() {
        true => vec!["-movflags", "+faststart+use_metadata_tags"],
        false => Vec::new(),
    }
}

/// `-metadata` arguments for the names and values of a file.
pub(super) fn tag_arguments(tags: &[(String, String)]) -> Vec<String> {
    let named = tags.iter();
    let named = named.flat_map(|(name, value)| ["-metadata".into(), format!("{name}={value}")]);
    named.collect()
}
