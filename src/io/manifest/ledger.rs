//! [`Ledger`]: what a run does with the manifest of its folder. Other files of this module add its methods.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::error::Result;
use crate::io::inputs::Source;
use crate::io::manifest::Manifest;
use crate::io::output::{OutputOptions, OutputRegistry, OutputTarget};
use crate::system::files::FileStamp;

/// The manifest of a run's folder of outputs, or nothing if outputs go elsewhere or `--no-manifest` is given. Clones
/// share it.
#[derive(Debug, Clone, Default)]
pub struct Ledger {
    pub(super) manifest: Option<Arc<Manifest>>,
    /// The file given with `-o` in place of a folder.
    pub(super) target: Option<PathBuf>,
    /// Whether photos that failed before are tried again (`--retry-failed`, `--force`).
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

    /// Itself, if its manifest is that of `folder`.
    pub fn for_folder(self, folder: &Path) -> Option<Self> {
        let manifest = self.manifest.as_ref()?;
        (manifest.folder() == folder).then_some(self)
    }

    /// Whether outputs go to a folder, but nothing is noted.
    pub fn is_without_record(&self) -> bool {
        self.manifest.is_none() && self.target.is_none()
    }

    /// The absolute path by which the manifest knows a photo.
    pub fn input_path(source: &Source) -> PathBuf {
        source.absolute()
    }

    /// Whether the output at `path` was changed since it was noted as done; false if it never was.
    ///
    /// # Errors
    /// Names the output that cannot be read.
    pub fn is_changed(&self, path: &Path) -> Result<bool> {
        let manifest = self.manifest.as_ref();
        manifest.map_or(Ok(false), |manifest| manifest.is_changed(path))
    }

    /// At the end of a run over this number of `photos`, writes failures even if there are no outputs; the folder of a
    /// run over one photo is not created for that.
    ///
    /// # Errors
    /// As [`Manifest::flush_failures`].
    pub fn flush_failures(&self, photos: usize) -> Result<()> {
        match &self.manifest {
            Some(manifest) if photos > 1 => manifest.flush_failures(),
            _ => Ok(()),
        }
    }

    /// Refuses outputs at the path of the manifest itself.
    pub fn protect(&self, outputs: &mut OutputRegistry) {
        if let Some(manifest) = &self.manifest {
            outputs.protect([manifest.path().as_path()]);
        }
    }

    /// The stamp of a photo, from the manifest if the file is unchanged. At most `max_bytes` are read of a photo that
    /// is not a regular file.
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
