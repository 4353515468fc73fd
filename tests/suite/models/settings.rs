//! Settings: empty environment variables count as unset, nothing is read from the working folder by accident, and `dino
//! info` lists the settings and their sources.

use std::fs;
use std::path::Path;

use super::fixtures::{self, NAME};
use super::server::{Reply, Server};
use super::{dino, models, out, run};

fn settings(command: &mut std::process::Command) -> serde_json::Value {
    let done = run(command.args(["info", "--json"]));
    let info: serde_json::Value = serde_json::from_str(&out(&done)).unwrap();
    info["settings"].clone()
}

fn setting<'a>(settings: &'a serde_json::Value, name: &str) -> &'a serde_json::Value {
    let mut all = settings.as_array().unwrap().iter();
    all.find(|it| it["name"] == name).unwrap()
}

/// A cache as Hugging Face programs make it, with the model of the fixtures.
fn fill_cache(cache: &Path) {
    let repo = cache.join("models--facebook--dino-vits16");
    fs::create_dir_all(repo.join("snapshots/abc")).unwrap();
    fs::create_dir_all(repo.join("refs")).unwrap();
    fs::write(repo.join("refs/main"), "abc").unwrap();
    let body = fixtures::safetensors(fixtures::canonical());
    fs::write(repo.join("snapshots/abc/model.safetensors"), body).unwrap();
}

#[test]
fn info_tells_what_holds_and_who_said_so_but_no_secret() {
    let home = tempfile::tempdir().unwrap();
    let mut command = dino(home.path());
    command
        .env("HF_HOME", "/hf")
        .env("HF_ENDPOINT", "https://mirror.invalid/")
        .env("HF_TOKEN", "hf_secret")
        .env("HTTPS_PROXY", "http://ada:secret@127.0.0.1:3128")
        .env("NO_PROXY", "localhost")
        .env("HF_HUB_OFFLINE", "on")
        .env("DINO_MODEL", "vitb14");
    let found = settings(&mut command);
    for (name, value, source) in [
        ("store", home.path().to_str().unwrap(), "DINO_HOME"),
        ("network", "forbidden", "HF_HUB_OFFLINE=on"),
        ("hub", "https://mirror.invalid", "HF_ENDPOINT"),
        ("token", "set", "HF_TOKEN"),
        ("cache", "/hf/hub", "HF_HOME"),
        ("https", "http://127.0.0.1:3128", "HTTPS_PROXY"),
        ("direct", "localhost", "NO_PROXY"),
        ("set", "vitb14", "DINO_MODEL"),
    ] {
        let found = setting(&found, name);
        assert_eq!(
            (&found["value"], &found["source"]),
            (&value.into(), &source.into()),
            "{name}"
        );
    }
    let mut command = dino(home.path());
    command
        .env("HF_TOKEN", "hf_secret")
        .env("HTTPS_PROXY", "wat://ada:secret@127.0.0.1:3128")
        .env("HF_HOME", "$NOWHERE/hf")
        .arg("info");
    let done = run(&mut command).expect_code(0);
    let text = out(&done);
    assert!(!text.contains("secret"), "{text}");
    assert!(
        text.contains("HTTPS_PROXY is `***@127.0.0.1:3128`"),
        "{text}"
    );
    assert!(text.contains("NOWHERE is not set"), "{text}");
    assert!(text.contains("\nnetwork   allowed\n"), "{text}");
}

/// If an empty value counted as set, each of these would be read as a path in the working folder.
#[test]
fn empty_variables_do_not_lead_to_the_working_folder() {
    let home = tempfile::tempdir().unwrap();
    let here = tempfile::tempdir().unwrap();
    // What must not be found: caches and a token in the working folder.
    fill_cache(&here.path().join("hub"));
    fill_cache(&here.path().join("huggingface/hub"));
    fill_cache(&here.path().join(".cache/huggingface/hub"));
    fill_cache(here.path());
    fs::write(here.path().join("token"), "hf_here").unwrap();
    let server = Server::start(|_, _| Reply::status(404));
    let mut command = dino(home.path());
    command
        .args(["models", "pull", NAME])
        .current_dir(here.path())
        .env("HF_ENDPOINT", server.url());
    for name in [
        "HF_HOME",
        "HF_HUB_CACHE",
        "HUGGINGFACE_HUB_CACHE",
        "TRANSFORMERS_CACHE",
        "XDG_CACHE_HOME",
        "XDG_DATA_HOME",
        "HF_TOKEN",
        "HF_TOKEN_PATH",
        "HF_HUB_OFFLINE",
        "http_proxy",
        "ALL_PROXY",
        "DINO_HTTP_TIMEOUT",
        "TMPDIR",
    ] {
        command.env(name, "");
    }
    // The system's list of users has another home.
    let done = run(command.env("HOME", home.path()));
    assert_eq!(done.code(), 1, "{}", done.stderr);
    assert!(done.stderr.contains("(404)"), "{}", done.stderr);
    let requests = server.requests();
    assert_eq!(requests.len(), 2);
    assert!(
        requests
            .iter()
            .all(|request| !request.headers.contains_key("authorization"))
    );
    // Nor does an empty home.
    let mut command = dino(home.path());
    command
        .current_dir(here.path())
        .env("HOME", "")
        .env("HF_HOME", "")
        .env("DINO_HOME", "");
    for it in settings(&mut command).as_array().unwrap() {
        let value = it["value"].as_str().unwrap_or_default();
        assert!(!value.starts_with(here.path().to_str().unwrap()), "{it}");
    }
    let list = run(dino(home.path())
        .args(["models", "list"])
        .env("DINO_MODEL", "")
        .env("NO_COLOR", ""));
    assert_eq!(list.code(), 0, "{}", list.stderr);
}

