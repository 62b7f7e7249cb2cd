//! The known word that somebody may have meant.

/// The candidate nearest to `word`, where one is near enough to be a slip of the hand.
pub fn nearest<'a>(word: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let limit = (word.chars().count() / 3).max(1);
    candidates
        .into_iter()
        .map(|candidate| (distance(word, candidate), candidate))
        .filter(|&(distance, _)| distance <= limit)
        .min()
        .map(|(_, candidate)| candidate)
}

/// `did you mean …?` where there is a near candidate, otherwise the candidates themselves.
pub fn did_you_mean<'a>(word: &str, candidates: impl IntoIterator<Item = &'a str> + Clone) -> String {
    if let Some(near) = nearest(word, candidates.clone()) {
        return format!("did you mean `{near}`?");
    }
    let known: Vec<_> = candidates.into_iter().map(|known| format!("`{known}`")).collect();
    match known.len() {
        0 => "none is defined".to_owned(),
        1..=24 => format!("known: {}", known.join(", ")),
        more => format!("known: {}, and {} more", known[..24].join(", "), more - 24),
    }
}

/// Edits between two words, where swapping two neighbours is one edit (optimal string alignment).
fn distance(a: &str, b: &str) -> usize {
    let (a, b): (Vec<char>, Vec<char>) = (a.chars().collect(), b.chars().collect());
    let mut before = vec![0; b.len() + 1];
    let mut above: Vec<usize> = (0..=b.len()).collect();
    for i in 1..=a.len() {
        let mut row = vec![i; b.len() + 1];
        for j in 1..=b.len() {
            let substituted = above[j - 1] + usize::from(!a[i - 1].eq_ignore_ascii_case(&b[j - 1]));
            row[j] = substituted.min(above[j] + 1).min(row[j - 1] + 1);
            if i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] {
                row[j] = row[j].min(before[j - 2] + 1);
            }
        }
        before = std::mem::replace(&mut above, row);
    }
    above[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slips_are_found_and_strangers_are_not() {
        let known = ["dicom", "dicom-tls", "dns", "dhcp"];
        assert_eq!(nearest("dicmo", known), Some("dicom"));
        assert_eq!(nearest("dcp", known), Some("dhcp"));
        assert_eq!(nearest("DICOM", known), Some("dicom"));
        assert_eq!(nearest("teleport", known), None);
        assert!(did_you_mean("teleport", known).starts_with("known: `dicom`"));
        assert_eq!(distance("", "abc"), 3);
    }
}
