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
    pub fn includes_task(&self, task: usize) -> bool {
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

/// One pass that serves both, if there is one: they may differ in the layers, in whether the mirror image or the coarse
/// scale is computed too, and in how padding is removed from the output.
fn merge_passes(one: &BackbonePass, other: &BackbonePass) -> Option<BackbonePass> {
    let without_unpad = |preprocessor: Preprocessor| Preprocessor {
        unpad: Unpad::Crop,
        ..preprocessor
    };
    let scales = match (one.scales, other.scales) {
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
    (without_unpad(one.preprocessor) == without_unpad(other.preprocessor)).then_some(BackbonePass {
        preprocessor: one.preprocessor,
        requests,
        views,
        scales,
    })
}
