//! "Did you mean": the name nearest to a mistyped one.

/// `, did you mean "topic"?`, or nothing where no candidate is near.
pub(crate) fn did_you_mean<'a>(typed: &str, candidates: impl IntoIterator<Item = &'a str>) -> String {
    let near = candidates
        .into_iter()
        .map(|candidate| (distance(typed, candidate), candidate))
        .filter(|(distance, candidate)| *distance <= 1.max(candidate.chars().count() / 3))
        .min();
    near.map(|(_, candidate)| format!(", did you mean \"{candidate}\"?")).unwrap_or_default()
}

/// Levenshtein's distance with neighbours exchanged counting as one, in characters.
fn distance(a: &str, b: &str) -> usize {
    let (a, b): (Vec<char>, Vec<char>) = (a.chars().collect(), b.chars().collect());
    let mut before_last: Vec<usize> = Vec::new();
    let mut last: Vec<usize> = (0..=b.len()).collect();
    for i in 1..=a.len() {
        let mut row = vec![i];
        for j in 1..=b.len() {
            let mut best = last[j - 1] + usize::from(a[i - 1] != b[j - 1]);
            best = best.min(last[j] + 1).min(row[j - 1] + 1);
            if 1 < i && 1 < j && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] {
                best = best.min(before_last[j - 2] + 1);
            }
            row.push(best);
        }
        before_last = std::mem::replace(&mut last, row);
    }
    last[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_near_name_is_suggested_and_a_far_one_is_not() {
        let keys = ["topic", "format", "schema", "start"];
        assert_eq!(did_you_mean("topc", keys), ", did you mean \"topic\"?");
        assert_eq!(did_you_mean("fromat", keys), ", did you mean \"format\"?");
        assert_eq!(did_you_mean("parallelism", keys), "");
        assert_eq!(did_you_mean("", keys), "");
    }
}
