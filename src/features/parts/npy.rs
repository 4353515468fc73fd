//! NumPy's arrays: a file for each kind of array, and a table in CSV that tells whose is what. The table is what makes a
//! part be there: it is written last.
//!
//! `PART.cls.npy` is `[photos, L, D]`, and so on; grids differ between photos, so that `PART.patches.npy` is
//! `[tokens, width]`, of one photo after the other, each with one layer after the other, row by row.
//!
//! When a part is continued, its arrays are replaced one by one by longer ones that begin the same, so that the old table is
//! right at any moment. When rows leave, only the table is rewritten, and their numbers stay in the arrays.

use std::collections::HashMap;
use std::io::Seek;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use csv::StringRecord;

use crate::backbone::Grid;
use crate::error::{Error, Result};
use crate::features::arrays::{Array, Encoded};
use crate::features::parts::{
    Files, Part, PartWriter, Pieces, Seen, check_mark, damaged, foreign, numpy,
};
use crate::features::{DatasetMeta, RowInfo, RowName};
use crate::output::write_stamped;

/// What the first axis of an array counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Axis {
    Row,
    Patch,
    CoarsePatch,
    Point,
}

impl Axis {
    fn of(array: Array) -> Self {
        match array {
            Array::Cls | Array::Registers | Array::CoarseCls => Axis::Row,
            Array::Patches => Axis::Patch,
            Array::CoarsePatches => Axis::CoarsePatch,
            Array::Points | Array::At => Axis::Point,
        }
    }

    /// Where a photo's numbers begin on it.
    fn of_place(self, place: &mut Place) -> &mut usize {
        match self {
            Axis::Row => &mut place.row,
            Axis::Patch => &mut place.first_patch,
            Axis::CoarsePatch => &mut place.first_coarse_patch,
            Axis::Point => &mut place.first_point,
        }
    }
}

/// Where a photo's numbers begin in the arrays.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Place {
    row: usize,
    first_patch: usize,
    first_coarse_patch: usize,
    first_point: usize,
}

impl Place {
    /// That of the photo behind.
    fn next(mut self, meta: &DatasetMeta, info: &RowInfo) -> Self {
        let stored = Array::stored(meta);
        let mut moved = Vec::new();
        for array in stored {
            let axis = Axis::of(array);
            if axis != Axis::Row && !moved.contains(&axis) {
                *axis.of_place(&mut self) += along(array, meta, info).0;
                moved.push(axis);
            }
        }
        self.row += 1;
        self
    }
}

/// How many of an array's rows a photo has, and their shape.
fn along(array: Array, meta: &DatasetMeta, info: &RowInfo) -> (usize, Vec<usize>) {
    let shape = array.shape(meta, info);
    match Axis::of(array) {
        Axis::Row => (1, shape),
        Axis::Point => (shape[0], shape[1..].to_vec()),
        Axis::Patch | Axis::CoarsePatch => (shape[..3].iter().product(), shape[3..].to_vec()),
    }
}

/// The file with the arrays of a kind beside the table `path`.
fn file(path: &Path, array: Array) -> PathBuf {
    let stem = path.file_stem().unwrap_or_default().to_string_lossy();
    path.with_file_name(format!("{stem}.{}.npy", array.name()))
}

/// A part is in memory until it is finished: the arrays' heads tell how long they are.
pub(super) struct Writer {
    path: PathBuf,
    meta: Arc<DatasetMeta>,
    infos: Vec<RowInfo>,
    arrays: Vec<Vec<Vec<u8>>>,
}

impl Writer {
    pub(super) fn begin(path: &Path, meta: &Arc<DatasetMeta>) -> Self {
        Writer {
            path: path.to_owned(),
            meta: Arc::clone(meta),
            infos: Vec::new(),
            arrays: vec![Vec::new(); Array::stored(meta).len()],
        }
    }
}

impl PartWriter for Writer {
    fn push(&mut self, row: Encoded) -> Result<()> {
        self.infos.push(row.info);
        for (all, bytes) in self.arrays.iter_mut().zip(row.arrays) {
            all.push(bytes);
        }
        Ok(())
    }

    fn finish(self: Box<Self>) -> Result<Files> {
        let meta = &self.meta;
        let mut files = Vec::new();
        for (array, rows) in Array::stored(meta).into_iter().zip(&self.arrays) {
            let path = file(&self.path, array);
            let along = self.infos.iter().map(|info| along(array, meta, info));
            let (mut shape, mut tail) = (vec![0], Vec::new());
            for (count, rest) in along {
                shape[0] += count;
                tail = rest;
            }
            shape.append(&mut tail);
            let head = numpy::head(&shape, array.precision(meta))
                .map_err(|error| Error::io(&path, &error))?;
            let stamp = write_stamped(&path, |writer| {
                writer.write_all(&head)?;
                rows.iter().try_for_each(|bytes| writer.write_all(bytes))
            })?;
            files.push((path, stamp));
        }
        let mut place = Place::default();
        let places = self.infos.iter().map(|info| {
            let here = place;
            place = place.next(meta, info);
            (info, here)
        });
        let places: Vec<(&RowInfo, Place)> = places.collect();
        files.insert(0, write_table(&self.path, meta, &places)?);
        Ok(files)
    }
}

