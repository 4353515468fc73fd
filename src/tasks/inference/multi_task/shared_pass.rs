//! Passes of the backbone that several tasks share.

use crate::engine::{BackbonePass, FlipViews, InputScales};
use crate::model::input::Unpad;
use crate::tasks::TaskPredictor;
use crate::vision::preprocess::Preprocessor;

/// A pass of the backbone, and the tasks that it is for.
pub(super) struct SharedPass {
    pub pass: BackbonePass,
    /// A bit for each task, by its number.
    pub tasks: u64,
}

impl SharedPass {
    /// Whether the pass is for the task of this number.
    pub fn serves(&self, task: usize) -> bool {
        self.tasks & (1 << task) != 0
    }
}

/// The passes over whole photos that `tasks` need, each with the tasks that share it.
pub(super) fn share_passes(tasks: &[&dyn TaskPredictor]) -> Vec<SharedPass> {
    let mut passes: Vec<SharedPass> = Vec::new();
    for (index, task) in tasks.iter().enumerate() {
        let Some(pass) = task.mode().whole_pass() else {
            continue;
        };
        let shared = passes
            .iter_mut()
            .find_map(|shared| merge_passes(&shared.pass, pass).zip(Some(shared)));
        match shared {
            Some((pass, shared)) => {
                shared.pass = pass;
                shared.tasks |= 1 << index;
            }
            None => passes.push(SharedPass {
                pass: pass.clone(),
                tasks: 1 << index,
            }),
        }
    }
    passes
}

/// One pass that serves two, if there is one: what differs may be the layers, whether the mirror image is seen too,
/// whether a coarser look is taken too, and what becomes of padding afterwards.
fn merge_passes(one: &BackbonePass, other: &BackbonePass) -> Option<BackbonePass> {
    let alike = |preprocessor: Preprocessor| Preprocessor {
        unpad: Unpad::Crop,
        ..preprocessor
    };
    let looks = match (one.scales, other.scales) {
        (a, b) if a == b => a,
        (InputScales::Full, also @ InputScales::FullAndCoarse(_))
        | (also @ InputScales::FullAndCoarse(_), InputScales::Full) => also,
        _ => return None,
    };
    let views = match (one.views, other.views) {
        (a, b) if a == b => a,
        (FlipViews::Plain, FlipViews::Both) | (FlipViews::Both, FlipViews::Plain) => {
            FlipViews::Both
        }
        _ => return None,
    };
    let mut requests = one.requests.clone();
    requests.extend(
        other
            .requests
            .iter()
            .filter(|request| !one.requests.contains(request)),
    );
    (alike(one.preprocessor) == alike(other.preprocessor)).then_some(BackbonePass {
        preprocessor: one.preprocessor,
        requests,
        views,
        scales: looks,
    })
}
