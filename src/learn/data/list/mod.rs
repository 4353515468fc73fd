//! Lists of pairs, as people and other programs write them: CSV with commas, semicolons or tabs, JSON lines, and the
//! lists of words that the benchmarks of NYU Depth V2, KITTI and TUM come with.
//!
//! In: the path of a list and the kind of labels that it names. Out: a [`DataSet`](super::DataSet). Paths in a list are
//! relative to the list's own folder; a photo has one label, and a pair that is repeated counts once.

mod benchmark;
mod columns;
mod csv;
mod jsonl;
mod parser;
#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests;

pub(super) use self::benchmark::read_words;
pub(super) use self::csv::read_csv;
pub(super) use self::jsonl::read_jsonl;
