//! "Did you mean": the nearest of the names that would have been right.

use weir_engine::sql::edit_distance;

/// The candidate that `name` is most likely a misspelling of, if one is near enough: at most a
/// third of its letters away.
pub(crate) fn nearest<'a>(name: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<String> {
    candidates
        .into_iter()
        .map(|candidate| (edit_distance(name, candidate), candidate))
        .filter(|(distance, candidate)| *distance <= candidate.chars().count().div_ceil(3))
        .min()
        .map(|(_, candidate)| candidate.to_owned())
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
