//! `dino setup`: Meta's weights for one backbone, and what bare commands use with them.

use std::io::{self, BufRead, IsTerminal};
use std::time::Duration;

use dino::model::defaults::{BACKBONE, DefaultsState, MissingWeights};
use dino::model::head_zoo::official::{self, HeadMethod, OfficialDataset, OfficialHead};
use dino::model::head_zoo::{HeadStore, fetch};
use dino::model::weights::Store;
use dino::system::http::NetworkAccess;
use dino::system::interrupt;
use dino::system::memory::format_bytes;
use dino::terminal::console::Console;
use dino::{Error, Result};

use crate::cli::{CONFIG_KEYS, DepthHeadChoice, SetupArgs};
use crate::commands::model::event_handler;
use crate::commands::{config, selfcheck};

/// Downloads above this many bytes are confirmed first.
const CONFIRM_BYTES: u64 = 500_000_000;

/// How long the publisher's host may take to say how large its files are.
const SIZES_TIMEOUT: Duration = Duration::from_secs(30);

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
                format_bytes(record.bytes),
                record.license,
                record.source
            ))?,
            Err(error) => console.error(error),
        }
    }
    for key in CONFIG_KEYS {
        // Classifiers are there only when they were fetched.
        if let Ok(default) = config::resolve_default(&store, key) {
            console.out(&default.line(key))?;
        }
    }
    Ok(0)
}

/// Fetches what is missing of a backbone and Meta's heads for it.
fn fetch_set(args: &SetupArgs, store: &Store, console: &Console) -> Result<()> {
    let wanted = args.run.model.as_deref().unwrap_or(BACKBONE);
    let backbone = official::PLAIN_BACKBONES
        .into_iter()
        .find(|name| *name == wanted);
    let backbone = backbone.ok_or_else(|| {
        Error::Usage(format!(
            "--model {wanted}: heads for depth and labels were published for {}",
            official::PLAIN_BACKBONES.join(", ")
        ))
    })?;
    let depth = match args.depth {
        DepthHeadChoice::Linear => HeadMethod::Linear,
        DepthHeadChoice::Linear4 => HeadMethod::Linear4,
        DepthHeadChoice::Dpt => HeadMethod::Dpt,
    };
    let of = |data, method| OfficialHead {
        dataset: data,
        method,
        backbone,
    };
    let heads = HeadStore::at(store.root());
    let set = [
        of(OfficialDataset::Nyu, depth),
        of(OfficialDataset::Ade20k, HeadMethod::Linear),
    ];
    let mut missing = MissingWeights {
        heads: Vec::new(),
        backbone: None,
    };
    for head in set {
        match heads.path(&head.name())?.exists() {
            // A damaged one is an error that says how to get rid of it.
            true => drop(heads.get(head.name()).map_err(|error| {
                let name = head.name();
                Error::Model(format!(
                    "{error}; `dino heads rm {name}` removes it, and `dino setup` then fetches it anew"
                ))
            })?),
            false => missing.heads.push(head),
        }
    }
    let record = store.get(backbone)?;
    missing.backbone = record.is_none().then_some(backbone);
    if let Some(record) = record
        && !fetch::is_of_publisher(&record.source, record.variant()?)
    {
        console.warn(format_args!(
            "{backbone} is installed from {}, which is not its publisher's; `dino models rm {backbone}`, and `dino setup` \
             fetches Meta's",
            record.source
        ));
    }
    if missing.is_empty() {
        console.note(format_args!("Meta's set for {backbone} is installed"));
        return Ok(());
    }
    let host = fetch::host(NetworkAccess::from_offline_flag(args.run.offline)?)?;
    let sizes = missing.sizes(&host, SIZES_TIMEOUT.min(host.timeout))?;
    let bytes = sizes.into_iter().flatten().sum();
    let names: Vec<String> = missing.files().into_iter().map(|(name, _)| name).collect();
    let what = format!(
        "{} ({}, licence Apache-2.0) from {}",
        names.join(" and "),
        format_bytes(bytes),
        host.endpoint
    );
    if bytes > CONFIRM_BYTES && !args.yes && io::stdin().is_terminal() && !confirm(&what, console)?
    {
        console.note("nothing is fetched");
        return Ok(());
    }
    console.note(format_args!("fetching {what}"));
    missing.pull(store, &host, &mut event_handler(console))?;
    let mut memory = DefaultsState::read(store.root());
    memory.clear_failure();
    memory.write(store.root())?;
    selfcheck::verify_fetched(&names, &args.run, console)
}

/// Asks on the terminal; `true` for yes.
fn confirm(what: &str, console: &Console) -> Result<bool> {
    console.note(format_args!("fetch {what}? [y/N]"));
    let answer = interrupt::wait_for(|| {
        let mut answer = String::new();
        io::stdin().lock().read_line(&mut answer).map(|_| answer)
    })?;
    let answer = answer.map_err(|error| Error::io("stdin", &error))?;
    Ok(matches!(answer.trim(), "y" | "Y" | "yes" | "Yes"))
}
