//! Label changes: how often the predicted id changes between neighbouring pixels, over how often the label's does; 1 is
//! as smooth as the labels, 3 is speckle.

use dino::learn::eval::LabelChanges;
use serde_json::{Map, Value, json};

/// The ratio of label changes over all photos.
pub struct LabelChangeRatio {
    /// Mean over the photos whose labels change at all; none if there are none.
    pub mean: Option<f64>,
    /// Number of these photos.
    images: usize,
    /// The ratio of the changes of all photos together.
    total: Option<f64>,
}

impl LabelChangeRatio {
    /// The ratio from the counts of each photo.
    pub fn of(all: &[LabelChanges]) -> Self {
        let ratios: Vec<f64> = all.iter().filter_map(|one| one.ratio()).collect();
        let total = all
            .iter()
            .fold(LabelChanges::default(), |sum, one| LabelChanges {
                predicted: sum.predicted + one.predicted,
                labelled: sum.labelled + one.labelled,
            });
        LabelChangeRatio {
            mean: (!ratios.is_empty()).then(|| ratios.iter().sum::<f64>() / ratios.len() as f64),
            images: ratios.len(),
            total: total.ratio(),
        }
    }

    /// Adds the ratios and the rules by which they are computed to the metrics for JSON.
    pub fn add_to_report(&self, figures: &mut Map<String, Value>) {
        let mut put = |key: &str, value: Value| figures.insert(key.to_owned(), value);
        put("label_changes", json!(self.mean));
        put(
            "label_changes_rule",
            json!(format!(
                "how often the predicted id changes along the rows and columns of a photo, over how often the label's own \
                 does (pixels that are not judged are passed over); mean over the {} images whose labels change",
                self.images
            )),
        );
        put("label_changes_total", json!(self.total));
        put(
            "label_changes_total_rule",
            json!("the changes of all images together, over the labels' own"),
        );
    }
}
