//! A console that buffers its messages, so that photos computed in parallel report one after the other.

use std::path::Path;
use std::sync::{Arc, PoisonError};

use serde_json::{Map, Value};

use super::Console;
use super::record::RecordedMessage;
use crate::error::Result;
use crate::system::files::FileStamp;

impl Console {
    /// A console that buffers its messages until [`Console::replay`]. Bars, errors and [`Console::warnings`] are still
    /// shown at once.
    pub fn recorder(&self) -> Self {
        Console {
            record: Some(Arc::default()),
            ..self.clone()
        }
    }

    /// Prints the messages that `recorder` has buffered, and empties it.
    ///
    /// # Errors
    /// As [`Console::out`].
    pub fn replay(&self, recorder: &Console) -> Result<()> {
        let Some(record) = &recorder.record else {
            return Ok(());
        };
        let said = std::mem::take(&mut *record.lock().unwrap_or_else(PoisonError::into_inner));
        said.into_iter().try_for_each(|said| match said {
            RecordedMessage::Text(text) => self.out_text(&text),
            RecordedMessage::Raw(bytes) => self.out_bytes(&bytes),
            RecordedMessage::Path(path) => self.out_path(&path),
            RecordedMessage::Note(text) => {
                self.note(text);
                Ok(())
            }
            RecordedMessage::NoteOnce(kind, text) => {
                self.note_once(kind, text);
                Ok(())
            }
            RecordedMessage::Warning(text) => {
                self.warn(text);
                Ok(())
            }
            RecordedMessage::Detail(text) => {
                self.detail(text);
                Ok(())
            }
            RecordedMessage::WrittenFile(..) | RecordedMessage::Fact(..) => Ok(()),
        })
    }

    /// Records the stamp of a written file; without effect on a console that is not a recorder.
    pub fn record_file(&self, path: &Path, stamp: FileStamp) {
        self.try_record(|| RecordedMessage::WrittenFile(path.to_owned(), stamp));
    }

    /// The latest stamp of the file at `path`, if it was recorded.
    pub fn recorded_stamp(&self, path: &Path) -> Option<FileStamp> {
        let record = self.record.as_ref()?;
        let record = record.lock().unwrap_or_else(PoisonError::into_inner);
        record.iter().rev().find_map(|said| match said {
            RecordedMessage::WrittenFile(of, stamp) if of == path => Some(stamp.clone()),
            _ => None,
        })
    }

    /// Records a measured value of the recorder's photo under `name`, for the manifest (`facts`); without effect on a
    /// console that is not a recorder.
    pub fn record_fact(&self, name: &'static str, value: impl Into<Value>) {
        if self.record.is_some() {
            let value = value.into();
            self.try_record(|| RecordedMessage::Fact(name, value));
        }
    }

    /// The recorded values, by name.
    pub fn facts(&self) -> Map<String, Value> {
        let record = self.record.as_ref().map(|record| record.lock());
        let record = record.map(|record| record.unwrap_or_else(PoisonError::into_inner));
        let said = record.iter().flat_map(|said| said.iter());
        said.filter_map(|said| match said {
            RecordedMessage::Fact(name, value) => Some(((*name).to_owned(), value.clone())),
            _ => None,
        })
        .collect()
    }

    /// Whether lines of data for stdout were recorded.
    pub fn has_lines(&self) -> bool {
        self.record.as_ref().is_some_and(|record| {
            let record = record.lock().unwrap_or_else(PoisonError::into_inner);
            record
                .iter()
                .any(|said| matches!(said, RecordedMessage::Text(_)))
        })
    }

    /// The notes that a recorder has kept so far.
    #[cfg(test)]
    pub(crate) fn recorded_notes(&self) -> Vec<String> {
        let record = self.record.as_ref().map(|record| record.lock());
        let record = record.map(|record| record.unwrap_or_else(PoisonError::into_inner));
        let said = record.iter().flat_map(|said| said.iter());
        said.filter_map(|said| match said {
            RecordedMessage::Note(text) => Some(text.clone()),
            _ => None,
        })
        .collect()
    }
}
