//! How a finished file takes the place of an old one: its mode and owner, and writing over what cannot be replaced.

use std::fs;
use std::io;
use std::path::Path;

/// Gives `file` the mode of the file that it will replace, and its owner and group where the system allows it.
#[cfg(unix)]
pub(crate) fn inherit_owner_and_mode(file: &fs::File, old: &fs::Metadata) -> io::Result<()> {
    use std::os::unix::fs::{MetadataExt, PermissionsExt, fchown};
    let own = file.metadata()?;
    if (own.uid(), own.gid()) != (old.uid(), old.gid())
        && fchown(file, Some(old.uid()), Some(old.gid())).is_err()
    {
        // Only root gives files away; a group that one is in can be kept.
        let _ = fchown(file, None, Some(old.gid()));
    }
    file.set_permissions(fs::Permissions::from_mode(old.mode() & 0o777))
}

#[cfg(not(unix))]
pub(crate) fn inherit_owner_and_mode(_: &fs::File, _: &fs::Metadata) -> io::Result<()> {
    Ok(())
}

/// Replaces the content of the file `path` by that of `from`.
pub(crate) fn copy_into(path: &Path, from: &mut dyn io::Read) -> io::Result<()> {
    let mut target = fs::OpenOptions::new()
        .write(true)
        .truncate(true)
        .open(path)?;
    io::copy(from, &mut target)?;
    Ok(())
}

/// Whether a file is on a file system that may say only later that it has no room: one of a network, or of a program.
#[cfg(target_os = "linux")]
pub(crate) fn may_fail_late(file: &fs::File) -> bool {
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
    rustix::fs::fstatfs(file).is_ok_and(|met| SUCH.contains(&((met.f_type as u64) & 0xffff_ffff)))
}

/// Not asked there.
#[cfg(not(target_os = "linux"))]
pub(crate) fn may_fail_late(_: &fs::File) -> bool {
    false
}
