//! [`DatasetWriter`]: appends rows to a dataset, part by part.

use std::collections::HashSet;
use std::path::Path;
use std::sync::Arc;
use std::{fmt, fs};

use crate::error::{Error, Result};
use crate::io::features::arrays::EncodedRow;
use crate::io::features::finished_part::FinishedPart;
use crate::io::features::folder::{DatasetFolder, PartInfo};
use crate::io::features::folder_setup::{prepare_folder, validate_meta};
use crate::io::features::part_name::parse_part_name;
use crate::io::features::retain::retain;
use crate::io::features::unfinished_part::{PartSize, UnfinishedPart};
use crate::io::features::writer_options::WriterOptions;
use crate::io::features::{DatasetFormat, DatasetMeta, FeatureRow, RowInfo, RowName, parts};
use crate::io::output::create_folder;
use crate::system::files::{Digest, temporary};

/// Appends rows to a dataset.
///
/// Rows go into parts in the order in which they are pushed, and where a part ends depends on them alone: the same rows
/// give the same files, byte for byte. The last part of a prefix is continued if it is not full, so that a run that was
/// killed and resumed ends with the same files as one that was not.
///
/// Memory: for Parquet and Arrow a row group of 16 MiB, three times that while it is encoded; for tar one row; for
/// safetensors and NumPy one part, since their headers state the length of the data.
pub struct DatasetWriter {
    folder: DatasetFolder,
    meta: Arc<DatasetMeta>,
    prefix: String,
    part_bytes: u64,
    /// The [`name_digest`] of every row that is stored or was pushed.
    name_digests: HashSet<[u8; 16]>,
    /// The number of the next part.
    next: usize,
    /// The last part on disk, if it is not full, with its rows; the next part replaces it.
    unfilled: Option<(PartInfo, Vec<RowInfo>)>,
    current_part: Option<UnfinishedPart>,
    /// Whether writing a part has failed, so that its rows are lost.
    is_broken: bool,
    rewritten: Vec<FinishedPart>,
}

impl DatasetWriter {
    /// Creates the dataset in `folder`, or opens the existing one to append to it.
    ///
    /// # Errors
    /// [`Error::Usage`] if `folder` does not have the extension of a format, or if the dataset in the folder differs
    /// from `meta`, naming the first difference; names the folder if its files are not those of a dataset, and the file
    /// that cannot be read or written.
    pub fn open(folder: &Path, meta: DatasetMeta, options: WriterOptions) -> Result<Self> {
        let format = DatasetFormat::from_path(folder).ok_or_else(|| {
            Error::Usage(format!(
                "{}: the name of a dataset ends in {}",
                folder.display(),
                DatasetFormat::ENDINGS
            ))
        })?;
        validate_meta(&meta)?;
        if fs::metadata(folder).is_ok_and(|metadata| !metadata.is_dir()) {
            return Err(Error::file(
                folder,
                "is a file, where the folder of a dataset is meant; choose another name",
            ));
        }
        create_folder(folder)?;
        temporary::sweep(folder);
        let folder = DatasetFolder {
            path: folder.to_owned(),
            format,
        };
        let meta = Arc::new(prepare_folder(&folder, meta, &options)?);
        parts::sweep(folder.format, &folder.path, &options.prefix)?;
        let mut writer = DatasetWriter {
            folder,
            meta,
            prefix: options.prefix,
            part_bytes: options.part_bytes.max(1),
            name_digests: HashSet::new(),
            next: 0,
            unfilled: None,
            current_part: None,
            is_broken: false,
            rewritten: Vec::new(),
        };
        let (mut parts_on_disk, mut rows) = writer.folder.open_parts(&writer.meta)?;
        if rows
            .iter()
            .any(|row| options.stale_rows.contains(&row.name))
        {
            let keep = |row: &RowInfo| !options.stale_rows.contains(&row.name);
            writer.rewritten = retain(&writer.folder, &writer.meta, &parts_on_disk, &rows, keep)?;
            (parts_on_disk, rows) = writer.folder.open_parts(&writer.meta)?;
        }
        writer.name_digests = rows.iter().map(|row| name_digest(&row.name)).collect();
        writer.resume_last_part(&parts_on_disk, rows);
        Ok(writer)
    }

