//! Patterns of nodes and arrows, as in Cypher.

use super::super::suggest::quote;
use super::scan::Piece;
use super::{noun, singular, sql};

/// A node of a pattern: `(m:Model {name: 'churn'})`.
struct Node<'a> {
    variable: &'a str,
    plural: &'static str,
    name: Option<&'a str>,
}

/// `MATCH … RETURN …`.
pub(super) fn statement(pieces: &[Piece<'_>]) -> Option<(&'static str, Option<String>)> {
    let first = pieces.first()?;
    let begins = first.is(&["match", "optional"]) && pieces.iter().any(|piece| piece.text == "(");
    begins.then(|| ("relations are words, not patterns of `MATCH`", translated(pieces)))
}

fn translated(pieces: &[Piece<'_>]) -> Option<String> {
    let at = |word: &str| pieces.iter().position(|piece| piece.is(&[word]));
    let end = at("where").or_else(|| at("return")).unwrap_or(pieces.len());
    let pattern = &pieces[..end];
    let mut nodes: Vec<Node<'_>> = Vec::new();
    for (open, piece) in pattern.iter().enumerate() {
        if piece.text == "(" && pattern.get(open + 1).is_none_or(|next| next.text != "(") {
            nodes.push(node(&pattern[open + 1..]));
        }
    }
    let (tested, condition) = tested(pieces, &mut nodes);
    let returned = at("return").map_or(&[][..], |at| &pieces[at + 1..]);
    let returns = |node: &Node<'_>| returned.iter().any(|piece| piece.text.split('.').next() == Some(node.variable));
    let counts = returned.first().is_some_and(|piece| piece.is(&["count"]));
    let backward = pattern.iter().any(|piece| piece.text == "<-");
    let body = match &nodes[..] {
        [only] => only.set(),
        [.., _, _] => {
            let (mut from, mut to) = (nodes.first()?, nodes.last()?);
            if backward {
                (from, to) = (to, from);
            }
            let path = pattern.iter().any(|piece| piece.is(&["shortestPath", "allShortestPaths"]));
            let trained = pattern.iter().any(|piece| piece.text.to_ascii_lowercase().contains("train"));
            if path {
                return Some(format!("path from {} to {}", from.closed(), to.closed()));
            } else if returns(from) && !returns(to) {
                format!("{} upstream of {}", from.plural, to.closed())
            } else if trained && to.plural == "models" && to.name.is_none() {
                format!("models trained on {}", from.closed())
            } else {
                format!("{} downstream of {}", to.plural, from.closed())
            }
        }
        [] => return None,
    };
    let body = if counts { format!("count {body}") } else { body };
    Some(if condition.is_empty() || !tested { body } else { format!("{body} {condition}") })
}

/// The node behind an opening parenthesis.
fn node<'a>(pieces: &[Piece<'a>]) -> Node<'a> {
    let end = pieces.iter().position(|piece| piece.text == ")").unwrap_or(pieces.len());
    let pieces = &pieces[..end];
    let variable = pieces.first().filter(|piece| piece.is_word()).map_or("", |piece| piece.text);
    let label = pieces.iter().position(|piece| piece.text == ":").and_then(|at| pieces.get(at + 1));
    let name = pieces.windows(3).find(|three| three[0].is(&["name"]) && matches!(three[1].text, ":" | "="));
    Node {
        variable,
        plural: label.and_then(|label| noun(label.text)).unwrap_or("artifacts"),
        name: name.map(|three| three[2].bare()),
    }
}

/// The condition of a pattern; `d.name = '…'` names its node instead. Whether anything is left to test.
fn tested<'a>(pieces: &[Piece<'a>], nodes: &mut [Node<'a>]) -> (bool, String) {
    let Some(at) = pieces.iter().position(|piece| piece.is(&["where"])) else { return (false, String::new()) };
    let rest = &pieces[at + 1..];
    let end = rest.iter().position(|piece| piece.is(&["return"])).unwrap_or(rest.len());
    let mut kept: Vec<Piece<'_>> = Vec::new();
    for term in rest[..end].split(|piece| piece.is(&["and"])) {
        let named = match term {
            [key, equals, value] if equals.text == "=" => {
                let variable = key.text.strip_suffix(".name");
                nodes.iter_mut().find(|node| Some(node.variable) == variable).map(|node| node.name = Some(value.bare()))
            }
            _ => None,
        };
        if named.is_none() {
            kept.extend((!kept.is_empty()).then_some(Piece { text: "and", span: super::span_of(term) }));
            kept.extend(term);
        }
    }
    let variables: Vec<&str> = nodes.iter().map(|node| node.variable).collect();
    (!kept.is_empty(), sql::conditions(&kept, &variables))
}

impl Node<'_> {
    /// As a set of its own.
    fn set(&self) -> String {
        self.name.map_or(self.plural.to_owned(), |name| format!("{} {}", singular(self.plural), quote(name)))
    }

    /// As an operand.
    fn closed(&self) -> String {
        if self.name.is_some() { self.set() } else { format!("({})", self.plural) }
    }
}
