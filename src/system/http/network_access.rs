//! Whether files may be downloaded, and the flag or variable that forbids it: `--offline`, `HF_HUB_OFFLINE`,
//! `TRANSFORMERS_OFFLINE`.

use crate::error::{Error, Result};
use crate::system::environment::{self, EnvVariables};

/// Variables that forbid the network. The second counts only where the first is not set, as in huggingface_hub.
const VARIABLES: [&str; 2] = ["HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE"];

/// Whether this program, or a package client that it starts, may use the network.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum NetworkAccess {
    /// Files may be fetched.
    #[default]
    Allowed,
    /// Files may not be fetched, because of this flag, or variable with its value.
    Forbidden(String),
}

impl NetworkAccess {
    /// Forbidden with the flag `--offline`, else by the environment.
    ///
    /// # Errors
    /// If a variable is not UTF-8.
    pub fn from_offline_flag(offline: bool) -> Result<Self> {
        match offline {
            true => Ok(NetworkAccess::Forbidden("--offline".into())),
            false => NetworkAccess::from_variables(&EnvVariables::from_process()),
        }
    }

    /// Forbidden if the first variable that is set means yes.
    ///
    /// # Errors
    /// If a variable is not UTF-8.
    pub fn from_variables(variables: &EnvVariables) -> Result<Self> {
        Ok(match variables.first(&VARIABLES)? {
            Some(setting) if environment::is_true(setting.value) => {
                NetworkAccess::Forbidden(format!("{}={}", setting.variable, setting.value))
            }
            _ => NetworkAccess::Allowed,
        })
    }

    /// Checks that `what` may be fetched; `instead` is the alternative without the network, for the message.
    ///
    /// # Errors
    /// [`Error::Download`] if it is forbidden, with the flag or variable that forbids it.
    pub fn check(&self, what: &str, instead: &str) -> Result<()> {
        match self {
            NetworkAccess::Allowed => Ok(()),
            NetworkAccess::Forbidden(by) => Err(Error::Download(format!(
                "{what} is not here and {by} forbids fetching it; {}, or {instead}",
                NetworkAccess::allow_hint(by)
            ))),
        }
    }

    /// How to lift the prohibition by the flag or variable `by`, as a part of a sentence.
    pub fn allow_hint(by: &str) -> String {
        match by.split_once('=') {
            Some((variable, _)) => format!("unset {variable} while online"),
            None => format!("leave {by} out while online"),
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn the_environment_forbids_as_huggingface_hub_documents_it() {
        for (pairs, by) in [
            (vec![], None),
            (vec![("HF_HUB_OFFLINE", "")], None),
            (vec![("HF_HUB_OFFLINE", "0")], None),
            (vec![("HF_HUB_OFFLINE", "1")], Some("HF_HUB_OFFLINE=1")),
            (vec![("HF_HUB_OFFLINE", "on")], Some("HF_HUB_OFFLINE=on")),
            (
                vec![("TRANSFORMERS_OFFLINE", "Yes")],
                Some("TRANSFORMERS_OFFLINE=Yes"),
            ),
            (
                vec![("HF_HUB_OFFLINE", ""), ("TRANSFORMERS_OFFLINE", "TRUE")],
                Some("TRANSFORMERS_OFFLINE=TRUE"),
            ),
            (
                vec![("HF_HUB_OFFLINE", "0"), ("TRANSFORMERS_OFFLINE", "1")],
                None,
            ),
        ] {
            let found =
                NetworkAccess::from_variables(&EnvVariables::from_pairs(pairs.clone())).unwrap();
            let expected = by.map_or(NetworkAccess::Allowed, |by| {
                NetworkAccess::Forbidden(by.into())
            });
            assert_eq!(found, expected, "{pairs:?}");
        }
    }

    #[test]
    fn who_forbids_is_named() {
        let by = |by: &str| {
            let error = NetworkAccess::Forbidden(by.into()).check("vits14", "do without");
            error.unwrap_err().to_string()
        };
        assert_eq!(
            by("HF_HUB_OFFLINE=1"),
            "vits14 is not here and HF_HUB_OFFLINE=1 forbids fetching it; unset HF_HUB_OFFLINE while online, or do without"
        );
        assert!(by("--offline").contains("leave --offline out while online"));
        NetworkAccess::Allowed.check("vits14", "").unwrap();
    }
}
