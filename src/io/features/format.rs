//! Which files a dataset consists of.

use std::path::Path;

/// Which files a dataset consists of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum DatasetFormat {
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

impl DatasetFormat {
    /// All of them.
    pub const ALL: [DatasetFormat; 5] = [
        DatasetFormat::Parquet,
        DatasetFormat::Arrow,
        DatasetFormat::Safetensors,
        DatasetFormat::Npy,
        DatasetFormat::Tar,
    ];

    /// The endings that name a format, for messages.
    pub const ENDINGS: &str = ".parquet, .arrow, .safetensors, .npy or .tar";

    /// That of a dataset called so, by its ending, however that is cased.
    pub fn from_path(path: &Path) -> Option<DatasetFormat> {
        let ending = path.extension()?.to_str()?;
        DatasetFormat::ALL
            .into_iter()
            .find(|format| format.extension().eq_ignore_ascii_case(ending))
    }

    /// How the folder of a dataset ends, without the dot.
    pub fn extension(self) -> &'static str {
        match self {
            DatasetFormat::Parquet => "parquet",
            DatasetFormat::Arrow => "arrow",
            DatasetFormat::Safetensors => "safetensors",
            DatasetFormat::Npy => "npy",
            DatasetFormat::Tar => "tar",
        }
    }

    /// How the file ends that makes a part be there: of arrays of NumPy's the table beside them, which is written last.
    pub(super) fn part_extension(self) -> &'static str {
        match self {
            DatasetFormat::Npy => "csv",
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
            DatasetFormat::from_path(Path::new("a.b/F.Parquet/")),
            Some(DatasetFormat::Parquet)
        );
        assert_eq!(
            DatasetFormat::from_path(Path::new("x.tar")),
            Some(DatasetFormat::Tar)
        );
        assert_eq!(DatasetFormat::from_path(Path::new("x.tar.gz")), None);
        assert_eq!(DatasetFormat::from_path(Path::new("parquet")), None);
        for format in DatasetFormat::ALL {
            assert!(DatasetFormat::ENDINGS.contains(format.extension()));
        }
    }
}
