//! Names with `*` for any run of characters and `?` for any one of them.

/// Whether `name` is of the form `pattern`.
pub fn matches(pattern: &str, name: &str) -> bool {
    let (pattern, name): (Vec<char>, Vec<char>) = (pattern.chars().collect(), name.chars().collect());
    let (mut at, mut reached) = (0, 0);
    // Where the last `*` stands, and how much of the name it has taken.
    let mut star: Option<(usize, usize)> = None;
    while reached < name.len() {
        match pattern.get(at) {
            Some('*') => {
                star = Some((at, reached));
                at += 1;
            }
            Some(&wanted) if wanted == '?' || wanted == name[reached] => {
                at += 1;
                reached += 1;
            }
            _ => {
                let Some((place, taken)) = star else { return false };
                star = Some((place, taken + 1));
                at = place + 1;
                reached = taken + 1;
            }
        }
    }
    pattern[at..].iter().all(|&rest| rest == '*')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stars_and_question_marks() {
        for (pattern, name, expected) in [
            ("monitor-*", "monitor-7", true),
            ("monitor-*", "ct-1", false),
            ("*", "", true),
            ("ct-?", "ct-1", true),
            ("ct-?", "ct-12", false),
            ("*-1*3", "pump-1-2-3", true),
            ("a*b*c", "abbb", false),
            ("ct-1", "ct-1", true),
        ] {
            assert_eq!(matches(pattern, name), expected, "{pattern} {name}");
        }
    }
}
