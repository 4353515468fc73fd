//! The image file directories (IFD) of a TIFF: which tags an image has, and their values.
//!
//! Follows TIFF 6.0, section 2, and BigTIFF (<https://www.awaresystems.be/imaging/tiff/bigtiff.html>). No count
//! or offset is trusted: a value is read only where the file holds it, so that no list is longer than the file.

/// The message for a file that ends before its data do.
pub(super) const TRUNCATED: &str = "truncated TIFF: the file ends before the image does";

/// The bytes of a TIFF, its byte order and offset size.
#[derive(Debug, Clone, Copy)]
pub(super) struct Tiff<'a> {
    /// The whole file.
    pub bytes: &'a [u8],
    /// Whether numbers are big-endian (`MM`).
    pub big_endian: bool,
    /// Whether it is a BigTIFF, with offsets of 64 bits.
    is_bigtiff: bool,
}

impl<'a> Tiff<'a> {
    /// Reads the header; also returns the offset of the first directory.
    ///
    /// # Errors
    /// If it is not a TIFF, or ends within its header.
    pub fn open(bytes: &'a [u8]) -> Result<(Self, u64), String> {
        let big_endian = match bytes.get(..2) {
            Some(b"II") => false,
            Some(b"MM") => true,
            _ => return Err("damaged TIFF: it does not start with II or MM".into()),
        };
        let mut tiff = Tiff {
            bytes,
            big_endian,
            is_bigtiff: false,
        };
        match tiff.unsigned(2, 2) {
            Some(42) => {}
            Some(43) if tiff.unsigned(4, 4) == Some(if big_endian { 8 << 16 } else { 8 }) => {
                tiff.is_bigtiff = true;
            }
            Some(_) => return Err("damaged TIFF: its header is of no known kind".into()),
            None => return Err(TRUNCATED.into()),
        }
        let first = match tiff.is_bigtiff {
            true => tiff.unsigned(8, 8),
            false => tiff.unsigned(4, 4),
        };
        Ok((tiff, first.ok_or(TRUNCATED)?))
    }

    /// The unsigned number of `size` bytes (1 to 8) at `at`; `None` past the end.
    pub fn unsigned(&self, at: usize, size: usize) -> Option<u64> {
        let bytes = self.bytes.get(at..at.checked_add(size)?)?;
        let push = |number: u64, &byte: &u8| number << 8 | u64::from(byte);
        Some(match self.big_endian {
            true => bytes.iter().fold(0, push),
            false => bytes.iter().rev().fold(0, push),
        })
    }

    /// The directory at `offset`, and the offset of the next one (0 after the last); tags behind the end of the file
    /// are omitted. `None` if the file ends before the directory begins.
    pub fn read_ifd(&self, offset: u64) -> Option<(Ifd<'a>, u64)> {
        let (count_size, entry_size, word) = if self.is_bigtiff {
            (8, 20, 8)
        } else {
            (2, 12, 4)
        };
        let start = usize::try_from(offset).ok().filter(|&start| start > 0)?;
        let count = usize::try_from(self.unsigned(start, count_size)?).ok()?;
        let start = start + count_size;
        let end = count.checked_mul(entry_size)?.checked_add(start)?;
        let held = (self.bytes.len().saturating_sub(start) / entry_size).min(count);
        let entry = |at: usize| {
            let kind = self.unsigned(at + 2, 2)?;
            let count = self.unsigned(at + 4, word)?;
            let size = size_of_kind(kind)?;
            let inline = at + 4 + word;
            let value = match count.checked_mul(size as u64)? <= word as u64 {
                true => inline as u64,
                false => self.unsigned(inline, word)?,
            };
            Some(IfdEntry {
                tag: self.unsigned(at, 2)? as u16,
                kind,
                count,
                value,
            })
        };
        let entries = (0..held).filter_map(|index| entry(start + index * entry_size));
        let directory = Ifd {
            tiff: *self,
            entries: entries.collect(),
            is_truncated: held < count,
        };
        Some((directory, self.unsigned(end, word).unwrap_or(0)))
    }
}

/// Bytes of one value of a field type (TIFF 6.0, page 15; BigTIFF's 16 to 18).
fn size_of_kind(kind: u64) -> Option<usize> {
    Some(match kind {
        1 | 2 | 6 | 7 => 1,
        3 | 8 => 2,
        4 | 9 | 11 | 13 => 4,
        5 | 10 | 12 | 16..=18 => 8,
        _ => return None,
    })
}

/// An image file directory: the tags of one image.
#[derive(Debug, Clone)]
pub(super) struct Ifd<'a> {
    /// The file.
    pub tiff: Tiff<'a>,
    entries: Vec<IfdEntry>,
    /// Whether the file ends before its last tag.
    pub is_truncated: bool,
}

