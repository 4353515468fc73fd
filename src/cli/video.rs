//! Options of clips: which frames are taken, and how films are encoded.

use std::time::Duration;

use clap::Args;

/// Films in place of photos.
#[derive(Debug, Args, Default)]
#[command(next_help_heading = "Video")]
pub struct VideoArgs {
    /// Take inputs as clips that else are photos: animated pictures (GIF, WebP, APNG), and folders of numbered frames
    ///
    /// Files that are video by their ending (mp4, mov, mkv, webm, avi and their like) are clips without it; ffmpeg reads
    /// them, which must be installed. Each clip becomes NAME.TASK.mp4, frame for frame, with the source's time stamps.
    #[arg(long)]
    pub video: bool,
    /// Begin here: seconds, or H:MM:SS.mmm
    #[arg(long, value_name = "TIME", value_parser = time)]
    pub start: Option<Duration>,
    /// End here
    #[arg(long, value_name = "TIME", value_parser = time)]
    pub end: Option<Duration>,
    /// Take every Nth frame
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..), conflicts_with = "fps")]
    pub every: Option<u64>,
    /// Take at most so many frames a second, such as 12.5 or 30000/1001; of folders of frames, the rate that they have
    /// [default there: 25]
    #[arg(long, value_name = "RATE")]
    pub fps: Option<String>,
    /// Take no more frames than this
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    pub max_frames: Option<u64>,
    /// Write numbered pictures (NAME.TASK.frames/000001.png) in place of a film
    #[arg(long)]
    pub frames: bool,
    /// Encoder of the film, by ffmpeg's name: libx264, libx265, libvpx-vp9, prores_ks, … [default: libx264]
    #[arg(long, value_name = "NAME", conflicts_with = "frames")]
    pub codec: Option<String>,
    /// Quality of the film: smaller is better and larger [default: 14]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(0..=63), conflicts_with = "frames")]
    pub crf: Option<u32>,
    /// Copy the clip's sound
    #[arg(long, conflicts_with = "frames")]
    pub audio: bool,
    /// Go on with a film whose making was ended, behind the last frames that were kept of it
    ///
    /// While a film of more than 250 frames is made, each 250 of them are kept in NAME.TASK.parts, with all that those behind
    /// them lean on; the folder goes when the film is whole. What comes out is what would have without a break.
    #[arg(long)]
    pub resume: bool,
    /// How much of the mean over time each frame leaves: 0 takes every frame by itself, 0.9 smooths over some ten of them
    /// [default: by change for labels, which jump, else 0]
    ///
    /// The mean is of scores, before anything is read out or coloured, and begins anew at cuts. By change, 0.97 of it stays
    /// where pixels and scores stay as they are but for noise, and 0.5 where they change. Borders that are fitted to the
    /// frame's edges are then fitted to those of a mean of the frames, too, where they stay.
    #[arg(long, value_name = "A", value_parser = parse_smoothing)]
    pub smooth: Option<f32>,
}

impl VideoArgs {
    /// The first given option that only clips have.
    pub fn first_given_flag(&self) -> Option<&'static str> {
        let given = [
            ("--video", self.video),
            ("--start", self.start.is_some()),
            ("--end", self.end.is_some()),
            ("--every", self.every.is_some()),
            ("--fps", self.fps.is_some()),
            ("--max-frames", self.max_frames.is_some()),
            ("--frames", self.frames),
            ("--codec", self.codec.is_some()),
            ("--crf", self.crf.is_some()),
            ("--audio", self.audio),
            ("--resume", self.resume),
            ("--smooth", self.smooth.is_some()),
        ];
        let mut given = given.into_iter().filter(|(_, given)| *given);
        given.next().map(|(name, _)| name)
    }
}

/// Parses seconds (`12.5`), or hours, minutes and seconds with colons (`1:02:03`).
fn time(text: &str) -> Result<Duration, String> {
    let wrong = || {
        "expected seconds such as 12.5, or hours, minutes and seconds such as 0:01:12.5".to_owned()
    };
    let parts: Vec<&str> = text.trim().split(':').collect();
    if parts.len() > 3 {
        return Err(wrong());
    }
    let mut seconds = 0f64;
    for (index, part) in parts.iter().enumerate() {
        let number: f64 = part.parse().map_err(|_| wrong())?;
        let is_whole = index + 1 == parts.len() || number.fract() == 0.0;
        let is_within = index == 0 || number < 60.0;
        if !number.is_finite() || part.starts_with(['-', '+']) || !is_whole || !is_within {
            return Err(wrong());
        }
        seconds = 60.0 * seconds + number;
    }
    Duration::try_from_secs_f64(seconds).map_err(|_| wrong())
}

fn parse_smoothing(text: &str) -> Result<f32, String> {
    let number = text.trim().parse::<f32>().ok();
    number
        .filter(|number| (0.0..=0.99).contains(number))
        .ok_or_else(|| "expected a number from 0 to 0.99, such as 0.5".into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_seconds_or_have_colons() {
        let seconds = |text: &str| time(text).map(|time| time.as_secs_f64());
        assert_eq!(seconds("12.5"), Ok(12.5));
        assert_eq!(seconds("1:02.25"), Ok(62.25));
        assert_eq!(seconds("1:00:00"), Ok(3600.0));
        for wrong in [
            "", "-1", "1:60", "1.5:2", "1:2:3:4", "nan", "inf", "1e99", "a",
        ] {
            assert!(time(wrong).is_err(), "{wrong}");
        }
    }
}
