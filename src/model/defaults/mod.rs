//! The weights of a command that names none: Meta's where they can be fetched, else those inside the program and
//! `vits14-focus`.
//!
//! [`fetch_missing`] is the first run: the weights that a command needs are fetched from their publisher, once, and
//! where that fails the command runs with less exact ones. [`DefaultsState`] remembers earlier runs. Which head and
//! which backbone are then used is the rule of [`HeadStore::choose`](crate::model::head_zoo::HeadStore::choose) and
//! [`default_model`](crate::model::weights::default_model).

mod first_run;
mod state;

pub use first_run::{FirstRunReport, MissingWeights, fetch_missing};
pub use state::DefaultsState;

use crate::model::head_zoo::official::{HeadMethod, OfficialDataset, OfficialHead};

/// The backbone that is fetched where none of Meta's is installed: the smallest and fastest.
pub const BACKBONE: &str = "vits14";

/// The weights that a command needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RequiredWeights {
    /// A depth head and its backbone.
    Depth,
    /// A segmentation head and its backbone.
    Segment,
    /// A backbone alone.
    Backbone,
}

impl RequiredWeights {
    /// The published head to fetch for it, on `backbone`; `None` where no head is needed.
    pub fn official(self, backbone: &'static str) -> Option<OfficialHead> {
        let (data, method) = match self {
            RequiredWeights::Depth => (OfficialDataset::Nyu, HeadMethod::Linear4),
            RequiredWeights::Segment => (OfficialDataset::Ade20k, HeadMethod::Linear),
            RequiredWeights::Backbone => return None,
        };
        Some(OfficialHead {
            dataset: data,
            method,
            backbone,
        })
    }

    /// The weights that `task`, as commands spell it, needs.
    pub fn of_task(task: &str) -> Self {
        match task {
            "depth" => RequiredWeights::Depth,
            "segment" => RequiredWeights::Segment,
            _ => RequiredWeights::Backbone,
        }
    }

    /// The task, where it needs a head.
    pub fn task(self) -> Option<&'static str> {
        match self {
            RequiredWeights::Depth => Some("depth"),
            RequiredWeights::Segment => Some("segment"),
            RequiredWeights::Backbone => None,
        }
    }
}
