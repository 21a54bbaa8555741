//! The tables of a pack, made again from its events and compared with the files that are there.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::path::Path;

use arrow::array::RecordBatch;
use lineage_store::StoreError;
use lineage_store::graph::View;
use lineage_store::time::Time;
use serde::Deserialize;
use serde_json::Value;

use super::{Order, Partition, Proofs, ReadLog, Report, ReportError, event_reader, write};
use crate::output::{self, OutputError};

/// What came of making the tables of a pack again.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Remade {
    /// How many tables were compared.
    pub tables: usize,
    /// Whether they are the answers to questions of their own.
    pub is_question: bool,
    /// How many rows they have.
    pub rows: u64,
    /// Where what is there does not follow from the events.
    pub differing: Vec<String>,
}

/// What a manifest says of how its tables were made.
#[derive(Deserialize)]
struct Said {
    report: String,
    arguments: BTreeMap<String, Value>,
    environments: Vec<String>,
    as_of: String,
    queries: Vec<Asked>,
    tables: Vec<Table>,
}

#[derive(Deserialize)]
struct Asked {
    text: String,
    exact: bool,
}

#[derive(Deserialize)]
struct Table {
    name: String,
    files: Vec<String>,
    rows: u64,
}

/// Makes the tables of a pack again and compares them, row by row where the bytes of a file differ.
///
/// `view` and `log` are of the events of the pack, from the first of the log on. `scratch` is a new folder that is
/// written to. A question that cannot be asked without more than the events is [`ReportError::Query`].
pub fn remake(folder: &Path, scratch: &Path, view: &View, log: &ReadLog, tool: &str) -> Result<Remade, ReportError> {
    let said = said(folder)?;
    let report = said.report()?;
    let params = said.params();
    let order = Order {
        report: &report,
        view,
        size: None,
        as_of: Some(said.as_of.parse::<Time>().map_err(|error| wrong(format!("as_of: {error}")))?),
        since: 0,
        partition: if said.arguments.contains_key("partition") { Partition::Day } else { Partition::None },
        events: false,
        environments: &said.environments,
        params: &params,
        whole: event_reader(log.clone()),
        log: log.clone(),
        proofs: Proofs::default(),
        tool,
        digest_of_file: &|path| Err(format!("{path} is no part of the pack")),
    };
    write(&order, scratch)?;
    let made: BTreeMap<String, Table> = self::said(scratch)?.tables.into_iter().map(|t| (t.name.clone(), t)).collect();
    let is_question = matches!(report, Report::Query(_));
    let mut remade = Remade { tables: said.tables.len(), is_question, ..Remade::default() };
    for name in made.keys().filter(|name| said.tables.iter().all(|table| table.name != **name)) {
        remade.differing.push(format!("the table `{name}` is missing"));
    }
    for table in &said.tables {
        remade.rows += table.rows;
        match made.get(&table.name) {
            Some(made) if made.files == table.files => {
                remade.differing.extend(compare_files(&table.files, folder, scratch)?);
            }
            Some(_) => remade.differing.push(format!("the table `{}` has other files", table.name)),
            None => remade.differing.push(format!("a table `{}` does not follow from the events", table.name)),
        }
    }
    Ok(remade)
}

fn said(folder: &Path) -> Result<Said, ReportError> {
    let path = folder.join("manifest.json");
    let bytes = fs::read(&path).map_err(ReportError::io("read", &path))?;
    serde_json::from_slice(&bytes).map_err(|error| wrong(error.to_string()))
}

fn wrong(what: String) -> ReportError {
    ReportError::Manifest { what }
}

impl Said {
    fn report(&self) -> Result<Report, ReportError> {
        if self.report == "query" {
            let exact = self.queries.iter().filter(|asked| asked.exact);
            return Ok(Report::Query(exact.map(|asked| asked.text.clone()).collect()));
        }
        let text = |name: &str| self.arguments.get(name).and_then(Value::as_str).map(str::to_owned);
        Report::named(&self.report, text("model"), text("subject"))
            .ok_or_else(|| wrong(format!("there is no report `{}`", self.report.escape_debug())))
    }

    fn params(&self) -> Vec<(String, String)> {
        let lists = self.arguments.iter().filter_map(|(key, value)| Some((key.strip_prefix("param.")?, value)));
        let each = |(name, values): (&str, &Value)| {
            let values = values.as_array().into_iter().flatten().filter_map(Value::as_str);
            values.map(|value| (name.to_owned(), value.to_owned())).collect::<Vec<_>>()
        };
        lists.flat_map(each).collect()
    }
}

/// The files of one table in two folders; what is wrong with those of the first.
fn compare_files(files: &[String], folder: &Path, scratch: &Path) -> Result<Vec<String>, ReportError> {
    let mut differing = Vec::new();
    for path in files {
        let (here, made) = (folder.join(path), scratch.join(path));
        let read = |path: &Path| fs::read(path).map_err(ReportError::io("read", path));
        if read(&here)? == read(&made)? {
            continue;
        }
        let open = |path: &Path| File::open(path).map_err(ReportError::io("open", path));
        let what = match difference(open(&here)?, open(&made)?) {
            Ok(Some(what)) => what,
            Ok(None) => "its rows follow from the events, but other bytes of it differ".to_owned(),
            Err(error) => format!("it cannot be read: {error}"),
        };
        differing.push(format!("{path}: {what}"));
    }
    Ok(differing)
}

/// The first row in which two files differ, counted from 1.
fn difference(here: File, made: File) -> Result<Option<String>, OutputError> {
    let (mut here, mut made) = (output::batches(here)?, output::batches(made)?);
    let mut row = 1;
    loop {
        let (here, made) = match (here.next().transpose()?, made.next().transpose()?) {
            (None, None) => return Ok(None),
            (Some(here), Some(made)) => (here, made),
            (Some(_), None) => {
                return Ok(Some(format!("row {row} and what comes after do not follow from the events")));
            }
            (None, Some(_)) => return Ok(Some(format!("row {row} and what comes after are missing"))),
        };
        if here.schema().fields() != made.schema().fields() {
            return Ok(Some("its columns are not those of the table".to_owned()));
        }
        for at in 0..here.num_rows().min(made.num_rows()) {
            let names = differing_columns(&here, &made, at);
            if !names.is_empty() {
                let names = names.join(", ");
                return Ok(Some(format!("row {} does not follow from the events: {names}", row + at)));
            }
        }
        row += here.num_rows().min(made.num_rows());
        if here.num_rows() != made.num_rows() {
            let what = if here.num_rows() > made.num_rows() { "do not follow from the events" } else { "are missing" };
            return Ok(Some(format!("row {row} and what comes after {what}")));
        }
    }
}

fn differing_columns(here: &RecordBatch, made: &RecordBatch, at: usize) -> Vec<String> {
    let schema = here.schema();
    let columns = schema.fields().iter().zip(here.columns().iter().zip(made.columns()));
    let differing = columns.filter(|(_, (here, made))| here.slice(at, 1) != made.slice(at, 1));
    differing.map(|(field, _)| field.name().clone()).collect()
}

/// Whether an event of a log keeps values outside of it, which a pack does not have.
pub fn keeps_values_elsewhere(log: &ReadLog, size: u64) -> Result<bool, StoreError> {
    let mut found = false;
    log(0, size, &mut |_, leaf| {
        found |= !lineage_store::read_leaf(leaf, false)?.0.outlined.is_empty();
        Ok(())
    })?;
    Ok(found)
}
