//! The classes of a label map: how many pixels each covers, and with which mean probability; and masking of pixels by
//! probability or class ([`NO_CLASS`]).

use crate::vision::postprocess::LabelMap;

/// The id of a pixel without a class: its probability is below the requested minimum, or its class was left out.
pub const NO_CLASS: u16 = u16::MAX;

/// The area of one class of a label map.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ClassArea {
    /// Index of the class.
    pub id: u16,
    /// Number of its pixels.
    pub pixels: u64,
    /// Its share of all pixels of the map, those without a class included; 0..1.
    pub share: f64,
    /// Mean softmax probability of the class over its pixels, 0..1.
    pub confidence: f64,
}

impl LabelMap {
    /// The classes of the map, the largest first; pixels of [`NO_CLASS`] count in no class.
    pub fn areas(&self) -> Vec<ClassArea> {
        let mut sums: Vec<(u64, f64)> = Vec::new();
        for (&id, &confidence) in self.ids.iter().zip(&self.confidence) {
            if id == NO_CLASS {
                continue;
            }
            let index = usize::from(id);
            if sums.len() <= index {
                sums.resize(index + 1, (0, 0.0));
            }
            sums[index].0 += 1;
            sums[index].1 += f64::from(confidence);
        }
        let all = self.ids.len() as f64;
        let mut areas: Vec<ClassArea> = (0..)
            .zip(sums)
            .filter(|(_, (pixels, _))| *pixels > 0)
            .map(|(id, (pixels, confidence))| ClassArea {
                id,
                pixels,
                share: pixels as f64 / all,
                confidence: confidence / pixels as f64,
            })
            .collect();
        areas.sort_by_key(|area| std::cmp::Reverse(area.pixels));
        areas
    }

    /// Sets the pixels whose class has a probability below `least` (0..1) to [`NO_CLASS`], and returns how many they
    /// are. Their confidence stays.
    pub fn mask_below_confidence(&mut self, least: f32) -> u64 {
        let mut unsure = 0;
        for (id, &confidence) in self.ids.iter_mut().zip(&self.confidence) {
            if *id != NO_CLASS && confidence < least {
                *id = NO_CLASS;
                unsure += 1;
            }
        }
        unsure
    }

    /// Sets the pixels whose class is not in `kept` (one flag a class) to [`NO_CLASS`], and their confidence to 0.
    pub fn retain_classes(&mut self, kept: &[bool]) {
        for (id, confidence) in self.ids.iter_mut().zip(&mut self.confidence) {
            if !kept.get(usize::from(*id)).is_some_and(|kept| *kept) {
                *id = NO_CLASS;
                *confidence = 0.0;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn map() -> LabelMap {
        LabelMap {
            width: 3,
            height: 2,
            ids: vec![2, 2, 0, 2, 5, 5],
            confidence: vec![0.5, 0.75, 1.0, 1.0, 0.25, 0.75],
        }
    }

    #[test]
    fn areas_fall_and_add_up() {
        let areas = map().areas();
        let found: Vec<_> = areas
            .iter()
            .map(|a| (a.id, a.pixels, a.confidence))
            .collect();
        assert_eq!(found, [(2, 3, 0.75), (5, 2, 0.5), (0, 1, 1.0)]);
        let whole: f64 = areas.iter().map(|a| a.share).sum();
        assert!((whole - 1.0).abs() < 1e-12);
    }

    #[test]
    fn what_is_unsure_is_none_and_counted() {
        let mut map = map();
        map.retain_classes(&[true, true, true, true, true, false]);
        assert_eq!(map.mask_below_confidence(0.75), 1);
        assert_eq!(map.ids, [NO_CLASS, 2, 0, 2, NO_CLASS, NO_CLASS]);
        assert_eq!(map.confidence[0], 0.5);
        assert_eq!(map.mask_below_confidence(0.0), 0);
    }

    #[test]
    fn what_is_not_kept_is_none_and_counts_in_the_whole() {
        let mut map = map();
        map.retain_classes(&[true, true, false, true, true, true]);
        assert_eq!(map.ids, [NO_CLASS, NO_CLASS, 0, NO_CLASS, 5, 5]);
        let areas = map.areas();
        assert_eq!((areas.len(), areas[0].id), (2, 5));
        assert!((areas[0].share - 1.0 / 3.0).abs() < 1e-12);
    }
}
