//! Opening a database that a server may be using: one instant of it is read, and the server is not held up.

use std::path::Path;
use std::time::Duration;

use rusqlite::backup::{Backup, StepResult};
use rusqlite::{Connection, OpenFlags};

use super::super::source::Told;

/// A writer holds the file for one commit; whoever holds it longer does not let go.
const PATIENCE: Duration = Duration::from_secs(20);

/// The tables and columns that every version has, from 2.22 on.
pub(super) const NEEDED: &[(&str, &[&str])] = &[
    ("experiments", &["experiment_id", "name", "artifact_location", "lifecycle_stage", "creation_time"]),
    ("experiment_tags", &["experiment_id", "key", "value"]),
    ("runs", &["run_uuid", "name", "user_id", "status", "start_time", "end_time", "lifecycle_stage", "artifact_uri"]),
    ("metrics", &["run_uuid", "key", "value", "is_nan", "timestamp", "step"]),
    ("latest_metrics", &["run_uuid", "key"]),
    ("params", &["run_uuid", "key", "value"]),
    ("tags", &["run_uuid", "key", "value"]),
    ("datasets", &["dataset_uuid", "name", "digest", "dataset_source_type", "dataset_source", "dataset_schema"]),
    ("inputs", &["input_uuid", "source_type", "source_id", "destination_type", "destination_id"]),
    ("input_tags", &["input_uuid", "name", "value"]),
    ("registered_models", &["name", "creation_time", "description"]),
    ("registered_model_tags", &["name", "key", "value"]),
    ("registered_model_aliases", &["name", "alias", "version"]),
    ("model_versions", &["name", "version", "source", "run_id", "run_link", "current_stage", "storage_location"]),
    ("model_version_tags", &["name", "version", "key", "value"]),
];

/// Opens a database for reading at the instant of this call.
///
/// With a write-ahead log, readers and writers do not meet, and one transaction is read. Without one a reader keeps
/// writers from committing for as long as it reads, and the clients of a server that uses the file would fail: it is
/// copied, at the speed of the disk, into a temporary file that `SQLite` removes by itself.
pub(super) fn open(path: &Path) -> Told<Connection> {
    let name = path.display();
    if !path.is_file() {
        return Err(format!("{name} is no file"));
    }
    let connection = begin(path).map_err(|error| refusal(path, &error))?;
    let mode: String =
        connection.query_row("PRAGMA journal_mode", [], |row| row.get(0)).map_err(|error| refusal(path, &error))?;
    if mode == "wal" {
        return Ok(connection);
    }
    let copied = copy(&connection).map_err(|error| refusal(path, &error))?;
    copied.ok_or_else(|| format!("cannot read {name}: a server has held it for too long; try again"))
}

/// Opens a database and fixes the instant that is read.
fn begin(path: &Path) -> rusqlite::Result<Connection> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags)?;
    connection.busy_timeout(PATIENCE)?;
    connection.execute_batch("BEGIN; SELECT count(*) FROM sqlite_master;")?;
    Ok(connection)
}

/// A copy of what a connection reads; `None` if somebody holds it.
fn copy(from: &Connection) -> rusqlite::Result<Option<Connection>> {
    from.execute_batch("COMMIT")?;
    let mut copy = Connection::open("")?;
    let step = Backup::new(from, &mut copy)?.step(-1)?;
    Ok((step == StepResult::Done).then_some(copy))
}

fn refusal(path: &Path, error: &rusqlite::Error) -> String {
    let name = path.display();
    match error.sqlite_error_code() {
        Some(rusqlite::ErrorCode::NotADatabase) => format!("{name} is no SQLite database"),
        Some(rusqlite::ErrorCode::CannotOpen | rusqlite::ErrorCode::ReadOnly) => format!(
            "cannot read {name}: {error}; a database that a server left in the middle of a change, or one with a \
             write-ahead log in a folder that cannot be written to, is read from a copy: \
             copy it with the files `-wal` or `-journal` beside it"
        ),
        _ => format!("cannot read {name}: {error}"),
    }
}
