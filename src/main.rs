//! The `dino` program: parse, dispatch, report, exit.

mod cli;
mod commands;

use std::process::ExitCode;

use dino::console::Console;
use dino::{Error, Result, device, environment, interrupt};

use crate::cli::Cli;

fn main() -> ExitCode {
    // Before anything that starts a thread.
    environment::forget_empty();
    let cli = match Cli::read() {
        Ok(cli) => cli,
        Err(error) => return cli::explain(&error),
    };
    let console = Console::new(cli.global.quiet, cli.global.verbose);
    match run(cli, &console) {
        Ok(code) => code.into(),
        Err(error) => {
            match &error {
                Error::Inputs(all) => all.iter().for_each(|one| console.error(one)),
                one => console.error(one),
            }
            match error {
                Error::Usage(_) => 2,
                Error::Interrupted => interrupt::EXIT_CODE,
                _ => 1,
            }
            .into()
        }
    }
}

fn run(cli: Cli, console: &Console) -> Result<u8> {
    // Before anything that starts a thread.
    match cli.global.threads {
        Some(threads) => device::set_threads(threads)?,
        None => device::check_environment()?,
    }
    let announcer = console.clone();
    interrupt::install(move || {
        announcer.note("stopping after this image; Ctrl-C again stops at once")
    })?;
    commands::run(cli.command, console)
}
