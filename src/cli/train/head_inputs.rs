//! Values of `--globals` and `--context`: what a head reads beside a patch's own tokens.

use dino::model::head::context;
use dino::model::head::global_token::GlobalToken;

/// The value of `--globals`: rising, each once; empty for `none`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GlobalTokens(pub Vec<GlobalToken>);

impl std::str::FromStr for GlobalTokens {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let one = |name: &str| {
            let found = GlobalToken::ALL.into_iter().find(|t| t.name() == name);
            found.ok_or_else(|| {
                format!("{name:?} is none of cls, mean and deviation; none reads no such token")
            })
        };
        rising(text, one).map(Self)
    }
}

/// The value of `--context`: odd side lengths in patches, rising; empty for `none`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ContextSides(pub Vec<usize>);

impl std::str::FromStr for ContextSides {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let sides = rising(text, |side| {
            let side = side.parse();
            side.map_err(|_| "expected numbers, such as 3,7, or none".to_owned())
        })?;
        match context::find_sides_problem(&sides) {
            Some(why) => Err(why),
            None => Ok(Self(sides)),
        }
    }
}

/// Parses the parts of `text` between commas by `one`; sorted and each once, empty for `none`.
fn rising<T: Ord>(text: &str, one: impl Fn(&str) -> Result<T, String>) -> Result<Vec<T>, String> {
    if text == "none" {
        return Ok(Vec::new());
    }
    let mut all = text.split(',').map(one).collect::<Result<Vec<_>, _>>()?;
    all.sort_unstable();
    all.dedup();
    Ok(all)
}
