//! Names that may have been meant, and names written so that the parser reads them back.

use super::lexer::is_word;
use super::words::reserved;

/// At most three candidates, those with the same beginning first, then the nearest.
///
/// Near means a Damerau-Levenshtein distance of at most a third of the longer word, and never less than one for words
/// of two letters or more.
pub fn suggest<I, S>(word: &str, candidates: I) -> Vec<String>
where
    I: IntoIterator<Item = S>,
    S: AsRef<str>,
{
    let wanted: Vec<char> = word.chars().flat_map(char::to_lowercase).collect();
    let mut found: Vec<(bool, usize, String)> = candidates
        .into_iter()
        .filter_map(|candidate| {
            let candidate = candidate.as_ref();
            let letters: Vec<char> = candidate.chars().flat_map(char::to_lowercase).collect();
            let limit = (wanted.len().max(letters.len()) / 3).max(usize::from(wanted.len() > 1));
            let prefix = !wanted.is_empty() && letters.starts_with(&wanted);
            if !prefix && letters.len().abs_diff(wanted.len()) > limit {
                return None;
            }
            let distance = distance(&wanted, &letters);
            (prefix || distance <= limit).then(|| (!prefix, distance, candidate.to_owned()))
        })
        .collect();
    found.sort();
    found.dedup();
    found.into_iter().take(3).map(|(_, _, name)| name).collect()
}

/// Optimal string alignment: insertions, deletions, changes and swaps of neighbours.
fn distance(a: &[char], b: &[char]) -> usize {
    let mut older: Vec<usize> = Vec::new();
    let mut old: Vec<usize> = (0..=b.len()).collect();
    for i in 1..=a.len() {
        let mut row = vec![i; b.len() + 1];
        for j in 1..=b.len() {
            let change = usize::from(a[i - 1] != b[j - 1]);
            row[j] = (old[j] + 1).min(row[j - 1] + 1).min(old[j - 1] + change);
            if i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] {
                row[j] = row[j].min(older[j - 2] + 1);
            }
        }
        older = std::mem::replace(&mut old, row);
    }
    old[b.len()]
}

/// The name as a literal of the language: bare where that reads back, otherwise in single quotes.
///
/// After a kind word, and wherever a value is read, the result always means this name. Without a kind word a quoted
/// text that begins with `./`, `../` or `/` means the content of that file.
pub fn quote(name: &str) -> String {
    if is_word(name) && reserved(name).is_none() { name.to_owned() } else { quoted(name) }
}

/// The text in single quotes, with quotes doubled.
pub(super) fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}
