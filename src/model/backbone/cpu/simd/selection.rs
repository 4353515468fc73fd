//! The vector unit that a process uses: the fastest of the machine, unless [`select_isa`] chose another.

use std::sync::OnceLock;

use super::Isa;

/// The choice of [`select_isa`].
static SELECTED: OnceLock<Isa> = OnceLock::new();

impl Isa {
    /// The vector unit that [`select_isa`] chose, else the fastest.
    pub fn selected() -> Isa {
        SELECTED.get().copied().unwrap_or_else(Self::best)
    }

    /// The vector unit of this machine with this [name](Isa::name).
    pub fn from_name(name: &str) -> Option<Isa> {
        Self::available().into_iter().find(|it| it.name() == name)
    }
}

/// Makes every backbone that is built from now on use `isa`. Only the first call has an effect.
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
