use std::fs;

use super::*;

const SPEC: &str = r#"{"classes": ["sky", {"name": "cat", "color": [1, 2, 3]}, "dog", "wall"],
    "sets": {"pets": {"dataset": "voc", "classes": {"0": "rest", "1": ["cat"], "3": ["dog", "cat"]}}}}"#;

#[test]
fn the_rest_is_every_class_not_named() {
    let taxonomy = Taxonomy::parse(SPEC.as_bytes()).unwrap();
    let pets = taxonomy.set("pets").unwrap();
    assert_eq!(pets.allowed, [vec![0, 3], vec![1], vec![], vec![2, 1]]);
    assert_eq!(pets.background, Some(0));
    assert_eq!(pets.id_of_class(4), [Some(0), Some(1), Some(3), Some(0)]);
    assert_eq!(taxonomy.classes[1].color, [1, 2, 3]);
    assert!(
        taxonomy
            .set("cars")
            .unwrap_err()
            .to_string()
            .contains("it has pets")
    );
}

#[test]
fn mistakes_are_named() {
    let wrong =
        |from: &str, to: &str| Taxonomy::parse(SPEC.replace(from, to).as_bytes()).unwrap_err();
    assert!(wrong("[\"cat\"]", "[\"cow\"]").contains("\"cow\""));
    assert!(wrong("\"rest\"", "\"others\"").contains("\"others\""));
    assert!(wrong("\"dog\", \"wall\"", "\"dog\", \"dog\"").contains("twice"));
    assert!(wrong("\"3\":", "\"x\":").contains("is no id"));
}

#[test]
fn lists_of_classes_have_many_forms() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("classes.json");
    let read = |text: &str| {
        fs::write(&file, text).unwrap();
        let classes = read_classes(&file).map_err(|error| error.to_string())?;
        Ok::<_, String>(
            classes
                .into_iter()
                .map(|class| (class.name, class.color))
                .collect::<Vec<_>>(),
        )
    };
    let expected = vec![
        ("sky".to_owned(), [70, 130, 180]),
        ("cat".to_owned(), [128, 0, 0]),
    ];
    for text in [
        r##"[{"name": "sky", "color": "#4682b4"}, "cat"]"##,
        r##"{"classes": [{"name": "sky", "color": [70, 130, 180], "id": 0}, {"name": "cat"}]}"##,
        r##"{"1": "cat", "0": {"name": "sky", "color": "#4682B4"}}"##,
    ] {
        assert_eq!(read(text).unwrap(), expected, "{text}");
    }
    for (text, said) in [
        (r#"[{"name": "sky", "color": "blue"}]"#, "place 0"),
        (
            r#"[{"name": "sky", "color": [1, 2, 256]}]"#,
            "from 0 to 255",
        ),
        (r#"[{"title": "sky"}]"#, "has no \"name\""),
        (r#"{"sky": 0}"#, "\"sky\" is no id"),
        (r#"{"0": "sky", "2": "cat"}"#, "ids must count from 0"),
        (r#""sky""#, "is no list of classes"),
        ("[", "is no JSON"),
    ] {
        let why = read(text).unwrap_err();
        assert!(why.contains(said), "{why}");
    }
}

#[test]
fn the_palette_is_vocs() {
    assert_eq!(voc_color(0), [0, 0, 0]);
    assert_eq!(voc_color(1), [128, 0, 0]);
    assert_eq!(voc_color(15), [192, 128, 128]);
    assert_eq!(voc_color(20), [0, 64, 128]);
}
