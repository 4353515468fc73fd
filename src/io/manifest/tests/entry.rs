use serde_json::json;

use super::*;
use crate::io::manifest::output_names::output_name;

fn entry() -> ManifestEntry {
    let facts = json!({"nearest": 0.5, "a": [1, {"b": null}]});
    ManifestEntry {
        task: "depth".into(),
        input: "photos/a.tiff".into(),
        page: Some(2),
        photo: FileStamp::of_bytes(b"photo"),
        recipe: Digest::of_bytes(b"recipe"),
        fit: None,
        outputs: vec![],
        facts: facts.as_object().unwrap().clone(),
    }
}

#[test]
fn a_line_is_one_object_with_keys_in_order() {
    let stamp = FileStamp::of_bytes(b"map");
    let names = [("x/a.png".into(), Some(stamp.clone()))];
    let text = ManifestLine::new(&entry(), EntryState::Done, names)
        .to_text()
        .unwrap();
    let text = String::from_utf8(text).unwrap();
    let digests = |name: &str| Digest::of_bytes(name.as_bytes());
    let expected = format!(
        concat!(
            r#"{{"format":2,"state":"done","task":"depth","input":"photos/a.tiff","page":2,"time":0,"#,
            r#""photo":{{"bytes":5,"digest":"{}"}},"recipe":"{}","outputs":{{"x/a.png":{{"bytes":3,"digest":"{}"}}}},"#,
            r#""facts":{{"nearest":0.5,"a":[1,{{"b":null}}]}}}}"#,
            "\n"
        ),
        digests("photo"),
        digests("recipe"),
        digests("map")
    );
    assert_eq!(text, expected);
    let line = ManifestLine::parse(text.as_bytes()).unwrap();
    assert_eq!(line.photo, Some(FileStamp::of_bytes(b"photo")));
    let outputs: Vec<_> = line.outputs().collect();
    assert_eq!(outputs, [(Cow::from(&b"x/a.png"[..]), Some(&stamp))]);
    // Facts are of what was made.
    let begun = ManifestLine::new(&entry(), EntryState::Begun, [])
        .to_text()
        .unwrap();
    assert!(!String::from_utf8(begun).unwrap().contains("facts"));
}

#[test]
fn lines_of_the_first_format_are_read() {
    let digest = Digest::of_bytes(b"x");
    let old = format!(
        r#"{{"format":1,"state":"begun","task":"depth","input":"a","photo":{{"bytes":5,"digest":"{digest}"}},"recipe":"{digest}","outputs":{{"x/a.png":null}}}}"#
    );
    let line = ManifestLine::parse(old.as_bytes()).unwrap();
    assert_eq!((line.state, line.time), (EntryState::Begun, 0));
    assert_eq!(line.outputs().count(), 1);
}

#[test]
fn a_failure_has_a_reason_and_what_was_made_has_a_photo() {
    let failure = PhotoFailure {
        kind: crate::io::manifest::FailureKind::NotImage,
        message: "is not an image".into(),
    };
    let failed = FailedEntry {
        task: "depth",
        input: Path::new("/a.jpg"),
        page: None,
        photo: None,
        recipe: Digest::of_bytes(b"recipe"),
        failure: &failure,
        facts: &Map::new(),
    };
    let text = ManifestLine::of_failure(&failed).to_text().unwrap();
    let line = ManifestLine::parse(&text).unwrap();
    assert_eq!(line.state, EntryState::Failed);
    assert_eq!((line.error.as_ref(), &line.photo), (Some(&failure), &None));
    let text = String::from_utf8(text).unwrap();
    assert!(
        text.contains(r#""error":{"kind":"not an image","message":"is not an image"}"#),
        "{text}"
    );
    for (from, to) in [(r#""error""#, r#""errors""#), (r#""failed""#, r#""done""#)] {
        let fault = ManifestLine::parse(text.replace(from, to).as_bytes()).unwrap_err();
        assert!(matches!(fault, LineFault::Unknown(_)), "{fault:?}");
    }
    for end in 0..text.trim_end().len() {
        let fault = ManifestLine::parse(&text.as_bytes()[..end]).unwrap_err();
        assert!(matches!(fault, LineFault::Torn(_)), "{end}: {fault:?}");
    }
}

#[test]
fn unknown_keys_are_passed_over() {
    let line = ManifestLine::new(&entry(), EntryState::Done, [])
        .to_text()
        .unwrap();
    let mut line: Value = serde_json::from_slice(&line).unwrap();
    line["camera"] = json!({"fov": 60});
    line["photo"]["inode"] = json!(7);
    let line = ManifestLine::parse(line.to_string().as_bytes()).unwrap();
    assert_eq!((line.state, line.page), (EntryState::Done, Some(2)));
}

#[test]
fn newer_lines_are_told_from_torn_and_unknown_ones() {
    for newer in [r#"{"format":3}"#, r#"{"format":7,"state":{"x":1}}"#] {
        let fault = ManifestLine::parse(newer.as_bytes()).unwrap_err();
        assert!(matches!(fault, LineFault::Newer(3 | 7)), "{fault:?}");
    }
    let whole = ManifestLine::new(&entry(), EntryState::Begun, [("a".into(), None)]);
    let mut whole: Value = serde_json::from_slice(&whole.to_text().unwrap()).unwrap();
    let text = whole.to_string();
    for end in 0..text.len() {
        let fault = ManifestLine::parse(&text.as_bytes()[..end]).unwrap_err();
        assert!(matches!(fault, LineFault::Torn(_)), "{end}: {fault:?}");
    }
    assert!(ManifestLine::parse(text.as_bytes()).is_ok());
    whole["format"] = json!(3);
    let fault = ManifestLine::parse(whole.to_string().as_bytes()).unwrap_err();
    assert_eq!(fault, LineFault::Newer(3));
    for unknown in ["12", r#"{"a":1}"#, r#"{"format":1,"state":"lost"}"#] {
        let fault = ManifestLine::parse(unknown.as_bytes()).unwrap_err();
        assert!(matches!(fault, LineFault::Unknown(_)), "{unknown}");
    }
}

#[cfg(unix)]
#[test]
fn names_that_are_no_text_keep_their_bytes() {
    use std::ffi::OsStr;
    use std::os::unix::ffi::OsStrExt;
    let odd = Path::new(OsStr::from_bytes(b"x/100% caf\xe9\n.png"));
    let entry = ManifestEntry {
        input: odd.into(),
        ..entry()
    };
    let stamp = FileStamp::of_bytes(b"output");
    let names = [
        (odd.to_owned(), Some(stamp.clone())),
        ("100%25.png".into(), None),
    ];
    let text = ManifestLine::new(&entry, EntryState::Done, names)
        .to_text()
        .unwrap();
    let line = ManifestLine::parse(&text).unwrap();
    assert_eq!(*line.input(), *odd.as_os_str().as_bytes());
    let outputs: Vec<_> = line.outputs().collect();
    assert_eq!(outputs[0], (Cow::from(&b"100%25.png"[..]), None));
    assert_eq!(outputs[1], (output_name(odd), Some(&stamp)));
    let text = String::from_utf8(text).unwrap();
    assert!(
        text.contains(r#""outputs_bytes":{"x/100%25%20caf%E9%0A.png":{"bytes":6"#),
        "{text}"
    );
}
