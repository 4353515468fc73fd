//! Which vector unit a process uses: the best there is, or the one that it was told to use.

use std::sync::OnceLock;

use super::Isa;

/// What the process was told to use.
static SELECTED: OnceLock<Isa> = OnceLock::new();

impl Isa {
    /// The one that [`select_isa`] named, else the best.
    pub fn selected() -> Isa {
        SELECTED.get().copied().unwrap_or_else(Self::best)
    }

    /// The one of this machine with that [name](Isa::name).
    pub fn from_name(name: &str) -> Option<Isa> {
        Self::available().into_iter().find(|it| it.name() == name)
    }
}

/// Makes every network that is loaded from now on use `isa`; the first call holds.
pub fn select_isa(isa: Isa) {
    SELECTED.get_or_init(|| isa);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn units_are_found_by_their_names() {
        for isa in Isa::available() {
            assert_eq!(Isa::from_name(isa.name()), Some(isa));
        }
        assert_eq!(Isa::from_name("avx1024"), None);
        assert_eq!(Isa::available().last().map(|it| it.name()), Some("none"));
    }
}
