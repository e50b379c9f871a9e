//! "Did you mean": the nearest of the names that would have been right.

/// The candidate that `name` is most likely a misspelling of, if one is near enough: at most a
/// third of its letters away.
pub(crate) fn nearest<'a>(name: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<String> {
    candidates
        .into_iter()
        .map(|candidate| (distance(name, candidate), candidate))
        .filter(|(distance, candidate)| *distance <= candidate.chars().count().div_ceil(3))
        .min()
        .map(|(_, candidate)| candidate.to_owned())
}

/// Letters to insert, delete or replace to turn one name into the other (Levenshtein).
fn distance(left: &str, right: &str) -> usize {
    let right: Vec<char> = right.chars().collect();
    let mut row: Vec<usize> = (0..=right.len()).collect();
    for (i, l) in left.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, r) in right.iter().enumerate() {
            let replaced = diagonal + usize::from(l != *r);
            diagonal = row[j + 1];
            row[j + 1] = replaced.min(row[j] + 1).min(row[j + 1] + 1);
        }
    }
    row[right.len()]
}

#[cfg(test)]
mod tests {
    use super::nearest;

    #[test]
    fn a_misspelling_finds_its_name_and_nonsense_finds_none() {
        let names = ["ordered_at", "updated_at", "country"];
        assert_eq!(nearest("orderd_at", names).as_deref(), Some("ordered_at"));
        assert_eq!(nearest("contry", names).as_deref(), Some("country"));
        assert_eq!(nearest("price", names), None);
    }
}
