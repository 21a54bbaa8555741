//! Whether two patterns of paths can mean the same file.

/// Whether some path matches both patterns; a path also means everything below it.
pub(super) fn overlap(a: &str, b: &str) -> bool {
    parts_overlap(&parts(a), &parts(b))
}

fn parts(path: &str) -> Vec<&str> {
    path.split('/').filter(|part| !part.is_empty() && *part != ".").collect()
}

fn parts_overlap(a: &[&str], b: &[&str]) -> bool {
    match (a.split_first(), b.split_first()) {
        // What is left of the other lies below this one.
        (None, _) | (_, None) => true,
        (Some((&"**", rest)), _) => parts_overlap(rest, b) || parts_overlap(a, &b[1..]),
        (_, Some((&"**", rest))) => parts_overlap(a, rest) || parts_overlap(&a[1..], b),
        (Some((x, a)), Some((y, b))) => part_overlaps(x.as_bytes(), y.as_bytes()) && parts_overlap(a, b),
    }
}

/// Whether some name matches both patterns of one part; a class in brackets counts as any character.
pub(super) fn part_overlaps(a: &[u8], b: &[u8]) -> bool {
    match (a.first(), b.first()) {
        (None, None) => true,
        (Some(b'*'), _) => part_overlaps(&a[1..], b) || (!b.is_empty() && part_overlaps(a, after(b))),
        (_, Some(b'*')) => part_overlaps(a, &b[1..]) || (!a.is_empty() && part_overlaps(after(a), b)),
        (Some(x), Some(y)) => {
            let same = x == y || matches!(x, b'?' | b'[') || matches!(y, b'?' | b'[');
            same && part_overlaps(after(a), after(b))
        }
        _ => false,
    }
}

/// What follows the first character or class.
fn after(pattern: &[u8]) -> &[u8] {
    let class = pattern.first() == Some(&b'[');
    let end = if class { pattern.iter().position(|byte| *byte == b']').unwrap_or(0) } else { 0 };
    &pattern[end + 1..]
}

#[cfg(test)]
mod tests {
    use super::overlap;

    #[test]
    fn patterns_that_share_a_path_overlap() {
        for (a, b) in [
            ("a.csv", "a.csv"),
            ("./a.csv", "a.csv"),
            ("work/", "work/**"),
            ("work", "work/deep/a.csv"),
            ("data/*.csv", "data/a?.csv"),
            ("**/a.csv", "x/y/a.csv"),
            ("m/*.pkl", "m/7.pkl"),
            ("m/[0-9].pkl", "m/7.pkl"),
        ] {
            assert!(overlap(a, b) && overlap(b, a), "{a} {b}");
        }
        for (a, b) in [
            ("a.csv", "b.csv"),
            ("work/a", "work/b"),
            ("data/*.csv", "data/a.txt"),
            ("workshop", "work"),
            ("x/**/a.csv", "y/a.csv"),
            ("m/*.pkl", "m/x/7.pkl"),
        ] {
            assert!(!overlap(a, b) && !overlap(b, a), "{a} {b}");
        }
    }
}