#[test]
fn a_home_named_from_the_working_folder_is_said() {
    let here = tempfile::tempdir().unwrap();
    let mut command = dino(Path::new("lab"));
    let done = run(command.args(["models", "list"]).current_dir(here.path()));
    assert_eq!(done.code(), 0);
    let whole = here.path().canonicalize().unwrap().join("lab");
    assert!(
        done.stderr.contains(&format!(
            "DINO_HOME is `lab`, from the working folder: {}",
            whole.display()
        )),
        "{}",
        done.stderr
    );
    assert_eq!(models(here.path(), ["list"]).stderr, "");
}

/// Python puts the working folder first where `python3 -m` looks for modules, and a PATH may name it too.
#[cfg(unix)]
#[test]
fn a_client_sees_nothing_of_the_working_folder() {
    use std::os::unix::fs::PermissionsExt;
    let home = tempfile::tempdir().unwrap();
    let here = tempfile::tempdir().unwrap();
    let bin = tempfile::tempdir().unwrap();
    let script = |path: &Path, text: &str| {
        fs::write(path, format!("#!/bin/sh\n{text}\n")).unwrap();
        fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
    };
    script(&here.path().join("pip"), "touch trapped; exit 0");
    fs::create_dir(here.path().join("wheels")).unwrap();
    let pwd = "echo \"in $PWD with $PIP_FIND_LINKS of $(echo *)\" >&2";
    script(
        &bin.path().join("pip"),
        &format!("[ \"$1\" = --version ] && exit 0; {pwd}; exit 1"),
    );
    let done = run(dino(home.path())
        .args(["models", "pull", "vits14-focus"])
        .current_dir(here.path())
        .env("PIP_FIND_LINKS", "wheels")
        .env("PATH", format!(":.:{}:", bin.path().display())));
    assert_eq!(done.code(), 1);
    let models = home.path().canonicalize().unwrap().join("models");
    let expected = format!(
        "in {}/.tmp-vits14-focus with {}/wheels of client.log",
        models.display(),
        here.path().canonicalize().unwrap().display()
    );
    assert!(
        done.stderr.contains(&expected),
        "{expected}\n{}",
        done.stderr
    );
    assert!(!here.path().join("trapped").exists());
}

#[test]
fn the_token_is_read_by_all_its_names_and_trimmed() {
    let home = tempfile::tempdir().unwrap();
    let server = Server::start(|_, _| Reply::status(404));
    let file = home.path().join("my-token");
    fs::write(&file, "hf_file\n\n").unwrap();
    let file = file.to_str().unwrap();
    for (pairs, token) in [
        (&[("HF_TOKEN", " hf_x\n")][..], Some("Bearer hf_x")),
        (
            &[("HUGGING_FACE_HUB_TOKEN", "hf_old")],
            Some("Bearer hf_old"),
        ),
        (&[("HF_TOKEN_PATH", file)], Some("Bearer hf_file")),
        (
            &[("HF_TOKEN", "hf_x"), ("HF_HUB_DISABLE_IMPLICIT_TOKEN", "1")],
            None,
        ),
    ] {
        let before = server.requests().len();
        let done = run(dino(home.path())
            .args(["models", "pull", NAME])
            .env("HF_ENDPOINT", server.url())
            .envs(pairs.iter().copied()));
        assert!(!done.stderr.contains("hf_"), "{}", done.stderr);
        let sent = server.requests()[before]
            .headers
            .get("authorization")
            .cloned();
        assert_eq!(sent.as_deref(), token, "{pairs:?}");
    }
}
