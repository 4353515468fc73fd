//! `dino completions` and `dino man`.

use dino::terminal::console::Console;
use dino::{Error, Result};

use crate::cli;

/// Prints a completion script.
pub fn completions(shell: clap_complete::Shell, console: &Console) -> Result<u8> {
    let mut script = Vec::new();
    cli::completions(shell, &mut script);
    console.out_text(&script).map(|()| 0)
}

/// Prints the manual.
pub fn man(console: &Console) -> Result<u8> {
    let mut page = Vec::new();
    cli::man_page(&mut page).map_err(|error| Error::io("<stdout>", &error))?;
    console.out_text(&page).map(|()| 0)
}
