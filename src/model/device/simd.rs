//! The vector instructions of the CPU kernels, and `DINO_SIMD`, which chooses them.

use crate::error::{Error, Result};
use crate::model::backbone::cpu::simd::{self, Isa};
use crate::system::environment::EnvVariables;

/// The variable that names the vector instructions of the backbone's kernels, in place of the processor's best: for
/// benchmarks and bug reports.
pub const SIMD_VARIABLE: &str = "DINO_SIMD";

/// Selects the vector instructions that `DINO_SIMD` names; to be called before a backbone is loaded.
///
/// # Errors
/// [`Error::Usage`] if this processor has nothing of that name.
pub fn choose_simd(variables: &EnvVariables) -> Result<()> {
    let Some(name) = variables.text(SIMD_VARIABLE)? else {
        return Ok(());
    };
    let Some(isa) = Isa::from_name(name) else {
        let names: Vec<&str> = Isa::available().into_iter().map(Isa::name).collect();
        return Err(Error::Usage(format!(
            "{SIMD_VARIABLE} is `{name}`; expected one of what this processor has: {}, or nothing for the first of them",
            names.join(", ")
        )));
    };
    simd::select_isa(isa);
    Ok(())
}

/// Name of the vector instructions that the backbone's kernels use.
pub fn simd() -> &'static str {
    Isa::selected().name()
}
