//! Segmentation metrics from one confusion matrix over all pixels of all images, as PASCAL VOC (Everingham et al.,
//! 2010), CamVid and mmsegmentation compute them.
//!
//! With `n_ij` the pixels labelled `i` and predicted `j`: `IoU_i = n_ii / (sum_j n_ij + sum_j n_ji - n_ii)`, mIoU their
//! mean over ids, pixel accuracy `sum_i n_ii / sum_ij n_ij`, mean accuracy the mean of `n_ii / sum_j n_ij`. All are
//! shares, 0..1.

/// The confusion matrix: how many pixels of each labelled id were predicted as which id.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Confusion {
    ids: usize,
    /// `[ids, ids + 1]`, labelled by predicted; the last column counts predictions that stand for no id.
    counts: Vec<u64>,
    /// Per id, the number of images whose label has it.
    images: Vec<u64>,
}

/// The metrics of one id.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct IdMetrics {
    /// Intersection over union, 0..1; none where neither labels nor predictions have the id.
    pub iou: Option<f64>,
    /// Share of its labelled pixels that are predicted as it, 0..1; none where no label has the id.
    pub recall: Option<f64>,
    /// Number of images whose label has the id.
    pub images: u64,
}

impl Confusion {
    /// An empty matrix of `ids` ids.
    pub fn new(ids: usize) -> Self {
        Confusion {
            ids,
            counts: vec![0; ids * (ids + 1)],
            images: vec![0; ids],
        }
    }

    /// Number of ids.
    pub fn ids(&self) -> usize {
        self.ids
    }

    /// Counts one image, pixel by pixel: the labelled id and the predicted one; none where the prediction stands for no
    /// id of the set, which is wrong whatever the label.
    pub fn add(&mut self, pixels: impl Iterator<Item = (u16, Option<u16>)>) {
        let mut seen = vec![false; self.ids];
        for (label, predicted) in pixels {
            let label = usize::from(label);
            let column = predicted.map_or(self.ids, usize::from);
            self.counts[label * (self.ids + 1) + column] += 1;
            seen[label] = true;
        }
        for (count, seen) in self.images.iter_mut().zip(seen) {
            *count += u64::from(seen);
        }
    }

    /// Adds the counts of another matrix of the same ids.
    pub fn merge(&mut self, other: &Confusion) {
        for (to, from) in self.counts.iter_mut().zip(&other.counts) {
            *to += from;
        }
        for (to, from) in self.images.iter_mut().zip(&other.images) {
            *to += from;
        }
    }

    /// The row of a labelled id, `[ids + 1]`: pixels predicted as each id, and last as none.
    pub fn row(&self, id: usize) -> &[u64] {
        &self.counts[id * (self.ids + 1)..][..self.ids + 1]
    }

    /// Number of pixels counted.
    pub fn total(&self) -> u64 {
        self.counts.iter().sum()
    }

    /// Pixels of this id that are predicted as it.
    fn hits(&self, id: usize) -> u64 {
        self.row(id)[id]
    }

    /// The metrics of every id.
    pub fn per_id(&self) -> Vec<IdMetrics> {
        (0..self.ids)
            .map(|id| {
                let labelled: u64 = self.row(id).iter().sum();
                let predicted: u64 = (0..self.ids).map(|row| self.row(row)[id]).sum();
                let union = labelled + predicted - self.hits(id);
                let share = |of: u64| (of > 0).then(|| self.hits(id) as f64 / of as f64);
                IdMetrics {
                    iou: share(union),
                    recall: share(labelled),
                    images: self.images[id],
                }
            })
            .collect()
    }

    /// Mean IoU over the ids that any label has, 0..1; 0 without any.
    pub fn mean_iou(&self) -> f64 {
        mean(
            self.per_id()
                .iter()
                .filter(|one| one.images > 0)
                .filter_map(|one| one.iou),
        )
    }

    /// Mean IoU over the ids that labels or predictions have, as the `nanmean` of mmsegmentation: an id that is
    /// predicted but never labelled counts as 0.
    pub fn mean_iou_of_present(&self) -> f64 {
        mean(self.per_id().iter().filter_map(|one| one.iou))
    }

    /// Number of ids that any label has.
    pub fn labelled_ids(&self) -> usize {
        self.images.iter().filter(|&&images| images > 0).count()
    }

    /// Share of pixels whose id is predicted right, 0..1; 0 without pixels.
    pub fn pixel_accuracy(&self) -> f64 {
        let right: u64 = (0..self.ids).map(|id| self.hits(id)).sum();
        match self.total() {
            0 => 0.0,
            total => right as f64 / total as f64,
        }
    }

    /// Mean recall over the ids that any label has, 0..1 (mAcc of mmsegmentation).
    pub fn mean_accuracy(&self) -> f64 {
        mean(self.per_id().iter().filter_map(|one| one.recall))
    }
}

/// The mean; 0 without values.
fn mean(values: impl Iterator<Item = f64>) -> f64 {
    let (mut sum, mut count) = (0.0, 0u32);
    for value in values {
        sum += value;
        count += 1;
    }
    sum / f64::from(count.max(1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_of_a_small_case() {
        let mut confusion = Confusion::new(4);
        let labels = [0u16, 0, 0, 1, 1, 2];
        let predicted = [Some(0), Some(0), Some(1), Some(1), None, Some(3)];
        confusion.add(labels.into_iter().zip(predicted));
        let ids = confusion.per_id();
        assert_eq!(ids[0].iou, Some(2.0 / 3.0));
        assert_eq!(ids[1].iou, Some(1.0 / 3.0));
        assert_eq!(ids[2].iou, Some(0.0));
        // Predicted, but never labelled: it has an IoU, but no part in the mean.
        assert_eq!((ids[3].iou, ids[3].images), (Some(0.0), 0));
        assert!((confusion.mean_iou() - 1.0 / 3.0).abs() < 1e-12);
        assert!((confusion.mean_iou_of_present() - 0.25).abs() < 1e-12);
        assert_eq!(confusion.labelled_ids(), 3);
        assert!((confusion.pixel_accuracy() - 0.5).abs() < 1e-12);
        assert!((confusion.mean_accuracy() - (2.0 / 3.0 + 0.5) / 3.0).abs() < 1e-12);
        let mut twice = confusion.clone();
        twice.merge(&confusion);
        assert_eq!((twice.total(), twice.per_id()[0].images), (12, 2));
        assert_eq!(twice.pixel_accuracy(), confusion.pixel_accuracy());
    }

    #[test]
    fn nothing_counted_is_no_number_to_be_proud_of() {
        let empty = Confusion::new(2);
        assert_eq!((empty.mean_iou(), empty.pixel_accuracy()), (0.0, 0.0));
    }
}
