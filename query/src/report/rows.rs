//! The rows of one table: checked against its schema, and written as they come.

use std::collections::HashMap;
use std::sync::Arc;

use arrow::array::builder::{
    BooleanBuilder, Float64Builder, Int64Builder, ListBuilder, StringBuilder, TimestampNanosecondBuilder,
};
use arrow::array::{ArrayRef, RecordBatch, RecordBatchOptions};
use arrow::datatypes::{DataType, Field, SchemaRef};
use lineage_store::time::Time;

use super::ReportError;
use super::folder::{Entry, Folder, Sink};
use super::schema::{Table, Type};
use super::summary::Preview;
use crate::output::Stream;

/// Rows are handed to the Parquet writer in batches of this many.
const BATCH_ROWS: usize = 4096;

/// One cell of a row.
#[derive(Clone, Copy, Debug)]
pub(super) enum Cell<'a> {
    Missing,
    Text(&'a str),
    Texts(&'a [String]),
    Integer(i64),
    Integers(&'a [u32]),
    Float(f64),
    Boolean(bool),
    Time(Time),
}

impl<'a> From<&'a str> for Cell<'a> {
    fn from(text: &'a str) -> Self {
        Self::Text(text)
    }
}

impl<'a> From<&'a String> for Cell<'a> {
    fn from(text: &'a String) -> Self {
        Self::Text(text)
    }
}

impl From<u32> for Cell<'_> {
    fn from(number: u32) -> Self {
        Self::Integer(number.into())
    }
}

impl From<u64> for Cell<'_> {
    fn from(number: u64) -> Self {
        Self::Integer(i64::try_from(number).unwrap_or(i64::MAX))
    }
}

impl From<usize> for Cell<'_> {
    fn from(number: usize) -> Self {
        Self::from(number as u64)
    }
}

impl From<f64> for Cell<'_> {
    fn from(number: f64) -> Self {
        Self::Float(number)
    }
}

impl From<bool> for Cell<'_> {
    fn from(truth: bool) -> Self {
        Self::Boolean(truth)
    }
}

impl From<Time> for Cell<'_> {
    fn from(time: Time) -> Self {
        Self::Time(time)
    }
}

impl<'a> From<&'a Vec<u32>> for Cell<'a> {
    /// An empty list is missing.
    fn from(numbers: &'a Vec<u32>) -> Self {
        if numbers.is_empty() { Self::Missing } else { Self::Integers(numbers) }
    }
}

impl<'a> From<&'a Vec<String>> for Cell<'a> {
    /// An empty list is missing.
    fn from(texts: &'a Vec<String>) -> Self {
        if texts.is_empty() { Self::Missing } else { Self::Texts(texts) }
    }
}

impl<'a, T: Into<Cell<'a>>> From<Option<T>> for Cell<'a> {
    fn from(cell: Option<T>) -> Self {
        cell.map_or(Self::Missing, Into::into)
    }
}

/// The cells of a row, each from anything that is one.
macro_rules! cells {
    ($($cell:expr),* $(,)?) => { [$($crate::report::rows::Cell::from($cell)),*] };
}
pub(super) use cells;

enum Builder {
    Text(StringBuilder),
    Texts(ListBuilder<StringBuilder>),
    Integer(Int64Builder),
    Integers(ListBuilder<Int64Builder>),
    Float(Float64Builder),
    Boolean(BooleanBuilder),
    Time(TimestampNanosecondBuilder),
}

impl Builder {
    fn new(kind: Type) -> Self {
        let item = |item| Arc::new(Field::new("item", item, false));
        match kind {
            Type::Text | Type::Json => Self::Text(StringBuilder::new()),
            Type::Texts => Self::Texts(ListBuilder::new(StringBuilder::new()).with_field(item(DataType::Utf8))),
            Type::Integer => Self::Integer(Int64Builder::new()),
            Type::Integers => Self::Integers(ListBuilder::new(Int64Builder::new()).with_field(item(DataType::Int64))),
            Type::Float => Self::Float(Float64Builder::new()),
            Type::Boolean => Self::Boolean(BooleanBuilder::new()),
            Type::Time => Self::Time(TimestampNanosecondBuilder::new().with_timezone("UTC")),
        }
    }

    /// Appends a cell; `false` if it is of another type.
    fn append(&mut self, cell: Cell<'_>) -> bool {
        match (self, cell) {
            (Self::Text(b), Cell::Text(text)) => b.append_value(text),
            (Self::Text(b), Cell::Missing) => b.append_null(),
            (Self::Texts(b), Cell::Texts(texts)) => b.append_value(texts.iter().map(Some)),
            (Self::Texts(b), Cell::Missing) => b.append_null(),
            (Self::Integer(b), Cell::Integer(number)) => b.append_value(number),
            (Self::Integer(b), Cell::Missing) => b.append_null(),
            (Self::Integers(b), Cell::Integers(numbers)) => {
                b.append_value(numbers.iter().map(|n| Some(i64::from(*n))));
            }
            (Self::Integers(b), Cell::Missing) => b.append_null(),
            (Self::Float(b), Cell::Float(number)) => b.append_value(number),
            (Self::Float(b), Cell::Missing) => b.append_null(),
            (Self::Boolean(b), Cell::Boolean(truth)) => b.append_value(truth),
            (Self::Boolean(b), Cell::Missing) => b.append_null(),
            (Self::Time(b), Cell::Time(time)) => b.append_value(time.0),
            (Self::Time(b), Cell::Missing) => b.append_null(),
            _ => return false,
        }
        true
    }

