//! What the columns of a CSV list, or the keys of a JSON line, stand for.

use crate::learn::data::data_set::LabelKind;

/// The meaning of a column or key of a list.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Column {
    Photo,
    Label,
    Split,
}

impl Column {
    /// The meaning of a name in a list of labels of this kind, and how sure it is: 0 is surest.
    fn named(name: &str, kind: LabelKind) -> Option<(Self, u8)> {
        let name = name.trim().to_lowercase().replace([' ', '-'], "_");
        let endings = ["_path", "_file", "_filename", "_name"];
        let stem = endings.iter().find_map(|end| name.strip_suffix(end));
        let (own, other) = match kind {
            LabelKind::Depth => (0, 2),
            LabelKind::Masks => (2, 0),
        };
        Some(match stem.unwrap_or(&name) {
            "photo" | "photos" | "image" | "images" | "img" | "rgb" | "picture" => {
                (Column::Photo, 0)
            }
            "color" | "colour" | "file" | "filename" | "input" | "path" => (Column::Photo, 1),
            "depth" | "depths" | "depth_map" => (Column::Label, own),
            "mask" | "masks" | "seg" | "segmentation" | "seg_map" | "label_map" => {
                (Column::Label, other)
            }
            "label" | "labels" | "gt" | "ground_truth" | "groundtruth" | "target"
            | "annotation" => (Column::Label, 1),
            "split" | "set" | "part" | "subset" | "partition" | "phase" => (Column::Split, 0),
            _ => return None,
        })
    }

    /// The meaning of each name; where several have one meaning, the surest counts, and of these the first.
    pub fn from_header<'a>(
        names: impl Iterator<Item = &'a str>,
        kind: LabelKind,
    ) -> Vec<Option<Self>> {
        let mut columns: Vec<_> = names.map(|name| Self::named(name, kind)).collect();
        for column in [Column::Photo, Column::Label, Column::Split] {
            let ranks = columns.iter().enumerate();
            let of_column = ranks
                .filter_map(|(at, found)| Some((found.filter(|(own, _)| *own == column)?.1, at)));
            let best = of_column.min().map(|(_, at)| at);
            for (at, found) in columns.iter_mut().enumerate() {
                if found.is_some_and(|(own, _)| own == column) && Some(at) != best {
                    *found = None;
                }
            }
        }
        columns.into_iter().map(|found| Some(found?.0)).collect()
    }
}

/// The meaning of the columns, where `fields` name them: a photo and a label, or one of the two beside one other
/// column.
pub(super) fn header(fields: &[String], kind: LabelKind) -> Option<Vec<Option<Column>>> {
    let columns = Column::from_header(fields.iter().map(String::as_str), kind);
    let has = |column| columns.contains(&Some(column));
    match (has(Column::Photo), has(Column::Label)) {
        (true, true) => Some(columns),
        (true, false) | (false, true) if columns.len() == 2 && !has(Column::Split) => {
            let missing = match has(Column::Photo) {
                true => Column::Label,
                false => Column::Photo,
            };
            Some(
                columns
                    .into_iter()
                    .map(|column| column.or(Some(missing)))
                    .collect(),
            )
        }
        _ => None,
    }
}
