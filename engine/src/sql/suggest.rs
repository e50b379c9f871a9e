//! "Did you mean": the known name that is nearest to an unknown one.

/// A hint that names the candidate nearest to `name`, if one is near.
///
/// A candidate that differs in case only is the answer even where it is far: unquoted names are
/// lower-cased before they get here.
pub(super) fn did_you_mean(name: &str, candidates: &[&str]) -> Option<String> {
    if let Some(same) = candidates.iter().find(|c| c.eq_ignore_ascii_case(name)) {
        return Some(format!("write \"{same}\" in double quotes: unquoted names are lower-cased"));
    }
    let limit = (name.chars().count() / 3).max(1);
    let nearest = candidates
        .iter()
        .map(|candidate| (distance(name, candidate), *candidate))
        .filter(|(distance, _)| *distance <= limit)
        .min()?;
    Some(format!("did you mean \"{}\"?", nearest.1))
}

/// The first names, quoted, for a message.
pub(super) fn listed(names: &[&str]) -> String {
    const SHOWN: usize = 12;
    let mut text = names.iter().take(SHOWN).map(|n| format!("\"{n}\"")).collect::<Vec<_>>().join(", ");
    if SHOWN < names.len() {
        text.push_str(", …");
    }
    text
}

/// Levenshtein distance in characters, of at most the first 64 of each.
fn distance(a: &str, b: &str) -> usize {
    const COMPARED: usize = 64;
    let b: Vec<char> = b.chars().take(COMPARED).collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, a_char) in a.chars().take(COMPARED).enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, b_char) in b.iter().enumerate() {
            let replaced = diagonal + usize::from(a_char != *b_char);
            diagonal = row[j + 1];
            row[j + 1] = replaced.min(diagonal + 1).min(row[j] + 1);
        }
    }
    row[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nearest_name_is_suggested_and_a_far_one_is_not() {
        assert_eq!(
            did_you_mean("amonut", &["country", "amount"]).as_deref(),
            Some("did you mean \"amount\"?")
        );
        assert_eq!(did_you_mean("price", &["country", "amount"]), None);
    }

    #[test]
    fn distance_counts_insertions_deletions_and_replacements() {
        assert_eq!(distance("", "abc"), 3);
        assert_eq!(distance("kitten", "sitting"), 3);
    }
}
