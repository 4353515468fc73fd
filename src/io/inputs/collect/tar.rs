//! Adds the photos in a tar, by the headers of its members.

use std::fs::File;
use std::path::Path;

use image::ImageFormat;

use super::collector::InputCollector;
use crate::error::{Error, Result};
use crate::io::inputs::archive::{self, TarMember};
use crate::io::inputs::pages;
use crate::io::inputs::sniff::{self, FileKind};
use crate::io::inputs::source::Source;
use crate::io::inputs::summary::{
    COMPANION_PICTURES, LINKS_AND_SPARSE, REPEATED_MEMBERS, SkipSeverity,
};
use crate::system::interrupt;

impl InputCollector {
    /// Adds the photos in the tar at `path`, whose outputs go below `relative` without its extension; false if the file
    /// is not a tar.
    ///
    /// # Errors
    /// If the tar is compressed, cannot be read, is damaged, or holds no photo.
    pub(super) fn add_archive(&mut self, path: &Path, relative: &Path) -> Result<bool> {
        if let Some(why) = archive::explain_compressed_tar(path) {
            return Err(Error::file(path, why));
        }
        let is_tar = archive::is_tar_name(path)
            || pages::read_head(path).is_ok_and(|head| sniff::identify(&head) == FileKind::Tar);
        if !is_tar {
            return Ok(false);
        }
        let before = self.candidates_seen;
        self.candidates_seen += 1;
        let canonical = self.canonical_path(path);
        if !self.seen.insert(canonical) {
            return Ok(true);
        }
        let contents = archive::scan(path, archive::without_extension(relative))?;
        let tar = File::open(path).map_err(|error| Error::io(path, &error))?;
        for member in contents.photos {
            interrupt::check()?;
            self.add_tar_member(member, &tar);
        }
        let summary = self.summary_mut();
        for other in &contents.others {
            summary.count_skipped(
                FileKind::Other.name(),
                other,
                SkipSeverity::Irrelevant,
                || "no images".into(),
            );
        }
        for (other, photo) in &contents.companions {
            let why = || {
                format!(
                    "is beside {}, which is taken for the photo of the sample",
                    photo.display()
                )
            };
            summary.count_skipped(COMPANION_PICTURES, other, SkipSeverity::MaybeWanted, why);
        }
        for other in &contents.repeated {
            let why = || "is in its tar more than once, and the last is taken".into();
            summary.count_skipped(REPEATED_MEMBERS, other, SkipSeverity::MaybeWanted, why);
        }
        for other in &contents.links_and_sparse {
            let why =
                || "is a link or a sparse file, whose bytes are not in its tar as they are".into();
            summary.count_skipped(LINKS_AND_SPARSE, other, SkipSeverity::MaybeWanted, why);
        }
        match contents.fault {
            Some(fault) => Err(Error::file(path, fault)),
            None if self.candidates_seen == before + 1 => Err(Error::file(
                path,
                self.reason_for_none()
                    .unwrap_or_else(|| "no images in this tar".into()),
            )),
            None => Ok(true),
        }
    }

    /// Adds a picture of the open tar, under the rules for files found in a folder.
    fn add_tar_member(&mut self, member: TarMember, tar: &File) {
        let path = member.path.clone();
        let extension = path.extension().unwrap_or_default();
        let is_jpeg = ["jpg", "jpeg"]
            .iter()
            .any(|one| extension.eq_ignore_ascii_case(one));
        // A member named as a JPEG is not read before it is decoded.
        let head = match is_jpeg {
            true => Ok(None),
            false => member.head(tar).map(Some),
        };
        let head = match head {
            Ok(head) => head,
            Err(error) => return self.push_io_failure(&path, &error),
        };
        let kind = match &head {
            Some(head) => sniff::identify(head),
            None => FileKind::Image(ImageFormat::Jpeg),
        };
        if !self.accept_photo(kind, &path) {
            return;
        }
        let may_have_pages = head.is_some_and(|head| pages::may_have_pages(&head));
        let source = Source::TarMember { member, page: None };
        let count = match may_have_pages {
            // A member that cannot be read is reported when it is decoded.
            true => source
                .read(self.max_bytes)
                .map_or(1, |bytes| pages::count_in_file(&bytes)),
            false => 1,
        };
        self.candidates_seen += 1;
        self.push_pages(source, count);
    }
}
