//! Checks of depth maps: maps that were scaled one by one, maps in different units, and readings outside the range that
//! counts or that the head can predict.

use crate::error::{Error, Result};
use crate::learn::data::statistics::{DepthStatistics, LabelSample};

/// Factor between the medians of two maps (neighbours in order of medians) from which they seem to be in different
/// units.
const UNIT_GAP: f32 = 20.0;

/// The same factor between the middle medians of maps of different formats.
const UNIT_GAP_BETWEEN_FORMATS: f32 = 3.0;

/// Maxima of maps that were scaled to be viewed as pictures.
const NORMALISED_MAXIMA: [f32; 3] = [1.0, 255.0, 65_535.0];

/// Usual depth scales: units per metre.
const SCALES: [f64; 9] = [
    1.0, 10.0, 100.0, 256.0, 1000.0, 4000.0, 5000.0, 10_000.0, 100_000.0,
];

/// A check of the depth maps of one data set before they are used.
#[derive(Debug, Clone, Copy)]
pub struct DepthMapCheck<'a> {
    /// Name of the data set.
    pub name: &'a str,
    /// The maps that were sampled.
    pub sample: &'a LabelSample,
    /// The readings in these maps.
    pub statistics: &'a DepthStatistics,
    /// Units per metre that the user named (`--depth-scale`); none where nothing was named.
    pub user_scale: Option<f64>,
    /// Units per metre in use for maps of whole numbers.
    pub scale: f64,
    /// Range of labels that count (`--min-depth` and `--max-depth`), metres.
    pub counted_range: (f64, f64),
    /// Range of depths that the head can predict, metres.
    pub head_range: (f64, f64),
}

