//! Features of photos, stored in a dataset (`dino features`); its format is that of
//! [`io::features`](crate::io::features).
//!
//! In: tokens of one or more layers. Out: one row a photo with its cls token, patch tokens (pooled, projected or
//! sampled at pixels, if asked for) and registers. `selection` turns a recipe into what is taken of a photo, `tokens`
//! takes it, `row` is what is stored of a photo, and `dataset_update` writes rows and notes them in the dataset's
//! record.

mod dataset_update;
mod row;
mod selection;
mod task;
mod tokens;

pub use row::{GatheredRow, changed_part_error, row_name};
pub use selection::describe_input;
pub use task::FeaturesTask;
pub use tokens::{PhotoTokens, TokenSelection};
