//! The coarse scale of two-scale heads: the padded input made smaller and run through the backbone a second time.
//!
//! In a smaller input a patch covers more of the scene: a whole wall instead of its corner. Both scales are of the same
//! padded input, so the coarse grid upsampled to the fine one is aligned with it.

use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::model::input::PatchGrid;

/// The coarse scale's share of the sides of the full scale, in percent, 10 to 90.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "u32", into = "u32")]
pub struct CoarseScale(u32);

/// Shares that are allowed.
const PERCENT: std::ops::RangeInclusive<u32> = 10..=90;

impl TryFrom<u32> for CoarseScale {
    type Error = String;

    fn try_from(percent: u32) -> Result<Self, String> {
        match PERCENT.contains(&percent) {
            true => Ok(Self(percent)),
            false => Err(format!(
                "expected {} to {} percent of the sides, not {percent}",
                PERCENT.start(),
                PERCENT.end()
            )),
        }
    }
}

impl From<CoarseScale> for u32 {
    fn from(coarse: CoarseScale) -> Self {
        coarse.0
    }
}

impl FromStr for CoarseScale {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let percent = text.parse::<u32>();
        percent
            .map_err(|_| format!("expected a number of percent, such as 60, not {text:?}"))?
            .try_into()
    }
}

impl CoarseScale {
    /// The patch grid of the coarse scale, for the grid `fine` of the full scale; sides are rounded, and at least 1.
    pub fn grid(self, fine: PatchGrid) -> PatchGrid {
        let cells = |fine: usize| ((fine * self.0 as usize + 50) / 100).max(1);
        PatchGrid {
            rows: cells(fine.rows),
            cols: cells(fine.cols),
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn shares_are_percent() {
        let coarse: CoarseScale = "60".parse().unwrap();
        let fine = PatchGrid { rows: 35, cols: 46 };
        assert_eq!(coarse.grid(fine), PatchGrid { rows: 21, cols: 28 });
        assert_eq!(coarse.grid(PatchGrid { rows: 1, cols: 2 }).rows, 1);
        assert_eq!(serde_json::to_string(&coarse).unwrap(), "60");
        assert!(serde_json::from_str::<CoarseScale>("100").is_err());
        for bad in ["0", "9", "91", "x", "0.5"] {
            assert!(bad.parse::<CoarseScale>().is_err(), "{bad}");
        }
    }
}
