//! Joins the parts of a film, each written by its own [`VideoEncoder`](super::VideoEncoder), with ffmpeg's concat
//! demuxer, without re-encoding.

use std::path::{Path, PathBuf};

use super::container::VideoContainer;
use super::encoder_config::EncoderConfig;
use super::ffmpeg::FfmpegPrograms;
use super::remux::{Remux, RemuxInput};
use crate::error::{Error, Result};
use crate::system::files::{ExternalFile, write_atomic};

/// A part of a film, in a file whose first frame has time 0.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FilmPart {
    /// Its file, in the folder of all parts.
    pub file: PathBuf,
    /// Time of its first frame, in ticks of the whole film's time base.
    pub begin: i64,
    /// Time of its last frame, in ticks.
    pub last: i64,
    /// End of its last frame, in ticks.
    pub end: i64,
}

/// Joins `parts`, whose files are in `folder`, to the film at `path`, without re-encoding video. The time base, origin,
/// tags and sound of `spec` are those of the whole film. Returns notes for the user.
///
/// # Errors
/// Names the file, if ffmpeg fails, there are no parts, or it cannot be written.
pub fn join_parts(
    path: &Path,
    spec: &EncoderConfig,
    folder: &Path,
    parts: &[FilmPart],
) -> Result<Vec<String>> {
    let (Some(first), Some(last)) = (parts.first(), parts.last()) else {
        return Err(Error::file(
            path,
            "is not written, for there are no frames to write",
        ));
    };
    let programs = FfmpegPrograms::find(path)?;
    let container = VideoContainer::of(path)?;
    let spec = EncoderConfig {
        // The film's time 0 is not after its first frame.
        origin: spec.origin.min(first.begin),
        ..spec.clone()
    };
    let list = folder.join(CONCAT_LIST);
    write_atomic(&list, |writer| {
        writeln!(writer, "ffconcat version 1.0")?;
        for (index, part) in parts.iter().enumerate() {
            let name = part.file.strip_prefix(folder).unwrap_or(&part.file);
            writeln!(writer, "file {}", quote_path(name))?;
            let next = parts.get(index + 1).map_or(part.end, |next| next.begin);
            let seconds = spec.time_base.nanoseconds(next - part.begin);
            // Rounded to microseconds, the resolution of concat lists; counted from the first part, so that rounding
            // does not accumulate.
            let until = |nanoseconds: i128| (nanoseconds + 500) / 1000;
            let before = spec.time_base.nanoseconds(part.begin - first.begin);
            let stays = until(before + seconds) - until(before);
            writeln!(
                writer,
                "duration {}.{:06}",
                stays / 1_000_000,
                stays % 1_000_000
            )?;
        }
        Ok(())
    })?;
    let file = ExternalFile::begin(path)?;
    let completion = Remux {
        path,
        spec: &spec,
        container,
        programs,
        last: (last.last, last.end - last.last),
    };
    let note = completion.run(
        RemuxInput::Parts(&list, first.begin),
        &file.unfinished_path(),
    )?;
    file.finish()?;
    // The list is no longer needed.
    let _ = std::fs::remove_file(&list);
    Ok(note.into_iter().collect())
}

/// Name of the concat list in the folder of parts; hidden, as all unfinished files.
const CONCAT_LIST: &str = ".dino-parts.txt";

/// A path quoted for a concat list.
fn quote_path(path: &Path) -> String {
    format!(
        "'{}'",
        path.display()
            .to_string()
            .replace('\\', "/")
            .replace('\'', "'\\''")
    )
}
