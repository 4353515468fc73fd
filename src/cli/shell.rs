//! Completion scripts and the manual page, generated from the command line's definition.

use std::io::{self, Write};

use clap::CommandFactory;

use super::command_line::{Cli, full_command};

/// Writes the completion script for `shell`.
pub fn completions(shell: clap_complete::Shell, writer: &mut dyn Write) {
    clap_complete::generate(shell, &mut Cli::command(), "dino", &mut { writer });
}

/// Writes the manual: the program's page, with a section for each command.
pub fn man_page(writer: &mut dyn Write) -> io::Result<()> {
    let mut command = full_command();
    command.build();
    let page = clap_mangen::Man::new(command.clone());
    page.render_title(writer)?;
    page.render_name_section(writer)?;
    page.render_synopsis_section(writer)?;
    page.render_description_section(writer)?;
    page.render_options_section(writer)?;
    for (name, command) in leaves(&command, "dino") {
        writeln!(writer, ".SH {}", name.to_uppercase().replace('-', "\\-"))?;
        // The options of all commands are described once, at the top.
        let own = command.clone().mut_args(|arg| {
            let shared = arg.is_global_set() || arg.get_id() == "help";
            arg.hide(shared)
        });
        let page = clap_mangen::Man::new(own);
        let mut section = Vec::new();
        page.render_description_section(&mut section)?;
        page.render_options_section(&mut section)?;
        write_as_subsections(&String::from_utf8_lossy(&section), writer)?;
    }
    page.render_extra_section(writer)?;
    page.render_version_section(writer)
}

/// The commands without subcommands, with their full names.
fn leaves<'a>(command: &'a clap::Command, name: &str) -> Vec<(String, &'a clap::Command)> {
    let children = command
        .get_subcommands()
        .filter(|sub| sub.get_name() != "help");
    let named = children.map(|sub| (format!("{name} {}", sub.get_name()), sub));
    named
        .flat_map(|(name, sub)| match sub.has_subcommands() {
            true => leaves(sub, &name),
            false => vec![(name, sub)],
        })
        .collect()
}

/// A command's sections are subsections of the one manual.
fn write_as_subsections(roff: &str, writer: &mut dyn Write) -> io::Result<()> {
    for line in roff
        .lines()
        .filter(|line| !line.starts_with(".ie") && !line.starts_with(".el"))
    {
        match line.strip_prefix(".SH ") {
            Some("DESCRIPTION") => {}
            Some(title) => writeln!(writer, ".SS {title}")?,
            None => writeln!(writer, "{line}")?,
        }
    }
    Ok(())
}
