//! [`Ledger`]: a run's access to the manifest of its output folder. Its methods are spread over the files of this
//! module.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::error::Result;
use crate::io::inputs::Source;
use crate::io::manifest::Manifest;
use crate::io::output::{OutputOptions, OutputRegistry, OutputTarget};
use crate::system::files::FileStamp;

/// The manifest of a run's output folder; without one (output to a file or stdout, or `--no-manifest`) it records
/// nothing. Clones share the manifest.
#[derive(Debug, Clone, Default)]
pub struct Ledger {
    pub(super) manifest: Option<Arc<Manifest>>,
    /// The file given with `-o` instead of a folder.
    pub(super) target: Option<PathBuf>,
    /// Whether photos that failed before are retried (`--retry-failed`, `--force`).
    pub(super) retries_failed: bool,
}

impl Ledger {
    /// Opens the manifest of the folder that a run writes to.
    ///
    /// # Errors
    /// As [`Manifest::open`].
    pub fn open(options: &OutputOptions) -> Result<Self> {
        let mut ledger = Ledger {
            retries_failed: options.force || options.retry_failed,
            ..Ledger::default()
        };
        match &options.target {
            OutputTarget::Folder(_) if options.no_manifest => {}
            OutputTarget::Folder(folder) => {
                let manifest = Manifest::open_shard(folder, options.shard)?;
                ledger.manifest = Some(Arc::new(manifest));
            }
            OutputTarget::File(path, _) => ledger.target = Some(path.clone()),
            OutputTarget::Stdout => {}
        }
        Ok(ledger)
    }

    /// Returns itself if its manifest is that of `folder`, else `None`.
    pub fn for_folder(self, folder: &Path) -> Option<Self> {
        let manifest = self.manifest.as_ref()?;
        (manifest.folder() == folder).then_some(self)
    }

    /// Whether there is neither a manifest nor a single output file: outputs go to a folder with `--no-manifest`, or to
    /// stdout.
    pub fn is_unrecorded(&self) -> bool {
        self.manifest.is_none() && self.target.is_none()
    }

    /// The absolute path that identifies a photo in the manifest.
    pub fn input_path(source: &Source) -> PathBuf {
        source.absolute()
    }

    /// Whether the output at `path` was changed since its last `done` line; false without one.
    ///
    /// # Errors
    /// Names the output that cannot be read.
    pub fn is_changed(&self, path: &Path) -> Result<bool> {
        let manifest = self.manifest.as_ref();
        manifest.map_or(Ok(false), |manifest| manifest.is_changed(path))
    }

    /// At the end of a run over `photos` photos, writes failures that were held back because there were no outputs; for
    /// a single photo the folder is not created just for that.
    ///
    /// # Errors
    /// As [`Manifest::flush_failures`].
    pub fn flush_failures(&self, photos: usize) -> Result<()> {
        match &self.manifest {
            Some(manifest) if photos > 1 => manifest.flush_failures(),
            _ => Ok(()),
        }
    }

    /// Registers the manifest's path as protected, so that no output can replace it.
    pub fn protect(&self, outputs: &mut OutputRegistry) {
        if let Some(manifest) = &self.manifest {
            outputs.protect([manifest.path().as_path()]);
        }
    }

    /// The stamp of a photo; taken from the manifest, without reading the photo, if its size and time are unchanged. At
    /// most `max_bytes` are read of a photo that is not a regular file.
    ///
    /// # Errors
    /// Names the photo that cannot be read.
    pub fn stamp_of(&self, source: &Source, max_bytes: u64) -> Result<FileStamp> {
        let is_regular = source.metadata().is_some_and(|metadata| metadata.is_file());
        match (source, &self.manifest) {
            (Source::TarMember { member, .. }, Some(manifest)) => {
                match manifest.photo_stamp(&member.path) {
                    Some(known) if member.has_untouched_tar(&known) => Ok(known),
                    _ => Ok(member.stamp(&source.read(max_bytes)?)),
                }
            }
            (Source::TarMember { member, .. }, None) => Ok(member.stamp(&source.read(max_bytes)?)),
            (Source::File { path, .. }, Some(manifest)) if is_regular => manifest.stamp_of(path),
            (Source::File { path, .. }, None) if is_regular => FileStamp::of_file(path),
            _ => Ok(FileStamp::of_bytes(&source.read(max_bytes)?)),
        }
    }
}
