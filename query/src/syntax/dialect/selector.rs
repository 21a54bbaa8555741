//! Selectors of build and revision tools: functions as in Bazel and jj, marks and methods as in dbt.

use super::scan::Piece;
use super::{join, noun, singular};

/// A selector that stands alone.
pub(super) fn statement(pieces: &[Piece<'_>]) -> Option<(&'static str, Option<String>)> {
    function(pieces).or_else(|| method(pieces)).or_else(|| marked(pieces))
}

/// `deps(X)`, `rdeps(//..., X)`, `somepath(X, Y)`, `count(X)`.
fn function(pieces: &[Piece<'_>]) -> Option<(&'static str, Option<String>)> {
    let [name, open, inside @ .., close] = pieces else { return None };
    if open.text != "(" || close.text != ")" || !name.is_word() {
        return None;
    }
    let arguments: Vec<String> = inside.split(|piece| piece.text == ",").map(join).collect();
    let last = arguments.last()?;
    let fix = match (name.text.to_ascii_lowercase().as_str(), &arguments[..]) {
        ("deps" | "ancestors" | "upstream", [of, ..]) => format!("up({of})"),
        ("rdeps" | "descendants" | "downstream" | "allrdeps", _) => format!("down({last})"),
        ("parents", [of, ..]) => format!("up({of}, depth=1)"),
        ("children", [of, ..]) => format!("down({of}, depth=1)"),
        ("allpaths" | "connected", [from, to]) => format!("{from}::{to}"),
        ("somepath" | "path" | "shortest_path" | "shortestpath", [from, to]) => format!("path from {from} to {to}"),
        ("count" | "len", [of]) => {
            let of = if of == "*" || of.is_empty() { "artifacts" } else { noun(of).unwrap_or(of) };
            format!("count {of}")
        }
        ("all", _) if inside.is_empty() => "artifacts".to_owned(),
        ("all" | "set", [of]) => of.clone(),
        _ => return None,
    };
    Some(("this function has another name here", Some(fix)))
}

/// `tag:gold`, `tag:gold+`, `model:churn`.
fn method(pieces: &[Piece<'_>]) -> Option<(&'static str, Option<String>)> {
    let [method, colon, value, rest @ ..] = pieces else { return None };
    if colon.text != ":" || !rest.iter().all(|piece| piece.text == "+") {
        return None;
    }
    let fix = match method.text.to_ascii_lowercase().as_str() {
        "tag" | "tags" => {
            let set = format!("artifacts tagged {}", value.text);
            if rest.is_empty() { set } else { format!("({set})::") }
        }
        "owner" | "group" => format!("artifacts where owner = {}", value.text),
        "state" => return Some(("a comparison names both of its points", Some(changed()))),
        "source" => format!("dataset {}", value.text),
        kind => {
            let name = format!("{} {}", singular(noun(kind)?), value.text);
            if rest.is_empty() { name } else { format!("{name}::") }
        }
    };
    Some(("a method and its value are words here", Some(fix)))
}

fn changed() -> String {
    "what changed in (models live in prod) between yesterday and now".to_owned()
}

/// `+X`, `X+`, `2+X`, `@X`, `X..Y`.
fn marked(pieces: &[Piece<'_>]) -> Option<(&'static str, Option<String>)> {
    let message = "graph operators are words or `::`";
    let is = |piece: &Piece<'_>, mark: &str| piece.text == mark;
    let fix = match pieces {
        [up, set @ .., down] if is(up, "+") && is(down, "+") && !set.is_empty() => {
            let set = join(set);
            format!("::{set} union {set}::")
        }
        [at, set @ ..] if is(at, "@") && !set.is_empty() => format!("::({}::)", join(set)),
        [up, set @ ..] if is(up, "+") && !set.is_empty() => format!("::{}", join(set)),
        [depth, up, set @ ..] if is(up, "+") && !set.is_empty() && depth.text.parse::<u32>().is_ok() => {
            format!("up({}, depth={})", join(set), depth.text)
        }
        [set @ .., down, depth] if is(down, "+") && !set.is_empty() && depth.text.parse::<u32>().is_ok() => {
            format!("down({}, depth={})", join(set), depth.text)
        }
        [set @ .., down] if is(down, "+") && !set.is_empty() => format!("{}::", join(set)),
        [one] if one.text.contains("..") => one.text.replacen("..", "::", 1),
        _ => return None,
    };
    Some((message, Some(fix)))
}
