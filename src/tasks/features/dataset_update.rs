//! The dataset that a run adds rows to: which photos have rows already, and the record and messages about rows once
//! their part is written.

use std::collections::{HashMap, HashSet};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use serde_json::{Map, Value, json};

use crate::error::{Error, Result};
use crate::io::features::{
    Dataset, DatasetFormat, DatasetMeta, DatasetWriter, FinishedPart, RowName, WriterOptions,
};
use crate::io::inputs::Shard;
use crate::io::manifest::{DatasetRowNote, Ledger};
use crate::io::output::{
    LineStatus, LineSubject, OutputJob, OutputOptions, OutputPlan, OutputTarget, put_all, put_path,
};
use crate::system::files::{Digest, FileStamp};
use crate::tasks::features::row::{GatheredRow, changed_part_error, full_key, row_name};
use crate::terminal::console::Console;

/// The longest time that computed rows are in memory only; then the unfinished part is written, and continued later.
const FLUSH_INTERVAL: Duration = Duration::from_secs(60);

/// A dataset, and the rows that a run adds to it.
pub struct DatasetUpdate {
    folder: PathBuf,
    prefix: String,
    part_bytes: u64,
    /// Whether the dataset is made anew (`--force`).
    replace: bool,
    /// The record in the dataset's folder.
    ledger: Ledger,
    /// The digest of each photo that has a row.
    row_digests: HashMap<RowName, Digest>,
    /// The photo that holds each key.
    row_by_key: HashMap<String, RowName>,
    /// By photo of the run, whether its row is there and up to date.
    done: Vec<bool>,
    /// Photos that were changed since their rows were made.
    stale: HashSet<RowName>,
    meta: Option<DatasetMeta>,
    /// Facts for the record that hold for every row.
    facts: Value,
    writer: Option<DatasetWriter>,
    /// Messages and record entries of rows whose part is not written yet.
    pending: HashMap<RowName, PendingRow>,
    last_flush: Instant,
    /// Whether a part could not be written, so that no more rows are taken.
    broken: bool,
}

/// The message and record entry of a row.
struct PendingRow {
    job: OutputJob,
    stamp: FileStamp,
    /// Fields of the JSON line.
    json_fields: Map<String, Value>,
    /// Seconds that the photo took.
    seconds: f64,
}

impl DatasetUpdate {
    /// The dataset in `folder`, whose extension decides the format, with `part_bytes` bytes of values in a part. The
    /// target of `options` is not used.
    ///
    /// # Errors
    /// [`Error::Usage`] for an unknown extension; names a folder that is a file.
    pub fn new(folder: &Path, part_bytes: u64, options: &OutputOptions) -> Result<Self> {
        if DatasetFormat::from_path(folder).is_none() {
            return Err(Error::Usage(format!(
                "-o {}: the format of a dataset is told by its ending; expected {}",
                folder.display(),
                DatasetFormat::ENDINGS
            )));
        }
        if folder.exists() && !folder.is_dir() {
            return Err(Error::file(
                folder,
                "is a file, where a dataset is a folder of part files; remove it, or choose another name",
            ));
        }
        Ok(DatasetUpdate {
            ledger: Ledger::open(&OutputOptions {
                target: OutputTarget::Folder(folder.to_owned()),
                ..options.clone()
            })?,
            folder: folder.to_owned(),
            prefix: part_prefix(options.shard),
            part_bytes,
            replace: options.force,
            row_digests: HashMap::new(),
            row_by_key: HashMap::new(),
            done: Vec::new(),
            stale: HashSet::new(),
            meta: None,
            facts: Value::Null,
            writer: None,
            pending: HashMap::new(),
            last_flush: Instant::now(),
            broken: false,
        })
    }

    /// The record in the dataset's folder.
    pub fn ledger(&self) -> &Ledger {
        &self.ledger
    }

    /// Whether no more rows are taken.
    pub fn is_broken(&self) -> bool {
        self.broken
    }

