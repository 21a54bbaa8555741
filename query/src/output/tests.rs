//! Every format on one answer, and on hostile ones.

use std::collections::HashMap;

use ::arrow::datatypes::{DataType, TimeUnit};
use ::arrow::ipc::reader::StreamReader;
use ::parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use ::parquet::basic::Compression;
use proptest::prelude::*;

use super::cell::float;
use super::text::{hidden, width as wide};
use super::*;

fn digest(start: &str) -> String {
    format!("b3:{start}{}", "0".repeat(64 - start.len()))
}

fn answer(batch: RecordBatch) -> Answer {
    Answer {
        batch,
        canonical: "models trained on datasets tagged \"pii\"".to_owned(),
        position: 18102,
        head: Some("b3:ab".to_owned()),
        as_of: Some(Time(1_795_168_800_000_000_000)),
        known_at: Some(KnownAt::Log(18102)),
        now: None,
        complete: true,
        notes: vec![Note { code: "W04".to_owned(), text: "1 of 2 have no `accuracy`".to_owned() }],
        edition: 1,
        graph: None,
    }
}

fn models() -> Answer {
    let mut columns = Columns::new();
    columns
        .text(&Heading::new("kind"), [Some("model"), Some("model")])
        .text(&Heading::new("name").about("the name"), [Some("churn"), Some("=sum(\"A1\"), \u{1b}[2Jé")])
        .unsigned(&Heading::new("version"), [Some(4), Some(u64::MAX)])
        .text(&Heading::new("digest"), [Some(digest("9f2c1a00aa")), Some(digest("9f2c1a00ab"))])
        .float(&Heading::new("accuracy").unit("ratio"), [Some(0.91), None])
        .signed(&Heading::new("drift"), [Some(-3), Some(0)])
        .boolean(&Heading::new("live"), [Some(true), None])
        .time(&Heading::new("at"), [Some(Time(1_795_168_800_000_000_000)), None])
        .list(&Heading::new("tags"), [Some(vec!["pii", "-eu"]), None]);
    answer(columns.finish().expect("models"))
}

fn bytes(answer: &Answer, format: Format, width: Option<usize>) -> Vec<u8> {
    let mut out = Vec::new();
    write(answer, &format, &mut out, &TableStyle { width, ..TableStyle::default() }).expect("written");
    out
}

fn text(answer: &Answer, format: Format) -> String {
    String::from_utf8(bytes(answer, format, None)).expect("UTF-8")
}

fn table(batch: RecordBatch, width: usize) -> String {
    String::from_utf8(bytes(&answer(batch), Format::Table, Some(width))).expect("UTF-8")
}

#[test]
fn json_is_the_envelope() {
    let (one, two) = (digest("9f2c1a00aa"), digest("9f2c1a00ab"));
    let want = [
        r#"{"schema":"lineage.query/1","edition":1,"canonical":"models trained on datasets tagged \"pii\"","#,
        r#""position":18102,"head":"b3:ab","as_of":"2026-11-20T10:00:00Z","known_at":"log 18102","complete":true,"#,
        r#""columns":[{"name":"kind","type":"text"},{"name":"name","type":"text"},"#,
        r#"{"name":"version","type":"integer"},{"name":"digest","type":"text"},"#,
        r#"{"name":"accuracy","type":"float","unit":"ratio"},{"name":"drift","type":"integer"},"#,
        r#"{"name":"live","type":"boolean"},{"name":"at","type":"time"},{"name":"tags","type":"list"}],"#,
        r#""rows":[{"kind":"model","name":"churn","version":4,"digest":""#,
        &one,
        r#"","accuracy":0.91,"drift":-3,"live":true,"at":"2026-11-20T10:00:00Z","tags":["pii","-eu"]},"#,
        r#"{"kind":"model","name":"=sum(\"A1\"), \u001b[2Jé","version":18446744073709551615,"digest":""#,
        &two,
        r#"","accuracy":null,"drift":0,"live":null,"at":null,"tags":null}],"#,
        r#""notes":[{"code":"W04","text":"1 of 2 have no `accuracy`"}]}"#,
        "\n",
    ];
    assert_eq!(text(&models(), Format::Json), want.concat());
}

