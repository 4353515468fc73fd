//! Colour maps: a number of 0..1 to an RGB colour, by a table of 1024 steps.
//!
//! To add one, add a row to `MAPS` (name and ramp; a ramp is a gradient of the crate `colorous`, forward or reversed,
//! or a new arm of `Ramp` that `Colormap::new` samples), and its two end colours to the test below. Options, messages
//! and recipe files take the names from `MAPS`.

use colorous::Gradient;
use image::Rgb;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// Colours of a map's table; finer than a screen shows.
const STEPS: usize = 1024;

/// The source of a map's colours.
enum Ramp {
    /// A gradient of `colorous`.
    Forward(Gradient),
    /// The same from its other end, `_r` in matplotlib.
    Reversed(Gradient),
    /// From black to white.
    Gray,
}

/// All maps, by the names of matplotlib. The first is the default: perceptually uniform, with neither end so dark or so
/// light that shapes are lost in it.
const MAPS: [(&str, Ramp); 8] = [
    ("plasma", Ramp::Forward(colorous::PLASMA)),
    ("turbo", Ramp::Forward(colorous::TURBO)),
    ("magma", Ramp::Forward(colorous::MAGMA)),
    ("inferno", Ramp::Forward(colorous::INFERNO)),
    ("viridis", Ramp::Forward(colorous::VIRIDIS)),
    ("cividis", Ramp::Forward(colorous::CIVIDIS)),
    ("spectral_r", Ramp::Reversed(colorous::SPECTRAL)),
    ("gray", Ramp::Gray),
];

/// A colour map as a table; in recipes and records it is its name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Colormap {
    /// Its name, that of matplotlib.
    pub name: &'static str,
    table: Vec<Rgb<u8>>,
}

/// As its name.
impl Serialize for Colormap {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str(self.name)
    }
}

impl<'de> Deserialize<'de> for Colormap {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let name = String::deserialize(from)?;
        Self::named(&name).ok_or_else(|| {
            let names: Vec<_> = Self::names().collect();
            serde::de::Error::custom(format!("`{name}`: expected one of {}", names.join(", ")))
        })
    }
}

impl Colormap {
    /// The names of all maps, the default first.
    pub fn names() -> impl Iterator<Item = &'static str> {
        MAPS.iter().map(|(name, _)| *name)
    }

    /// The map called `name`; none if there is no such map.
    pub fn named(name: &str) -> Option<Self> {
        MAPS.iter()
            .find(|(own, _)| *own == name)
            .map(|(name, ramp)| Self::new(name, ramp))
    }

    fn new(name: &'static str, ramp: &Ramp) -> Self {
        let sample = |gradient: &Gradient, t: f64| {
            let color = gradient.eval_continuous(t);
            Rgb([color.r, color.g, color.b])
        };
        let step = |i: usize| {
            let t = i as f64 / (STEPS - 1) as f64;
            match ramp {
                Ramp::Forward(gradient) => sample(gradient, t),
                Ramp::Reversed(gradient) => sample(gradient, 1.0 - t),
                Ramp::Gray => Rgb([(t * 255.0).round() as u8; 3]),
            }
        };
        let table = (0..STEPS).map(step).collect();
        Self { name, table }
    }

    /// The colour of `t` of 0..1; values beyond are clamped, and NaN has the colour of 0.
    #[inline]
    pub fn at(&self, t: f32) -> Rgb<u8> {
        self.table[(t.clamp(0.0, 1.0) * (STEPS - 1) as f32 + 0.5) as usize]
    }

    /// The same colours from the other end.
    pub fn reversed(mut self) -> Self {
        self.table.reverse();
        self
    }
}

impl Default for Colormap {
    fn default() -> Self {
        let (name, ramp) = &MAPS[0];
        Self::new(name, ramp)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    /// Largest difference of a channel.
    fn distance(a: Rgb<u8>, b: [u8; 3]) -> u8 {
        a.0.iter()
            .zip(b)
            .map(|(&a, b)| a.abs_diff(b))
            .max()
            .unwrap()
    }

    #[test]
    fn the_ends_are_matplotlibs() {
        let ends = [
            ("plasma", [13, 8, 135], [240, 249, 33]),
            ("turbo", [48, 18, 59], [122, 4, 3]),
            ("magma", [0, 0, 4], [252, 253, 191]),
            ("inferno", [0, 0, 4], [252, 255, 164]),
            ("viridis", [68, 1, 84], [253, 231, 37]),
            ("cividis", [0, 34, 78], [254, 232, 56]),
            ("spectral_r", [94, 79, 162], [158, 1, 66]),
            ("gray", [0, 0, 0], [255, 255, 255]),
        ];
        assert!(
            Colormap::names().eq(ends.map(|(name, ..)| name)),
            "every map is tested"
        );
        for (name, low, high) in ends {
            let map = Colormap::named(name).unwrap();
            // The crate's turbo and cividis are polynomials fitted to the original, furthest from it at turbo's ends.
            assert!(distance(map.at(0.0), low) <= 34, "{name} {:?}", map.at(0.0));
            assert!(
                distance(map.at(1.0), high) <= 34,
                "{name} {:?}",
                map.at(1.0)
            );
        }
    }

    #[test]
    fn values_beyond_the_ends_are_the_ends() {
        let map = Colormap::default();
        assert_eq!(map.at(-3.0), map.at(0.0));
        assert_eq!(map.at(f32::INFINITY), map.at(1.0));
        assert_eq!(map.at(f32::NAN), map.at(0.0));
        assert_eq!(map.clone().reversed().at(0.25), map.at(0.75));
    }

    #[test]
    fn the_default_rises_evenly_in_lightness() {
        let map = Colormap::default();
        let luma = |t: f32| {
            let Rgb([r, g, b]) = map.at(t);
            0.299 * f32::from(r) + 0.587 * f32::from(g) + 0.114 * f32::from(b)
        };
        assert!((0..20).all(|i| luma(i as f32 / 20.0) < luma((i + 1) as f32 / 20.0)));
    }

    #[test]
    fn an_unknown_name_is_none() {
        assert_eq!(Colormap::named("jet"), None);
    }
}
