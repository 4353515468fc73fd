//! "Did you mean": the known names that are most similar to an unknown one.

/// Least Jaro-Winkler similarity, 0 to 1, of a suggestion.
const MIN_SIMILARITY: f64 = 0.8;

/// Most names in one suggestion.
const MAX_SUGGESTIONS: usize = 3;

/// At most three names of `known` that may be meant by `wanted`, the most similar first: by Jaro-Winkler similarity, by
/// containment, or by edit distance. Case is ignored.
pub fn nearest<'a>(wanted: &str, known: impl IntoIterator<Item = &'a str>) -> Vec<&'a str> {
    let wanted = wanted.trim().to_lowercase();
    let mut found: Vec<(f64, &str)> = known
        .into_iter()
        .filter_map(|name| Some((similarity(&wanted, &name.to_lowercase())?, name)))
        .collect();
    found.sort_by(|a, b| b.0.total_cmp(&a.0));
    found.dedup_by(|a, b| a.1 == b.1);
    found
        .into_iter()
        .take(MAX_SUGGESTIONS)
        .map(|(_, name)| name)
        .collect()
}

/// Similarity from 0 to 1; `None` if it is too low for a suggestion.
fn similarity(wanted: &str, name: &str) -> Option<f64> {
    let longest = wanted.chars().count().max(name.chars().count());
    let slips = strsim::osa_distance(wanted, name);
    // At most one edit (insertion, deletion, substitution, transposition) per three letters.
    let near = slips <= longest.div_ceil(3) && slips < longest;
    let part =
        wanted.len() > 2 && name.len() > 2 && (name.contains(wanted) || wanted.contains(name));
    let alike = strsim::jaro_winkler(wanted, name);
    let scores = [
        near.then(|| 1.0 - slips as f64 / longest as f64),
        part.then_some(MIN_SIMILARITY),
        // A common prefix (Jaro-Winkler) counts less than a small edit distance.
        (alike >= MIN_SIMILARITY).then_some(0.7 * alike),
    ];
    scores.into_iter().flatten().max_by(f64::total_cmp)
}

/// The end of a message: `; did you mean a?`, or `a, b or c?`; empty if no name is similar.
pub fn did_you_mean<'a>(wanted: &str, known: impl IntoIterator<Item = &'a str>) -> String {
    let near: Vec<String> = nearest(wanted, known)
        .into_iter()
        .map(|name| format!("`{name}`"))
        .collect();
    match near.split_last() {
        None => String::new(),
        Some((last, [])) => format!("; did you mean {last}?"),
        Some((last, others)) => format!("; did you mean {} or {last}?", others.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NAMES: [&str; 6] = ["dog", "person", "traffic light", "car", "cat", "hot dog"];

    #[test]
    fn slips_parts_and_beginnings_are_near() {
        let first = |wanted| nearest(wanted, NAMES).first().copied();
        assert_eq!(first("dgo"), Some("dog"));
        assert_eq!(first("Persn"), Some("person"));
        assert_eq!(first("light"), Some("traffic light"));
        assert_eq!(first("cats"), Some("cat"));
        assert_eq!(first("zebra"), None);
        assert_eq!(first(""), None);
    }

    #[test]
    fn several_are_asked_about_in_one_sentence() {
        assert_eq!(did_you_mean("persn", NAMES), "; did you mean `person`?");
        let asked = did_you_mean("caz", NAMES);
        assert!(
            asked.starts_with("; did you mean `") && asked.contains(" or `"),
            "{asked}"
        );
        assert_eq!(did_you_mean("zebra", NAMES), "");
    }
}
