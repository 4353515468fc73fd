//! Distinct colours for classes that have none of their own, such as clusters.
//!
//! The first ten are those of Tableau; each further one is the colour of a coarse grid that is farthest from all before
//! it in Oklab (the greedy method of Glasbey et al., 2007), where distances follow perception.

/// `count` distinct sRGB colours, the same in every run; beyond about thirty they become hard to tell apart.
pub fn distinct_colors(count: usize) -> Vec<[u8; 3]> {
    let mut chosen: Vec<[u8; 3]> = colorous::TABLEAU10
        .iter()
        .take(count)
        .map(|color| [color.r, color.g, color.b])
        .collect();
    let mut candidates: Vec<([u8; 3], f32)> = candidate_colors()
        .map(|color| (color, min_distance(color, &chosen)))
        .collect();
    while chosen.len() < count {
        let Some(&(next, _)) = candidates.iter().max_by(|a, b| a.1.total_cmp(&b.1)) else {
            break;
        };
        chosen.push(next);
        let place = oklab(next);
        for (color, gap) in &mut candidates {
            *gap = gap.min(distance(oklab(*color), place));
        }
    }
    chosen
}

/// Lightness in Oklab of the candidates: neither near white nor near black.
const LIGHTNESS: std::ops::RangeInclusive<f32> = 0.42..=0.86;

/// The colours of a grid of 16 levels a channel within [`LIGHTNESS`].
fn candidate_colors() -> impl Iterator<Item = [u8; 3]> {
    let levels = (0..=15u8).map(|level| level * 17);
    let all = levels.clone().flat_map(move |r| {
        let levels = levels.clone();
        levels
            .clone()
            .flat_map(move |g| levels.clone().map(move |b| [r, g, b]))
    });
    all.filter(|&color| LIGHTNESS.contains(&oklab(color)[0]))
}

/// The squared Oklab distance from `color` to the nearest of `others`.
fn min_distance(color: [u8; 3], others: &[[u8; 3]]) -> f32 {
    let place = oklab(color);
    others
        .iter()
        .map(|&other| distance(oklab(other), place))
        .fold(f32::INFINITY, f32::min)
}

/// The squared distance of two colours in Oklab.
fn distance(a: [f32; 3], b: [f32; 3]) -> f32 {
    a.iter().zip(b).map(|(a, b)| (a - b) * (a - b)).sum()
}

/// An sRGB colour in Oklab (Björn Ottosson, 2020): lightness, a and b.
fn oklab(color: [u8; 3]) -> [f32; 3] {
    let [r, g, b] = color.map(|byte| {
        let v = f32::from(byte) / 255.0;
        match v <= 0.04045 {
            true => v / 12.92,
            false => ((v + 0.055) / 1.055).powf(2.4),
        }
    });
    let l = (0.412_221_46 * r + 0.536_332_55 * g + 0.051_445_995 * b).cbrt();
    let m = (0.211_903_5 * r + 0.680_699_5 * g + 0.107_396_96 * b).cbrt();
    let s = (0.088_302_46 * r + 0.281_718_85 * g + 0.629_978_7 * b).cbrt();
    [
        0.210_454_26 * l + 0.793_617_8 * m - 0.004_072_047 * s,
        1.977_998_5 * l - 2.428_592_2 * m + 0.450_593_7 * s,
        0.025_904_037 * l + 0.782_771_77 * m - 0.808_675_77 * s,
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn oklab_of_the_primaries() {
        let near = |found: [f32; 3], expected: [f32; 3]| {
            assert!(distance(found, expected) < 1e-5, "{found:?}");
        };
        near(oklab([255; 3]), [1.0, 0.0, 0.0]);
        near(oklab([255, 0, 0]), [0.628, 0.225, 0.126]);
        near(oklab([0, 0, 255]), [0.452, -0.032, -0.312]);
    }

    #[test]
    fn colours_differ_and_more_of_them_begin_the_same() {
        let many = distinct_colors(40);
        assert_eq!(many.len(), 40);
        assert_eq!(distinct_colors(12), many[..12]);
        for (i, &color) in many.iter().enumerate() {
            assert!(
                min_distance(color, &many[..i]).sqrt() > 0.06,
                "colour {i}: {color:?}"
            );
        }
        assert_eq!(distinct_colors(0), [] as [[u8; 3]; 0]);
    }
}
