//! Metrics that a command wrote: JSON, JSON lines, CSV, a `DVCLive` folder, a `trainer_state.json`, or our own file.

use std::fs;
use std::path::{Path, PathBuf};

use lineage_store::event::{Json, canonical};
use serde_json::{Map, Value};

use super::facts::is_safe;

/// The largest file of metrics that is read.
const METRICS_BYTES_MAX: u64 = 16 * 1024 * 1024;
/// The most files of a folder of metrics that are read.
const FILES_MAX: usize = 1000;

/// Values by their names, and what was left out.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Metrics {
    values: Map<String, Value>,
    /// Names whose values are no numbers, and lines that cannot be read.
    pub(super) skipped: Vec<String>,
}

impl Metrics {
    /// The values as an object.
    pub(super) fn json(&self) -> Json {
        // Numbers and the words for those that JSON lacks are always canonical.
        Json::from_value(&Value::Object(self.values.clone())).unwrap_or_default()
    }

    /// Adds other values; theirs count.
    pub(super) fn add(&mut self, other: Self) {
        self.values.extend(other.values);
        self.skipped.extend(other.skipped);
    }

    /// Reads a file or folder; the form follows from its name and content.
    pub(super) fn read(path: &Path) -> Result<Self, String> {
        let mut metrics = Self::default();
        if path.is_dir() {
            metrics.dvclive(path)?;
        } else {
            metrics.file(path)?;
        }
        metrics.skipped.sort();
        metrics.skipped.dedup();
        Ok(metrics)
    }

    fn file(&mut self, path: &Path) -> Result<(), String> {
        let text = text(path)?;
        match path.extension().and_then(|ending| ending.to_str()) {
            Some("jsonl" | "ndjson") => self.lines(&text),
            Some("csv") => self.table(&text, ',', ""),
            Some("tsv") => self.table(&text, '\t', ""),
            _ => self.document(&text)?,
        }
        Ok(())
    }

    fn document(&mut self, text: &str) -> Result<(), String> {
        let value = parse(text).map_err(|error| format!("it is no JSON: {error}"))?;
        let Value::Object(mut object) = value else { return Err("it is no JSON object of numbers".to_owned()) };
        // The trainers of Hugging Face keep every step in a list, the last one at its end.
        if let Some(Value::Array(history)) = object.remove("log_history") {
            for entry in history {
                if let Value::Object(entry) = entry {
                    self.flat("", entry);
                }
            }
            for name in ["best_metric", "best_global_step", "epoch", "global_step"] {
                if let Some(number) = object.remove(name).filter(Value::is_number) {
                    self.one(name.to_owned(), number);
                }
            }
            return Ok(());
        }
        self.flat("", object);
        Ok(())
    }

    fn flat(&mut self, prefix: &str, object: Map<String, Value>) {
        for (key, value) in object {
            let name = format!("{prefix}{key}");
            match value {
                Value::Object(inner) => self.flat(&format!("{name}."), inner),
                value => self.one(name, value),
            }
        }
    }

    fn one(&mut self, name: String, value: Value) {
        let is_metric = match &value {
            Value::Number(number) => is_safe(number),
            Value::String(word) => matches!(word.as_str(), "NaN" | "Infinity" | "-Infinity"),
            _ => false,
        };
        if is_metric {
            self.values.insert(name, value);
        } else {
            self.skipped.push(name);
        }
    }

    /// A JSON object a line: `{"name":…,"value":…}`, or names with their values; the last one of a name counts.
    pub(super) fn lines(&mut self, text: &str) {
        for (number, line) in (1..).zip(text.lines()).filter(|(_, line)| !line.trim().is_empty()) {
            let Ok(Value::Object(mut object)) = parse(line) else {
                self.skipped.push(format!("line {number}"));
                continue;
            };
            match (object.remove("name"), object.remove("value")) {
                (Some(Value::String(name)), Some(value)) => self.one(name, word(value)),
                (name, value) => {
                    object.extend(name.map(|name| ("name".to_owned(), name)));
                    object.extend(value.map(|value| ("value".to_owned(), value)));
                    // When, not how much.
                    object.remove("time");
                    object.remove("timestamp");
                    self.flat("", object);
                }
            }
        }
    }

    /// A header and rows: of each column the last value.
    fn table(&mut self, text: &str, separator: char, prefix: &str) {
        let mut rows = text.lines().filter(|line| !line.trim().is_empty()).map(|line| cells(line, separator));
        let Some(names) = rows.next() else { return };
        let mut last = vec![String::new(); names.len()];
        for row in rows {
            let values = row.into_iter().zip(&mut last).filter(|(cell, _)| !cell.is_empty());
            values.for_each(|(cell, last)| *last = cell);
        }
        for (name, cell) in names.into_iter().zip(last).filter(|(_, cell)| !cell.is_empty()) {
            let value = serde_json::from_str::<Value>(&cell).ok().filter(Value::is_number);
            self.one(format!("{prefix}{name}"), value.unwrap_or_else(|| word(Value::String(cell))));
        }
    }

    /// `metrics.json`, or the last row of each file of a metric.
    fn dvclive(&mut self, folder: &Path) -> Result<(), String> {
        let summary = folder.join("metrics.json");
        if summary.exists() {
            return self.file(&summary);
        }
        let plots = folder.join("plots").join("metrics");
        let mut files = Vec::new();
        tables(&plots, &mut files);
        if files.is_empty() {
            return Err(
                "it is a folder without metrics.json and without plots/metrics, so no DVCLive wrote it".to_owned()
            );
        }
        files.sort();
        for path in files {
            let name = path.strip_prefix(&plots).unwrap_or(&path).with_extension("");
            let mut one = Self::default();
            one.table(&text(&path)?, '\t', "");
            let column = name.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
            if let Some(value) = one.values.remove(&column) {
                self.one(name.to_string_lossy().into_owned(), value);
            }
        }
        Ok(())
    }
}