#[test]
fn json_says_what_is_missing_and_not_finite() {
    let mut columns = Columns::new();
    columns.float(&Heading::new("x"), [f64::NAN, f64::INFINITY, -0.0, 1e300].map(Some));
    let mut answer = answer(columns.finish().expect("floats"));
    (answer.head, answer.as_of, answer.known_at, answer.complete) = (None, None, None, false);
    answer.now = Some(Time(0));
    answer.notes.clear();
    let json = text(&answer, Format::Json);
    let tail = "\"position\":18102,\"head\":null,\"as_of\":null,\"known_at\":null,\"now\":\"1970-01-01T00:00:00Z\",\
                \"complete\":false,\"columns\":[{\"name\":\"x\",\"type\":\"float\"}],\
                \"rows\":[{\"x\":\"NaN\"},{\"x\":\"Infinity\"},{\"x\":-0.0},{\"x\":1e300}],\"notes\":[]}\n";
    assert!(json.ends_with(tail), "{json}");
    assert_eq!(text(&answer, Format::Ndjson), "{\"x\":\"NaN\"}\n{\"x\":\"Infinity\"}\n{\"x\":-0.0}\n{\"x\":1e300}\n");
}

#[test]
fn csv_quotes_and_neutralises() {
    let (one, two) = (digest("9f2c1a00aa"), digest("9f2c1a00ab"));
    let want = |name: &str, tags: &str| {
        format!(
            "kind,name,version,digest,accuracy,drift,live,at,tags\r\n\
             model,churn,4,{one},0.91,-3,true,2026-11-20T10:00:00Z,\"{tags}\"\r\n\
             model,\"{name}\",18446744073709551615,{two},,0,,,\r\n"
        )
    };
    let formula = "=sum(\"\"A1\"\"), \u{1b}[2Jé";
    assert_eq!(text(&models(), Format::Csv { safe: false }), want(formula, "pii;-eu"));
    assert_eq!(text(&models(), Format::Csv { safe: true }), want(&format!("'{formula}"), "pii;'-eu"));
}

#[test]
fn csv_neutralises_every_start_of_a_formula() {
    for start in ["=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠"] {
        let hostile = format!("{start}cmd");
        let mut columns = Columns::new();
        columns.text(&Heading::new(&hostile), [Some(&hostile)]).signed(&Heading::new("n"), [Some(-1)]);
        let csv = text(&answer(columns.finish().expect("hostile")), Format::Csv { safe: true });
        let rows = parse_csv(&csv);
        assert_eq!(rows[0][0], (format!("'{start}cmd"), rows[0][0].1));
        assert_eq!(rows[1], [(format!("'{start}cmd"), rows[1][0].1), ("-1".to_owned(), false)]);
    }
}

#[test]
fn csv_keeps_rows_with_nothing_in_them() {
    let mut columns = Columns::new();
    columns.text(&Heading::new("a"), [None, Some(""), Some("x")]);
    let csv = text(&answer(columns.finish().expect("one column")), Format::Csv { safe: false });
    assert_eq!(csv, "a\r\n\"\"\r\n\"\"\r\nx\r\n");
}