/// The columns of the table.
fn columns(meta: &DatasetMeta) -> Vec<&'static str> {
    let stored = Array::stored(meta);
    let has = |axis| stored.iter().any(|&array| Axis::of(array) == axis);
    let mut columns = vec![
        "row", "rows", "key", "path", "page", "sha256", "blake3", "width", "height", "grid_h",
        "grid_w",
    ];
    if has(Axis::Patch) {
        columns.push("first_patch");
    }
    if meta.coarse.is_some() {
        columns.extend(["coarse_grid_h", "coarse_grid_w"]);
    }
    if has(Axis::CoarsePatch) {
        columns.push("first_coarse_patch");
    }
    if has(Axis::Point) {
        columns.extend(["first_point", "n_points"]);
    }
    columns.push("dataset");
    columns
}

fn write_table(
    path: &Path,
    meta: &DatasetMeta,
    rows: &[(&RowInfo, Place)],
) -> Result<(PathBuf, Option<crate::manifest::Stamp>)> {
    let (columns, mark) = (columns(meta), meta.mark());
    let stamp = write_stamped(path, |writer| {
        let mut table = csv::Writer::from_writer(writer);
        table.write_record(&columns)?;
        for (info, place) in rows {
            let coarse = info.coarse.unwrap_or(Grid { rows: 0, cols: 0 });
            let field = |name: &&str| match *name {
                "row" => place.row.to_string(),
                "rows" => rows.len().to_string(),
                "key" => info.key.clone(),
                "path" => info.name.path.clone(),
                "page" => info.name.page.to_string(),
                "sha256" => info.sha256.clone(),
                "blake3" => info.digest.to_string(),
                "width" => info.photo.0.to_string(),
                "height" => info.photo.1.to_string(),
                "grid_h" => info.grid.rows.to_string(),
                "grid_w" => info.grid.cols.to_string(),
                "first_patch" => place.first_patch.to_string(),
                "coarse_grid_h" => coarse.rows.to_string(),
                "coarse_grid_w" => coarse.cols.to_string(),
                "first_coarse_patch" => place.first_coarse_patch.to_string(),
                "first_point" => place.first_point.to_string(),
                "n_points" => info.points.to_string(),
                _ => mark.clone(),
            };
            table.write_record(columns.iter().map(field))?;
        }
        table.flush()
    })?;
    Ok((path.to_owned(), stamp))
}

/// Rewrites the table of the part at `path` with the rows that are kept; the arrays stay.
///
/// # Errors
/// Names the file that cannot be read or written.
pub(super) fn keep(path: &Path, meta: &Arc<DatasetMeta>, kept: &[&RowInfo]) -> Result<Files> {
    let (_, places) = read_table(path, meta)?;
    let missing = || damaged(path, "a row is missing");
    let rows = kept.iter().map(|&info| {
        let place = places.get(info.row).ok_or_else(missing)?;
        Ok((info, *place))
    });
    let rows: Vec<(&RowInfo, Place)> = rows.collect::<Result<_>>()?;
    let mut files = vec![write_table(path, meta, &rows)?];
    let arrays = Array::stored(meta).into_iter();
    files.extend(arrays.map(|array| (file(path, array), None)));
    Ok(files)
}

/// The arrays beside the table `path`.
pub(super) fn arrays(path: &Path) -> impl Iterator<Item = PathBuf> {
    Array::ALL.into_iter().map(|array| file(path, array))
}

