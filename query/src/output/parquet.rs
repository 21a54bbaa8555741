//! The Parquet file: one row group, zstd, the envelope as key and value metadata, the same bytes for the same answer.

use std::io::Write;

use ::parquet::arrow::ArrowWriter;
use ::parquet::basic::{Compression, ZstdLevel};
use ::parquet::errors::ParquetError;
use ::parquet::file::metadata::KeyValue;
use ::parquet::file::properties::WriterProperties;

use super::{Answer, OutputError, metadata};

/// Written as `created_by`; without a version, which would change the bytes.
const CREATED_BY: &str = "lineage";

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

fn refused(error: impl Into<ParquetError>) -> OutputError {
    OutputError::Parquet(error.into().to_string())
}
