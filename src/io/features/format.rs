//! The file formats of datasets, by their extensions.

use std::path::Path;

/// The file format of a dataset's parts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum DatasetFormat {
    /// Parquet, uncompressed: a row for each photo.
    Parquet,
    /// Arrow's IPC files (Feather 2), which can be mapped into memory.
    Arrow,
    /// safetensors: a tensor of each kind for each photo.
    Safetensors,
    /// NumPy arrays, one file for each kind, and a CSV table of the photos.
    Npy,
    /// WebDataset: NumPy arrays and JSON in tar files.
    Tar,
}

impl DatasetFormat {
    /// All formats.
    pub const ALL: [DatasetFormat; 5] = [
        DatasetFormat::Parquet,
        DatasetFormat::Arrow,
        DatasetFormat::Safetensors,
        DatasetFormat::Npy,
        DatasetFormat::Tar,
    ];

    /// The file extensions that name a format, for messages.
    pub const ENDINGS: &str = ".parquet, .arrow, .safetensors, .npy or .tar";

    /// The format of a dataset at `path`, by its extension, ignoring case; `None` for other extensions.
    pub fn from_path(path: &Path) -> Option<DatasetFormat> {
        let ending = path.extension()?.to_str()?;
        DatasetFormat::ALL
            .into_iter()
            .find(|format| format.extension().eq_ignore_ascii_case(ending))
    }

    /// The extension of a dataset's folder, without the dot.
    pub fn extension(self) -> &'static str {
        match self {
            DatasetFormat::Parquet => "parquet",
            DatasetFormat::Arrow => "arrow",
            DatasetFormat::Safetensors => "safetensors",
            DatasetFormat::Npy => "npy",
            DatasetFormat::Tar => "tar",
        }
    }

    /// The extension of the file whose presence makes a part complete: for NumPy arrays that of the table, which is
    /// written last.
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
