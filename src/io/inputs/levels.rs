//! Chooses the levels of a raster, the sample values that become black and white: the nominal range of its sample type,
//! or the range that its values use. Values that are not measurements (nodata, NaN, sentinels such as -9999) are
//! ignored; the others are called readings.
//!
//! Photos use most of their range. Thermal cameras, microscopes and satellites write 16 bits and use a few hundred of
//! the values, or floats in physical units; without a stretch the network would see black or white.

use super::options::ContrastStretch;
use super::raster::{Alpha, RasterSamples, SourceRaster};

/// The sample values that become black and white; what lies between is scaled linearly.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Levels {
    /// The value that becomes black.
    pub low: f32,
    /// The value that becomes white.
    pub high: f32,
    /// The smallest and the largest valid value (reading); values outside become black.
    pub valid_range: (f32, f32),
}

impl Levels {
    /// Levels from `low` to `high`, with every finite value valid.
    pub fn new(low: f32, high: f32) -> Self {
        Levels {
            low,
            high,
            valid_range: (f32::MIN, f32::MAX),
        }
    }
}

/// Levels, and a warning if they are not the nominal range of the samples or use little of it.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct ChosenLevels {
    /// The chosen levels.
    pub levels: Levels,
    /// The kind of warning, and its sentence, which follows the name of the file.
    pub warning: Option<(&'static str, String)>,
}

/// Maximum number of pixels that are sampled for percentiles.
const MAX_SAMPLES: usize = 1 << 20;

/// The same for 8-bit images with `auto`, which are only checked for a narrow range.
const MAX_SAMPLES_8_BIT: usize = 1 << 14;

/// Minimum number of sampled values for which outliers are excluded.
const MIN_SAMPLES_FOR_OUTLIERS: usize = 256;

/// High outliers from this value on become invalid; lower ones count as bright spots and become white.
const SENTINEL_MIN: f32 = 1e9;

/// The percentiles between which `auto` stretches.
const AUTO_PERCENTILES: (f32, f32) = (0.5, 99.5);

/// Chooses the levels of `raster` as `stretch` asks.
pub(super) fn choose_levels(raster: &SourceRaster, stretch: ContrastStretch) -> ChosenLevels {
    let plain = Levels::new(0.0, raster.white);
    let Some(statistics) = SampleStatistics::of(raster, stretch) else {
        return ChosenLevels {
            levels: plain,
            warning: Some((
                "no values",
                "holds no reading at all, so there is nothing to see".into(),
            )),
        };
    };
    let (levels, mut warning) = match stretch {
        ContrastStretch::None => (plain, None),
        ContrastStretch::MinMax => (statistics.levels(0.0, 100.0), None),
        ContrastStretch::Percentiles(low, high) => (statistics.levels(low, high), None),
        ContrastStretch::Auto => auto_levels(raster, &statistics, plain),
    };
    if statistics.min == statistics.max && stretch != ContrastStretch::None {
        let why = format!(
            "has the value {} everywhere, so there is nothing to see",
            statistics.min
        );
        return ChosenLevels {
            levels: plain,
            warning: Some(("one value", why)),
        };
    }
    if let Some((_, why)) = &mut warning
        && statistics.missing > 0
    {
        why.push_str(&format!(
            "; {} values that are no readings, or far from all others, are left out of account",
            statistics.missing
        ));
    }
    if warning.is_none() && statistics.missing > 0 {
        let why = format!(
            "{} of its values are no numbers or stand for no reading; they are seen as black",
            statistics.missing
        );
        warning = Some(("values without a reading", why));
    }
    ChosenLevels { levels, warning }
}

