//! Steps by which a finished file takes the place of an old one: inheriting its mode and owner, overwriting a file that
//! cannot be replaced, and detecting file systems that report errors late.

use std::fs;
use std::io;
use std::path::Path;

/// Gives `file` the mode of the file `old` that it will replace, and its owner and group where the system allows it.
///
/// # Errors
/// The system's, if the mode cannot be set.
#[cfg(unix)]
pub(super) fn inherit_owner_and_mode(file: &fs::File, old: &fs::Metadata) -> io::Result<()> {
    use std::os::unix::fs::{MetadataExt, PermissionsExt, fchown};
    let own = file.metadata()?;
    if (own.uid(), own.gid()) != (old.uid(), old.gid())
        && fchown(file, Some(old.uid()), Some(old.gid())).is_err()
    {
        // Only root can give files away; the group can be kept by its members.
        let _ = fchown(file, None, Some(old.gid()));
    }
    file.set_permissions(fs::Permissions::from_mode(old.mode() & 0o777))
}

/// Does nothing: modes and owners are not kept on this system.
#[cfg(not(unix))]
pub(super) fn inherit_owner_and_mode(_: &fs::File, _: &fs::Metadata) -> io::Result<()> {
    Ok(())
}

/// Writes the content of `from` over that of the existing file `path`.
///
/// # Errors
/// The system's; the file is then incomplete.
pub(super) fn copy_into(path: &Path, from: &mut dyn io::Read) -> io::Result<()> {
    let mut target = fs::OpenOptions::new()
        .write(true)
        .truncate(true)
        .open(path)?;
    io::copy(from, &mut target)?;
    Ok(())
}

/// Whether a file is on a network or user-space file system, which may report a full disk only on sync.
#[cfg(target_os = "linux")]
pub(super) fn reports_write_errors_late(file: &fs::File) -> bool {
    // NFS, SMB, CIFS, FUSE, Ceph, Lustre, 9p.
    const SUCH: [u64; 7] = [
        0x6969,
        0xfe53_4d42,
        0xff53_4d42,
        0x6573_5546,
        0x00c3_6400,
        0x0bd0_0bd0,
        0x0102_1997,
    ];
    rustix::fs::fstatfs(file).is_ok_and(|stat| SUCH.contains(&((stat.f_type as u64) & 0xffff_ffff)))
}

/// Always false on this system.
#[cfg(not(target_os = "linux"))]
pub(super) fn reports_write_errors_late(_: &fs::File) -> bool {
    false
}
