//! `DINO_WEIGHTS`: whose weights a bare command uses.

use crate::error::{Error, Result};
use crate::system::environment::Variables;

/// Whose weights are used where nothing is named.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Origins {
    /// Meta's where they are installed or can be fetched, else those of [`Origins::Focus`].
    #[default]
    Best,
    /// Meta's, or none.
    Official,
    /// `vits14-focus` and the heads inside the program, whatever is installed.
    Focus,
}

impl Origins {
    /// The variable that says so.
    pub const VARIABLE: &str = "DINO_WEIGHTS";

    /// What the variable says.
    ///
    /// # Errors
    /// [`Error::Usage`] for another word.
    pub fn of(variables: &Variables) -> Result<Self> {
        match variables.text(Self::VARIABLE)? {
            None => Ok(Origins::Best),
            Some("official") => Ok(Origins::Official),
            Some("focus") => Ok(Origins::Focus),
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
        let of = |value: &str| Origins::of(&Variables::from_pairs([(Origins::VARIABLE, value)]));
        assert_eq!(of("").unwrap(), Origins::Best);
        assert_eq!(of("official").unwrap(), Origins::Official);
        assert_eq!(of("focus").unwrap(), Origins::Focus);
        let error = of("Focus").unwrap_err().to_string();
        assert!(
            error.starts_with("DINO_WEIGHTS is `Focus`; expected official"),
            "{error}"
        );
    }
}