    fn finish(&mut self) -> ArrayRef {
        match self {
            Self::Text(b) => Arc::new(b.finish()),
            Self::Texts(b) => Arc::new(b.finish()),
            Self::Integer(b) => Arc::new(b.finish()),
            Self::Integers(b) => Arc::new(b.finish()),
            Self::Float(b) => Arc::new(b.finish()),
            Self::Boolean(b) => Arc::new(b.finish()),
            Self::Time(b) => Arc::new(b.finish()),
        }
    }
}

/// How the rows of the log are spread over files.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Partition {
    /// One file a table.
    None,
    /// A folder for each day of recording, in UTC.
    Day,
}

/// A table that is being written.
pub(super) struct Rows<'f> {
    table: &'static Table,
    folder: &'f Folder,
    schema: SchemaRef,
    /// The first position of the log in the pack; the number in the names of parts.
    first: u64,
    /// With a folder for each day: the index of the column `recorded`.
    by: Option<usize>,
    /// The day of the file that is written to.
    day: i64,
    builders: Vec<Builder>,
    buffered: usize,
    stream: Option<Stream<Sink>>,
    count: u64,
    files: Vec<Entry>,
    preview: Preview,
}

/// A table that is complete.
pub(super) struct Written {
    pub(super) table: &'static Table,
    pub(super) rows: u64,
    pub(super) files: Vec<Entry>,
    /// Its first rows, for the summaries.
    pub(super) preview: Preview,
}

impl<'f> Rows<'f> {
    /// Begins a table; `pairs` go to the metadata of each file.
    pub(super) fn new(
        table: &'static Table,
        folder: &'f Folder,
        first: u64,
        partition: Partition,
        pairs: &[(String, String)],
    ) -> Self {
        let pairs: HashMap<String, String> = pairs.iter().cloned().collect();
        let by = (partition == Partition::Day && table.has_days())
            .then(|| table.columns.iter().position(|column| column.name == "recorded"))
            .flatten();
        Self {
            table,
            folder,
            schema: table.schema(pairs),
            first,
            by,
            day: i64::MIN,
            builders: table.columns.iter().map(|column| Builder::new(column.kind)).collect(),
            buffered: 0,
            stream: None,
            count: 0,
            files: Vec::new(),
            preview: Preview::default(),
        }
    }

    /// Adds a row, one cell a column.
    pub(super) fn push(&mut self, cells: &[Cell<'_>]) -> Result<(), ReportError> {
        if let Some(by) = self.by
            && let Some(Cell::Time(recorded)) = cells.get(by)
        {
            let day = day_of(*recorded);
            if day != self.day {
                self.end_file()?;
                self.day = day;
            }
        }
        if cells.len() != self.table.columns.len() {
            return Err(ReportError::row(self.table, "the number of cells"));
        }
        for ((column, builder), cell) in self.table.columns.iter().zip(&mut self.builders).zip(cells) {
            let missing = matches!(cell, Cell::Missing);
            if missing && !column.nullable || !builder.append(*cell) {
                return Err(ReportError::row(self.table, column.name));
            }
        }
        self.preview.add(cells);
        self.count += 1;
        self.buffered += 1;
        if self.buffered == BATCH_ROWS { self.flush() } else { Ok(()) }
    }

    fn flush(&mut self) -> Result<(), ReportError> {
        if self.stream.is_none() {
            let path = match self.by {
                None => format!("{}.parquet", self.table.name),
                Some(_) => format!("{}/day={}/part-{:012}.parquet", self.table.name, day_text(self.day), self.first),
            };
            self.stream = Some(Stream::new(self.folder.begin(path)?, Arc::clone(&self.schema))?);
        }
        let columns: Vec<ArrayRef> = self.builders.iter_mut().map(Builder::finish).collect();
        let options = RecordBatchOptions::new().with_row_count(Some(self.buffered));
        let batch = RecordBatch::try_new_with_options(Arc::clone(&self.schema), columns, &options)
            .map_err(|error| ReportError::row(self.table, error.to_string()))?;
        self.buffered = 0;
        match &mut self.stream {
            Some(stream) => Ok(stream.write(&batch)?),
            None => Ok(()),
        }
    }

    fn end_file(&mut self) -> Result<(), ReportError> {
        if self.buffered > 0 {
            self.flush()?;
        }
        if let Some(stream) = self.stream.take() {
            self.files.push(stream.finish()?.finish()?);
        }
        Ok(())
    }

    /// Ends the table; one without rows has a file, too, unless it has a folder for each day.
    pub(super) fn finish(mut self) -> Result<Written, ReportError> {
        if self.count == 0 && self.by.is_none() {
            self.flush()?;
        }
        self.end_file()?;
        Ok(Written { table: self.table, rows: self.count, files: self.files, preview: self.preview })
    }
}

/// Days since 1970 of an instant.
fn day_of(time: Time) -> i64 {
    const DAY_NANOS: i64 = 24 * 60 * 60 * 1_000_000_000;
    time.0.div_euclid(DAY_NANOS)
}

/// `2026-11-20` of days since 1970.
fn day_text(day: i64) -> String {
    const DAY_NANOS: i64 = 24 * 60 * 60 * 1_000_000_000;
    Time(day.saturating_mul(DAY_NANOS)).micros()[..10].to_owned()
}
