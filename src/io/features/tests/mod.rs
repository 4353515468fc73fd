mod changes;
mod damage;
mod round_trips;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rayon::prelude::*;
use serde_json::json;

use crate::error::Result;
use crate::io::features::folder::DatasetFolder;
use crate::io::features::retain::retain;
use crate::io::features::*;
use crate::model::input::PatchGrid;
use crate::system::files::Digest;

pub(in crate::io::features) fn meta() -> DatasetMeta {
    DatasetMeta {
        format: DatasetMeta::FORMAT,
        model: "tiny".into(),
        variant: "tiny".into(),
        fingerprint: "a".into(),
        dim: 4,
        computed: "f32".into(),
        layers: vec![
            StoredLayer {
                block: 8,
                norm: false,
            },
            StoredLayer {
                block: 11,
                norm: true,
            },
        ],
        input: json!({"size": {"shorter": 518}}),
        coarse: None,
        cls: true,
        patches: true,
        registers: 0,
        pool: None,
        basis: None,
        points: None,
        precision: Precision::F16,
    }
}

/// The formats, with the folder's name.
fn each(test: impl Fn(&Path)) {
    for format in DatasetFormat::ALL {
        let parent = tempfile::tempdir().unwrap();
        test(
            &parent
                .path()
                .join("feats")
                .with_extension(format.extension()),
        );
    }
}

/// A description with every array that can be stored.
pub(in crate::io::features) fn rich() -> DatasetMeta {
    DatasetMeta {
        coarse: Some(50),
        registers: 2,
        points: Some("points".into()),
        basis: Some(("basis".into(), 3)),
        ..meta()
    }
}

/// Row `number` of a dataset, with distinct values.
pub(in crate::io::features) fn row(
    meta: &DatasetMeta,
    number: usize,
    path: &str,
    key: &str,
) -> FeatureRow {
    let layers = meta.layers.len();
    let grid = PatchGrid {
        rows: 2 + number % 3,
        cols: 3,
    };
    let coarse = PatchGrid { rows: 1, cols: 2 };
    let mut state = number as u32 + 1;
    let mut numbers = |is_stored: bool, count: usize| -> Vec<f32> {
        let mut next = || {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            // Exact in f16.
            f32::from((state >> 21) as u16) / 64.0 - 8.0
        };
        (0..if is_stored { count } else { 0 })
            .map(|_| next())
            .collect()
    };
    let points = if meta.points.is_some() { number % 3 } else { 0 };
    FeatureRow {
        name: RowName {
            path: path.into(),
            page: (number % 2) as u32,
        },
        key: key.into(),
        sha256: format!("{number:064x}"),
        digest: Digest::of_bytes(path.as_bytes()),
        photo_size: (640 + number as u32, 480),
        grid,
        cls: numbers(meta.cls, layers * meta.dim),
        patches: numbers(meta.patches, layers * grid.len() * meta.patch_width()),
        registers: numbers(true, layers * meta.registers * meta.dim),
        coarse: meta.coarse.map(|_| {
            (
                coarse,
                numbers(meta.cls, layers * meta.dim),
                numbers(meta.patches, layers * coarse.len() * meta.dim),
            )
        }),
        points: (0..points).map(|p| (p as f32 + 0.1, 7.0)).collect(),
        point_features: numbers(true, points * layers * meta.dim),
    }
}

fn plain(meta: &DatasetMeta, number: usize) -> FeatureRow {
    row(
        meta,
        number,
        &format!("/p/{number}.jpg"),
        &format!("{number}"),
    )
}

fn write(
    folder: &Path,
    meta: &DatasetMeta,
    rows: &[FeatureRow],
    options: WriterOptions,
) -> Vec<FinishedPart> {
    let mut writer = DatasetWriter::open(folder, meta.clone(), options).unwrap();
    let mut done = Vec::new();
    for row in rows {
        done.extend(writer.push(row.clone()).unwrap());
    }
    done.extend(writer.finish().unwrap());
    done
}

fn small(part_bytes: u64) -> WriterOptions {
    WriterOptions {
        part_bytes,
        ..WriterOptions::default()
    }
}

fn read(folder: &Path) -> Vec<FeatureRow> {
    let dataset = Dataset::open(folder).unwrap();
    (0..dataset.len())
        .map(|row| dataset.read(row).unwrap())
        .collect()
}

/// All files of a folder, by name.
fn files(folder: &Path) -> BTreeMap<String, Vec<u8>> {
    let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap());
    entries
        .map(|entry| {
            let name = entry.file_name().into_string().unwrap();
            (name, fs::read(entry.path()).unwrap())
        })
        .collect()
}

/// The files that are parts, in order.
fn parts(folder: &Path) -> Vec<PathBuf> {
    let dataset = Dataset::open(folder).unwrap();
    (0..)
        .map_while(|part| dataset.part_path(part).map(Path::to_owned))
        .collect()
}

/// Removes the rows for which `keep` is false; returns their number.
fn leave(folder: &Path, keep: impl Fn(&RowInfo) -> bool) -> Result<usize> {
    let folder = DatasetFolder {
        path: folder.to_owned(),
        format: DatasetFormat::from_path(folder).unwrap(),
    };
    let meta = Arc::new(folder.read_meta()?.unwrap());
    let (found, rows) = folder.open_parts(&meta)?;
    retain(&folder, &meta, &found, &rows, keep)?;
    Ok(rows.len() - folder.open_parts(&meta)?.1.len())
}
