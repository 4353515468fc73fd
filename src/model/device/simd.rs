//! The vector instructions that the CPU kernels use.

use crate::error::{Error, Result};
use crate::model::backbone::cpu::simd::{self, Isa};
use crate::system::environment::EnvVariables;

/// Names the vector instructions that the backbone's kernels shall use, in place of the best of this processor's: for
/// benchmarks and bug reports.
pub const SIMD_VARIABLE: &str = "DINO_SIMD";

/// Does what `DINO_SIMD` says; to be called before a backbone is loaded.
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

/// The vector instructions of this processor that the backbone's kernels use.
pub fn simd() -> &'static str {
    Isa::selected().name()
}