#[test]
fn tables_line_up() {
    let want = "
kind   name                                 version  digest         accuracy  drift  live  at                    tags
─────  ──────────────────────  ────────────────────  ─────────────  ────────  ─────  ────  ────────────────────  ────────
model  churn                                      4  b3:9f2c1a00aa      0.91     -3  true  2026-11-20T10:00:00Z  pii, -eu
model  =sum(\"A1\"), \\u{1b}[2Jé  18446744073709551615  b3:9f2c1a00ab         -      0  -     -                     -
";
    assert_eq!(text(&models(), Format::Table), want.trim_start());
}

#[test]
fn tables_fit_the_terminal() {
    let mut columns = Columns::new();
    let long = "a-very-long-name-of-a-dataset-that-nobody-can-read";
    let digests: Vec<String> = ["1", "2", "3"].map(digest).to_vec();
    columns
        .text(&Heading::new("name"), [Some(long), Some("表表表表表表表表表表表表表表"), Some("")])
        .text(&Heading::new("digest"), digests.iter().map(Some))
        .list(&Heading::new("inputs"), [Some(digests.clone()), Some(vec![]), None])
        .unsigned(&Heading::new("rows"), [Some(1), Some(1_000_000), None]);
    let batch = columns.finish().expect("columns");
    let want = "
name                   digest       inputs             rows
─────────────────────  ───────────  ──────────────  ───────
a-very-long-name-of-…  b3:10000000  b3:10000000 +2        1
表表表表表表表表表表…  b3:20000000  []              1000000
\"\"                     b3:30000000  -                     -
";
    assert_eq!(table(batch.clone(), 59), want.trim_start());
    let narrow = table(batch, 1);
    assert!(narrow.contains("a-very-…  b3:10000000  b3:10000000 +2"), "{narrow}");
}

#[test]
fn tables_without_a_width_cut_nothing() {
    let long = "x".repeat(1000);
    let mut columns = Columns::new();
    columns.text(&Heading::new("a"), [Some(long.as_str()), Some("y")]).unsigned(&Heading::new("b"), [Some(1), Some(2)]);
    let table = text(&answer(columns.finish().expect("columns")), Format::Table);
    let rows: Vec<&str> = table.lines().skip(2).collect();
    assert_eq!(rows, [format!("{long}  1"), format!("y{}2", " ".repeat(121))]);
}

#[test]
fn tables_say_when_there_is_nothing() {
    let mut columns = Columns::new();
    columns.text(&Heading::new("name"), [None::<&str>; 0]);
    assert_eq!(table(columns.finish().expect("empty"), 80), "no rows\n");
}

#[test]
fn tables_paint_only_when_asked() {
    let mut columns = Columns::new();
    columns.text(&Heading::new("a"), [Some("x"), None]).text(&Heading::new("b"), [Some("y"), Some("z")]);
    let mut out = Vec::new();
    let style = TableStyle { color: true, ..TableStyle::default() };
    write(&answer(columns.finish().expect("columns")), &Format::Table, &mut out, &style).expect("written");
    let want = "\x1b[1ma\x1b[0m  \x1b[1mb\x1b[0m\n\x1b[2m─\x1b[0m  \x1b[2m─\x1b[0m\nx  y\n\x1b[2m-\x1b[0m  z\n";
    assert_eq!(String::from_utf8(out).expect("UTF-8"), want);
}

#[test]
fn parquet_reads_back() {
    let models = models();
    let file = bytes(&models, Format::Parquet, None);
    for _ in 0..8 {
        assert!(file == bytes(&self::models(), Format::Parquet, None), "the same answer, other bytes");
    }
    let reader = ParquetRecordBatchReaderBuilder::try_new(bytes::Bytes::from(file)).expect("a Parquet file");
    let metadata = reader.metadata().clone();
    assert_eq!(metadata.file_metadata().created_by(), Some("lineage"));
    assert_eq!(metadata.num_row_groups(), 1);
    assert!(matches!(metadata.row_group(0).column(0).compression(), Compression::ZSTD(_)));
    let pairs = metadata.file_metadata().key_value_metadata().expect("metadata").clone();
    let pairs: HashMap<_, _> = pairs.into_iter().map(|pair| (pair.key, pair.value.unwrap_or_default())).collect();
    for (key, value) in super::metadata(&models) {
        assert_eq!(pairs.get(key), Some(&value), "{key}");
    }
    assert_eq!(pairs["lineage.known_at"], "log 18102");
    assert_eq!(reader.schema().metadata()["lineage.query"], models.canonical);
    let batches: Vec<_> = reader.build().expect("reader").collect::<Result<_, _>>().expect("batches");
    assert_eq!(batches.len(), 1);
    assert_eq!(batches[0].columns(), models.batch.columns());
    assert_eq!(batches[0].schema().fields(), models.batch.schema().fields());
}

#[test]
fn arrow_reads_back() {
    let models = models();
    let stream = bytes(&models, Format::Arrow, None);
    assert!(stream == bytes(&self::models(), Format::Arrow, None), "the same answer, other bytes");
    let mut reader = StreamReader::try_new(stream.as_slice(), None).expect("a stream");
    let batch = reader.next().expect("a batch").expect("a good batch");
    assert!(reader.next().is_none());
    assert_eq!(batch.columns(), models.batch.columns());
    assert_eq!(batch.schema().metadata()["lineage.query"], models.canonical);
    let time = DataType::Timestamp(TimeUnit::Nanosecond, Some("UTC".into()));
    assert_eq!(batch.schema().field_with_name("at").expect("at").data_type(), &time);
}

#[test]
fn formats_have_names() {
    assert_eq!("csv".parse(), Ok(Format::Csv { safe: false }));
    assert_eq!("parquet".parse::<Format>().map(Format::is_binary), Ok(true));
    assert!("xml".parse::<Format>().is_err());
}

#[test]
fn a_closed_pipe_keeps_its_kind() {
    struct Closed;
    impl Write for Closed {
        fn write(&mut self, _: &[u8]) -> io::Result<usize> {
            Err(io::ErrorKind::BrokenPipe.into())
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }
    let formats =
        [Format::Table, Format::Json, Format::Ndjson, Format::Csv { safe: true }, Format::Parquet, Format::Arrow];
    for format in formats {
        let error = write(&models(), &format, &mut Closed, &TableStyle::default()).expect_err("closed");
        assert!(matches!(&error, OutputError::Io(e) if e.kind() == io::ErrorKind::BrokenPipe), "{format:?}: {error}");
    }
}

/// The records of a CSV text; each field with whether it was quoted.
fn parse_csv(csv: &str) -> Vec<Vec<(String, bool)>> {
    let (mut records, mut record, mut field, mut quoted) = (Vec::new(), Vec::new(), String::new(), false);
    let mut chars = csv.chars().peekable();
    while let Some(c) = chars.next() {
        match c {
            '"' => {
                quoted = true;
                loop {
                    match chars.next().expect("closing quote") {
                        '"' if chars.next_if_eq(&'"').is_some() => field.push('"'),
                        '"' => break,
                        c => field.push(c),
                    }
                }
            }
            ',' => record.push((std::mem::take(&mut field), std::mem::take(&mut quoted))),
            '\r' => {
                assert_eq!(chars.next(), Some('\n'));
                record.push((std::mem::take(&mut field), std::mem::take(&mut quoted)));
                records.push(std::mem::take(&mut record));
            }
            c => {
                assert!(!quoted, "text after a quoted field");
                field.push(c);
            }
        }
    }
    assert!(field.is_empty() && record.is_empty());
    records
}

/// Text with more than its share of what could break a format.
fn hostile() -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        any::<char>().prop_map(String::from),
        prop::sample::select(vec![
            "\"",
            ",",
            ";",
            "\r",
            "\n",
            "=",
            "\u{1b}[31m",
            "\u{202e}",
            "\u{301}",
            "表",
            "b3:",
            "\\"
        ])
        .prop_map(str::to_owned),
        "[a-z]{0,9}",
    ];
    prop::collection::vec(piece, 0..6).prop_map(|pieces| pieces.concat())
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn hostile_text_survives(
        name in hostile(),
        rows in prop::collection::vec((prop::option::of(hostile()), any::<f64>(), prop::collection::vec(hostile(), 0..4)), 0..6),
        width in 0_usize..90,
    ) {
        let name = format!("n{name}");
        let mut columns = Columns::new();
        columns
            .text(&Heading::new(&name).unit(&name), rows.iter().map(|row| row.0.as_deref()))
            .float(&Heading::new("float"), rows.iter().map(|row| Some(row.1)))
            .list(&Heading::new("list"), rows.iter().map(|row| Some(&row.2)));
        let mut answer = answer(columns.finish().expect("columns"));
        answer.canonical.clone_from(&name);

        let json: serde_json::Value = serde_json::from_str(&text(&answer, Format::Json)).expect("JSON");
        prop_assert_eq!(json["canonical"].as_str(), Some(name.as_str()));
        prop_assert_eq!(json["columns"][0]["unit"].as_str(), Some(name.as_str()));
        prop_assert_eq!(json["rows"].as_array().map(Vec::len), Some(rows.len()));
        let lines = text(&answer, Format::Ndjson);
        let lines: Vec<serde_json::Value> = lines.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
        prop_assert_eq!(json["rows"].as_array(), Some(&lines));
        for (line, (value, _, items)) in lines.iter().zip(&rows) {
            prop_assert_eq!(line[&name].as_str(), value.as_deref());
            prop_assert_eq!(line["list"].clone(), serde_json::json!(items));
        }
        for (line, row) in text(&answer, Format::Ndjson).lines().zip(&rows) {
            // serde_json reads floats to within one unit in the last place, so the text itself is compared.
            let number = float(row.1);
            prop_assert!(number.parse::<f64>().is_ok_and(|read| read.to_bits() == row.1.to_bits()) || row.1.is_nan());
            prop_assert!(line.contains(&["\"float\":", &number, ","].concat()) || !row.1.is_finite());
        }

        let csv = parse_csv(&text(&answer, Format::Csv { safe: false }));
        prop_assert_eq!(csv.len(), rows.len() + 1);
        prop_assert_eq!(&csv[0][0].0, &name);
        for (record, (value, number, items)) in csv[1..].iter().zip(&rows) {
            prop_assert_eq!(&record[0].0, value.as_deref().unwrap_or_default());
            prop_assert_eq!(value.is_some(), record[0].1 || !record[0].0.is_empty());
            prop_assert!(number.is_nan() || record[1].0.parse::<f64>().expect("number").to_bits() == number.to_bits());
            prop_assert_eq!(&record[2].0, &items.join(";"));
        }
        parse_csv(&text(&answer, Format::Csv { safe: true }));

        for width in [None, Some(width)] {
            let table = String::from_utf8(bytes(&answer, Format::Table, width)).expect("UTF-8");
            prop_assert_eq!(table.lines().count(), if rows.is_empty() { 1 } else { rows.len() + 2 });
            prop_assert!(!table.chars().any(|c| c != '\n' && hidden(c)));
            let floats = rows.iter().map(|row| float(row.1).len()).max().unwrap_or(0);
            if width.is_some_and(|width| width >= 8 + 10 + 8 + 4 + floats) {
                prop_assert!(table.lines().all(|line| wide(line) <= width.unwrap_or(0)), "{}", table);
            }
        }
        for format in [Format::Parquet, Format::Arrow] {
            prop_assert!(!bytes(&answer, format, None).is_empty());
        }
    }
}
