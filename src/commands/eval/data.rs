//! The labelled pairs that an evaluation or a calibration reads.

use std::path::Path;

use dino::learn::data::{DataSet, LabelKind, LabelledPair};
use dino::terminal::console::Console;
use dino::{Error, Result};

use crate::cli::{EvalInputArgs, PartChoice};
use crate::commands::labels;

/// The labelled pairs of `--part` of a data set.
pub struct EvalData {
    /// Name of the data set.
    pub name: String,
    /// Photos and labels, at least one.
    pub pairs: Vec<LabelledPair>,
    /// Units per metre of its depth maps, if its layout says so.
    pub depth_scale: Option<f64>,
}

/// Opens the data set and takes the part of `--part`.
///
/// # Errors
/// If the data cannot be read, or has no such part.
pub fn open_data(args: &EvalInputArgs, kind: LabelKind, console: &Console) -> Result<EvalData> {
    let set = DataSet::open(&args.data, kind)?;
    labels::report_data_set(&set, console);
    let (name, depth_scale) = (set.name.clone(), set.depth_scale);
    let pairs = match args.part {
        PartChoice::Auto if !set.val.is_empty() => set.val,
        PartChoice::Auto | PartChoice::All => set.into_pairs(),
        PartChoice::Train => set.train,
        PartChoice::Val => set.val,
    };
    match pairs.is_empty() {
        true => Err(Error::file(
            &args.data,
            "has no such part; --part all takes everything",
        )),
        false => Ok(EvalData {
            name,
            pairs,
            depth_scale,
        }),
    }
}

impl EvalData {
    /// All files that are read, which no output may replace: photos, labels, the data folder or list, and the head.
    pub fn input_paths<'a>(&'a self, args: &'a EvalInputArgs) -> impl Iterator<Item = &'a Path> {
        let pairs = self.pairs.iter();
        let files = pairs.flat_map(|pair| [&*pair.photo, &*pair.label]);
        let head = args.head.name.as_deref().map(Path::new);
        files.chain([args.data.as_path()]).chain(head)
    }
}
