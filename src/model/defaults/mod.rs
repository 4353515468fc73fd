//! What a bare command computes with: Meta's weights where they can be had, else those that always can.
//!
//! [`fetch_missing`] is the first run: what a command needs and nobody named is fetched from its publisher, once, and
//! where that fails nothing is lost but a better picture. [`DefaultsState`] keeps what a later run has to know of earlier ones.
//! Which head and which backbone are then used is the rule of [`HeadStore::choose`](crate::model::head_zoo::HeadStore::choose) and
//! [`default_model`](crate::model::weights::default_model).

mod first_run;
mod state;

pub use first_run::{FirstRunReport, MissingWeights, fetch_missing};
pub use state::DefaultsState;

use crate::model::head_zoo::official::{HeadMethod, OfficialDataset, OfficialHead};

/// The backbone that is fetched where none of Meta's is installed: small and fast.
pub const BACKBONE: &str = "vits14";

/// What a command needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RequiredWeights {
    /// A depth head and its backbone.
    Depth,
    /// A segmentation head and its backbone.
    Segment,
    /// A backbone.
    Backbone,
}

impl RequiredWeights {
    /// The published head that answers it, of `backbone`.
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

    /// Of a task as commands spell it.
    pub fn of_task(task: &str) -> Self {
        match task {
            "depth" => RequiredWeights::Depth,
            "segment" => RequiredWeights::Segment,
            _ => RequiredWeights::Backbone,
        }
    }

    /// The task that it is of, where that needs a head.
    pub fn task(self) -> Option<&'static str> {
        match self {
            RequiredWeights::Depth => Some("depth"),
            RequiredWeights::Segment => Some("segment"),
            RequiredWeights::Backbone => None,
        }
    }
}
