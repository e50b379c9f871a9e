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
        .map(|candidate| (edit_distance(head(name), head(candidate)), *candidate))
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

/// Characters to insert, delete or replace to turn one name into the other (Levenshtein). Costs the product
/// of their lengths.
#[must_use]
pub fn edit_distance(left: &str, right: &str) -> usize {
    let right: Vec<char> = right.chars().collect();
    let mut row: Vec<usize> = (0..=right.len()).collect();
    for (i, left_char) in left.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, right_char) in right.iter().enumerate() {
            let replaced = diagonal + usize::from(left_char != *right_char);
            diagonal = row[j + 1];
            row[j + 1] = replaced.min(diagonal + 1).min(row[j] + 1);
        }
    }
    row[right.len()]
}

/// The first characters: names in SQL text may be of any length.
fn head(name: &str) -> &str {
    const COMPARED: usize = 64;
    name.char_indices().nth(COMPARED).map_or(name, |(end, _)| &name[..end])
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
        assert_eq!(edit_distance("", "abc"), 3);
        assert_eq!(edit_distance("kitten", "sitting"), 3);
    }
}
