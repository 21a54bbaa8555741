//! The Arrow IPC stream, with the envelope as metadata of the schema.

use std::collections::HashMap;
use std::io::Write;
use std::sync::Arc;

use ::arrow::error::ArrowError;
use ::arrow::ipc::writer::StreamWriter;
use ::arrow::record_batch::RecordBatch;

use super::{Answer, OutputError, metadata};

/// The rows under a schema that holds the envelope.
pub(super) fn described(answer: &Answer) -> Result<RecordBatch, OutputError> {
    let pairs: HashMap<_, _> = metadata(answer).into_iter().map(|(key, value)| (key.to_owned(), value)).collect();
    let schema = answer.batch.schema().as_ref().clone().with_metadata(pairs);
    answer.batch.clone().with_schema(Arc::new(schema)).map_err(refused)
}

/// Writes one stream of one batch.
pub(super) fn write(answer: &Answer, out: &mut dyn Write) -> Result<(), OutputError> {
    let batch = described(answer)?;
    let mut stream = StreamWriter::try_new(out, batch.schema_ref()).map_err(refused)?;
    stream.write(&batch).map_err(refused)?;
    stream.finish().map_err(refused)
}

fn refused(error: ArrowError) -> OutputError {
    match error {
        ArrowError::IoError(_, error) => OutputError::Io(error),
        error => OutputError::Arrow(error.to_string()),
    }
}