/// The levels of [`ContrastStretch::Auto`]: `plain` unless the values leave their range or use little of it.
fn auto_levels(
    raster: &SourceRaster,
    statistics: &SampleStatistics,
    plain: Levels,
) -> (Levels, Option<(&'static str, String)>) {
    let (min, max) = (statistics.min, statistics.max);
    if let RasterSamples::U8(_) = raster.samples {
        let narrow = statistics.percentile(99.9) - statistics.percentile(0.1) < raster.white / 16.0;
        let warning = narrow.then(|| {
            let why = format!(
                "uses only the values {min} to {max} of 0 to {}, and is seen as it is; --stretch minmax spreads them",
                raster.white
            );
            ("narrow value range", why)
        });
        return (plain, warning);
    }
    let is_float = raster.white == 1.0;
    // Floats beyond 1 may be 8- or 16-bit integers that were converted without scaling.
    let nominal = match raster.samples {
        RasterSamples::F32(_) if is_float && min >= -0.001 && max <= 1.001 => Some(1.0),
        RasterSamples::F32(_) if is_float && min >= -0.5 && max > 64.0 && max <= 255.5 => {
            Some(255.0)
        }
        RasterSamples::F32(_)
            if is_float
                && min >= 0.0
                && max <= 65535.0
                && max > 255.5
                && statistics.is_integral =>
        {
            Some(65535.0)
        }
        RasterSamples::F32(_)
            if is_float && min >= -0.001 && statistics.percentile(99.0) <= 1.0 =>
        {
            Some(1.0)
        }
        RasterSamples::F32(_) if is_float => None,
        _ if min < 0.0 => None,
        _ => Some(raster.white),
    };
    let stretched = || {
        let levels = statistics.levels(AUTO_PERCENTILES.0, AUTO_PERCENTILES.1);
        let why = format!(
            "holds values from {min} to {max}{}; they are stretched from {} to {} (percentiles {} to {}); --stretch none, \
             minmax or LOW,HIGH says otherwise",
            nominal.map_or(String::new(), |white| format!(" of 0 to {white}")),
            levels.low,
            levels.high,
            AUTO_PERCENTILES.0,
            AUTO_PERCENTILES.1
        );
        (levels, Some(("stretched values", why)))
    };
    let Some(white) = nominal else {
        return stretched();
    };
    let narrow = (statistics.percentile(99.0) - statistics.percentile(1.0)) * 8.0 < white
        || statistics.percentile(99.9) * 3.99 < white;
    if narrow {
        return stretched();
    }
    let levels = Levels {
        valid_range: statistics.valid_range,
        ..Levels::new(0.0, white)
    };
    let warning = (white != raster.white || max > white * 1.001).then(|| {
        let why = format!(
            "holds values from {min} to {max}; 0 is seen as black and {white} as white; --stretch none, minmax or \
             LOW,HIGH says otherwise"
        );
        ("values beyond their range", why)
    });
    (levels, warning)
}

/// Statistics of the colour samples of a raster.
struct SampleStatistics {
    /// The smallest reading.
    min: f32,
    /// The largest reading.
    max: f32,
    /// A sample of the readings, in rising order.
    sorted: Vec<f32>,
    /// Number of values that are not readings.
    missing: usize,
    /// Whether all readings are whole numbers.
    is_integral: bool,
    /// As [`Levels::valid_range`].
    valid_range: (f32, f32),
}

impl SampleStatistics {
    /// Measures `raster`. The extremes of 8-bit samples are those of a sample of pixels, unless `stretch` is
    /// [`ContrastStretch::MinMax`]. `None` if there is no reading.
    fn of(raster: &SourceRaster, stretch: ContrastStretch) -> Option<Self> {
        let max_samples = match (&raster.samples, stretch) {
            (RasterSamples::U8(_), ContrastStretch::Auto) => MAX_SAMPLES_8_BIT,
            _ => MAX_SAMPLES,
        };
        let channels = raster.channels();
        let colours = raster.colour.channels();
        let exact = matches!(
            raster.samples,
            RasterSamples::U16(_) | RasterSamples::F32(_)
        ) || stretch == ContrastStretch::MinMax;
        let pixels = raster.samples.len() / channels;
        let is_visible = |pixel: usize| sample_at(raster, pixel * channels + colours) > 0.0;
        // Transparent pixels are left out, unless all are transparent.
        let skips_hidden = raster.alpha != Alpha::None && (0..pixels).any(is_visible);
        let counts = |pixel: usize| !skips_hidden || is_visible(pixel);
        // An even stride could hit the same few columns in every row.
        let stride = pixels.div_ceil(max_samples) | 1;
        let mut statistics = SampleStatistics {
            min: f32::INFINITY,
            max: f32::NEG_INFINITY,
            sorted: Vec::new(),
            missing: 0,
            is_integral: true,
            valid_range: (f32::MIN, f32::MAX),
        };
        let nodata = raster.nodata.map(|value| value as f32);
        let step = if exact { 1 } else { stride };
        for pixel in (0..pixels).step_by(step) {
            let sampled = pixel % stride == 0;
            if !counts(pixel) {
                continue;
            }
            for channel in 0..colours {
                let value = sample_at(raster, pixel * channels + channel);
                if !value.is_finite() || nodata == Some(value) {
                    statistics.missing += 1;
                    continue;
                }
                statistics.min = statistics.min.min(value);
                statistics.max = statistics.max.max(value);
                statistics.is_integral &= value.fract() == 0.0;
                if sampled {
                    statistics.sorted.push(value);
                }
            }
        }
        if statistics.sorted.is_empty() && statistics.min <= statistics.max {
            statistics.sorted = vec![statistics.min, statistics.max];
        }
        statistics.sorted.sort_unstable_by(f32::total_cmp);
        let enough = statistics.sorted.len() >= MIN_SAMPLES_FOR_OUTLIERS;
        if stretch == ContrastStretch::Auto
            && enough
            && !matches!(raster.samples, RasterSamples::U8(_))
        {
            statistics.exclude_sentinels(raster, step, channels, colours);
        }
        (statistics.min <= statistics.max).then_some(statistics)
    }

    /// Excludes sentinels, values far from all others such as -9999 and 1e20: stretched over, they would leave one
    /// shade for all readings.
    fn exclude_sentinels(
        &mut self,
        raster: &SourceRaster,
        step: usize,
        channels: usize,
        colours: usize,
    ) {
        let is_far = |gap: f32, rest: &[f32]| {
            let (first, last) = (rest.len() / 100, rest.len() - 1 - rest.len() / 100);
            gap > 4.0 * (rest[last] - rest[first]) && rest[last] > rest[first]
        };
        let (mut low, mut high) = (f32::MIN, f32::MAX);
        let is_integer = matches!(raster.samples, RasterSamples::U16(_));
        let is_few = |count: usize, all: usize| match is_integer {
            true => 20 * count <= all,
            false => 20 * count <= 19 * all,
        };
        // Up to two distinct values below, and one above; for integers the one above must be rare, since saturated
        // white is a valid value.
        for _ in 0..2 {
            let least = self.sorted.first().copied().unwrap_or(self.min);
            let below = self.sorted.partition_point(|&value| value <= least);
            match self.sorted[below..] {
                [next, ..]
                    if 20 * below <= 19 * self.sorted.len()
                        && is_far(next - least, &self.sorted[below..]) =>
                {
                    low = next;
                    self.sorted.drain(..below);
                }
                _ => break,
            }
        }
        let above = self.sorted.partition_point(|&value| value < self.max);
        if let [.., last] = self.sorted[..above]
            && is_few(self.sorted.len() - above, self.sorted.len())
            && is_far(self.max - last, &self.sorted[..above])
        {
            high = last;
            self.sorted.truncate(above);
        }
        if (low, high) == (f32::MIN, f32::MAX) {
            return;
        }
        let highest = self.max;
        // Values that were not sampled may be a little lower than the lowest that were.
        let floor = if low == f32::MIN {
            low
        } else {
            low - (high.min(highest) - low).abs()
        };
        let is_reading = |value: f32| value >= floor && (high == f32::MAX || value < highest);
        (self.min, self.max) = (f32::INFINITY, f32::NEG_INFINITY);
        for pixel in (0..raster.samples.len() / channels).step_by(step) {
            for channel in 0..colours {
                let value = sample_at(raster, pixel * channels + channel);
                match value.is_finite() && is_reading(value) {
                    true => {
                        self.min = self.min.min(value);
                        self.max = self.max.max(value);
                    }
                    false => self.missing += usize::from(value.is_finite()),
                }
            }
        }
        // Values below become black anyway. Above, a bright spot becomes white, but a huge number is invalid.
        if high != f32::MAX && highest >= SENTINEL_MIN {
            self.valid_range.1 = self.max;
        }
    }

    /// The sampled value nearest to a percentile, 0 to 100.
    fn percentile(&self, percent: f32) -> f32 {
        let last = self.sorted.len().saturating_sub(1);
        let at = (f64::from(percent) / 100.0 * last as f64).round() as usize;
        self.sorted.get(at.min(last)).copied().unwrap_or(0.0)
    }

    /// The levels between two percentiles, 0 to 100; the extremes are those of all readings.
    fn levels(&self, low: f32, high: f32) -> Levels {
        let at = |percent: f32| match percent {
            0.0 => self.min,
            100.0 => self.max,
            _ => self.percentile(percent),
        };
        let (low, high) = (at(low), at(high));
        let levels = match low < high {
            true => Levels::new(low, high),
            false => Levels::new(self.min, self.max),
        };
        Levels {
            valid_range: self.valid_range,
            ..levels
        }
    }
}

/// The sample with index `at`.
fn sample_at(raster: &SourceRaster, at: usize) -> f32 {
    match &raster.samples {
        RasterSamples::U8(values) => values[at].into(),
        RasterSamples::U16(values) => values[at].into(),
        RasterSamples::F32(values) => values[at],
    }
}

#[cfg(test)]
mod tests {
    use image::metadata::Orientation;

    use super::*;
    use crate::io::inputs::raster::ColorModel;

    fn raster(samples: RasterSamples, white: f32) -> SourceRaster {
        SourceRaster {
            width: samples.len() as u32,
            height: 1,
            colour: ColorModel::Grey,
            alpha: Alpha::None,
            samples,
            white,
            nodata: None,
            icc: None,
            orientation: Orientation::NoTransforms,
        }
    }

    fn words(bits: impl Iterator<Item = u16>) -> SourceRaster {
        raster(RasterSamples::U16(bits.collect()), 65535.0)
    }

    fn floats(values: impl Iterator<Item = f32>) -> SourceRaster {
        raster(RasterSamples::F32(values.collect()), 1.0)
    }

    fn settled(raster: &SourceRaster) -> (Levels, Option<&'static str>) {
        let ChosenLevels { levels, warning } = choose_levels(raster, ContrastStretch::Auto);
        (levels, warning.map(|(kind, _)| kind))
    }

    fn levels(low: f32, high: f32) -> Levels {
        Levels::new(low, high)
    }

    #[test]
    fn photos_are_left_alone() {
        let photo = words((0..1000).map(|k| k * 65));
        assert_eq!(settled(&photo), (levels(0.0, 65535.0), None));
        let photo = floats((0..=1000).map(|k| k as f32 / 1000.0));
        assert_eq!(settled(&photo), (levels(0.0, 1.0), None));
        let dark = raster(RasterSamples::U8((0..100).collect()), 255.0);
        assert_eq!(settled(&dark), (levels(0.0, 255.0), None));
    }

    #[test]
    fn a_narrow_range_is_stretched_and_said() {
        let thermal = words((0..1000).map(|k| 20_100 + k));
        let (found, warning) = settled(&thermal);
        assert_eq!(
            (found, warning),
            (levels(20_105.0, 21_094.0), Some("stretched values"))
        );
        let twelve_bits = words(0..4096);
        assert_eq!(settled(&twelve_bits).1, Some("stretched values"));
        let below_zero = floats((0..100).map(|k| k as f32 - 50.0));
        assert_eq!(settled(&below_zero).1, Some("stretched values"));
        let reflectance = floats((0..100).map(|k| k as f32 / 500.0));
        assert_eq!(settled(&reflectance).1, Some("stretched values"));
    }

    #[test]
    fn floats_may_be_converted_integers() {
        let bytes = floats((0..=255).map(|k| k as f32));
        assert_eq!(
            settled(&bytes),
            (levels(0.0, 255.0), Some("values beyond their range"))
        );
        let words = floats((0..=65535).step_by(5).map(|k| k as f32));
        assert_eq!(settled(&words).0, levels(0.0, 65535.0));
        // A few highlights beyond white are clipped.
        let highlights = floats((0..1000).map(|k| if k == 7 { 3.0 } else { k as f32 / 1000.0 }));
        assert_eq!(
            settled(&highlights),
            (levels(0.0, 1.0), Some("values beyond their range"))
        );
    }

    #[test]
    fn what_is_no_reading_has_no_say() {
        let mut values: Vec<f32> = (0..1000).map(|k| k as f32 / 1000.0).collect();
        values[3] = f32::NAN;
        values[4] = -9999.0;
        let mut raster = floats(values.into_iter());
        raster.nodata = Some(-9999.0);
        assert_eq!(
            settled(&raster),
            (levels(0.0, 1.0), Some("values without a reading"))
        );
        assert_eq!(
            settled(&floats([f32::NAN; 3].into_iter())).1,
            Some("no values")
        );
    }

    #[test]
    fn values_far_from_all_others_are_no_readings() {
        // Heights of 200 to 300 m, a sixth of them missing.
        let heights = |sentinel: f32| {
            let values = (0..1200).map(|k| {
                if k % 6 == 0 {
                    sentinel
                } else {
                    200.0 + (k % 100) as f32
                }
            });
            choose_levels(&floats(values), ContrastStretch::Auto).levels
        };
        for sentinel in [-9999.0, -3.4e38, 1e20, 65535.0] {
            let found = heights(sentinel);
            assert!(
                found.low >= 200.0 && found.high < 300.0,
                "{sentinel}: {found:?}"
            );
            assert_eq!(found.valid_range.1 < 1e9, sentinel == 1e20);
        }
        // A few hot pixels do not darken the rest.
        let hot = words((0..10_000).map(|k| if k % 150 == 0 { 60_000 } else { k % 256 }));
        assert!(settled(&hot).0.high < 300.0);
    }

    #[test]
    fn nothing_to_see_is_said() {
        assert_eq!(settled(&words([7; 9].into_iter())).1, Some("one value"));
        let mask = raster(RasterSamples::U8([0, 1, 2].repeat(9)), 255.0);
        assert_eq!(settled(&mask).1, Some("narrow value range"));
    }

    #[test]
    fn wishes_come_first() {
        let thermal = words((0..=1000).map(|k| 20_000 + k));
        let asked = |stretch| choose_levels(&thermal, stretch);
        assert_eq!(asked(ContrastStretch::None).levels, levels(0.0, 65535.0));
        assert_eq!(
            asked(ContrastStretch::MinMax).levels,
            levels(20_000.0, 21_000.0)
        );
        let percentiles = asked(ContrastStretch::Percentiles(10.0, 90.0));
        assert_eq!(
            (percentiles.levels, percentiles.warning),
            (levels(20_100.0, 20_900.0), None)
        );
    }
}