    /// Decides which part is next, and whether it continues the last one.
    fn resume_last_part(&mut self, parts_on_disk: &[PartInfo], rows: Vec<RowInfo>) {
        let own_number = |part: &PartInfo| {
            let (prefix, number) = parse_part_name(&part.path)?;
            (prefix == self.prefix).then_some(number)
        };
        let last = parts_on_disk.iter().enumerate();
        let last = last.filter_map(|(index, part)| Some((own_number(part)?, index)));
        let Some((number, index)) = last.max() else {
            return;
        };
        self.next = number + 1;
        let rows: Vec<RowInfo> = rows.into_iter().filter(|row| row.part == index).collect();
        let mut size = PartSize::default();
        rows.iter().for_each(|row| size.add(row, &self.meta));
        if parts_on_disk[index].is_compact && !size.is_full(self.part_bytes) {
            self.next = number;
            self.unfilled = Some((parts_on_disk[index].clone(), rows));
        }
    }

    /// The description of the dataset, as stored in the folder.
    pub fn meta(&self) -> &DatasetMeta {
        &self.meta
    }

    /// Whether the dataset has a row of this photo, in a part or pushed.
    pub fn contains(&self, name: &RowName) -> bool {
        self.name_digests.contains(&name_digest(name))
    }

    /// Parts that were rewritten without stale rows when the writer was opened; those that were removed are not listed.
    pub fn rewritten(&self) -> &[FinishedPart] {
        &self.rewritten
    }

    /// Appends a row, rounded to the dataset's precision. Returns the parts that it completes.
    ///
    /// # Errors
    /// Names the photo if its row has other shapes than the dataset, exists already, or has features beyond the range
    /// of the precision; nothing is changed then. Names the file that cannot be written; then the new rows of its part
    /// are lost, and each further row is refused.
    pub fn push(&mut self, row: FeatureRow) -> Result<Vec<FinishedPart>> {
        if self.is_broken {
            return Err(Error::file(
                &row.name.path,
                format!(
                    "its features were not stored: {} could not be written before",
                    self.folder.path.display()
                ),
            ));
        }
        if self.contains(&row.name) {
            return Err(Error::file(
                &row.name.path,
                format!("has features in {} already", self.folder.path.display()),
            ));
        }
        let encoded = EncodedRow::of(&row, &self.meta)?;
        drop(row);
        parts::check_row_fits(self.folder.format, &encoded)?;
        let name = name_digest(&encoded.info.name);
        let pushed = self.push_encoded(encoded);
        match &pushed {
            Ok(_) => self.name_digests.insert(name),
            Err(_) => {
                self.current_part = None;
                self.is_broken = true;
                false
            }
        };
        pushed
    }

    fn push_encoded(&mut self, row: EncodedRow) -> Result<Vec<FinishedPart>> {
        if self.current_part.is_none() {
            self.begin()?;
        }
        let mut done = Vec::new();
        if let Some(current) = &mut self.current_part {
            current.push(row, &self.meta)?;
            if current.size().is_full(self.part_bytes) {
                done.extend(self.close()?);
            }
        }
        Ok(done)
    }

    /// Begins a part, and copies the rows of the one that it continues.
    fn begin(&mut self) -> Result<()> {
        let format = self.folder.format;
        let path = self.folder.part_path(&self.prefix, self.next);
        let unfilled = self.unfilled.take();
        let before = unfilled.as_ref().and_then(|(part, _)| part.stat.clone());
        let mut current = UnfinishedPart::new(format, path, before, &self.meta)?;
        if let Some((last, rows)) = unfilled {
            let (_, part) = parts::open(format, &last.path, &self.meta)?;
            for info in rows {
                let arrays = part.read(&info)?;
                current.push(EncodedRow { info, arrays }, &self.meta)?;
            }
        }
        self.current_part = Some(current);
        Ok(())
    }

    /// Completes the current part, if there is one.
    fn close(&mut self) -> Result<Option<FinishedPart>> {
        let Some(current) = self.current_part.take() else {
            return Ok(None);
        };
        let finished = current.finish()?;
        self.next += 1;
        Ok(Some(finished))
    }

    /// Completes the last part. Without this call, the rows of that part are lost.
    ///
    /// # Errors
    /// Names the file that cannot be written; or the folder, if rows were lost before.
    pub fn finish(mut self) -> Result<Vec<FinishedPart>> {
        if self.is_broken {
            return Err(Error::file(
                &self.folder.path,
                "a part could not be written, and the features that were to be in it are missing; run again",
            ));
        }
        Ok(self.close()?.into_iter().collect())
    }
}

impl fmt::Debug for DatasetWriter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DatasetWriter")
            .field("folder", &self.folder.path)
            .field("prefix", &self.prefix)
            .field("next", &self.next)
            .finish_non_exhaustive()
    }
}

/// The first 16 bytes of the digest of a row's name; the names themselves would take much more memory.
fn name_digest(name: &RowName) -> [u8; 16] {
    let digest = Digest::of_bytes(format!("{}\0{}", name.page, name.path).as_bytes());
    let mut short = [0; 16];
    short.copy_from_slice(&digest.as_bytes()[..16]);
    short
}