impl DepthMapCheck<'_> {
    /// Warnings about the maps, as sentences.
    ///
    /// # Errors
    /// Unless the user named the scale: where float maps were scaled to one maximum each, or the median reading is
    /// outside the range that counts and that the head can predict (from half of its lower end), as with a wrong scale.
    pub fn check(&self) -> Result<Vec<String>> {
        let statistics = self.statistics;
        let mut sentences = Vec::new();
        if statistics.readings.is_empty() {
            return Ok(sentences);
        }
        let (low, high) = (
            self.head_range.0.max(self.counted_range.0),
            self.head_range.1.min(self.counted_range.1),
        );
        let median = statistics.quantile(0.5);
        let counted = statistics.share_within(self.counted_range.0, self.counted_range.1);
        let what = self.sample.describe("depth maps");
        let first = || self.sample.labels.first().cloned().unwrap_or_default();
        if let Some(top) = statistics.shared_maximum() {
            if !self.holds_integers()
                && NORMALISED_MAXIMA.contains(&top)
                && self.user_scale.is_none()
            {
                let why = format!(
                    "this and the other depth maps of {} all reach exactly {top}, as maps do that were scaled to it one by \
                     one and are no metres any more; who names --depth-scale 1 is believed",
                    self.name
                );
                return Err(Error::file(first(), why));
            }
            let units = (f64::from(top) * self.scale).round();
            if self.holds_integers() && (units == 65_535.0 || units == 255.0) {
                sentences.push(format!(
                    "{}: {what} all reach exactly {units}, which stands for no reading, or they were scaled to it one by one \
                     and are no distances",
                    self.name
                ));
            }
        }
        if let Some([low, high]) = statistics
            .find_unit_gap(UNIT_GAP)
            .or_else(|| statistics.find_format_gap(UNIT_GAP_BETWEEN_FORMATS))
        {
            sentences.push(format!(
                "{}: the median of {} is {}, but that of {} {}; they seem to be in different units",
                self.name,
                low.0.display(),
                format_metres(low.1.into()),
                high.0.display(),
                format_metres(high.1.into())
            ));
        }
        // Half of the least depth: a head for rooms may be used for a table top.
        if !(0.5 * low..=high).contains(&median) {
            let core = format!(
                "readings go from {} to {}, {} in the median, but what counts is {} to {}{}; {}",
                format_metres(statistics.quantile(0.02)),
                format_metres(statistics.quantile(0.98)),
                format_metres(median),
                format_metres(low),
                format_metres(high),
                match self.user_scale {
                    Some(scale) => format!(" (--depth-scale {scale})"),
                    None => String::new(),
                },
                self.suggest_option(low, high)
            );
            if self.user_scale.is_none() {
                let why = format!(
                    "in this and the other depth maps of {} {core}; who names --depth-scale is believed",
                    self.name
                );
                return Err(Error::file(first(), why));
            }
            sentences.push(format!("{}: in {what} {core}", self.name));
        } else if counted < 0.75 {
            sentences.push(format!(
                "{}: {:.0} % of the readings of {what} are not within --min-depth {} and --max-depth {}, and do not count",
                self.name,
                100.0 * (1.0 - counted),
                format_number(self.counted_range.0),
                format_number(self.counted_range.1)
            ));
        } else if let within = statistics.share_within(self.head_range.0, self.head_range.1)
            && within < 0.5
        {
            sentences.push(format!(
                "{}: {:.0} % of the readings of {what} are not within {} to {}, which is what the head tells; {}",
                self.name,
                100.0 * (1.0 - within),
                format_metres(self.head_range.0),
                format_metres(self.head_range.1),
                self.suggest_option(low, high)
            ));
        }
        // Few readings in a long image are those of a rotating laser scanner.
        let is_lidar =
            statistics.valid_share < 0.4 && (3.0..3.8).contains(&statistics.aspect_ratio);
        if is_lidar && self.user_scale.is_none() && self.scale == 1000.0 && self.holds_integers() {
            sentences.push(format!(
                "{}: {what} look like KITTI's, whose units are 1/256 metre; they are read as millimetres, --depth-scale 256 \
                 says otherwise",
                self.name
            ));
        }
        Ok(sentences)
    }

    /// Whether the maps are of whole numbers, by the extension of the first one (PNG, PGM).
    fn holds_integers(&self) -> bool {
        let first = self.sample.labels.first().and_then(|path| path.extension());
        first.is_some_and(|ending| {
            ending.eq_ignore_ascii_case("png") || ending.eq_ignore_ascii_case("pgm")
        })
    }

    /// The options that would make most readings count, for messages.
    fn suggest_option(&self, low: f64, high: f64) -> String {
        let units = self.statistics.quantile(0.5) * self.scale;
        if (self.head_range.0..=self.head_range.1).contains(&self.statistics.quantile(0.5)) {
            return "--max-depth and --min-depth say which distances count".to_owned();
        }
        let range =
            "--max-depth and --min-depth, and in training --range, say which distances count";
        let fits = |scale: &f64| *scale != self.scale && (low..=high).contains(&(units / scale));
        let fitting: Vec<f64> = SCALES.into_iter().filter(fits).collect();
        let median = self.statistics.quantile(0.5);
        let units_of = [(1000.0, "millimetres"), (100.0, "centimetres")];
        let floats = units_of
            .into_iter()
            .find(|(units, _)| (low..=high).contains(&(median / units)));
        match self.holds_integers() {
            false if let Some((units, name)) = floats => format!(
                "floats are metres, and these look like {name}, which --depth-scale {units} says they are; {range}"
            ),
            _ if fitting.is_empty() => range.to_owned(),
            true => {
                let one = |scale: &f64| {
                    format!(
                        "--depth-scale {scale} would make it {} in the median",
                        format_metres(units / scale)
                    )
                };
                let all: Vec<String> = fitting.iter().map(one).collect();
                format!("{}; {range}", all.join(", "))
            }
            false => format!("of whole numbers --depth-scale says the unit; {range}"),
        }
    }
}

/// A number with as few digits as it has as an f32, where it came from one.
fn format_number(value: f64) -> String {
    match f64::from(value as f32) == value {
        true => (value as f32).to_string(),
        false => value.to_string(),
    }
}

/// A distance for messages, such as `1.5 m`.
fn format_metres(value: f64) -> String {
    match value {
        v if v >= 100.0 => format!("{v:.0} m"),
        v if v >= 1.0 => format!("{v:.1} m"),
        v if v >= 0.1 => format!("{v:.2} m"),
        v => format!("{v:.4} m"),
    }
}
