//! Completions for shells, and man pages: made of the same arguments that are read.

use std::path::Path;

use clap::CommandFactory as _;
use clap_complete::Shell;

use crate::args::Arguments;
use crate::failure::Failure;
use crate::out::Out;

/// Prints completions for a shell.
pub(crate) fn completions(shell: Shell, out: &mut Out) -> Result<(), Failure> {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Arguments::command(), "tollgate", &mut script);
    out.bytes(&script)
}

/// Writes `tollgate.1`, `tollgate-org.1` and so on.
pub(crate) fn man(directory: &Path) -> Result<(), Failure> {
    let refused = |error: std::io::Error| {
        let shown = directory.display();
        Failure::from(error).within(format!("cannot write man pages to `{shown}`"))
    };
    std::fs::create_dir_all(directory).map_err(refused)?;
    clap_mangen::generate_to(Arguments::command(), directory).map_err(refused)
}