fn read_table(path: &Path, meta: &DatasetMeta) -> Result<(Vec<RowInfo>, Vec<Place>)> {
    let wrong = |error: csv::Error| match error.into_kind() {
        csv::ErrorKind::Io(error) => Error::io(path, &error),
        kind => damaged(path, format!("{kind:?}")),
    };
    let mut table = csv::Reader::from_path(path).map_err(wrong)?;
    let header = table.headers().map_err(wrong)?.clone();
    let columns = columns(meta);
    if header.iter().ne(columns.iter().copied()) {
        // Cut off within its first line, or somebody else's.
        return Err(match header.is_empty() {
            true => damaged(path, "it is empty"),
            false => foreign(path),
        });
    }
    let columns: HashMap<&str, usize> = columns.into_iter().zip(0..).collect();
    let (mut rows, mut places, mut promised) = (Vec::new(), Vec::new(), 0);
    for record in table.records() {
        let record: StringRecord = record.map_err(wrong)?;
        let text = |name: &str| {
            let index = columns.get(name).copied();
            index.and_then(|index| record.get(index)).unwrap_or("")
        };
        let number = |name: &str| -> Result<usize> {
            let number = text(name).parse();
            number.map_err(|_| damaged(path, format!("`{name}` of a row is no number")))
        };
        let optional = |name: &str| match columns.contains_key(name) {
            true => number(name),
            false => Ok(0),
        };
        let size = |name: &str| -> Result<u32> {
            let size = number(name)?.try_into();
            size.map_err(|_| damaged(path, format!("`{name}` of a row is too large")))
        };
        check_mark(path, text("dataset"), meta)?;
        promised = number("rows")?;
        rows.push(RowInfo {
            name: RowName {
                path: text("path").to_owned(),
                page: size("page")?,
            },
            key: text("key").to_owned(),
            sha256: text("sha256").to_owned(),
            digest: text("blake3")
                .parse()
                .map_err(|why: String| damaged(path, why))?,
            photo: (size("width")?, size("height")?),
            grid: Grid {
                rows: number("grid_h")?,
                cols: number("grid_w")?,
            },
            coarse: match meta.coarse {
                Some(_) => Some(Grid {
                    rows: number("coarse_grid_h")?,
                    cols: number("coarse_grid_w")?,
                }),
                None => None,
            },
            points: optional("n_points")?,
            part: 0,
            row: rows.len(),
        });
        places.push(Place {
            row: number("row")?,
            first_patch: optional("first_patch")?,
            first_coarse_patch: optional("first_coarse_patch")?,
            first_point: optional("first_point")?,
        });
    }
    match rows.len() == promised && promised > 0 {
        true => Ok((rows, places)),
        false => Err(damaged(
            path,
            format!("it has {} rows, where there were {promised}", rows.len()),
        )),
    }
}

pub(super) struct Reader {
    path: PathBuf,
    meta: Arc<DatasetMeta>,
    places: Vec<Place>,
    /// The arrays, and where their numbers begin in their files.
    arrays: Vec<(Array, Pieces, u64)>,
    is_compact: bool,
}

impl Reader {
    pub(super) fn open(
        path: &Path,
        meta: &Arc<DatasetMeta>,
    ) -> Result<(Vec<RowInfo>, Box<dyn Part>)> {
        let (rows, places) = read_table(path, meta)?;
        let mut arrays = Vec::new();
        for array in Array::stored(meta) {
            let path = file(path, array);
            let (mut opened, seen) = Seen::open(&path)?;
            let shape = numpy::shape(&mut opened, array.precision(meta))
                .map_err(|why| damaged(&path, why))?;
            let start = opened
                .stream_position()
                .map_err(|error| Error::io(&path, &error))?;
            let bytes = size(&shape, array.precision(meta).bytes());
            if bytes.and_then(|bytes| bytes.checked_add(start)) != Some(seen.bytes) {
                return Err(damaged(&path, "its length is not what its shape says"));
            }
            for (info, place) in rows.iter().zip(&places) {
                let (count, tail) = along(array, meta, info);
                let end = Axis::of(array)
                    .of_place(&mut place.clone())
                    .checked_add(count);
                if shape.get(1..) != Some(&tail) || end.is_none_or(|end| end > shape[0]) {
                    return Err(damaged(
                        &path,
                        format!("it has not the shape that {} needs", info.name.path),
                    ));
                }
            }
            arrays.push((array, Pieces { path, seen }, start));
        }
        let mut expected = Place::default();
        let is_compact = rows.iter().zip(&places).all(|(info, place)| {
            let is_next = *place == expected;
            expected = expected.next(meta, info);
            is_next
        });
        let part = Reader {
            path: path.to_owned(),
            meta: Arc::clone(meta),
            places,
            arrays,
            is_compact,
        };
        Ok((rows, Box::new(part)))
    }
}

/// Bytes of an array.
fn size(shape: &[usize], of_number: usize) -> Option<u64> {
    let bytes = shape
        .iter()
        .try_fold(of_number, |bytes, &side| bytes.checked_mul(side));
    bytes.map(|bytes| bytes as u64)
}

impl Part for Reader {
    fn read(&self, info: &RowInfo) -> Result<Vec<Vec<u8>>> {
        let place = self.places.get(info.row);
        let place = place.ok_or_else(|| damaged(&self.path, "a row is missing"))?;
        let read = |(array, pieces, start): &(Array, Pieces, u64)| {
            let bytes = array.bytes(&self.meta, info);
            let (count, _) = along(*array, &self.meta, info);
            let of_one = bytes.checked_div(count).unwrap_or(0);
            let first = *Axis::of(*array).of_place(&mut place.clone());
            pieces.read(start + (first * of_one) as u64, bytes)
        };
        self.arrays.iter().map(read).collect()
    }

    fn is_compact(&self) -> bool {
        self.is_compact
    }
}
