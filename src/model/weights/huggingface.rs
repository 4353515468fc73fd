//! The cache folder and the token of Hugging Face programs, by the variables that huggingface_hub documents and their
//! old spellings (its `constants.py` and `utils/_auth.py`).

use std::path::PathBuf;
use std::{fmt, fs};

use crate::error::{Error, Result};
use crate::system::environment::EnvVariables;

/// A folder or file, and the variable that chose it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HubPath {
    /// The absolute path.
    pub path: PathBuf,
    /// Name of the variable, or `default`.
    pub source: &'static str,
}

/// Paths of huggingface_hub; each is `None` where no home folder is known and no variable names it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct HubPaths {
    /// The cache of repositories.
    pub cache: Option<HubPath>,
    /// The file with the token.
    pub token: Option<HubPath>,
}

impl HubPaths {
    /// The paths that `variables` choose.
    ///
    /// # Errors
    /// If a path in them cannot be expanded.
    pub fn from_variables(variables: &EnvVariables) -> Result<Self> {
        let named = |names: &[&'static str]| -> Result<Option<HubPath>> {
            for source in names {
                if let Some(path) = variables.path(source)? {
                    return Ok(Some(HubPath { path, source }));
                }
            }
            Ok(None)
        };
        let home = match named(&["HF_HOME"])? {
            Some(home) => Some(home),
            None => usual_home(variables)?,
        };
        let within = |name: &str| {
            home.as_ref().map(|home| HubPath {
                path: home.path.join(name),
                source: home.source,
            })
        };
        let mut cache = named(&["HF_HUB_CACHE", "HUGGINGFACE_HUB_CACHE"])?;
        if cache.is_none() && home.as_ref().is_none_or(|home| home.source != "HF_HOME") {
            // Transformers' own, of the same layout.
            cache = named(&["TRANSFORMERS_CACHE"])?;
        }
        Ok(HubPaths {
            cache: cache.or_else(|| within("hub")),
            token: named(&["HF_TOKEN_PATH"])?.or_else(|| within("token")),
        })
    }
}

/// `huggingface` in the cache folder. The XDG specification has relative paths passed over.
fn usual_home(variables: &EnvVariables) -> Result<Option<HubPath>> {
    const XDG: &str = "XDG_CACHE_HOME";
    if let Some(value) = variables
        .os(XDG)
        .filter(|value| crate::system::environment::is_independent_path(value))
    {
        return Ok(Some(HubPath {
            path: variables.expand(XDG, value)?.join("huggingface"),
            source: XDG,
        }));
    }
    Ok(variables.home().map(|home| HubPath {
        path: home.join(".cache").join("huggingface"),
        source: "default",
    }))
}

/// An access token and its source. `Debug` does not show the token.
#[derive(Clone, PartialEq, Eq)]
pub struct HubToken {
    /// The token itself.
    pub secret: String,
    /// The variable or the file that it was found in, for messages.
    pub source: String,
}

impl HubToken {
    /// The token that requests may carry: `HF_TOKEN`, its old spelling, or what is in `file`. None where
    /// `HF_HUB_DISABLE_IMPLICIT_TOKEN` keeps it back.
    ///
    /// # Errors
    /// If what is there cannot be a token.
    pub fn find(variables: &EnvVariables, file: Option<&HubPath>) -> Result<Option<Self>> {
        if variables.is_true("HF_HUB_DISABLE_IMPLICIT_TOKEN")? {
            return Ok(None);
        }
        if let Some(setting) = variables.first(&["HF_TOKEN", "HUGGING_FACE_HUB_TOKEN"])? {
            return HubToken::clean(setting.value, setting.variable.to_owned());
        }
        // A file that cannot be read counts as none: most repositories need no token.
        let Some((file, bytes)) = file.and_then(|file| Some((file, fs::read(&file.path).ok()?)))
        else {
            return Ok(None);
        };
        let source = file.path.display().to_string();
        HubToken::clean(&String::from_utf8_lossy(&bytes), source)
    }

    /// Without line ends, as huggingface_hub cleans it, and white space around it.
    fn clean(text: &str, source: String) -> Result<Option<Self>> {
        let secret = text.replace(['\r', '\n'], "").trim().to_owned();
        if !secret.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(Error::Usage(format!(
                "{source} holds no token: there are characters in it that no token has"
            )));
        }
        Ok((!secret.is_empty()).then_some(HubToken { secret, source }))
    }
}

impl fmt::Debug for HubToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Token(from {})", self.source)
    }
}