fn tables(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let path = entry.path();
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            tables(&path, found);
        } else if path.extension().is_some_and(|ending| ending == "tsv") && found.len() < FILES_MAX {
            found.push(path);
        }
    }
}

fn text(path: &Path) -> Result<String, String> {
    let size = fs::metadata(path).map_err(|error| error.to_string())?.len();
    if size > METRICS_BYTES_MAX {
        return Err(format!("it has {size} bytes; at most {METRICS_BYTES_MAX} are read"));
    }
    fs::read_to_string(path).map_err(|error| error.to_string())
}

/// JSON, also with NaN and Infinity bare, as Python writes them.
fn parse(text: &str) -> Result<Value, serde_json::Error> {
    serde_json::from_str(text).or_else(|error| {
        canonical::quote_non_finite(text).and_then(|fixed| serde_json::from_str(&fixed).ok()).ok_or(error)
    })
}

/// The spellings that programs have for what JSON lacks.
fn word(value: Value) -> Value {
    let Value::String(text) = &value else { return value };
    match text.to_ascii_lowercase().as_str() {
        "nan" => Value::from("NaN"),
        "inf" | "+inf" | "infinity" => Value::from("Infinity"),
        "-inf" | "-infinity" => Value::from("-Infinity"),
        _ => value,
    }
}

/// The cells of a line; a quoted cell may hold the separator and doubled quotes.
fn cells(line: &str, separator: char) -> Vec<String> {
    let (mut cells, mut cell, mut quoted) = (Vec::new(), String::new(), false);
    let mut chars = line.trim_end_matches('\r').chars().peekable();
    while let Some(c) = chars.next() {
        match c {
            '"' if quoted && chars.peek() == Some(&'"') => cell.extend(chars.next()),
            '"' => quoted = !quoted,
            c if c == separator && !quoted => cells.push(std::mem::take(&mut cell)),
            c => cell.push(c),
        }
    }
    cells.push(cell);
    cells.into_iter().map(|cell| cell.trim().to_owned()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(name: &str, text: &str) -> (String, Vec<String>) {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join(name);
        fs::write(&path, text).expect("written");
        let metrics = Metrics::read(&path).expect(name);
        (metrics.json().as_str().to_owned(), metrics.skipped)
    }

    #[test]
    fn every_form_gives_the_last_values() {
        for (name, text, want, skipped) in [
            (
                "m.json",
                r#"{"acc":0.5,"test":{"auc":1,"f1":NaN},"name":"x","list":[1]}"#,
                r#"{"acc":0.5,"test.auc":1,"test.f1":"NaN"}"#,
                vec!["list", "name"],
            ),
            (
                "m.jsonl",
                "{\"step\":1,\"loss\":2}\n{\"step\":2,\"loss\":Infinity}\n\n{\"name\":\"acc\",\"value\":\"nan\",\"step\":3}\nhalf",
                r#"{"acc":"NaN","loss":"Infinity","step":2}"#,
                vec!["line 5"],
            ),
            (
                "m.csv",
                "epoch,\"train, loss\",acc\r\n1,0.5,\r\n2,0.25,inf\r\n",
                r#"{"acc":"Infinity","epoch":2,"train, loss":0.25}"#,
                vec![],
            ),
            ("m.tsv", "step\tloss\n0\t1.5\n1\tx\n", r#"{"step":1}"#, vec!["loss"]),
            (
                "trainer_state.json",
                r#"{"epoch":2.0,"global_step":20,"best_metric":0.25,"best_model_checkpoint":"c/10","log_history":[{"loss":1.5,"step":10},{"eval_loss":0.25,"step":20}]}"#,
                r#"{"best_metric":0.25,"epoch":2,"eval_loss":0.25,"global_step":20,"loss":1.5,"step":20}"#,
                vec![],
            ),
        ] {
            assert_eq!(read(name, text), (want.to_owned(), skipped.into_iter().map(str::to_owned).collect()), "{name}");
        }
    }

    #[test]
    fn a_folder_of_dvclive_is_read() {
        let folder = tempfile::tempdir().expect("a folder");
        let plots = folder.path().join("plots/metrics/train");
        fs::create_dir_all(&plots).expect("a folder");
        fs::write(plots.join("loss.tsv"), "timestamp\tstep\tloss\n17\t0\t2.5\n18\t1\t1.25\n").expect("written");
        assert_eq!(Metrics::read(folder.path()).expect("metrics").json().as_str(), r#"{"train/loss":1.25}"#);
        fs::write(folder.path().join("metrics.json"), r#"{"train":{"loss":1.5}}"#).expect("written");
        assert_eq!(Metrics::read(folder.path()).expect("metrics").json().as_str(), r#"{"train.loss":1.5}"#);
    }

    #[test]
    fn what_holds_no_metrics_says_why() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("m.json");
        fs::write(&path, "[1]").expect("written");
        assert!(Metrics::read(&path).expect_err("a list").contains("no JSON object"));
        assert!(Metrics::read(folder.path()).expect_err("a folder").contains("DVCLive"));
        assert!(Metrics::read(&folder.path().join("none")).is_err());
    }
}
