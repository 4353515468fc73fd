//! Parsers for clap's `value_parser` that several commands share. An error says what was expected, with an example.

/// Bytes from a number with M, G or T (powers of 1024), such as `4G`; above 0.
pub fn memory_size(text: &str) -> Result<u64, String> {
    let expected = || "expected a size such as 4G, 800M or 0.5G".to_owned();
    let text = text.trim();
    let unit = text
        .find(|c: char| c.is_ascii_alphabetic())
        .unwrap_or(text.len());
    let (number, unit) = text.split_at(unit);
    let scale = match unit.to_ascii_uppercase().as_str() {
        "M" | "MB" | "MIB" => 1u64 << 20,
        "G" | "GB" | "GIB" => 1 << 30,
        "T" | "TB" | "TIB" => 1 << 40,
        _ => return Err(expected()),
    };
    match number.trim().parse::<f64>() {
        Ok(number) if number > 0.0 && number < 1e6 => Ok((number * scale as f64) as u64),
        _ => Err(expected()),
    }
}

/// As [`memory_size`], or 0.
pub fn memory_size_or_zero(text: &str) -> Result<u64, String> {
    match text.trim() {
        "0" => Ok(0),
        text => memory_size(text),
    }
}

/// A number from 0 to 1.
pub fn opacity(text: &str) -> Result<f32, String> {
    match text.parse::<f32>() {
        Ok(value) if (0.0..=1.0).contains(&value) => Ok(value),
        _ => Err("expected a number from 0 to 1, such as 0.6".into()),
    }
}

/// Column and row of a pixel, from 0 at the top left.
pub fn pixel(text: &str) -> Result<(u32, u32), String> {
    let number = |text: &str| text.trim().parse::<u32>().ok();
    text.split_once(',')
        .and_then(|(x, y)| number(x).zip(number(y)))
        .ok_or_else(|| {
            "expected column and row of a pixel, from 0 at the top left, such as 320,240".into()
        })
}

/// A finite number; none if it is no number.
pub fn number(text: &str) -> Option<f64> {
    text.trim().parse::<f64>().ok().filter(|v| v.is_finite())
}

/// A number above 0.
pub fn positive(text: &str) -> Result<f64, String> {
    number(text)
        .filter(|&v| v > 0.0)
        .ok_or_else(|| "expected a number above 0".into())
}

/// A number from 0 on.
pub fn weight(text: &str) -> Result<f64, String> {
    number(text)
        .filter(|&v| v >= 0.0)
        .ok_or_else(|| "expected a number, 0 or above".into())
}

/// A number from 0 to 1.
pub fn share(text: &str) -> Result<f64, String> {
    number(text)
        .filter(|v| (0.0..=1.0).contains(v))
        .ok_or_else(|| "expected a number from 0 to 1".into())
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn pixels_are_checked() {
        assert_eq!(pixel("320,240").unwrap(), (320, 240));
        assert!(pixel("320").is_err() && pixel("-1,2").is_err() && pixel("1.5,2").is_err());
    }
}
