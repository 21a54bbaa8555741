//! Reading the cells of a record batch.

use std::collections::HashSet;
use std::ops::Range;

use arrow::array::{
    Array, AsArray, BooleanArray, Float64Array, Int32Array, Int64Array, ListArray, StringArray,
    TimestampNanosecondArray, UInt64Array,
};
use arrow::datatypes::{
    DataType, Field, Float64Type, Int32Type, Int64Type, TimeUnit, TimestampNanosecondType, UInt64Type,
};
use arrow::record_batch::RecordBatch;
use lineage_store::time::Time;

use super::OutputError;

/// One cell.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Cell<'a> {
    Missing,
    Text(&'a str),
    Unsigned(u64),
    Signed(i64),
    Float(f64),
    Bool(bool),
    Time(Time),
    List(Vec<&'a str>),
}

/// The columns of a batch, seen as cells.
pub(super) struct View<'a> {
    pub(super) columns: Vec<Column<'a>>,
    rows: usize,
}

/// A column with its name and unit.
pub(super) struct Column<'a> {
    pub(super) name: &'a str,
    pub(super) unit: Option<&'a str>,
    values: Values<'a>,
}

enum Values<'a> {
    Dictionary(&'a Int32Array, &'a StringArray),
    Text(&'a StringArray),
    Unsigned(&'a UInt64Array),
    Signed(&'a Int64Array),
    Float(&'a Float64Array),
    Bool(&'a BooleanArray),
    Time(&'a TimestampNanosecondArray),
    List(&'a ListArray, &'a StringArray),
}

impl<'a> View<'a> {
    /// Looks at a batch; refused if names repeat or a type is none of those [`super::Columns`] builds.
    pub(super) fn of(batch: &'a RecordBatch) -> Result<Self, OutputError> {
        let mut names = HashSet::new();
        let fields = batch.schema_ref().fields();
        if let Some(field) = fields.iter().find(|field| !names.insert(field.name())) {
            return Err(OutputError::Columns(format!("two columns are named `{}`", field.name())));
        }
        let columns = fields.iter().zip(batch.columns()).map(|(field, array)| Column::of(field, array.as_ref()));
        Ok(Self { columns: columns.collect::<Result<_, _>>()?, rows: batch.num_rows() })
    }

    /// The indices of the rows.
    pub(super) fn rows(&self) -> Range<usize> {
        0..self.rows
    }
}

impl<'a> Column<'a> {
    fn of(field: &'a Field, array: &'a dyn Array) -> Result<Self, OutputError> {
        let values = Values::of(array)
            .ok_or_else(|| OutputError::Columns(format!("column `{}` is {}", field.name(), field.data_type())))?;
        Ok(Self { name: field.name(), unit: field.metadata().get("unit").map(String::as_str), values })
    }

    /// The name of its type in the envelope.
    pub(super) fn kind(&self) -> &'static str {
        match self.values {
            Values::Dictionary(..) | Values::Text(_) => "text",
            Values::Unsigned(_) | Values::Signed(_) => "integer",
            Values::Float(_) => "float",
            Values::Bool(_) => "boolean",
            Values::Time(_) => "time",
            Values::List(..) => "list",
        }
    }

    /// Whether it holds numbers.
    pub(super) fn is_number(&self) -> bool {
        matches!(self.values, Values::Unsigned(_) | Values::Signed(_) | Values::Float(_))
    }

    /// Whether it holds lists.
    pub(super) fn is_list(&self) -> bool {
        matches!(self.values, Values::List(..))
    }

    /// The cell of a row.
    pub(super) fn cell(&self, row: usize) -> Cell<'a> {
        self.values.cell(row).unwrap_or(Cell::Missing)
    }
}

impl<'a> Values<'a> {
    fn of(array: &'a dyn Array) -> Option<Self> {
        Some(match array.data_type() {
            DataType::Dictionary(..) => {
                let dictionary = array.as_dictionary_opt::<Int32Type>()?;
                Self::Dictionary(dictionary.keys(), dictionary.values().as_string_opt()?)
            }
            DataType::Utf8 => Self::Text(array.as_string_opt()?),
            DataType::UInt64 => Self::Unsigned(array.as_primitive_opt::<UInt64Type>()?),
            DataType::Int64 => Self::Signed(array.as_primitive_opt::<Int64Type>()?),
            DataType::Float64 => Self::Float(array.as_primitive_opt::<Float64Type>()?),
            DataType::Boolean => Self::Bool(array.as_boolean_opt()?),
            DataType::Timestamp(TimeUnit::Nanosecond, Some(_)) => {
                Self::Time(array.as_primitive_opt::<TimestampNanosecondType>()?)
            }
            DataType::List(_) => {
                let list = array.as_list_opt::<i32>()?;
                Self::List(list, list.values().as_string_opt()?)
            }
            _ => return None,
        })
    }

    fn cell(&self, row: usize) -> Option<Cell<'a>> {
        match *self {
            Self::Dictionary(keys, values) => {
                let key = present(keys, row)?.value(row) as usize;
                Some(Cell::Text(present(values, key)?.value(key)))
            }
            Self::Text(values) => Some(Cell::Text(present(values, row)?.value(row))),
            Self::Unsigned(values) => Some(Cell::Unsigned(present(values, row)?.value(row))),
            Self::Signed(values) => Some(Cell::Signed(present(values, row)?.value(row))),
            Self::Float(values) => Some(Cell::Float(present(values, row)?.value(row))),
            Self::Bool(values) => Some(Cell::Bool(present(values, row)?.value(row))),
            Self::Time(values) => Some(Cell::Time(Time(present(values, row)?.value(row)))),
            Self::List(lists, items) => {
                let offsets = present(lists, row)?.value_offsets();
                let range = offsets[row] as usize..offsets[row + 1] as usize;
                Some(Cell::List(range.map(|at| present(items, at).map_or("", |items| items.value(at))).collect()))
            }
        }
    }
}

/// The array itself unless the cell is missing.
fn present<A: Array>(array: &A, row: usize) -> Option<&A> {
    array.is_valid(row).then_some(array)
}

/// The shortest decimal that reads back as the same number; `NaN`, `Infinity`, `-Infinity`.
pub(super) fn float(value: f64) -> String {
    if value.is_infinite() {
        return if value > 0.0 { "Infinity".to_owned() } else { "-Infinity".to_owned() };
    }
    format!("{value:?}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn floats_are_shortest() {
        let print = [1.0, 0.1 + 0.2, -0.0, 1e300, 5e-324, 1e15, 1e16, f64::NAN, f64::NEG_INFINITY].map(float);
        let want =
            ["1.0", "0.30000000000000004", "-0.0", "1e300", "5e-324", "1000000000000000.0", "1e16", "NaN", "-Infinity"];
        assert_eq!(print, want);
    }
}
