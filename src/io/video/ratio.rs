//! Frame rates and time bases as exact fractions: 29.97 is 30000/1001.

use std::fmt;
use std::str::FromStr;

/// A positive fraction in lowest terms.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ratio {
    num: u64,
    den: u64,
}

impl Ratio {
    /// `num` / `den`; `None` if either is 0.
    pub fn new(num: u64, den: u64) -> Option<Self> {
        let divisor = gcd(num, den);
        (num > 0 && den > 0).then(|| Ratio {
            num: num / divisor,
            den: den / divisor,
        })
    }

    /// 1 / `den`; 1/1000 for a `den` of 0.
    pub(super) fn one_over(den: u64) -> Self {
        Ratio::new(1, den).unwrap_or(Ratio { num: 1, den: 1000 })
    }

    /// The numerator.
    pub fn num(self) -> u64 {
        self.num
    }

    /// The denominator.
    pub fn den(self) -> u64 {
        self.den
    }

    /// The reciprocal.
    pub fn inverse(self) -> Self {
        Ratio {
            num: self.den,
            den: self.num,
        }
    }

    /// The quotient.
    pub fn value(self) -> f64 {
        self.num as f64 / self.den as f64
    }

    /// `ticks` of this length in nanoseconds, rounded.
    pub(super) fn nanoseconds(self, ticks: i64) -> i128 {
        let product = i128::from(ticks) * i128::from(self.num) * 1_000_000_000;
        divide_rounded(product, i128::from(self.den))
    }

    /// `seconds` in ticks of this length, rounded.
    pub(super) fn ticks(self, seconds: f64) -> i64 {
        (seconds / self.value()).round() as i64
    }

    /// `nanoseconds` in ticks of this length, rounded down.
    pub(super) fn ticks_before(self, nanoseconds: i128) -> i64 {
        let product = nanoseconds * i128::from(self.den);
        let found = product.div_euclid(1_000_000_000 * i128::from(self.num));
        i64::try_from(found).unwrap_or(i64::MAX)
    }
}

/// The nearest whole number to `a / b`, for positive `b`.
fn divide_rounded(a: i128, b: i128) -> i128 {
    (2 * a + b).div_euclid(2 * b)
}

/// The greatest common divisor; `a` for a `b` of 0.
pub(super) fn gcd(a: u64, b: u64) -> u64 {
    match b {
        0 => a,
        _ => gcd(b, a % b),
    }
}

impl fmt::Display for Ratio {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.den {
            1 => write!(f, "{}", self.num),
            den => write!(f, "{}/{den}", self.num),
        }
    }
}

/// Television frame rates as written in decimals, and their exact values.
const BROADCAST_RATES: [(&str, u64, u64); 6] = [
    ("23.976", 24000, 1001),
    ("23.98", 24000, 1001),
    ("29.97", 30000, 1001),
    ("47.952", 48000, 1001),
    ("59.94", 60000, 1001),
    ("119.88", 120_000, 1001),
];

impl FromStr for Ratio {
    type Err = String;

    /// Parses `25`, `30000/1001` or `12.5`; 23.976, 29.97 and other television rates become the exact fractions.
    fn from_str(text: &str) -> Result<Self, String> {
        let text = text.trim();
        let wrong = || {
            format!(
                "`{text}` is no rate; expected a number such as 25 or 12.5, or a fraction such as 30000/1001"
            )
        };
        if let Some((_, num, den)) = BROADCAST_RATES
            .iter()
            .find(|(decimal, ..)| *decimal == text)
        {
            return Ratio::new(*num, *den).ok_or_else(wrong);
        }
        let whole = |part: &str| part.parse::<u32>().ok().map(u64::from);
        let found = match (text.split_once('/'), text.split_once('.')) {
            (Some((num, den)), _) => whole(num)
                .zip(whole(den))
                .and_then(|(num, den)| Ratio::new(num, den)),
            (None, Some((before, after))) if (1..=6).contains(&after.len()) => {
                let scale = 10u64.pow(after.len() as u32);
                let before = if before.is_empty() {
                    Some(0)
                } else {
                    whole(before)
                };
                before
                    .zip(whole(after))
                    .and_then(|(before, after)| Ratio::new(before * scale + after, scale))
            }
            _ => whole(text).and_then(|num| Ratio::new(num, 1)),
        };
        found.ok_or_else(wrong)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn rates_are_read_as_they_are_written() {
        let read = |text: &str| text.parse::<Ratio>().map(|rate| (rate.num, rate.den));
        assert_eq!(read("25"), Ok((25, 1)));
        assert_eq!(read("30000/1001"), Ok((30000, 1001)));
        assert_eq!(read("29.97"), Ok((30000, 1001)));
        assert_eq!(read("12.5"), Ok((25, 2)));
        assert_eq!(read(".5"), Ok((1, 2)));
        for wrong in ["", "0", "-1", "1/0", "x", "1e3", "5.", "1.2.3"] {
            assert!(read(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn ticks_and_nanoseconds_are_each_other() {
        let base = Ratio::new(1, 30000).unwrap();
        for ticks in [-1001, 0, 1, 1001, 2002, 3_600_000_001] {
            let nanoseconds = base.nanoseconds(ticks);
            assert_eq!(base.ticks(nanoseconds as f64 / 1e9), ticks);
            assert_eq!(base.ticks_before(nanoseconds + 1), ticks);
        }
    }
}
