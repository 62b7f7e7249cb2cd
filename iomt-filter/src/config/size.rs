//! Amounts of bytes as people write them: `64M`, `2GiB`, `500K`.

/// Reads a number and a unit, of 1,024 each: `K`, `M`, `G` or `T`, with or without `iB` behind it.
pub(super) fn parse_size(text: &str) -> Option<u64> {
    let text = text.trim();
    let end = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at(end);
    let unit = unit.trim_start();
    let factor: u64 = match unit.strip_suffix("iB").unwrap_or(unit) {
        "" | "B" if !unit.ends_with("iB") => 1,
        "K" => 1 << 10,
        "M" => 1 << 20,
        "G" => 1 << 30,
        "T" => 1 << 40,
        _ => return None,
    };
    number.parse::<u64>().ok()?.checked_mul(factor)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_size_has_a_unit() {
        for (text, bytes) in [("64M", 64 << 20), ("2GiB", 2 << 30), ("10 KiB", 10 << 10), ("7", 7), ("7B", 7)]
        {
            assert_eq!(parse_size(text), Some(bytes), "{text}");
        }
        for wrong in ["", "M", "1.5G", "2GB", "iB", "1iB", "-1", "99999999999T"] {
            assert_eq!(parse_size(wrong), None, "{wrong}");
        }
    }
}
