//! What a run is about to make, against what was noted of what is there.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::error::Result;
use crate::io::inputs::Source;
use crate::io::manifest::Manifest;
use crate::io::output::{OutputOptions, OutputRegistry, OutputTarget};
use crate::system::files::FileStamp;

/// What is known of the folder of outputs; nothing where there is none. All clones share it.
#[derive(Debug, Clone, Default)]
pub struct Ledger {
    pub(super) manifest: Option<Arc<Manifest>>,
    /// What is named on the command line in place of a folder.
    pub(super) target: Option<PathBuf>,
    /// Whether photos that failed before are tried again.
    pub(super) retries_failed: bool,
}

impl Ledger {
    /// Of the folder that a run writes into.
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

    /// Itself, if it is of this folder.
    pub fn for_folder(self, folder: &Path) -> Option<Self> {
        let manifest = self.manifest.as_ref()?;
        (manifest.folder() == folder).then_some(self)
    }

    /// Whether nothing is noted though the results go to a folder.
    pub fn is_without_record(&self) -> bool {
        self.manifest.is_none() && self.target.is_none()
    }

    /// The absolute path of a photo, by which it is known wherever it is named from.
    pub fn input_path(source: &Source) -> PathBuf {
        source.absolute()
    }

    /// Whether the output at `path` is not what it was when it was noted as done; one of which nothing is noted is not.
    ///
    /// # Errors
    /// Names the output that cannot be read.
    pub fn is_changed(&self, path: &Path) -> Result<bool> {
        let manifest = self.manifest.as_ref();
        manifest.map_or(Ok(false), |manifest| manifest.is_changed(path))
    }

    /// Writes down what failed, of a run over `photos`, though nothing was made: the folder of a run over one is not made for
    /// that alone.
    ///
    /// # Errors
    /// As [`Manifest::settle`].
    pub fn flush_failures(&self, photos: usize) -> Result<()> {
        match &self.manifest {
            Some(manifest) if photos > 1 => manifest.flush_failures(),
            _ => Ok(()),
        }
    }

    /// Keeps the record itself from being replaced by any output.
    pub fn protect(&self, outputs: &mut OutputRegistry) {
        if let Some(manifest) = &self.manifest {
            outputs.protect([manifest.path().as_path()]);
        }
    }

    /// Takes the stamp of a photo; `most` bytes of what is no regular file are read.
    ///
    /// # Errors
    /// Names the photo that cannot be read.
    pub fn stamp_of(&self, source: &Source, most: u64) -> Result<FileStamp> {
        let is_regular = source.metadata().is_some_and(|met| met.is_file());
        match (source, &self.manifest) {
            (Source::TarMember { member, .. }, Some(manifest)) => {
                match manifest.photo_stamp(&member.path) {
                    Some(known) if member.has_untouched_tar(&known) => Ok(known),
                    _ => Ok(member.stamp(&source.read(most)?)),
                }
            }
            (Source::TarMember { member, .. }, None) => Ok(member.stamp(&source.read(most)?)),
            (Source::File { path, .. }, Some(manifest)) if is_regular => manifest.stamp_of(path),
            (Source::File { path, .. }, None) if is_regular => FileStamp::of_file(path),
            _ => Ok(FileStamp::of_bytes(&source.read(most)?)),
        }
    }
}
