//! Answers and the formats they are written in; the one currency is the Arrow record batch.

use std::fmt;
use std::io::{self, BufWriter, Write};
use std::str::FromStr;

use ::arrow::record_batch::RecordBatch;
use lineage_store::time::Time;

mod arrow;
mod cell;
mod columns;
mod csv;
mod expect;
mod graph;
mod json;
mod parquet;
mod table;
#[cfg(test)]
mod tests;
pub(crate) mod text;

pub use columns::{Columns, Heading};
pub use expect::Expect;
pub use graph::{Arrow, Graph, Shape, Vertex};

pub(crate) use self::parquet::{Stream, batches};

use cell::View;

/// The name of the envelope, written as `schema` in JSON and as `lineage.schema_version` in Parquet and Arrow files.
pub const SCHEMA: &str = "lineage.query/1";

/// The name of an explanation.
pub(crate) const SCHEMA_EXPLAIN: &str = "lineage.explain/1";

/// What a query answers: rows, and everything needed to ask for the same rows again.
#[derive(Clone, Debug)]
pub struct Answer {
    /// The rows, built by [`Columns`].
    pub batch: RecordBatch,
    /// The canonical text of the query.
    pub canonical: String,
    /// The log position at which it was answered.
    pub position: u64,
    /// The tree head at that position.
    pub head: Option<String>,
    /// The instant of `as of`.
    pub as_of: Option<Time>,
    /// The instant or position of `known at`.
    pub known_at: Option<KnownAt>,
    /// The instant taken for `now`, if the query depends on it.
    pub now: Option<Time>,
    /// False when a budget cut the rows off.
    pub complete: bool,
    /// Warnings computed from the visible events.
    pub notes: Vec<Note>,
    /// The edition of the query language.
    pub edition: u32,
    /// The rows as a graph, if it was asked for.
    pub graph: Option<Graph>,
}

impl Answer {
    /// How many digits tell each digest of the rows apart from every other one; `others` gives the digests that begin
    /// as a text does.
    pub fn digits_apart(&self, others: impl Fn(&str) -> Vec<String>) -> usize {
        let Ok(view) = View::of(&self.batch) else { return 0 };
        let needed = |digest: &str| {
            let start = &digest[..digest.find(':').map_or(0, |at| at + 1)];
            let shortest = digest.get(..start.len() + table::DIGITS).unwrap_or(digest);
            let common = |other: &String| digest.bytes().zip(other.bytes()).take_while(|(a, b)| a == b).count();
            let longest = others(shortest).iter().filter(|other| *other != digest).map(common).max();
            longest.map_or(0, |longest| longest + 1 - start.len())
        };
        table::digests(&view).into_iter().map(needed).max().unwrap_or(0)
    }
}

/// A warning that travels with an answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Note {
    /// Its stable code, such as `W02`.
    pub code: String,
    /// One sentence.
    pub text: String,
}

/// What was known: everything recorded until an instant or up to a log position.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KnownAt {
    /// Recorded until this instant.
    Time(Time),
    /// Up to this log position.
    Log(u64),
}

impl fmt::Display for KnownAt {
    /// As the query language writes it after `known at`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Time(time) => time.fmt(f),
            Self::Log(position) => write!(f, "log {position}"),
        }
    }
}

/// A format for rows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// Aligned columns for people.
    Table,
    /// One object holding the envelope and all rows.
    Json,
    /// One object per row.
    Ndjson,
    /// RFC 4180; `safe` neutralises text a spreadsheet would take for a formula.
    Csv {
        /// Whether formulas are neutralised.
        safe: bool,
    },
    /// A Parquet file.
    Parquet,
    /// An Arrow IPC stream.
    Arrow,
    /// A graph in the language of Graphviz.
    Dot,
    /// A Mermaid flowchart.
    Mermaid,
}

/// Larger drawings take Graphviz minutes, and nobody can read them.
const DOT_NODES_MAX: usize = 2000;
/// Mermaid draws at most 500 edges unless it is told otherwise.
const MERMAID_NODES_MAX: usize = 250;

