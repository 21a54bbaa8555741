//! Drawings of sets and paths, in both languages.

use lineage_query::output::Format;

use super::ask::draw;
use crate::histories::notation::{Sent, expand, instant};
use crate::histories::play::{Play, play};

const DRAWN: [&str; 4] = [
    r#"{"kind":"transform","id":"e0","time":"09:00","inputs":[{"name":"say \"raw\"","digest":"b3:@a"},{"name":"code","digest":"b3:@b","role":"code"}],"outputs":[{"name":"clean","digest":"b3:@c"}]}"#,
    r#"{"kind":"training","id":"e1","time":"09:10","job":"fit","inputs":[{"name":"clean","version":"v1"},{"name":"clean","version":"v1","role":"eval"}],"outputs":[{"kind":"model","name":"m","digest":"b3:@d"}]}"#,
    r#"{"kind":"evaluation","id":"e2","time":"09:20","about":[{"kind":"model","name":"m","version":"v1"}],"outputs":[{"name":"report","digest":"b3:@e"}]}"#,
    r#"{"kind":"training","id":"e3","time":"09:30","inputs":[{"name":"copy","digest":"b3:@c"}],"outputs":[{"kind":"model","name":"n","digest":"b3:@f"}]}"#,
];

#[test]
fn sets_and_paths_are_drawn() {
    let sent = DRAWN.map(|line| Sent { now: instant("23:00"), line: expand(line) });
    let folder = tempfile::tempdir().expect("a folder");
    let (store, refused) = play(folder.path(), &sent, Play::Plain);
    assert_eq!(refused, [""; 0]);
    let view = store.view().expect("a view");
    let drawn = |text: &str, format: Format| draw(&view, text, format);
    // Steps that are no members are edges, and copies are dashed.
    let artifacts = r#"digraph lineage {
  rankdir=LR;
  n0 [label="dataset clean@v1", shape=box];
  n1 [label="dataset code@v1", shape=box];
  n2 [label="dataset copy@v1", shape=box];
  n3 [label="dataset report@v1", shape=box];
  n4 [label="dataset 'say \"raw\"'@v1", shape=box];
  n5 [label="model m@v1", shape=box];
  n6 [label="model n@v1", shape=box];
  n0 -> n2 [label="copy-of", style=dashed];
  n0 -> n5;
  n1 -> n0;
  n2 -> n6;
  n4 -> n0;
  n5 -> n3;
}
"#;
    assert_eq!(drawn("artifacts", Format::Dot).as_deref(), Ok(artifacts));
    let between = r##"digraph lineage {
  rankdir=LR;
  n0 [label="dataset clean@v1", shape=box];
  n1 [label="dataset report@v1", shape=box];
  n2 [label="model m@v1", shape=box];
  n3 [label="#1 training fit", shape=ellipse];
  n4 [label="#2 evaluation", shape=ellipse];
  n0 -> n3 [label="data, eval"];
  n2 -> n4 [label="about"];
  n3 -> n2;
  n4 -> n1;
}
"##;
    assert_eq!(drawn("dataset clean::dataset report", Format::Dot).as_deref(), Ok(between));
    let runs = "flowchart LR\n  n0([\"#35;0 transform\"])\n  n1([\"#35;1 training fit\"])\n  n2([\"#35;2 evaluation\"])\n  \
                n0 --> n1\n  n1 --> n2\n";
    assert_eq!(drawn("runs upstream of dataset report", Format::Mermaid).as_deref(), Ok(runs));
    let path = "flowchart LR\n  n0[\"dataset #39;say #34;raw#34;#39;@v1\"]\n  n1([\"#35;0 transform\"])\n  \
                n2[\"dataset clean@v1\"]\n  n3[\"dataset copy@v1\"]\n  n4([\"#35;3 training\"])\n  n5[\"model n@v1\"]\n  \
                n0 -->|\"data\"| n1\n  n1 --> n2\n  n2 -.->|\"copy-of\"| n3\n  n3 -->|\"data\"| n4\n  n4 --> n5\n";
    assert_eq!(drawn("path from dataset 'say \"raw\"' to model n", Format::Mermaid).as_deref(), Ok(path));
    assert_eq!(drawn("count models", Format::Dot), Err("E0116".to_owned()));
    assert_eq!(drawn("why model m in (models)", Format::Mermaid), Err("E0116".to_owned()));
}

#[test]
fn a_drawing_has_its_limit() {
    let outputs: Vec<String> = (0..251).map(|n| format!(r#"{{"name":"d{n}","digest":"b3:@a"}}"#)).collect();
    let line = format!(r#"{{"kind":"transform","id":"e0","outputs":[{}]}}"#, outputs.join(","));
    let folder = tempfile::tempdir().expect("a folder");
    let (store, _) = play(folder.path(), &[Sent { now: instant("23:00"), line: expand(&line) }], Play::Plain);
    let view = store.view().expect("a view");
    assert_eq!(draw(&view, "datasets", Format::Mermaid), Err("E0504".to_owned()));
    assert!(draw(&view, "datasets limit 250", Format::Mermaid).is_ok());
    assert!(draw(&view, "datasets", Format::Dot).is_ok());
}

/// A step that is no member joins each input to each output.
#[test]
fn a_drawing_has_its_limit_of_edges() {
    let things = |name: &str| {
        let list: Vec<String> = (0..25).map(|n| format!(r#"{{"name":"{name}{n}"}}"#)).collect();
        list.join(",")
    };
    let (inputs, outputs) = (things("i"), things("o"));
    let line = format!(r#"{{"kind":"transform","id":"e0","inputs":[{inputs}],"outputs":[{outputs}]}}"#);
    let folder = tempfile::tempdir().expect("a folder");
    let (store, _) = play(folder.path(), &[Sent { now: instant("23:00"), line: expand(&line) }], Play::Plain);
    let view = store.view().expect("a view");
    assert_eq!(draw(&view, "datasets", Format::Mermaid), Err("E0504".to_owned()));
    assert!(draw(&view, "datasets union transforms", Format::Mermaid).is_ok_and(|d| d.matches("-->").count() == 50));
    assert!(draw(&view, "datasets", Format::Dot).is_ok_and(|d| d.matches("->").count() == 625));
}
