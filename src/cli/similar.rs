//! Options of `dino similar`: the point, size and layer, and how the map of similarity is drawn.

use clap::Args;
use dino::vision::render::ValueRange;

use super::values::pixel;
use super::{InputArgs, OutputArgs, PatchMapArgs, PatchTokenArgs, RunArgs};

/// Find what looks like one point of a photo, in the photo itself and in others
///
/// The patch under the pixel --at of the first photo is compared with every patch of every photo. Pictures show the
/// cosine between their features, in the same colours throughout; a ring marks the point in the first photo and the
/// best match in the others.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct SimilarArgs {
    #[command(flatten)]
    pub input: InputArgs,
    /// Column and row of a pixel of the first photo, from 0 at the top left
    #[arg(long, value_name = "X,Y", value_parser = pixel, required = true, help_heading = "Input")]
    pub at: (u32, u32),
    #[command(flatten)]
    pub output: OutputArgs,
    #[command(flatten)]
    pub run: RunArgs,
    #[command(flatten)]
    pub tokens: PatchTokenArgs,
    #[command(flatten)]
    pub look: PatchMapArgs,
    /// Cosines that the colours span: MIN,MAX, or auto (2nd to 98th percentile of each photo)
    #[arg(long, value_name = "RANGE", default_value = "0,1", value_parser = range, allow_hyphen_values = true,
          help_heading = "Picture")]
    pub range: CosineRange,
    /// Write the cosines as .npy too: float32 [rows, columns], one a patch
    #[arg(long, help_heading = "Picture")]
    pub raw: bool,
}

/// Values of `--range`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum CosineRange {
    /// The 2nd to 98th percentile of each photo.
    Auto,
    /// This range, within -1..1.
    Fixed(ValueRange),
}

const EXAMPLES: &str = "\
Examples:
  dino similar dogs.jpg --at 377,413 --side-by-side    dino-out/dogs.similar-377-413.png
  dino similar dogs.jpg holiday/*.jpg --at 377,413     where is that in the other photos?
  dino similar a.jpg b.jpg --at 120,80 --json | jq .best";

fn range(text: &str) -> Result<CosineRange, String> {
    if text == "auto" {
        return Ok(CosineRange::Auto);
    }
    let number = |text: &str| {
        let value = text.trim().parse::<f32>().ok();
        value.filter(|value| (-1.0..=1.0).contains(value))
    };
    match text.split_once(',').map(|(a, b)| (number(a), number(b))) {
        Some((Some(low), Some(high))) if low < high => {
            Ok(CosineRange::Fixed(ValueRange { low, high }))
        }
        _ => Err("expected auto, or two rising numbers from -1 to 1 such as 0,1".into()),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn ranges_are_of_cosines() {
        assert_eq!(range("auto").unwrap(), CosineRange::Auto);
        let whole = ValueRange {
            low: -1.0,
            high: 1.0,
        };
        assert_eq!(range("-1,1").unwrap(), CosineRange::Fixed(whole));
        for wrong in ["", "1,0", "0,2", "0", "global", "nan,1"] {
            assert!(range(wrong).is_err(), "{wrong}");
        }
    }
}
