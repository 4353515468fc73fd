//! Natural order of file names, in which `img2` comes before `img10`.

use std::cmp::Ordering;
use std::ffi::OsStr;

/// Compares two names, with runs of digits as numbers and other bytes by value: a total order, independent of the
/// locale.
pub(crate) fn compare(a: &OsStr, b: &OsStr) -> Ordering {
    let (a, b) = (a.as_encoded_bytes(), b.as_encoded_bytes());
    compare_bytes(a, b).then_with(|| a.cmp(b))
}

/// As [`compare`], but names that differ only in leading zeros are equal.
fn compare_bytes(mut a: &[u8], mut b: &[u8]) -> Ordering {
    loop {
        let (Some(&x), Some(&y)) = (a.first(), b.first()) else {
            return a.len().cmp(&b.len());
        };
        let order = if x.is_ascii_digit() && y.is_ascii_digit() {
            let (m, n) = (take_number(&mut a), take_number(&mut b));
            m.len().cmp(&n.len()).then_with(|| m.cmp(n))
        } else {
            (a, b) = (&a[1..], &b[1..]);
            x.cmp(&y)
        };
        if order != Ordering::Equal {
            return order;
        }
    }
}

/// Cuts the leading digits off `text` and returns them without their leading zeros.
fn take_number<'a>(text: &mut &'a [u8]) -> &'a [u8] {
    let end = text
        .iter()
        .position(|c| !c.is_ascii_digit())
        .unwrap_or(text.len());
    let (digits, rest) = text.split_at(end);
    *text = rest;
    let zeros = digits.iter().take_while(|&&c| c == b'0').count();
    &digits[zeros..]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_sort_as_numbers() {
        let mut names = [
            "img10", "img2", "img02", "b", "img1.jpg", "img", "a9z", "a10a",
        ];
        names.sort_by(|a, b| compare(a.as_ref(), b.as_ref()));
        assert_eq!(
            names,
            [
                "a9z", "a10a", "b", "img", "img1.jpg", "img02", "img2", "img10"
            ]
        );
    }
}
