//! `dino heads pull`: published heads are fetched and installed, with the backbones that they read.

use dino::model::head_zoo::HeadStore;
use dino::model::head_zoo::fetch::{self, InstalledHead};
use dino::model::weights::{Hub, Store};
use dino::system::http::NetworkAccess;
use dino::terminal::console::Console;
use dino::{Error, Result};

use crate::commands::model::event_handler;

/// Fetches heads and, with `backbones`, the backbones they read. `names` are published heads or Hub repositories
/// (`OWNER/NAME`). One failure does not stop the rest; returns the exit code.
pub(super) fn pull(
    heads: &HeadStore,
    store: &Store,
    (names, model, backbones): (&[String], &str, bool),
    access: &NetworkAccess,
    console: &Console,
) -> Result<u8> {
    let repository = |name: &String| fetch::repository_of(name).unwrap_or_else(|| name.clone());
    let (repositories, words): (Vec<_>, Vec<_>) = names
        .iter()
        .map(repository)
        .partition(|name| name.contains('/'));
    let meant = match words.is_empty() {
        true => Vec::new(),
        false => fetch::resolve_names(&words, model)?,
    };
    let host = fetch::host(access.clone())?;
    let mut code = 0;
    let mut note = |result: Result<()>| match result {
        Err(Error::Interrupted) => Err(Error::Interrupted),
        Err(error) => {
            console.error(&error);
            code = 1;
            Ok(())
        }
        Ok(()) => Ok(()),
    };
    for repo in &repositories {
        let result = Hub::from_env(access.clone()).and_then(|hub| {
            fetch::pull_repository(heads, store, repo, &hub, &mut event_handler(console))
        });
        note(result.and_then(|installed| report_installed(heads, &installed, console)))?;
    }
    for head in &meant {
        let result = fetch::pull(heads, store, head, &host, &mut event_handler(console));
        note(result.and_then(|installed| report_installed(heads, &installed, console)))?;
    }
    let mut needed: Vec<&str> = meant.iter().map(|head| head.backbone).collect();
    needed.sort_unstable();
    needed.dedup();
    for backbone in needed.into_iter().filter(|_| backbones) {
        let result = fetch::pull_backbone(store, backbone, &host, &mut event_handler(console));
        note(result.map(|fetched| {
            if fetched {
                console.note(format_args!("{backbone} installed (the backbone)"));
            }
        }))?;
    }
    Ok(code)
}

/// Prints the path of the installed file on stdout, and name, backbone and licence on stderr.
pub(super) fn report_installed(
    heads: &HeadStore,
    installed: &InstalledHead,
    console: &Console,
) -> Result<()> {
    let InstalledHead {
        name,
        path,
        already_installed: already,
    } = installed;
    let meta = heads.get(name)?.head.meta;
    let task = meta.task_name();
    let how = match already {
        true => "was installed before",
        false => "installed",
    };
    let license = meta.origin.map_or(String::new(), |origin| {
        format!(", licence {}", origin.license)
    });
    console.note(format_args!(
        "{name} {how} (for `dino {}` on {}{license})",
        task, meta.backbone
    ));
    console.out_path(path)
}
