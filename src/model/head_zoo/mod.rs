//! Where heads come from: those inside the program, those a user installed or fetched from their publisher, and files.
//!
//! The head of a task is chosen by one rule, [`HeadStore::choose_with_reason`]. A head's file is a safetensors file
//! whose metadata hold one JSON object, [`HeadMeta`](crate::model::head::HeadMeta); its format is documented at
//! [`head::file`](crate::model::head::file).
//!
//! | module | owns |
//! | --- | --- |
//! | [`builtin`] | the heads inside the program, and their ranking |
//! | `store` | [`HeadStore`]: list, get, install and remove heads |
//! | `choose` | the choice of a task's head, with its reason |
//! | [`official`], `official_meta` | the table of Meta's heads for DINOv2 |
//! | [`depth_anything`] | the table of the heads of Depth Anything V2 |
//! | [`published`] | both tables as one |
//! | `signature`, [`convert`] | published checkpoints are recognised by tensor sizes and converted |
//! | [`fetch`] | download from the publisher's host or the Hugging Face hub |
//! | [`import`], `candidates` | installation of a published head's file, and which head a file or word means |
//! | [`calibration`] | `NAME.calibration.json`: what `dino calibrate` fitted beside a depth head |
//! | [`scene`] | whether a photo shows a room |

pub mod builtin;
pub mod calibration;
mod candidates;
mod choose;
pub mod convert;
pub mod depth_anything;
pub mod fetch;
pub mod import;
pub mod official;
mod official_meta;
pub mod published;
pub mod scene;
mod signature;
mod store;

pub use crate::model::weights::config::TASKS;
pub use calibration::DepthCalibration;
pub use choose::HeadChoiceReason;
pub use signature::HeadSignature;
pub use store::{HeadLocation, HeadStore, LocatedHead};
