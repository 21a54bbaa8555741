//! The manifest of a pack: what it is, and the digest of every other file.

use serde_json::{Map, Value, json};

use super::contents::{Answered, Asking, Contents};
use super::folder::Entry;
use super::log::EVENTS_FILE;
use super::rows::{Partition, Written};
use super::{KEY_FILE, Pack, ReportError, SCHEMA, Summary, summary};

/// The name of the manifest.
const MANIFEST_FILE: &str = "manifest.json";

/// Writes the summaries and the manifest, which comes last: a folder without it is no pack.
pub(super) fn finish(pack: &Pack<'_>, asking: &Asking<'_>, mut contents: Contents) -> Result<Summary, ReportError> {
    if contents.others.iter().all(|entry| entry.path != "checkpoint") {
        contents.notes.push("the log is not signed here, so the pack proves nothing about it".to_owned());
    }
    contents.notes.sort();
    contents.notes.dedup();
    let telling = summary::Telling { asking, contents: &contents, first: pack.first };
    let readme = pack.folder.write("README.md", telling.markdown().as_bytes())?;
    let page = pack.folder.write("index.html", telling.html().as_bytes())?;
    let mut files: Vec<&Entry> = [&readme, &page].into_iter().chain(&contents.others).collect();
    files.extend(contents.tables.iter().flat_map(|written| &written.files));
    files.extend(contents.answers.iter().map(|answered| &answered.entry));
    files.extend(contents.lines.iter().map(|lines| &lines.entry));
    files.sort();
    let mut tables: Vec<(String, u64, Value)> =
        contents.tables.iter().map(|w| (w.table.name.to_owned(), w.rows, table(w))).collect();
    tables.extend(contents.answers.iter().map(|a| (a.name.clone(), a.rows, answer(a))));
    tables.sort_by(|(a, ..), (b, ..)| a.cmp(b));
    let manifest = json!({
        "arguments": arguments(asking),
        "as_of": asking.as_of.to_string(),
        "environments": asking.order.environments,
        "events": contents.lines.as_ref().map(|lines| json!({
            "count": lines.count,
            "first": pack.first,
            "path": EVENTS_FILE,
            "raw_bytes": lines.raw_bytes,
        })),
        "files": files.iter().map(|entry| json!({
            "blake3": entry.blake3,
            "path": entry.path,
            "sha256": entry.sha256,
            "size": entry.size,
        })).collect::<Vec<_>>(),
        "log": {
            "first": pack.first,
            "head": asking.order.proofs.head,
            "hidden": asking.head.n_hidden(),
            "position": asking.position,
            "recorded": pack.size.checked_sub(1).map(|last| asking.head.recorded(last).to_string()),
            "size": pack.size,
        },
        "notes": contents.notes,
        "proofs": asking.order.proofs.checkpoint.as_ref().map(|_| json!({
            "checkpoint": "checkpoint",
            "key": asking.order.proofs.key.as_ref().map(|_| KEY_FILE),
            "tiles": (!asking.order.proofs.tiles.is_empty()).then_some("tiles"),
        })),
        "queries": contents.queries.iter().map(|asked| json!({
            "exact": asked.exact,
            "table": asked.table,
            "text": asked.text,
        })).collect::<Vec<_>>(),
        "report": asking.order.report.name(),
        "schema": SCHEMA,
        "tables": tables.iter().map(|(.., table)| table).collect::<Vec<_>>(),
        "tool": { "name": "lineage", "version": asking.order.tool },
    });
    let failed = ReportError::io("write", std::path::Path::new(MANIFEST_FILE));
    let mut text = serde_json::to_string_pretty(&manifest).map_err(|error| failed(error.into()))?;
    text.push('\n');
    let entry = pack.folder.write(MANIFEST_FILE, text.as_bytes())?;
    Ok(Summary {
        position: asking.position,
        as_of: asking.as_of,
        tables: tables.into_iter().map(|(name, rows, _)| (name, rows)).collect(),
        files: files.len() + 1,
        bytes: files.iter().map(|entry| entry.size).sum::<u64>() + entry.size,
        notes: contents.notes,
    })
}

fn arguments(asking: &Asking<'_>) -> Map<String, Value> {
    let order = asking.order;
    let mut arguments = Map::new();
    for (name, value) in order.params {
        let values = arguments.entry(format!("param.{name}")).or_insert_with(|| json!([]));
        values.as_array_mut().into_iter().for_each(|values| values.push(json!(value)));
    }
    arguments.extend(order.report.arguments().into_iter().map(|(key, value)| (key.to_owned(), json!(value))));
    if order.partition == Partition::Day {
        arguments.insert("partition".to_owned(), json!("day"));
    }
    if !order.events {
        arguments.insert("events".to_owned(), json!("none"));
    }
    arguments
}

fn table(written: &Written) -> Value {
    let table = written.table;
    let columns = table.columns.iter().map(|column| {
        json!({
            "about": column.about,
            "name": column.name,
            "nullable": column.nullable,
            "type": column.kind.word(),
            "unit": column.unit,
        })
    });
    json!({
        "about": table.about,
        "columns": columns.collect::<Vec<_>>(),
        "files": written.files.iter().map(|entry| &entry.path).collect::<Vec<_>>(),
        "name": table.name,
        "of": table.of.word(),
        "rows": written.rows,
        "sorted_by": table.sorted_by,
    })
}

fn answer(answered: &Answered) -> Value {
    let columns = answered.columns.iter().map(|column| {
        json!({
            "about": column.about,
            "name": column.name,
            "nullable": true,
            "type": column.kind,
            "unit": column.unit,
        })
    });
    json!({
        "about": format!("the answer to: {}", answered.text),
        "columns": columns.collect::<Vec<_>>(),
        "files": [answered.entry.path],
        "name": answered.name,
        "of": "state",
        "rows": answered.rows,
        "sorted_by": [],
    })
}
