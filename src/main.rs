//! The `dino` program: [`cli`] parses the command line, [`commands`] runs it, and errors become messages and the exit
//! code (0 all good, 1 something failed, 2 wrong usage, 130 interrupted).

mod cli;
mod commands;

use std::process::ExitCode;

use dino::model::device::{self, launcher};
use dino::system::environment::{self, EnvVariables};
use dino::system::{interrupt, threads};
use dino::terminal::console::Console;
use dino::{Error, Result};

use crate::cli::{Cli, Command};

fn main() -> ExitCode {
    // Before anything that starts a thread.
    environment::unset_empty();
    let launched = launcher::launch();
    let cli = match Cli::read() {
        Ok(cli) => cli,
        Err(error) => return cli::print_clap_error(&error),
    };
    let console = Console::new(cli.global.quiet, cli.global.verbose);
    match run(cli, launched, &console) {
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

fn run(cli: Cli, launched: Result<Option<String>>, console: &Console) -> Result<u8> {
    match launched {
        Ok(note) => note.into_iter().for_each(|note| console.note(note)),
        // `dino info` shows what is wrong with variables among the others.
        Err(_) if matches!(cli.command, Command::Info { .. }) => (),
        Err(error) => return Err(error),
    }
    // Before anything that starts a thread.
    match cli.global.threads {
        Some(threads) => threads::set_threads(threads)?,
        None => threads::check_environment()?,
    }
    device::choose_simd(&EnvVariables::from_process())?;
    let announcer = console.clone();
    interrupt::install(move || {
        announcer.note("stopping after what is under way; Ctrl-C again stops at once")
    })?;
    commands::run(cli.command, console)
}
