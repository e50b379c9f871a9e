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

/// Characters to insert, delete, replace or swap with their neighbour to turn one name into the other
/// (optimal string alignment). Costs the product of their lengths.
#[must_use]
pub fn edit_distance(left: &str, right: &str) -> usize {
    let (left, right): (Vec<char>, Vec<char>) = (left.chars().collect(), right.chars().collect());
    let mut before: Vec<usize> = Vec::new();
    let mut above: Vec<usize> = (0..=right.len()).collect();
    for i in 0..left.len() {
        let mut row = Vec::with_capacity(right.len() + 1);
        row.push(i + 1);
        for j in 0..right.len() {
            let replaced = above[j] + usize::from(left[i] != right[j]);
            let mut least = replaced.min(row[j] + 1).min(above[j + 1] + 1);
            if 0 < i && 0 < j && left[i] == right[j - 1] && left[i - 1] == right[j] {
                least = least.min(before[j - 1] + 1);
            }
            row.push(least);
        }
        before = std::mem::replace(&mut above, row);
    }
    above[right.len()]
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
    fn distance_counts_insertions_deletions_replacements_and_swaps() {
        assert_eq!(edit_distance("", "abc"), 3);
        assert_eq!(edit_distance("kitten", "sitting"), 3);
        assert_eq!(edit_distance("topci", "topic"), 1);
    }
}