impl Format {
    /// Whether the bytes must not go to a terminal.
    pub fn is_binary(self) -> bool {
        matches!(self, Self::Parquet | Self::Arrow)
    }

    /// For drawings, how many nodes they have at most.
    pub fn nodes_max(self) -> Option<usize> {
        match self {
            Self::Dot => Some(DOT_NODES_MAX),
            Self::Mermaid => Some(MERMAID_NODES_MAX),
            _ => None,
        }
    }
}

impl FromStr for Format {
    type Err = String;

    /// The names of `--output`; `csv-safe` is CSV with formulas neutralised.
    fn from_str(text: &str) -> Result<Self, String> {
        Ok(match text {
            "table" => Self::Table,
            "json" => Self::Json,
            "ndjson" => Self::Ndjson,
            "csv" => Self::Csv { safe: false },
            "csv-safe" => Self::Csv { safe: true },
            "parquet" => Self::Parquet,
            "arrow" => Self::Arrow,
            "dot" => Self::Dot,
            "mermaid" => Self::Mermaid,
            _ => {
                let known = "table, json, ndjson, csv, csv-safe, parquet, arrow, dot or mermaid";
                return Err(format!("`{}` is no output format; write {known}", text.escape_debug()));
            }
        })
    }
}

/// How a table looks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TableStyle {
    /// Columns of the terminal; without it nothing is shortened but digests.
    pub width: Option<usize>,
    /// Whether to use bold and dim.
    pub color: bool,
    /// The fewest digits of a digest, beyond those that tell the digests of the answer apart.
    pub digits: usize,
}

/// Why an answer could not be built or written.
#[derive(Debug, thiserror::Error)]
pub enum OutputError {
    /// Writing failed; look at its kind to tell a closed pipe.
    #[error("the answer could not be written: {0}")]
    Io(#[from] io::Error),
    /// The columns do not make an answer.
    #[error("the columns do not make an answer: {0}")]
    Columns(String),
    /// The Arrow library refused.
    #[error("the answer could not be written as Arrow: {0}")]
    Arrow(String),
    /// The Parquet library refused.
    #[error("the answer could not be written as Parquet: {0}")]
    Parquet(String),
}

/// Writes an answer in a format; `style` matters to tables only.
pub fn write(answer: &Answer, format: &Format, out: &mut dyn Write, style: &TableStyle) -> Result<(), OutputError> {
    let view = View::of(&answer.batch)?;
    let mut out = BufWriter::new(out);
    match format {
        Format::Table => table::write(&view, &mut out, style)?,
        Format::Json => json::write(answer, &view, &mut out)?,
        Format::Ndjson => json::write_lines(&view, &mut out)?,
        Format::Csv { safe } => csv::write(&view, *safe, &mut out)?,
        Format::Parquet => parquet::write(answer, &mut out)?,
        Format::Arrow => arrow::write(answer, &mut out)?,
        Format::Dot => graph::write_dot(answer, &mut out)?,
        Format::Mermaid => graph::write_mermaid(answer, &mut out)?,
    }
    Ok(out.flush()?)
}

/// The words for the types of the columns of a batch.
pub(crate) fn kinds(batch: &RecordBatch) -> Result<Vec<&'static str>, OutputError> {
    Ok(View::of(batch)?.columns.iter().map(cell::Column::kind).collect())
}

/// The envelope as key and value pairs, for the formats that keep it beside the rows.
fn metadata(answer: &Answer) -> Vec<(&'static str, String)> {
    let mut pairs = vec![
        ("lineage.schema_version", SCHEMA.to_owned()),
        ("lineage.edition", answer.edition.to_string()),
        ("lineage.query", answer.canonical.clone()),
        ("lineage.position", answer.position.to_string()),
        ("lineage.complete", answer.complete.to_string()),
    ];
    let optional = [
        ("lineage.head", answer.head.clone()),
        ("lineage.as_of", answer.as_of.map(|time| time.to_string())),
        ("lineage.known_at", answer.known_at.map(|known| known.to_string())),
        ("lineage.now", answer.now.map(|time| time.to_string())),
    ];
    pairs.extend(optional.into_iter().filter_map(|(key, value)| value.map(|value| (key, value))));
    pairs
}
