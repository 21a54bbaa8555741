//! Graphs: nodes and edges as Graphviz (`dot`) or Mermaid draws them.

use std::io::Write;

use super::text::{put, visible};
use super::{Answer, OutputError};

/// What a node is drawn as.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shape {
    /// A version: a box.
    Version,
    /// A step or an event: round.
    Step,
}

/// A node of a drawing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Vertex {
    /// What is written on it.
    pub label: String,
    /// What it is drawn as.
    pub shape: Shape,
}

/// An edge of a drawing, by the places of its nodes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Arrow {
    /// Where it begins.
    pub from: usize,
    /// Where it ends.
    pub to: usize,
    /// What is written on it; empty for nothing.
    pub label: String,
    /// Whether no event stands for it, as for copies and links.
    pub dashed: bool,
}

/// Nodes and edges.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Graph {
    /// The nodes, in the order of the answer.
    pub vertices: Vec<Vertex>,
    /// The edges, sorted.
    pub arrows: Vec<Arrow>,
}

/// The graph of an answer that was asked for with one.
fn graph(answer: &Answer) -> Result<&Graph, OutputError> {
    answer.graph.as_ref().ok_or_else(|| OutputError::Columns("the answer has no graph".to_owned()))
}

/// Writes Graphviz's language.
pub(super) fn write_dot(answer: &Answer, out: &mut dyn Write) -> Result<(), OutputError> {
    let graph = graph(answer)?;
    writeln!(out, "digraph lineage {{")?;
    writeln!(out, "  rankdir=LR;")?;
    for (at, vertex) in graph.vertices.iter().enumerate() {
        let shape = if vertex.shape == Shape::Version { "box" } else { "ellipse" };
        writeln!(out, "  n{at} [label={}, shape={shape}];", dot_text(&vertex.label))?;
    }
    for arrow in &graph.arrows {
        let mut looks = Vec::new();
        if !arrow.label.is_empty() {
            looks.push(format!("label={}", dot_text(&arrow.label)));
        }
        if arrow.dashed {
            looks.push("style=dashed".to_owned());
        }
        let looks = if looks.is_empty() { String::new() } else { format!(" [{}]", looks.join(", ")) };
        writeln!(out, "  n{} -> n{}{looks};", arrow.from, arrow.to)?;
    }
    Ok(writeln!(out, "}}")?)
}

/// A quoted string, in which nothing is an escape of Graphviz.
fn dot_text(text: &str) -> String {
    format!("\"{}\"", visible(text).replace('\\', "\\\\").replace('"', "\\\""))
}

/// Writes a Mermaid flowchart.
pub(super) fn write_mermaid(answer: &Answer, out: &mut dyn Write) -> Result<(), OutputError> {
    let graph = graph(answer)?;
    writeln!(out, "flowchart LR")?;
    for (at, vertex) in graph.vertices.iter().enumerate() {
        let label = mermaid_text(&vertex.label);
        match vertex.shape {
            Shape::Version => writeln!(out, "  n{at}[\"{label}\"]")?,
            Shape::Step => writeln!(out, "  n{at}([\"{label}\"])")?,
        }
    }
    for arrow in &graph.arrows {
        let line = if arrow.dashed { "-.->" } else { "-->" };
        let label =
            if arrow.label.is_empty() { String::new() } else { format!("|\"{}\"|", mermaid_text(&arrow.label)) };
        writeln!(out, "  n{} {line}{label} n{}", arrow.from, arrow.to)?;
    }
    Ok(())
}

/// Text in which everything that Mermaid, Markdown or HTML could read as its own is a character code.
fn mermaid_text(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in visible(text).chars() {
        if c.is_alphanumeric() || matches!(c, ' ' | '-' | '.' | '/' | ':' | ',' | '@') {
            out.push(c);
        } else {
            put(&mut out, format_args!("#{};", u32::from(c)));
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_cannot_leave_their_quotes() {
        assert_eq!(dot_text("a\"; b -> c; \\N\n"), r#""a\"; b -> c; \\N\\n""#);
        assert_eq!(mermaid_text("a\"]; click <b> #35; `x`"), "a#34;#93;#59; click #60;b#62; #35;35#59; #96;x#96;");
        assert_eq!(mermaid_text("churn-raw@v3 é 表"), "churn-raw@v3 é 表");
    }
}