    /// Determines which photos of a plan have up-to-date rows. `meta` is the description that the dataset must have,
    /// where the backbone's fingerprint is known already; `most` limits the bytes of a photo.
    ///
    /// # Errors
    /// Names a dataset that cannot be read, or has another description.
    pub fn find_done_rows(
        &mut self,
        (plan, meta): (&OutputPlan, Option<DatasetMeta>),
        most: u64,
        console: &Console,
    ) -> Result<()> {
        self.done = vec![false; plan.jobs.len()];
        if self.replace || !Dataset::is_at(&self.folder) {
            return Ok(());
        }
        let dataset = Dataset::open(&self.folder)?;
        if let Some(meta) = meta {
            self.check_dataset(&dataset, meta)?;
        }
        if self.replace {
            return Ok(());
        }
        for row in dataset.rows() {
            self.row_digests.insert(row.name.clone(), row.digest);
            self.row_by_key.insert(row.key.clone(), row.name.clone());
        }
        for (done, job) in self.done.iter_mut().zip(&plan.jobs) {
            let name = row_name(&job.source);
            let Some(digest) = self.row_digests.get(&name) else {
                continue;
            };
            // A photo that cannot be read fails when it is decoded.
            let Ok(stamp) = self.ledger.stamp_of(&job.source, most) else {
                continue;
            };
            match stamp.digest == *digest {
                true => *done = true,
                false => {
                    self.stale.insert(name);
                }
            }
        }
        if !self.stale.is_empty() {
            console.note(format_args!(
                "{}: {} photos were changed since, and are computed again",
                self.folder.display(),
                self.stale.len()
            ));
        }
        Ok(())
    }

    /// Refuses a dataset with another description than `meta`, or whose parts were changed since.
    fn check_dataset(&mut self, dataset: &Dataset, meta: DatasetMeta) -> Result<()> {
        let difference = dataset.meta().difference(&meta);
        if difference.is_some() && dataset.is_empty() {
            // An empty dataset of a run that failed is replaced.
            self.replace = true;
        } else {
            for part in dataset.part_paths() {
                if self.ledger.is_changed(part)? {
                    return Err(changed_part_error(part));
                }
            }
            if let Some(why) = difference {
                return Err(Error::file(
                    &self.folder,
                    format!(
                        "{why}; --force makes the dataset anew, another name makes another one"
                    ),
                ));
            }
        }
        self.meta = Some(meta);
        Ok(())
    }

    /// Whether the photo of this number has an up-to-date row.
    pub fn has_row(&self, photo: usize) -> bool {
        self.done.get(photo).copied().unwrap_or(false)
    }

    /// Opens the dataset for writing; `facts` are noted of every row.
    ///
    /// # Errors
    /// Names a file that cannot be written, or a dataset with another description.
    pub fn open(&mut self, meta: DatasetMeta, facts: Value) -> Result<()> {
        let is_checked = self.meta.as_ref() == Some(&meta);
        if !(self.replace || is_checked) && Dataset::is_at(&self.folder) {
            self.check_dataset(&Dataset::open(&self.folder)?, meta.clone())?;
        }
        self.meta = Some(meta);
        self.facts = facts;
        let replace = std::mem::take(&mut self.replace);
        self.open_writer(replace)
    }

    fn open_writer(&mut self, replace: bool) -> Result<()> {
        let Some(meta) = self.meta.clone() else {
            return Err(Error::Model("a dataset without a description".into()));
        };
        let options = WriterOptions {
            prefix: self.prefix.clone(),
            part_bytes: self.part_bytes,
            replace,
            stale_rows: std::mem::take(&mut self.stale),
        };
        let writer = DatasetWriter::open(&self.folder, meta, options)?;
        for part in writer.rewritten() {
            self.ledger.record_part(&part.files)?;
        }
        self.writer = Some(writer);
        self.last_flush = Instant::now();
        Ok(())
    }

