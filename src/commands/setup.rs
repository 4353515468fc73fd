//! `dino setup`: Meta's weights for one backbone, and what bare commands use with them.

use std::io::{self, BufRead, IsTerminal};
use std::time::{Duration, Instant};

use dino::console::Console;
use dino::defaults::{BACKBONE, Memory};
use dino::heads::official::{self, Data, Method, Official};
use dino::heads::{Heads, fetch};
use dino::memory::readable;
use dino::weights::{Access, Store};
use dino::{Error, Result};

use crate::cli::{CONFIG_KEYS, DepthHead, SetupArgs};
use crate::commands::model::events;
use crate::commands::{config, selfcheck};

/// More than this is asked about first.
const MUCH: u64 = 500_000_000;

/// How long the publisher's host may take to say how large its files are.
const PATIENCE: Duration = Duration::from_secs(30);

/// Runs the command.
pub fn run(args: &SetupArgs, console: &Console) -> Result<u8> {
    let store = Store::open()?;
    if !args.show {
        fetch_set(args, &store, console)?;
    }
    for (name, record) in store.list()? {
        match record {
            Ok(record) => console.out(&format!(
                "installed {name}: {}, {}, from {}",
                readable(record.bytes),
                record.license,
                record.source
            ))?,
            Err(error) => console.error(error),
        }
    }
    for key in CONFIG_KEYS {
        // Classifiers are there only when they were fetched.
        if let Ok(default) = config::default_of(&store, key) {
            console.out(&default.line(key))?;
        }
    }
    Ok(0)
}

/// Fetches what is missing of one backbone's set.
fn fetch_set(args: &SetupArgs, store: &Store, console: &Console) -> Result<()> {
    let wanted = args.run.model.as_deref().unwrap_or(BACKBONE);
    let backbone = official::PLAIN.into_iter().find(|name| *name == wanted);
    let backbone = backbone.ok_or_else(|| {
        Error::Usage(format!(
            "--model {wanted}: heads for depth and labels were published for {}",
            official::PLAIN.join(", ")
        ))
    })?;
    let depth = match args.depth {
        DepthHead::Linear => Method::Linear,
        DepthHead::Linear4 => Method::Linear4,
        DepthHead::Dpt => Method::Dpt,
    };
    let of = |data, method| Official {
        data,
        method,
        backbone,
    };
    let heads = Heads::at(store.root());
    let set = [of(Data::Nyu, depth), of(Data::Ade20k, Method::Linear)];
    let mut missing = Vec::new();
    for head in set {
        if !heads.path(&head.name())?.exists() {
            missing.push(head);
        }
    }
    let needs_backbone = store.get(backbone)?.is_none();
    if missing.is_empty() && !needs_backbone {
        console.note(format_args!("Meta's set for {backbone} is installed"));
        return Ok(());
    }
    let host = fetch::host(Access::of(args.run.offline)?)?;
    let mut paths: Vec<String> = missing.iter().map(Official::path).collect();
    if needs_backbone {
        paths.push(official::backbone_path(backbone));
    }
    let mut bytes = 0;
    for path in &paths {
        host.check_file(path)?;
        let deadline = Instant::now() + PATIENCE.min(host.timeout);
        bytes += host.ask_for_file(path, deadline)?.unwrap_or(0);
    }
    let mut names: Vec<String> = missing.iter().map(Official::name).collect();
    names.extend(needs_backbone.then(|| backbone.to_owned()));
    let what = format!(
        "{} ({}, licence Apache-2.0) from {}",
        names.join(" and "),
        readable(bytes),
        host.endpoint
    );
    if bytes > MUCH && !args.yes && io::stdin().is_terminal() && !is_wanted(&what, console)? {
        return Err(Error::Usage(
            "nothing was fetched; --yes does not ask".into(),
        ));
    }
    console.note(format_args!("fetching {what}"));
    for head in &missing {
        fetch::pull(&heads, store, head, &host, &mut events(console))?;
    }
    if needs_backbone {
        fetch::pull_backbone(store, backbone, &host, &mut events(console))?;
    }
    let mut memory = Memory::read(store.root());
    memory.succeed();
    memory.write(store.root())?;
    selfcheck::distrust(&names, &args.run, console)
}

/// Asks on the terminal.
fn is_wanted(what: &str, console: &Console) -> Result<bool> {
    console.note(format_args!("fetch {what}? [y/N]"));
    let mut answer = String::new();
    io::stdin()
        .lock()
        .read_line(&mut answer)
        .map_err(|error| Error::io("stdin", &error))?;
    Ok(matches!(answer.trim(), "y" | "Y" | "yes" | "Yes"))
}
