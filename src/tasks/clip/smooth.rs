//! The exponential mean over time of what is found in frames: of scores or tokens, before anything is read out or coloured.

use crate::error::{Error, Result};
use crate::tasks::Found;

/// The mean of what one task found so far.
#[derive(Debug)]
pub struct RunningMean {
    /// How much of the mean before a frame stays, from 0 (nothing) to below 1.
    keep: f32,
    /// Whether the user said so.
    is_said: bool,
    mean: Vec<Vec<f32>>,
}

impl RunningMean {
    /// With the share of the mean that each frame leaves: as is `said`, else the `usual` one.
    pub fn new(said: Option<f32>, usual: f32) -> Self {
        RunningMean {
            keep: said.unwrap_or(usual),
            is_said: said.is_some(),
            mean: Vec::new(),
        }
    }

    /// Puts the mean in the place of what was `found`; at a cut it begins anew.
    ///
    /// # Errors
    /// Of labels that are final, of which there is no mean, if the user asked for one.
    pub fn smooth(&mut self, found: &mut Found, is_cut: bool) -> Result<()> {
        if self.keep == 0.0 {
            return Ok(());
        }
        let mut values: Vec<&mut Vec<f32>> = match found {
            Found::Scores {
                scores, mirrored, ..
            } => {
                let mirrored = mirrored.iter_mut().map(|scores| &mut scores.values);
                std::iter::once(&mut scores.values)
                    .chain(mirrored)
                    .collect()
            }
            Found::Tokens(tokens, _) => vec![tokens],
            Found::Labels(_) if !self.is_said => return Ok(()),
            Found::Labels(_) | Found::Features(_) => {
                return Err(Error::Usage(
                    "--smooth means scores over time, and this protocol ends with labels; --smooth 0 leaves it out".into(),
                ));
            }
        };
        let begins = is_cut
            || self
                .mean
                .iter()
                .map(Vec::len)
                .ne(values.iter().map(|v| v.len()));
        if begins {
            self.mean = values.iter().map(|values| (*values).clone()).collect();
            return Ok(());
        }
        for (mean, values) in self.mean.iter_mut().zip(&mut values) {
            for (mean, value) in mean.iter_mut().zip(values.iter_mut()) {
                *mean = self.keep * *mean + (1.0 - self.keep) * *value;
                *value = *mean;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::backbone::Grid;

    fn smoothed(mean: &mut RunningMean, values: &[f32], is_cut: bool) -> Vec<f32> {
        let grid = Grid {
            rows: 1,
            cols: values.len(),
        };
        let mut found = Found::Tokens(values.to_vec(), grid);
        mean.smooth(&mut found, is_cut).unwrap();
        match found {
            Found::Tokens(values, _) => values,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn frames_approach_each_other_until_a_cut() {
        let mut mean = RunningMean::new(Some(0.5), 0.0);
        assert_eq!(smoothed(&mut mean, &[1.0, 0.0], false), [1.0, 0.0]);
        assert_eq!(smoothed(&mut mean, &[0.0, 1.0], false), [0.5, 0.5]);
        assert_eq!(smoothed(&mut mean, &[0.0, 1.0], false), [0.25, 0.75]);
        assert_eq!(smoothed(&mut mean, &[8.0, 8.0], true), [8.0, 8.0]);
        // Of another size, it is another clip.
        assert_eq!(smoothed(&mut mean, &[2.0], false), [2.0]);
        let mut off = RunningMean::new(None, 0.0);
        assert_eq!(smoothed(&mut off, &[1.0], false), [1.0]);
        assert_eq!(smoothed(&mut off, &[3.0], false), [3.0]);
    }
}
