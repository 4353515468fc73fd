//! The report of an evaluation: lines on stdout, JSON, and a folder with the metrics of every photo (`files.csv`) and
//! pictures of the worst ones.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use dino::io::output::{
    Destination, OutputRegistry, PictureFormat, check_folder, create_folder, path_bytes,
    shorten_name, write_output, write_picture,
};
use dino::learn::data::LabelKind;
use dino::system::files::signature::is_own_picture;
use dino::system::files::write_atomic;
use dino::terminal::console::Console;
use dino::terminal::printable::printable;
use dino::vision::render::side_by_side;
use dino::{Error, Result};
use image::RgbImage;
use serde_json::{Map, Value};

use crate::cli::EvalArgs;

/// How many photos are kept as pictures.
const WORST_COUNT: usize = 5;

/// What their pictures show from left to right; the PNG's `Description`.
const WORST_PARTS: &str = "photo, label, prediction";

/// The metrics of one photo.
pub struct PhotoMetrics {
    /// The photo.
    pub photo: PathBuf,
    /// Names and values, the same for all photos.
    pub metrics: Vec<(&'static str, f64)>,
}

/// The photos with the worst metrics, as pictures.
pub struct WorstPhotos {
    is_enabled: bool,
    /// Error (larger is worse), photo, and its picture; the worst first.
    ranked: Vec<(f64, PathBuf, RgbImage)>,
}

impl WorstPhotos {
    /// Keeps pictures only if there is a folder for them.
    pub fn new(is_enabled: bool) -> Self {
        WorstPhotos {
            is_enabled,
            ranked: Vec::new(),
        }
    }

