//! `DINO_WEIGHTS`: the publishers whose weights a command may use where the user names none.

use crate::error::{Error, Result};
use crate::system::environment::EnvVariables;

/// The publishers whose weights a command may use where the user names neither model nor head.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum WeightsPolicy {
    /// Meta's where they are installed or can be fetched, else those of [`WeightsPolicy::Focus`].
    #[default]
    Best,
    /// Meta's alone; an error where they cannot be had.
    Official,
    /// `vits14-focus` and the heads inside the program, whatever is installed.
    Focus,
}

impl WeightsPolicy {
    /// The environment variable that sets it.
    pub const VARIABLE: &str = "DINO_WEIGHTS";

    /// The policy that the variable sets; [`WeightsPolicy::Best`] where it is not set.
    ///
    /// # Errors
    /// [`Error::Usage`] for another word.
    pub fn from_variables(variables: &EnvVariables) -> Result<Self> {
        match variables.text(Self::VARIABLE)? {
            None => Ok(WeightsPolicy::Best),
            Some("official") => Ok(WeightsPolicy::Official),
            Some("focus") => Ok(WeightsPolicy::Focus),
            Some(other) => Err(Error::Usage(format!(
                "{} is `{other}`; expected official (Meta's weights, or a failure), focus (vits14-focus and the heads inside \
                 the program), or nothing for the best that can be had",
                Self::VARIABLE
            ))),
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn words_are_read_or_refused() {
        let of = |value: &str| {
            WeightsPolicy::from_variables(&EnvVariables::from_pairs([(
                WeightsPolicy::VARIABLE,
                value,
            )]))
        };
        assert_eq!(of("").unwrap(), WeightsPolicy::Best);
        assert_eq!(of("official").unwrap(), WeightsPolicy::Official);
        assert_eq!(of("focus").unwrap(), WeightsPolicy::Focus);
        let error = of("Focus").unwrap_err().to_string();
        assert!(
            error.starts_with("DINO_WEIGHTS is `Focus`; expected official"),
            "{error}"
        );
    }
}