    /// Adds a row, and reports the rows whose part was written by it. `reporting` is whether JSON lines are printed,
    /// and their subject.
    ///
    /// # Errors
    /// Names the file that cannot be written, after which no more rows are taken; or the photo whose row was refused.
    pub fn push_row(
        &mut self,
        gathered: GatheredRow,
        reporting: (bool, &LineSubject),
        console: &Console,
    ) -> Result<()> {
        if self.broken {
            return Err(Error::file(
                &self.folder,
                "takes no more rows, since one of its files could not be written",
            ));
        }
        let GatheredRow {
            mut row,
            job,
            stamp,
            timings,
        } = gathered;
        if self.pending.contains_key(&row.name) {
            return Err(Error::file(
                &row.name.path,
                "is called as another photo of this run, whose features are stored; rename it, or give it alone to a dataset of \
                 its own",
            ));
        }
        let holder = self
            .row_by_key
            .get(&row.key)
            .filter(|name| **name != row.name);
        if holder.is_some() {
            // The key belongs to a photo of another run, from another folder.
            row.key = full_key(&row.name);
        }
        self.row_by_key.insert(row.key.clone(), row.name.clone());
        let facts = json!({
            "key": row.key,
            "photo_size": [row.photo_size.0, row.photo_size.1],
            "grid": [row.grid.rows, row.grid.cols],
            "seconds": timings,
        });
        let mut json_fields = Map::new();
        put_all(&mut json_fields, facts);
        let seconds = timings.seconds();
        let pending = PendingRow {
            job,
            stamp,
            json_fields,
            seconds,
        };
        self.pending.insert(row.name.clone(), pending);
        let Some(writer) = self.writer.as_mut() else {
            return Err(Error::Model("no dataset is open".into()));
        };
        let name = row.name.clone();
        let finished = writer.push(row);
        if let Err(Error::File { path, .. }) = &finished
            && path == Path::new(&name.path)
        {
            // The row was refused; the dataset is unchanged.
            self.pending.remove(&name);
            return finished.map(|_| ());
        }
        self.report_parts(finished, reporting, console)?;
        match self.last_flush.elapsed() > FLUSH_INTERVAL {
            true => {
                self.finish(reporting, console)?;
                self.open_writer(false)
            }
            false => Ok(()),
        }
    }

    /// Writes the rows that are still in memory.
    ///
    /// # Errors
    /// Names the file that cannot be written.
    pub fn finish(&mut self, reporting: (bool, &LineSubject), console: &Console) -> Result<()> {
        let Some(writer) = self.writer.take() else {
            return Ok(());
        };
        if self.broken {
            return Ok(());
        }
        let finished = writer.finish();
        self.report_parts(finished, reporting, console)
    }

    /// Prints and notes the rows of parts that were written.
    fn report_parts(
        &mut self,
        finished: Result<Vec<FinishedPart>>,
        (json, subject): (bool, &LineSubject),
        console: &Console,
    ) -> Result<()> {
        let finished = finished.inspect_err(|_| self.broken = true)?;
        for part in finished {
            self.last_flush = Instant::now();
            let mut noted = Vec::new();
            for name in &part.rows {
                // Rows of an earlier run were reported by that run.
                let Some(pending) = self.pending.remove(name) else {
                    continue;
                };
                if json {
                    let mut line = subject.line(LineStatus::Done, &pending.job.source);
                    put_path(&mut line, "dataset", Some(&self.folder));
                    put_path(&mut line, "part", Some(&part.path));
                    line.extend(pending.json_fields);
                    console.out(&Value::Object(line).to_string())?;
                }
                let mut facts = Map::new();
                put_all(&mut facts, self.facts.clone());
                facts.insert("seconds".to_owned(), json!(pending.seconds));
                noted.push(DatasetRowNote {
                    source: pending.job.source,
                    photo: pending.stamp,
                    facts,
                });
            }
            if !json && !noted.is_empty() {
                console.out_path(&part.path)?;
            }
            let recipe = self.meta.as_ref().map(|meta| Digest::of_json(&json!(meta)));
            let recipe = recipe.unwrap_or_else(|| Digest::of_bytes(&[]));
            self.ledger
                .record_rows((subject.task, recipe), &noted, &part.files)?;
        }
        Ok(())
    }
}

/// The prefix of the names of the run's parts; each shard that shares the folder has its own.
fn part_prefix(shard: Option<Shard>) -> String {
    match shard.filter(|shard| shard.is_part()) {
        None => "part".to_owned(),
        Some(shard) => format!("shard-{}", shard.label()),
    }
}
