//! Parquet files: zstd, no date and no version in them, so that the same rows are the same bytes.
//!
//! An answer is one row group with its envelope as key and value metadata; the tables of reports are streams of many.

use std::fs::File;
use std::io::Write;

use ::arrow::datatypes::SchemaRef;
use ::arrow::record_batch::RecordBatch;
use ::parquet::arrow::ArrowWriter;
use ::parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use ::parquet::basic::{Compression, ZstdLevel};
use ::parquet::errors::ParquetError;
use ::parquet::file::metadata::KeyValue;
use ::parquet::file::properties::{EnabledStatistics, WriterProperties};

use super::{Answer, OutputError, metadata};

/// Written as `created_by`; without a version, which would change the bytes.
const CREATED_BY: &str = "lineage";

/// Rows of one row group of a stream; as many are held in memory, encoded and compressed.
const STREAM_GROUP_ROWS: usize = 64 * 1024;

/// Rows that are read at once.
const BATCH_ROWS: usize = 4096;

/// A file that is written as its rows come.
pub(crate) struct Stream<W: Write + Send> {
    file: ArrowWriter<W>,
}

impl<W: Write + Send> Stream<W> {
    /// Begins a file; the metadata of the schema become those of the file, sorted.
    pub(crate) fn new(sink: W, schema: SchemaRef) -> Result<Self, OutputError> {
        let mut pairs: Vec<_> = schema.metadata().iter().map(|(k, v)| (k.clone(), v.clone())).collect();
        pairs.sort();
        let pairs = pairs.into_iter().map(|(key, value)| KeyValue::new(key, value)).collect();
        let properties = WriterProperties::builder()
            .set_created_by(CREATED_BY.to_owned())
            .set_compression(Compression::ZSTD(ZstdLevel::try_new(1).map_err(refused)?))
            .set_key_value_metadata(Some(pairs))
            .set_max_row_group_row_count(Some(STREAM_GROUP_ROWS))
            .set_statistics_enabled(EnabledStatistics::Chunk)
            .build();
        Ok(Self { file: ArrowWriter::try_new(sink, schema, Some(properties)).map_err(refused)? })
    }

    /// Adds rows.
    pub(crate) fn write(&mut self, batch: &RecordBatch) -> Result<(), OutputError> {
        self.file.write(batch).map_err(refused)
    }

    /// Ends the file and gives the sink back.
    pub(crate) fn finish(self) -> Result<W, OutputError> {
        self.file.into_inner().map_err(refused)
    }
}

/// Writes a whole file.
pub(super) fn write(answer: &Answer, out: &mut dyn Write) -> Result<(), OutputError> {
    let pairs = metadata(answer).into_iter().map(|(key, value)| KeyValue::new(key.to_owned(), value)).collect();
    let properties = WriterProperties::builder()
        .set_created_by(CREATED_BY.to_owned())
        .set_compression(Compression::ZSTD(ZstdLevel::try_new(3).map_err(refused)?))
        .set_key_value_metadata(Some(pairs))
        .set_max_row_group_row_count(None)
        .set_max_row_group_bytes(None)
        .build();
    let batch = super::arrow::described(answer)?;
    // The writer wants a sink that can be sent to a thread; a row group is held in memory anyway.
    let mut bytes = Vec::new();
    let mut file = ArrowWriter::try_new(&mut bytes, batch.schema(), Some(properties)).map_err(refused)?;
    file.write(&batch).map_err(refused)?;
    file.close().map_err(refused)?;
    Ok(out.write_all(&bytes)?)
}

/// The rows of a file, a batch at a time.
pub(crate) fn batches(
    file: File,
) -> Result<impl Iterator<Item = Result<RecordBatch, OutputError>> + use<>, OutputError> {
    let reader = ParquetRecordBatchReaderBuilder::try_new(file).map_err(refused)?;
    let batches = reader.with_batch_size(BATCH_ROWS).build().map_err(refused)?;
    Ok(batches.map(|batch| batch.map_err(refused)))
}

fn refused(error: impl Into<ParquetError>) -> OutputError {
    OutputError::Parquet(error.into().to_string())
}
