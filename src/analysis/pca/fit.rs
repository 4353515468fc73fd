//! Fits a [`Projection`] to the tokens of one or many photos: components, foreground, and the ranges of the colours.

use std::fmt;
use std::str::FromStr;

use crate::analysis::pca::foreground::{BorderCount, ForegroundSplit, otsu_threshold};
use crate::analysis::pca::projection::{Projection, RANGE_PERCENTILES};
use crate::analysis::pca::{Basis, Moments, TokenSpool};
use crate::error::{Error, Result};
use crate::maths::StreamSampler;
use crate::maths::quantile::percentile;

/// Which patches are foreground, to which components and ranges are fitted.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum ForegroundRule {
    /// All patches.
    All,
    /// The side of the first component, split by Otsu's method, that touches the picture's border less.
    Auto,
    /// Patches whose score on the first component is above this number.
    Above(f64),
}

impl FromStr for ForegroundRule {
    type Err = String;

    fn from_str(text: &str) -> std::result::Result<Self, String> {
        match text {
            "none" => Ok(ForegroundRule::All),
            "auto" => Ok(ForegroundRule::Auto),
            _ => match text.parse::<f64>() {
                Ok(score) if score.is_finite() => Ok(ForegroundRule::Above(score)),
                _ => Err("expected none, auto, or a number".into()),
            },
        }
    }
}

/// In the syntax that [`ForegroundRule::from_str`] parses.
impl fmt::Display for ForegroundRule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ForegroundRule::All => f.write_str("none"),
            ForegroundRule::Auto => f.write_str("auto"),
            ForegroundRule::Above(score) => write!(f, "{score}"),
        }
    }
}

/// Options of [`fit()`].
#[derive(Debug, Clone, PartialEq)]
pub struct PcaFitOptions {
    /// 0-based components to show, in the order red, green, blue.
    pub component_indices: Vec<usize>,
    /// Whether scores are divided by the standard deviation along their component.
    pub whiten: bool,
    /// Which patches are foreground, to which components and ranges are fitted.
    pub foreground: ForegroundRule,
}

/// Fits components, foreground and ranges to all tokens in `spool`.
///
/// # Errors
/// [`Error::Usage`] for a component beyond the width of a token and a foreground without patches; [`Error::Model`] if
/// tokens are not finite, or under [`ForegroundRule::Auto`] all alike; if the spool cannot be read.
pub fn fit(spool: &mut TokenSpool, options: &PcaFitOptions) -> Result<Projection> {
    let components = options
        .component_indices
        .iter()
        .max()
        .map_or(1, |&last| last + 1)
        .max(3);
    let mut moments = Moments::new(spool.dim());
    for index in 0..spool.len() {
        moments.add(&spool.read(index)?.1);
    }
    let all = Basis::fit(&moments, components)?;
    let foreground = split_foreground(spool, &all, options.foreground)?;
    let basis = match &foreground {
        None => all,
        // As in the paper: a second PCA, on the foreground patches alone.
        Some(split) => {
            let mut moments = Moments::new(spool.dim());
            for index in 0..spool.len() {
                let tokens = spool.read(index)?.1;
                moments.add(&select_rows(&tokens, &split.mask(&tokens), spool.dim()));
            }
            if moments.count() == 0 {
                return Err(Error::Usage(
                    "--foreground: no patch lies above this score; give a lower number, or 'auto'"
                        .into(),
                ));
            }
            Basis::fit(&moments, components)?
        }
    };
    let mut projection = Projection::new(
        foreground,
        basis,
        options.component_indices.clone(),
        options.whiten,
    )?;
    projection.ranges = measure_ranges(spool, &projection)?;
    Ok(projection)
}

