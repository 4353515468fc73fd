//! Which files a dataset consists of.

use std::path::Path;

/// Which files a dataset consists of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Format {
    /// Parquet, uncompressed.
    Parquet,
    /// Arrow's IPC files (Feather 2), which can be mapped into memory.
    Arrow,
    /// A tensor of each kind for each photo.
    Safetensors,
    /// NumPy's arrays, with a table in CSV that tells whose they are.
    Npy,
    /// WebDataset: NumPy's arrays and JSON in tar files.
    Tar,
}

impl Format {
    /// All of them.
    pub const ALL: [Format; 5] = [
        Format::Parquet,
        Format::Arrow,
        Format::Safetensors,
        Format::Npy,
        Format::Tar,
    ];

    /// The endings that name a format, for messages.
    pub const ENDINGS: &str = ".parquet, .arrow, .safetensors, .npy or .tar";

    /// That of a dataset called so, by its ending, however that is cased.
    pub fn of(path: &Path) -> Option<Format> {
        let ending = path.extension()?.to_str()?;
        Format::ALL
            .into_iter()
            .find(|format| format.extension().eq_ignore_ascii_case(ending))
    }

    /// How the folder of a dataset ends, without the dot.
    pub fn extension(self) -> &'static str {
        match self {
            Format::Parquet => "parquet",
            Format::Arrow => "arrow",
            Format::Safetensors => "safetensors",
            Format::Npy => "npy",
            Format::Tar => "tar",
        }
    }

    /// How the file ends that makes a part be there: of arrays of NumPy's the table beside them, which is written last.
    pub(super) fn part_extension(self) -> &'static str {
        match self {
            Format::Npy => "csv",
            other => other.extension(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn endings_name_formats() {
        assert_eq!(
            Format::of(Path::new("a.b/F.Parquet/")),
            Some(Format::Parquet)
        );
        assert_eq!(Format::of(Path::new("x.tar")), Some(Format::Tar));
        assert_eq!(Format::of(Path::new("x.tar.gz")), None);
        assert_eq!(Format::of(Path::new("parquet")), None);
        for format in Format::ALL {
            assert!(Format::ENDINGS.contains(format.extension()));
        }
    }
}
