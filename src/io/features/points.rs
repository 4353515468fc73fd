//! A list of pixels at which features are sampled, read from CSV.

use std::collections::HashMap;
use std::path::Path;

use crate::error::{Error, Result};
use crate::system::files::Digest;

/// Pixels (x, y) at which features are sampled: the same for all photos, or a list for each. The centre of the first
/// pixel is (0, 0).
#[derive(Debug, Clone, PartialEq)]
pub struct PointList {
    /// Pixels that apply to every photo; empty if each has its own.
    all: Vec<(f32, f32)>,
    /// Pixels by photo, under the name in the file.
    by_photo: HashMap<String, Vec<(f32, f32)>>,
    /// Whether the file has a column for photos.
    is_per_photo: bool,
    /// BLAKE3 digest of the file.
    digest: Digest,
}

impl PointList {
    /// Reads a CSV file with the columns `x` and `y`, and `photo` (or `path`, `key`) if each photo has its own pixels.
    ///
    /// # Errors
    /// Names the file that cannot be read, or its line that is not understood.
    pub fn read(path: &Path) -> Result<Self> {
        let bytes = std::fs::read(path).map_err(|error| Error::io(path, &error))?;
        Self::parse(&bytes).map_err(|why| Error::file(path, why))
    }

    fn parse(bytes: &[u8]) -> Result<Self, String> {
        let expected = "expected a CSV file with a header that has the columns x and y, and photo where photos have their own \
                        pixels";
        let mut reader = csv::ReaderBuilder::new()
            .trim(csv::Trim::All)
            .from_reader(bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes));
        let header = reader
            .headers()
            .map_err(|error| format!("{expected}: {error}"))?;
        let column = |names: &[&str]| {
            let mut columns = header.iter().enumerate();
            let found = columns.find(|(_, name)| names.contains(&name.to_lowercase().as_str()));
            found.map(|(index, _)| index)
        };
        let photo = column(&["photo", "path", "key"]);
        let (Some(x), Some(y)) = (column(&["x"]), column(&["y"])) else {
            let found: Vec<&str> = header.iter().collect();
            return Err(format!("{expected}; found {}", found.join(",")));
        };
        let mut list = PointList {
            all: Vec::new(),
            by_photo: HashMap::new(),
            is_per_photo: photo.is_some(),
            digest: Digest::of_bytes(bytes),
        };
        for record in reader.records() {
            let record = record.map_err(|error| error.to_string())?;
            let line = record.position().map_or(0, csv::Position::line);
            let number = |column: usize| {
                let text = record.get(column).unwrap_or_default();
                let number = text.parse::<f32>().ok().filter(|number| number.is_finite());
                number
                    .ok_or_else(|| format!("line {line}: {text:?} is no pixel; expected a number"))
            };
            let point = (number(x)?, number(y)?);
            match photo.and_then(|photo| record.get(photo)) {
                Some("") => return Err(format!("line {line}: names no photo")),
                Some(name) => list
                    .by_photo
                    .entry(name.to_owned())
                    .or_default()
                    .push(point),
                None => list.all.push(point),
            }
        }
        match list.all.is_empty() && list.by_photo.is_empty() {
            true => Err("names no pixel".into()),
            false => Ok(list),
        }
    }

    /// BLAKE3 digest of the file.
    pub fn digest(&self) -> Digest {
        self.digest
    }

    /// The pixels of the photo with these `names`, by the first of them that is in the list; empty if none is. Without
    /// a column for photos, all pixels.
    pub fn points_for<'n>(&self, names: impl IntoIterator<Item = &'n str>) -> &[(f32, f32)] {
        match self.is_per_photo {
            false => &self.all,
            true => names
                .into_iter()
                .find_map(|name| self.by_photo.get(name))
                .map_or(&[], Vec::as_slice),
        }
    }

    /// Whether each photo has its own pixels, so that some may have none.
    pub fn is_per_photo(&self) -> bool {
        self.is_per_photo
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn points_are_of_all_photos_or_of_each_its_own() {
        let all = PointList::parse(b"x,y\n1,2\n 3.5 , 4\n").unwrap();
        assert_eq!(all.points_for(["any"]), [(1.0, 2.0), (3.5, 4.0)]);
        let each =
            PointList::parse(b"\xef\xbb\xbfphoto,y,x\na.jpg,1,2\nb,3,4\na.jpg,5,6\n").unwrap();
        assert_eq!(
            each.points_for(["x/a.jpg", "a.jpg"]),
            [(2.0, 1.0), (6.0, 5.0)]
        );
        assert_eq!(each.points_for(["b"]), [(4.0, 3.0)]);
        assert!(each.points_for(["c"]).is_empty() && each.is_per_photo());
    }

    #[test]
    fn what_is_no_list_of_points_is_refused() {
        for (text, why) in [
            (&b"1,2\n3,4\n"[..], "found 1,2"),
            (b"x,y\n", "names no pixel"),
            (b"x,y\n1,two\n", "line 2: \"two\""),
            (b"x,y\n1,nan\n", "line 2"),
            (b"photo,x,y\n,1,2\n", "names no photo"),
            (b"x,y\n1\n", "fields"),
        ] {
            let error = PointList::parse(text).unwrap_err();
            assert!(error.contains(why), "{error}");
        }
    }
}