/// The split of `rule` on the first component of `basis`; `None` for [`ForegroundRule::All`].
fn split_foreground(
    spool: &mut TokenSpool,
    basis: &Basis,
    rule: ForegroundRule,
) -> Result<Option<ForegroundSplit>> {
    let first = Basis {
        components: basis.component(0).to_vec(),
        variances: basis.variances[..1].to_vec(),
        ..basis.clone()
    };
    let (threshold, above) = match rule {
        ForegroundRule::All => return Ok(None),
        ForegroundRule::Above(score) => (score, true),
        ForegroundRule::Auto => {
            let mut sampler = StreamSampler::default();
            for index in 0..spool.len() {
                first
                    .project(&spool.read(index)?.1, &[0], false)
                    .into_iter()
                    .for_each(|s| sampler.push(s));
            }
            let threshold = otsu_threshold(&sampler.into_sorted())?;
            let mut border = BorderCount::default();
            for index in 0..spool.len() {
                let (grid, tokens) = spool.read(index)?;
                border.add(&first.project(&tokens, &[0], false), grid, threshold);
            }
            (threshold, border.foreground_is_above())
        }
    };
    Ok(Some(ForegroundSplit {
        basis: first,
        threshold,
        above,
    }))
}

/// The rows of `tokens` where `mask` is set.
fn select_rows(tokens: &[f32], mask: &[bool], dim: usize) -> Vec<f32> {
    let rows = tokens
        .chunks_exact(dim)
        .zip(mask)
        .filter(|(_, keep)| **keep);
    rows.flat_map(|(row, _)| row).copied().collect()
}

/// The [`RANGE_PERCENTILES`] of every shown component's scores over the foreground.
fn measure_ranges(spool: &mut TokenSpool, projection: &Projection) -> Result<Vec<(f32, f32)>> {
    let k = projection.component_indices.len();
    let mut samplers = vec![StreamSampler::default(); k];
    for index in 0..spool.len() {
        let projected = projection.project(&spool.read(index)?.1)?;
        let rows = projected.scores.chunks_exact(k).zip(&projected.foreground);
        for (scores, _) in rows.filter(|(_, foreground)| **foreground) {
            samplers
                .iter_mut()
                .zip(scores)
                .for_each(|(sampler, &score)| sampler.push(score));
        }
    }
    let (low, high) = RANGE_PERCENTILES;
    let range = |sampler: StreamSampler| {
        let sorted = sampler.into_sorted();
        (percentile(&sorted, low), percentile(&sorted, high))
    };
    Ok(samplers.into_iter().map(range).collect())
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::model::input::PatchGrid;

    /// A 4 x 4 picture whose middle 2 x 2 is far away from the rest in channel 0.
    fn spool() -> TokenSpool {
        let mut spool = TokenSpool::new(4);
        let mut tokens = Vec::new();
        for i in 0..16usize {
            let middle = [5, 6, 9, 10].contains(&i);
            tokens.extend([
                if middle { 9.0 } else { 0.0 },
                (i % 3) as f32,
                (i % 5) as f32 * 0.5,
                0.1 * i as f32,
            ]);
        }
        spool.push(PatchGrid { rows: 4, cols: 4 }, &tokens).unwrap();
        spool
    }

    fn options(foreground: ForegroundRule) -> PcaFitOptions {
        PcaFitOptions {
            component_indices: vec![0, 1, 2],
            whiten: false,
            foreground,
        }
    }

    #[test]
    fn auto_foreground_is_the_middle() {
        let mut spool = spool();
        let projection = fit(&mut spool, &options(ForegroundRule::Auto)).unwrap();
        let projected = projection.project(&spool.read(0).unwrap().1).unwrap();
        let found: Vec<usize> = (0..16).filter(|&i| projected.foreground[i]).collect();
        assert_eq!(found, [5, 6, 9, 10]);
    }

    #[test]
    fn ranges_hold_almost_all_scores() {
        let mut spool = spool();
        let projection = fit(&mut spool, &options(ForegroundRule::All)).unwrap();
        assert!(projection.ranges.iter().all(|(low, high)| low < high));
        assert_eq!(projection.foreground, None);
    }

    #[test]
    fn impossible_wishes_are_errors() {
        let wish = PcaFitOptions {
            component_indices: vec![4],
            ..options(ForegroundRule::All)
        };
        assert!(
            fit(&mut spool(), &wish)
                .unwrap_err()
                .to_string()
                .contains("--components")
        );
        let error = fit(&mut spool(), &options(ForegroundRule::Above(1e9))).unwrap_err();
        assert!(error.to_string().contains("--foreground"));
    }
}
