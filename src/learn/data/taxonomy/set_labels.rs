//! What the ids of one data set's masks mean in terms of a head's classes, and masks read with that meaning.

use std::path::Path;

use super::class_list::describe_ids;
use crate::error::{Error, Result};
use crate::learn::data::labels::{Mask, MaskReader};
use crate::model::head::meta::{Class, LabelSet};
use crate::terminal::warnings::Warnings;

/// Stands for what is of no class where every id is learnt from; class lists end before it.
const NO_IGNORED_ID: u16 = u16::MAX;

/// What 8 and 16 bits have for white.
pub(in crate::learn::data) const WHITES: [u16; 2] = [u8::MAX as u16, u16::MAX];

/// What the ids of one data set mean.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SetLabels {
    /// What the set is called.
    pub name: String,
    /// Where its data lies, as the file says.
    pub data: Option<String>,
    /// By id, the classes that it can be; none for ids that are not learnt from.
    pub allowed: Vec<Vec<u16>>,
    /// The id that means "any class not named", if there is one.
    pub background: Option<u16>,
    /// Whether an id beyond `allowed` is an error, rather than one that is not learnt from.
    pub is_closed: bool,
    /// What the set itself calls its ids, by id, for masks in the colours of its classes; empty where that is not
    /// known.
    pub own_classes: Vec<Class>,
    /// What stands for the id 1: the white of masks in black and white.
    pub white: Option<u16>,
}

impl SetLabels {
    /// A set whose ids are the classes themselves.
    pub fn identity(name: &str, classes: &[Class]) -> Self {
        SetLabels {
            name: name.to_owned(),
            data: None,
            allowed: (0..classes.len() as u16).map(|id| vec![id]).collect(),
            background: None,
            is_closed: true,
            own_classes: classes.to_vec(),
            white: None,
        }
    }

    /// As a head carries it.
    pub fn to_head(&self) -> LabelSet {
        LabelSet {
            name: self.name.clone(),
            allowed: self.allowed.clone(),
            background: self.background,
        }
    }

    /// As a head says it.
    pub fn from_head(set: &LabelSet) -> Self {
        SetLabels {
            name: set.name.clone(),
            data: None,
            allowed: set.allowed.clone(),
            background: set.background,
            is_closed: false,
            own_classes: Vec::new(),
            white: None,
        }
    }

    /// What an id is called: as its first class, or nothing where it has none.
    pub fn name_of(&self, id: u16, classes: &[Class]) -> String {
        if self.background == Some(id) {
            return "background".to_owned();
        }
        let first = self.allowed[usize::from(id)].first();
        first.map_or_else(String::new, |&class| {
            classes[usize::from(class)].name.clone()
        })
    }

    /// Reads a mask, whatever ids it has. What is not as it was meant is told to `warnings`.
    ///
    /// # Errors
    /// Names the file and a colour that is in no list.
    pub fn read_ids(&self, path: &Path, ignore: Option<u16>, warnings: &Warnings) -> Result<Mask> {
        let reader = MaskReader {
            classes: &self.own_classes,
            id_count: self.is_closed.then_some(self.allowed.len()),
            ignore: ignore.unwrap_or(NO_IGNORED_ID),
            warnings,
        };
        let mut mask = reader.read(path)?;
        if let Some(white) = self.white {
            // The white of 16 bits is read as that of 8 where the ids allow it.
            let is_white = |id: u16| id == white || WHITES.contains(&id);
            mask.ids
                .iter_mut()
                .filter(|id| is_white(**id))
                .for_each(|id| *id = 1);
        }
        Ok(mask)
    }

    /// Reads a mask and checks that its ids are known. What is not as it was meant is told to `warnings`.
    ///
    /// # Errors
    /// Names the file and an id or a colour that is in no list.
    pub fn read_mask(&self, path: &Path, ignore: Option<u16>, warnings: &Warnings) -> Result<Mask> {
        let mask = self.read_ids(path, ignore, warnings)?;
        let beyond = |&id: &u16| Some(id) != ignore && usize::from(id) >= self.allowed.len();
        match mask.ids.iter().copied().find(beyond) {
            Some(id) if self.is_closed => {
                let ignored = ignore.map_or("none".to_owned(), |id| id.to_string());
                Err(Error::file(
                    path,
                    format!(
                        "has the class id {id}, but {}, and {ignored} is ignored; --classes and --ignore say otherwise",
                        describe_ids(self.allowed.len())
                    ),
                ))
            }
            _ => Ok(mask),
        }
    }

    /// Whether an id is learnt from and judged.
    pub fn is_known(&self, id: u16) -> bool {
        self.allowed
            .get(usize::from(id))
            .is_some_and(|allowed| !allowed.is_empty())
    }

    /// By class, the id of this set that it counts as: the first that may be this class; none if the set does not
    /// know it.
    pub fn id_of_class(&self, classes: usize) -> Vec<Option<u16>> {
        let mut ids = vec![None; classes];
        for (id, allowed) in self.allowed.iter().enumerate().rev() {
            // A background may be any class that has no name of its own; an own name is preferred.
            for &class in allowed {
                ids[usize::from(class)] = Some(id as u16);
            }
        }
        ids
    }
}
