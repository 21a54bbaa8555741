//! The schema of a table as data: from it the columns are made, checked and documented.

use std::collections::HashMap;
use std::sync::Arc;

use arrow::datatypes::{DataType, Field, Schema, SchemaRef, TimeUnit};

/// What a column holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Type {
    /// Text.
    Text,
    /// A list of texts.
    Texts,
    /// A whole number of 64 bits with sign.
    Integer,
    /// A list of whole numbers.
    Integers,
    /// A floating point number of 64 bits.
    Float,
    /// True or false.
    Boolean,
    /// An instant, in nanoseconds since 1970 in UTC.
    Time,
    /// Canonical JSON text.
    Json,
}

impl Type {
    /// The word for it in manifests and documents.
    pub fn word(self) -> &'static str {
        match self {
            Self::Text => "text",
            Self::Texts => "texts",
            Self::Integer => "integer",
            Self::Integers => "integers",
            Self::Float => "float",
            Self::Boolean => "boolean",
            Self::Time => "time",
            Self::Json => "json",
        }
    }

    fn data_type(self) -> DataType {
        let list = |item| DataType::List(Arc::new(Field::new("item", item, false)));
        match self {
            Self::Text | Self::Json => DataType::Utf8,
            Self::Texts => list(DataType::Utf8),
            Self::Integer => DataType::Int64,
            Self::Integers => list(DataType::Int64),
            Self::Float => DataType::Float64,
            Self::Boolean => DataType::Boolean,
            Self::Time => DataType::Timestamp(TimeUnit::Nanosecond, Some("UTC".into())),
        }
    }
}

/// One column of a table.
#[derive(Clone, Copy, Debug)]
pub struct Column {
    /// Its name.
    pub name: &'static str,
    /// What it holds.
    pub kind: Type,
    /// Whether cells may be missing.
    pub nullable: bool,
    /// The unit of its numbers.
    pub unit: Option<&'static str>,
    /// What it means, as one phrase.
    pub about: &'static str,
}

impl Column {
    /// A column in which no cell is missing.
    pub(super) const fn new(name: &'static str, kind: Type, about: &'static str) -> Self {
        Self { name, kind, nullable: false, unit: None, about }
    }

    /// The same, where cells may be missing.
    pub(super) const fn or_none(self) -> Self {
        Self { nullable: true, ..self }
    }

    /// The same with a unit.
    pub(super) const fn unit(self, unit: &'static str) -> Self {
        Self { unit: Some(unit), ..self }
    }

    fn field(&self) -> Field {
        let pairs = [("description", Some(self.about)), ("unit", self.unit)];
        let metadata: HashMap<_, _> =
            pairs.into_iter().filter_map(|(key, value)| Some((key.to_owned(), value?.to_owned()))).collect();
        Field::new(self.name, self.kind.data_type(), self.nullable).with_metadata(metadata)
    }
}

/// Which rows a table has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Of {
    /// Those of the events since a position: an increment has only the new ones.
    Log,
    /// All, as of the position.
    State,
}

impl Of {
    /// The word for it in manifests and documents.
    pub fn word(self) -> &'static str {
        match self {
            Self::Log => "log",
            Self::State => "state",
        }
    }
}

/// One table, in whichever report it stands.
#[derive(Clone, Copy, Debug)]
pub struct Table {
    /// Its name, and that of its file.
    pub name: &'static str,
    /// What its rows are.
    pub about: &'static str,
    /// Which rows it has.
    pub of: Of,
    /// The columns by which the rows ascend.
    pub sorted_by: &'static [&'static str],
    /// The columns, in their order.
    pub columns: &'static [Column],
}

impl Table {
    /// The schema of its Parquet files, with `pairs` about the pack.
    pub(super) fn schema(&self, pairs: HashMap<String, String>) -> SchemaRef {
        let fields: Vec<Field> = self.columns.iter().map(Column::field).collect();
        Arc::new(Schema::new(fields).with_metadata(pairs))
    }

    /// Whether its rows can stand in a folder for each day: they come from the log, in its order.
    pub(super) fn has_days(&self) -> bool {
        self.of == Of::Log && self.columns.iter().any(|column| column.name == "recorded")
    }
}