/// One tag of a directory.
#[derive(Debug, Clone, Copy)]
struct IfdEntry {
    tag: u16,
    /// The field type, as in [`size_of_kind`].
    kind: u64,
    /// Number of values.
    count: u64,
    /// The offset of the first value in the file.
    value: u64,
}

impl<'a> Ifd<'a> {
    fn entry(&self, tag: u16) -> Option<&IfdEntry> {
        self.entries.iter().find(|entry| entry.tag == tag)
    }

    /// Number of tags that could be read.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether the directory has the tag, whether or not its values can be read.
    pub fn has(&self, tag: u16) -> bool {
        self.entry(tag).is_some()
    }

    /// The bytes of the values as stored; `None` without the tag.
    ///
    /// # Errors
    /// [`TRUNCATED`], if the file ends before them.
    pub fn bytes(&self, tag: u16) -> Result<Option<&'a [u8]>, String> {
        let Some(entry) = self.entry(tag) else {
            return Ok(None);
        };
        let span = || {
            let start = usize::try_from(entry.value).ok()?;
            let count = usize::try_from(entry.count).ok()?;
            let end = count
                .checked_mul(size_of_kind(entry.kind)?)?
                .checked_add(start)?;
            self.tiff.bytes.get(start..end)
        };
        span().map(Some).ok_or_else(|| TRUNCATED.into())
    }

    /// The values, of any integer type; negative ones become `u64::MAX`, which exceeds every limit. `None` without the
    /// tag.
    ///
    /// # Errors
    /// [`TRUNCATED`], or a sentence if the values are not integers.
    pub fn integers(&self, tag: u16) -> Result<Option<Vec<u64>>, String> {
        let Some(bytes) = self.bytes(tag)? else {
            return Ok(None);
        };
        let kind = self.entry(tag).map_or(0, |entry| entry.kind);
        if !matches!(kind, 1 | 3 | 4 | 6..=9 | 13 | 16..=18) {
            return Err(format!("damaged TIFF: its tag {tag} holds no integers"));
        }
        let signed = matches!(kind, 6 | 8 | 9 | 17);
        let extend = |value: u64, size: usize| match signed && value >> (8 * size - 1) != 0 {
            true => u64::MAX,
            false => value,
        };
        let values = self.numbers(bytes, kind);
        Ok(Some(
            values.map(|(value, size)| extend(value, size)).collect(),
        ))
    }

    /// The first value as an integer.
    ///
    /// # Errors
    /// As for [`Ifd::integers`].
    pub fn integer(&self, tag: u16) -> Result<Option<u64>, String> {
        Ok(self
            .integers(tag)?
            .and_then(|values| values.first().copied()))
    }

    /// The values as real numbers, from integers, fractions or floats; `None` if they cannot be read.
    pub fn reals(&self, tag: u16) -> Option<Vec<f64>> {
        let bytes = self.bytes(tag).ok()??;
        let kind = self.entry(tag)?.kind;
        let halves = |value: u64| match self.tiff.big_endian {
            true => ((value >> 32) as u32, value as u32),
            false => (value as u32, (value >> 32) as u32),
        };
        let real = |(value, _): (u64, usize)| match kind {
            5 => {
                let (over, under) = halves(value);
                f64::from(over) / f64::from(under)
            }
            10 => {
                let (over, under) = halves(value);
                f64::from(over as i32) / f64::from(under as i32)
            }
            6 => f64::from(value as u8 as i8),
            8 => f64::from(value as u16 as i16),
            9 => f64::from(value as u32 as i32),
            11 => f64::from(f32::from_bits(value as u32)),
            12 => f64::from_bits(value),
            _ => value as f64,
        };
        Some(self.numbers(bytes, kind).map(real).collect())
    }

    /// The values of field type `kind` in `bytes` as unsigned numbers, each with its size in bytes.
    fn numbers(&self, bytes: &'a [u8], kind: u64) -> impl Iterator<Item = (u64, usize)> {
        let size = size_of_kind(kind).unwrap_or(1);
        let tiff = Tiff { bytes, ..self.tiff };
        (0..bytes.len() / size)
            .filter_map(move |index| tiff.unsigned(index * size, size))
            .map(move |value| (value, size))
    }

    /// The value as text, without the final zero byte and surrounding white space; `None` if it cannot be read.
    pub fn text(&self, tag: u16) -> Option<String> {
        let bytes = self.bytes(tag).ok()??;
        let text = bytes.split(|&byte| byte == 0).next()?;
        Some(String::from_utf8_lossy(text).trim().to_owned())
    }
}