#[cfg(all(test, unix))]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn variables(pairs: &[(&str, &str)]) -> EnvVariables {
        EnvVariables::from_pairs([("HOME", "/home/ada")].iter().chain(pairs).copied())
    }

    /// Compared with what huggingface_hub 2.4 says of the same variables, but for those marked.
    #[test]
    fn folders_are_those_of_huggingface_hub() {
        const USUAL: [&str; 2] = [
            "/home/ada/.cache/huggingface/hub",
            "/home/ada/.cache/huggingface/token",
        ];
        for (pairs, cache, token) in [
            (&[][..], USUAL[0], USUAL[1]),
            (&[("HF_HOME", "/hf")], "/hf/hub", "/hf/token"),
            (
                &[("HF_HOME", "~/hf")],
                "/home/ada/hf/hub",
                "/home/ada/hf/token",
            ),
            (
                &[("HF_HOME", "$S/hf"), ("S", "/s")],
                "/s/hf/hub",
                "/s/hf/token",
            ),
            (
                &[("XDG_CACHE_HOME", "/xdg")],
                "/xdg/huggingface/hub",
                "/xdg/huggingface/token",
            ),
            (
                &[("XDG_CACHE_HOME", "~/x")],
                "/home/ada/x/huggingface/hub",
                "/home/ada/x/huggingface/token",
            ),
            (&[("HF_HUB_CACHE", "/c")], "/c", USUAL[1]),
            (&[("HUGGINGFACE_HUB_CACHE", "/old")], "/old", USUAL[1]),
            (
                &[("HUGGINGFACE_HUB_CACHE", "/old"), ("HF_HUB_CACHE", "/c")],
                "/c",
                USUAL[1],
            ),
            (
                &[("HF_HUB_CACHE", "~/c"), ("HF_HOME", "/hf")],
                "/home/ada/c",
                "/hf/token",
            ),
            (&[("HF_TOKEN_PATH", "~/t")], USUAL[0], "/home/ada/t"),
            // Transformers' variable, which huggingface_hub does not know.
            (&[("TRANSFORMERS_CACHE", "/t")], "/t", USUAL[1]),
            (
                &[("TRANSFORMERS_CACHE", "/t"), ("HF_HOME", "/hf")],
                "/hf/hub",
                "/hf/token",
            ),
            // Empty or relative, where huggingface_hub would use the working folder.
            (
                &[("HF_HOME", ""), ("HF_HUB_CACHE", ""), ("HF_TOKEN_PATH", "")],
                USUAL[0],
                USUAL[1],
            ),
            (&[("XDG_CACHE_HOME", "")], USUAL[0], USUAL[1]),
            (&[("XDG_CACHE_HOME", "x")], USUAL[0], USUAL[1]),
        ] {
            let found = HubPaths::from_variables(&variables(pairs)).unwrap();
            let path = |location: Option<HubPath>| location.unwrap().path.display().to_string();
            assert_eq!(
                (path(found.cache).as_str(), path(found.token).as_str()),
                (cache, token),
                "{pairs:?}"
            );
        }
        let here = std::env::current_dir().unwrap();
        let found = HubPaths::from_variables(&variables(&[("HF_HOME", "hf")])).unwrap();
        assert_eq!(found.cache.unwrap().path, here.join("hf/hub"));
    }

    #[test]
    fn tokens_are_found_cleaned_and_never_shown() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("token");
        fs::write(&path, "hf_file\n").unwrap();
        let file = HubPath {
            path: path.clone(),
            source: "default",
        };
        let find = |pairs: &[(&str, &str)]| {
            let found = HubToken::find(&variables(pairs), Some(&file)).unwrap();
            found.map(|token| (token.secret, token.source))
        };
        let from = |secret: &str, source: &str| Some((secret.to_owned(), source.to_owned()));
        assert_eq!(find(&[]), from("hf_file", path.to_str().unwrap()));
        assert_eq!(find(&[("HF_TOKEN", " hf_x\r\n")]), from("hf_x", "HF_TOKEN"));
        assert_eq!(find(&[("HF_TOKEN", "")]), find(&[]));
        assert_eq!(
            find(&[("HUGGING_FACE_HUB_TOKEN", "hf_old")]),
            from("hf_old", "HUGGING_FACE_HUB_TOKEN")
        );
        let both = [("HF_TOKEN", "hf_x"), ("HUGGING_FACE_HUB_TOKEN", "hf_old")];
        assert_eq!(find(&both), from("hf_x", "HF_TOKEN"));
        assert_eq!(
            find(&[("HF_TOKEN", "hf_x"), ("HF_HUB_DISABLE_IMPLICIT_TOKEN", "1")]),
            None
        );
        let error = HubToken::find(&variables(&[("HF_TOKEN", "hf x\u{e9}")]), None)
            .unwrap_err()
            .to_string();
        assert!(
            error.starts_with("HF_TOKEN holds no token") && !error.contains("hf x"),
            "{error}"
        );
        let token = HubToken {
            secret: "hf_x".into(),
            source: "HF_TOKEN".into(),
        };
        assert_eq!(format!("{token:?}"), "Token(from HF_TOKEN)");
        // Without a file, or with an empty one, there is none.
        fs::write(&path, " \n").unwrap();
        assert_eq!(find(&[]), None);
        fs::remove_file(&path).unwrap();
        assert_eq!(find(&[]), None);
    }
}
