//! Paths in JSON, by one rule for all commands: lossy text, and for names that are not valid Unicode also the exact
//! bytes.

use std::path::Path;

use serde_json::{Map, Value};

use crate::io::inputs::Source;

/// Inserts `path` under `key` (null for none), and if it is not valid UTF-8 its bytes under `<key>_bytes`.
///
/// The bytes are percent-encoded as in a URL, which every language can decode (Python:
/// `urllib.parse.unquote_to_bytes`).
pub fn put_path(object: &mut Map<String, Value>, key: &str, path: Option<&Path>) {
    let text = path.map(|path| path.to_string_lossy().into_owned());
    object.insert(key.to_owned(), text.into());
    if let Some(bytes) = path.and_then(path_bytes) {
        object.insert(format!("{key}_bytes"), bytes.into());
    }
}

/// Inserts the path of `source` under `key`, and the number of its page (from 1) under `page` if the file has several.
pub fn put_source(object: &mut Map<String, Value>, key: &str, source: &Source) {
    put_path(object, key, Some(source.path()));
    if let Some(page) = source.page() {
        object.insert("page".to_owned(), page.number.into());
    }
}

/// Inserts all entries of `facts`, which must be an object.
pub fn put_all(object: &mut Map<String, Value>, facts: Value) {
    if let Value::Object(facts) = facts {
        object.extend(facts);
    }
}

/// The bytes of a path that is not valid UTF-8, percent-encoded; `None` for one that is.
pub fn path_bytes(path: &Path) -> Option<String> {
    if path.to_str().is_some() {
        return None;
    }
    let mut text = String::new();
    for &byte in path.as_os_str().as_encoded_bytes() {
        match byte.is_ascii_alphanumeric() || b"-._~/".contains(&byte) {
            true => text.push(byte.into()),
            false => text.push_str(&format!("%{byte:02X}")),
        }
    }
    Some(text)
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;
    use std::ffi::OsStr;
    use std::os::unix::ffi::OsStrExt;

    #[test]
    fn bytes_stand_beside_what_is_no_text() {
        let mut object = Map::new();
        put_path(&mut object, "plain", Some(Path::new("näh 100%.jpg")));
        put_path(&mut object, "none", None);
        let odd = Path::new(OsStr::from_bytes(b"a/100% caf\xe9\n.jpg"));
        put_path(&mut object, "input", Some(odd));
        let text = Value::Object(object).to_string();
        let expected = concat!(
            r#"{"plain":"näh 100%.jpg","none":null,"#,
            "\"input\":\"a/100% caf\u{fffd}\\n.jpg\",",
            r#""input_bytes":"a/100%25%20caf%E9%0A.jpg"}"#
        );
        assert_eq!(text, expected);
    }
}
