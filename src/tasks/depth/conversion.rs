//! The conversion from a head's values to metres, by `--scale` and `--shift` or by a calibration.

use super::head::{METRE, depth_readout, unit};
use crate::error::{Error, Result};
use crate::model::head::{DepthReadout, HeadMeta, HeadTask};
use crate::vision::postprocess::metres::MAX_METRES;
use crate::vision::postprocess::{MetricConversion, ScaleShift};

/// The conversion to metres by `scale` and `shift`, for a head of this `meta`: `1 / (scale * value + shift)` of
/// relative inverse depth, `scale * value` of metres.
///
/// # Errors
/// [`Error::Usage`] if the head gives neither relative inverse depth nor metres, or metres with a `shift`.
pub fn metric_conversion(
    meta: &HeadMeta,
    scale: f64,
    shift: Option<f64>,
) -> Result<MetricConversion> {
    let name = &meta.name;
    match (depth_readout(meta)?.is_inverse(), shift) {
        (true, shift) => Ok(MetricConversion::Inverse(ScaleShift {
            scale,
            shift: shift.unwrap_or(0.0),
        })),
        (false, Some(_)) => Err(Error::Usage(format!(
            "--shift is of relative inverse depth, and the head {name} gives depths in {}; leave it out",
            unit(meta)
        ))),
        (false, None) if unit(meta) != METRE => Err(Error::Usage(format!(
            "--scale makes metres of relative inverse depth, or of other metres, and the head {name} gives depths in {}; \
             leave it out",
            unit(meta)
        ))),
        (false, None) => Ok(MetricConversion::Factor(scale)),
    }
}

/// The unit (metres) and the range of a head's depths after `conversion`.
pub(super) fn converted_task(meta: &HeadMeta, conversion: MetricConversion) -> Result<HeadTask> {
    let (min, max) = match conversion {
        MetricConversion::Inverse(_) => (f64::from(f32::MIN_POSITIVE), f64::from(MAX_METRES)),
        MetricConversion::Factor(factor) => {
            let (min, max) = depth_readout(meta)?.range();
            (factor * min, factor * max)
        }
    };
    Ok(HeadTask::Depth {
        readout: DepthReadout::Direct { min, max },
        unit: METRE.to_owned(),
    })
}
