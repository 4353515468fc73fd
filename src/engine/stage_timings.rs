//! Wall time of one photo by stage (`decode`, `preprocess`, `backbone`, …), for `-v` and `--json`.

use std::fmt;
use std::time::{Duration, Instant};

use serde::ser::{Serialize, SerializeMap, Serializer};

/// Time by named stage, in the order in which the stages first ran; a stage that runs again adds up.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct StageTimings {
    stages: Vec<(&'static str, Duration)>,
}

impl StageTimings {
    /// Runs `work` and adds its wall time to `stage`.
    pub fn time<T>(&mut self, stage: &'static str, work: impl FnOnce() -> T) -> T {
        let start = Instant::now();
        let result = work();
        self.add(stage, start.elapsed());
        result
    }

    /// Adds `time` to `stage`.
    pub fn add(&mut self, stage: &'static str, time: Duration) {
        match self.stages.iter_mut().find(|(name, _)| *name == stage) {
            Some((_, total)) => *total += time,
            None => self.stages.push((stage, time)),
        }
    }

    /// The sum of all stages.
    pub fn total(&self) -> Duration {
        self.stages.iter().map(|(_, time)| *time).sum()
    }

    /// The sum of all stages in seconds, rounded to a tenth of a millisecond.
    pub fn seconds(&self) -> f64 {
        (self.total().as_secs_f64() * 1e4).round() / 1e4
    }
}

/// `decode 31 ms, backbone 1.24 s`
impl fmt::Display for StageTimings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, (stage, time)) in self.stages.iter().enumerate() {
            let separator = if i == 0 { "" } else { ", " };
            match time.as_secs_f64() {
                s if s < 0.9995 => write!(f, "{separator}{stage} {:.0} ms", s * 1e3)?,
                s => write!(f, "{separator}{stage} {s:.2} s")?,
            }
        }
        Ok(())
    }
}

/// `{"decode": 0.0312, "backbone": 1.2401}`, in seconds.
impl Serialize for StageTimings {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(self.stages.len()))?;
        for (stage, time) in &self.stages {
            map.serialize_entry(stage, &((time.as_secs_f64() * 1e4).round() / 1e4))?;
        }
        map.end()
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn stages_add_up_and_keep_their_order() {
        let mut timings = StageTimings::default();
        timings.add("decode", Duration::from_millis(20));
        timings.add("backbone", Duration::from_millis(1500));
        timings.add("decode", Duration::from_millis(11));
        assert_eq!(timings.to_string(), "decode 31 ms, backbone 1.50 s");
        assert_eq!(
            serde_json::to_string(&timings).unwrap(),
            r#"{"decode":0.031,"backbone":1.5}"#
        );
        assert_eq!(timings.total(), Duration::from_millis(1531));
    }
}