    /// Draws the photo's parts side by side, if it is among the worst so far.
    ///
    /// # Errors
    /// What `parts` returns; [`Error::Memory`].
    pub fn offer(
        &mut self,
        badness: f64,
        photo: &Path,
        parts: impl FnOnce() -> Result<Vec<RgbImage>>,
    ) -> Result<()> {
        let place = self.ranked.partition_point(|(other, ..)| *other >= badness);
        if !self.is_enabled || place >= WORST_COUNT {
            return Ok(());
        }
        let mut picture = RgbImage::default();
        for part in parts()? {
            picture = match picture.is_empty() {
                true => part,
                false => side_by_side(&picture, &part)?,
            };
        }
        self.ranked.truncate(WORST_COUNT - 1);
        self.ranked
            .insert(place, (badness, photo.to_owned(), picture));
        Ok(())
    }
}

/// The results of one evaluation.
pub struct EvalReport {
    /// Metrics for JSON.
    pub metrics: Map<String, Value>,
    /// Metrics as lines of text.
    pub lines: Vec<String>,
    /// Metrics photo by photo.
    pub files: Vec<PhotoMetrics>,
    /// The worst photos.
    pub worst: WorstPhotos,
}

impl EvalReport {
    /// Prints the lines, and writes JSON and folder as the options say.
    pub fn write(&self, args: &EvalArgs, console: &Console) -> Result<()> {
        let mut text = serde_json::to_vec_pretty(&self.metrics)
            .map_err(|error| Error::Usage(format!("--json: {error}")))?;
        text.push(b'\n');
        let json = args.json.as_deref().map(Destination::of_flag).transpose()?;
        match &json {
            Some(Destination::Stdout) => console.out_text(&text)?,
            json => {
                let mut lines = self.lines.iter();
                lines.try_for_each(|line| console.out(&printable(line)))?;
                if let Some(file) = json {
                    write_output(console, file, true, |writer| writer.write_all(&text))?;
                }
            }
        }
        let Some(folder) = &args.output else {
            return Ok(());
        };
        create_folder(folder)?;
        remove_worst(folder)?;
        let files = folder.join("files.csv");
        let names = self.files.first().map(|one| one.metrics.iter());
        let header = ["file".to_owned()].into_iter();
        let header = header.chain(names.into_iter().flatten().map(|(name, _)| (*name).into()));
        // As in JSON: the bytes of names that are no text stand beside them, in a column of their own at the end.
        let has_bytes = self
            .files
            .iter()
            .any(|one| path_bytes(&one.photo).is_some());
        let header = header.chain(has_bytes.then(|| "file_bytes".to_owned()));
        let rows = self.files.iter().map(|one| {
            // Undefined metrics of a photo are left empty.
            let values = one
                .metrics
                .iter()
                .map(|(_, value)| match value.is_finite() {
                    true => format!("{value:.6}"),
                    false => String::new(),
                });
            let bytes = has_bytes.then(|| path_bytes(&one.photo).unwrap_or_default());
            [one.photo.to_string_lossy().into_owned()]
                .into_iter()
                .chain(values)
                .chain(bytes)
                .collect()
        });
        write_csv(&files, header.collect(), rows)?;
        console.out_path(&files)?;
        for (rank, (_, photo, picture)) in self.worst.ranked.iter().enumerate() {
            let mut name = OsString::from(format!("worst-{}-", rank + 1));
            name.push(photo.file_stem().unwrap_or_default());
            let ending = ".png";
            let mut name = match shorten_name(folder, Path::new(&name), ending.len())? {
                Some(short) => short.into_os_string(),
                None => name,
            };
            name.push(ending);
            let path = folder.join(name);
            let note = [("Description", WORST_PARTS.to_owned())];
            write_atomic(&path, |writer| {
                write_picture(writer, PictureFormat::Png, picture, &note)
            })?;
            console.out_path(&path)?;
        }
        Ok(())
    }
}

/// Removes the pictures of an earlier report.
fn remove_worst(folder: &Path) -> Result<()> {
    for entry in std::fs::read_dir(folder).map_err(|error| Error::io(folder, &error))? {
        let path = entry.map_err(|error| Error::io(folder, &error))?.path();
        let is_worst = path
            .file_name()
            .and_then(|name| name.to_str())
            .is_some_and(|name| {
                name.starts_with("worst-")
                    && name.ends_with(".png")
                    && name.as_bytes().get(7) == Some(&b'-')
            });
        let head = || std::fs::read(&path).unwrap_or_default();
        if is_worst && is_own_picture(&head()) {
            std::fs::remove_file(&path).map_err(|error| Error::io(&path, &error))?;
        }
    }
    Ok(())
}

/// Checks before any work that the outputs can be written, and that none of them is in `read`.
pub fn check_outputs<'p>(
    args: &EvalArgs,
    kind: LabelKind,
    read: impl IntoIterator<Item = &'p Path>,
    console: &Console,
) -> Result<()> {
    let mut outputs = OutputRegistry::new(read);
    let classes = args.input.data.join("classes.json");
    dino::tasks::run::protect_with_named(&mut outputs, [Some(classes.as_path())])?;
    if let Some(path) = &args.json
        && outputs.add_flag("--json", path, args.force)? == Destination::Stdout
    {
        console.claim_stdout(&format!("--json {}", path.display()))?;
    }
    if let Some(folder) = &args.output {
        check_folder(folder, folder)?;
        let names: &[&str] = match kind {
            LabelKind::Depth => &["files.csv"],
            LabelKind::Masks => &["files.csv", "confusion.csv", "confusion.png"],
        };
        for name in names {
            outputs.add_flag("-o", &folder.join(name), args.force)?;
        }
    }
    Ok(())
}

/// Writes a CSV file, whole or not at all.
pub fn write_csv(
    path: &Path,
    header: Vec<String>,
    rows: impl Iterator<Item = Vec<String>>,
) -> Result<()> {
    write_atomic(path, |writer| {
        let mut csv = csv::Writer::from_writer(writer);
        csv.write_record(&header)?;
        for row in rows {
            csv.write_record(&row)?;
        }
        csv.flush()
    })
}

/// The photo at the size of its label.
pub fn resize_to_label(photo: &RgbImage, (width, height): (usize, usize)) -> RgbImage {
    image::imageops::thumbnail(photo, width as u32, height as u32)
}
