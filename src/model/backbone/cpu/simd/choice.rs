//! Which vector unit a process uses: the best there is, or the one that it was told to use.

use std::sync::OnceLock;

use super::Isa;

/// What the process was told to use.
static CHOSEN: OnceLock<Isa> = OnceLock::new();

impl Isa {
    /// The one that [`choose`] named, else the best.
    pub fn chosen() -> Isa {
        CHOSEN.get().copied().unwrap_or_else(Self::best)
    }

    /// The one of this machine with that [name](Isa::name).
    pub fn named(name: &str) -> Option<Isa> {
        Self::available().into_iter().find(|it| it.name() == name)
    }
}

/// Makes every network that is loaded from now on use `isa`; the first call holds.
pub fn choose(isa: Isa) {
    CHOSEN.get_or_init(|| isa);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn units_are_found_by_their_names() {
        for isa in Isa::available() {
            assert_eq!(Isa::named(isa.name()), Some(isa));
        }
        assert_eq!(Isa::named("avx1024"), None);
        assert_eq!(Isa::available().last().map(|it| it.name()), Some("none"));
    }
}
