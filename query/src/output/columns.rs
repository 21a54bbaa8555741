//! Building the record batch of an answer, column by column.

use std::collections::HashMap;
use std::sync::Arc;

use arrow::array::builder::{ListBuilder, StringBuilder, StringDictionaryBuilder};
use arrow::array::{ArrayRef, BooleanArray, Float64Array, Int64Array, TimestampNanosecondArray, UInt64Array};
use arrow::datatypes::{Field, Int32Type, Schema};
use arrow::record_batch::{RecordBatch, RecordBatchOptions};
use lineage_store::time::Time;

use super::OutputError;

/// The name of a column and what it holds.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Heading {
    name: String,
    description: Option<String>,
    unit: Option<String>,
}

impl Heading {
    /// A column of this name.
    pub fn new(name: impl Into<String>) -> Self {
        Self { name: name.into(), ..Self::default() }
    }

    /// Says in a sentence what the column holds.
    #[must_use]
    pub fn about(mut self, description: impl Into<String>) -> Self {
        self.description = Some(description.into());
        self
    }

    /// Names the unit of its numbers.
    #[must_use]
    pub fn unit(mut self, unit: impl Into<String>) -> Self {
        self.unit = Some(unit.into());
        self
    }

    fn metadata(&self) -> HashMap<String, String> {
        let pairs = [("description", &self.description), ("unit", &self.unit)];
        pairs.into_iter().filter_map(|(key, value)| Some((key.to_owned(), value.clone()?))).collect()
    }
}

/// Collects columns of equal length into a record batch; every cell may be missing.
#[derive(Debug, Default)]
pub struct Columns {
    fields: Vec<Field>,
    arrays: Vec<ArrayRef>,
    failed: Option<String>,
}

impl Columns {
    /// No columns yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Text, kept as a dictionary.
    pub fn text<T: AsRef<str>>(&mut self, heading: &Heading, values: impl IntoIterator<Item = Option<T>>) -> &mut Self {
        let mut builder = StringDictionaryBuilder::<Int32Type>::new();
        for value in values {
            match value {
                None => builder.append_null(),
                Some(value) => {
                    if let Err(error) = builder.append(value) {
                        self.failed = Some(error.to_string());
                    }
                }
            }
        }
        self.push(heading, Arc::new(builder.finish()))
    }

    /// Whole numbers from zero up.
    pub fn unsigned(&mut self, heading: &Heading, values: impl IntoIterator<Item = Option<u64>>) -> &mut Self {
        self.push(heading, Arc::new(UInt64Array::from_iter(values)))
    }

    /// Whole numbers with a sign.
    pub fn signed(&mut self, heading: &Heading, values: impl IntoIterator<Item = Option<i64>>) -> &mut Self {
        self.push(heading, Arc::new(Int64Array::from_iter(values)))
    }

    /// Floating point numbers.
    pub fn float(&mut self, heading: &Heading, values: impl IntoIterator<Item = Option<f64>>) -> &mut Self {
        self.push(heading, Arc::new(Float64Array::from_iter(values)))
    }

    /// True or false.
    pub fn boolean(&mut self, heading: &Heading, values: impl IntoIterator<Item = Option<bool>>) -> &mut Self {
        self.push(heading, Arc::new(BooleanArray::from_iter(values)))
    }

    /// Instants, to the nanosecond, in UTC.
    pub fn time(&mut self, heading: &Heading, values: impl IntoIterator<Item = Option<Time>>) -> &mut Self {
        let times: TimestampNanosecondArray = values.into_iter().map(|time| time.map(|time| time.0)).collect();
        self.push(heading, Arc::new(times.with_timezone("UTC")))
    }

    /// Lists of text.
    pub fn list<T: AsRef<str>, L: IntoIterator<Item = T>>(
        &mut self,
        heading: &Heading,
        values: impl IntoIterator<Item = Option<L>>,
    ) -> &mut Self {
        let mut builder = ListBuilder::new(StringBuilder::new());
        for value in values {
            let present = value.is_some();
            value.into_iter().flatten().for_each(|item| builder.values().append_value(item));
            builder.append(present);
        }
        self.push(heading, Arc::new(builder.finish()))
    }

    fn push(&mut self, heading: &Heading, array: ArrayRef) -> &mut Self {
        let field = Field::new(&heading.name, array.data_type().clone(), true);
        self.fields.push(field.with_metadata(heading.metadata()));
        self.arrays.push(array);
        self
    }

    /// The record batch; refused if names repeat or lengths differ.
    pub fn finish(self) -> Result<RecordBatch, OutputError> {
        if let Some(error) = self.failed {
            return Err(OutputError::Columns(error));
        }
        let rows = self.arrays.first().map_or(0, |array| array.len());
        let options = RecordBatchOptions::new().with_row_count(Some(rows));
        let batch = RecordBatch::try_new_with_options(Arc::new(Schema::new(self.fields)), self.arrays, &options)
            .map_err(|error| OutputError::Columns(error.to_string()))?;
        super::cell::View::of(&batch)?;
        Ok(batch)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_unique_and_lengths_equal() {
        let mut columns = Columns::new();
        columns.text(&Heading::new("a"), [Some("x")]).boolean(&Heading::new("a"), [Some(true)]);
        let error = columns.finish().expect_err("a twice").to_string();
        assert_eq!(error, "the columns do not make an answer: two columns are named `a`");
        let mut columns = Columns::new();
        columns.text(&Heading::new("a"), [Some("x")]).boolean(&Heading::new("b"), []);
        assert!(columns.finish().is_err());
        assert_eq!(Columns::new().finish().expect("nothing").num_rows(), 0);
    }

    #[test]
    fn headings_become_field_metadata() {
        let mut columns = Columns::new();
        columns.float(&Heading::new("size").about("bytes stored").unit("B"), [None]);
        let batch = columns.finish().expect("one column");
        let metadata = batch.schema().field(0).metadata().clone();
        assert_eq!(metadata.get("unit").map(String::as_str), Some("B"));
        assert_eq!(metadata.get("description").map(String::as_str), Some("bytes stored"));
    }
}
