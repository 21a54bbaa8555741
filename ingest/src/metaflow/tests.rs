//! What writes come to and what is read afterwards, without a store.

use lineage_store::event::{EntityKind, Event, Kind, State};
use lineage_store::time::Time;
use serde_json::{Value, json};

use super::{Beats, Denied, Kept, Kinds, Ledger, Pattern, Place, Planned, Wanted, Writer};

/// Events as they were recorded, and the ledger that was kept meanwhile.
#[derive(Default)]
struct World {
    ledger: Ledger,
    events: Vec<Event>,
    kinds: Kinds,
}

impl World {
    fn write(
        &mut self,
        plan: impl FnOnce(&mut Ledger, &Writer<'_>) -> Result<Planned, Denied>,
    ) -> Result<Planned, Denied> {
        let planned = plan(&mut self.ledger, &Writer { caller: "somebody", kinds: &self.kinds })?;
        for (event, _) in &planned.events {
            self.apply(event.clone());
        }
        Ok(planned)
    }

    fn apply(&mut self, event: Event) {
        let position = self.events.len() as u64;
        fold(&mut self.ledger, position, &event);
        self.events.push(event);
    }

    /// A flow with a run.
    fn begin(flow: &str) -> (Self, Place) {
        let mut world = Self::default();
        world.write(|l, w| l.create_flow(&Place::flow(flow), b"{}", w)).expect("a flow");
        let run = world.run(flow);
        (world, run)
    }

    fn run(&mut self, flow: &str) -> Place {
        let body = json!({ "user_name": "alice", "tags": ["t"], "system_tags": ["user:alice"] }).to_string();
        self.write(|l, w| l.create_run(&Place::flow(flow), body.as_bytes(), w)).expect("a run").place
    }

    fn schedule(&mut self, run: &Place, step: &str) -> Place {
        let step = run.clone().step(step);
        if self.ledger.step(&step).is_none() {
            self.write(|l, w| l.create_step(&step, b"{}", w)).expect("a step");
        }
        self.write(|l, w| l.create_task(&step, b"{}", w)).expect("a task").place
    }

    fn metadata(&mut self, task: &Place, attempt: u32, rows: &[(&str, &str)]) -> Planned {
        let row = |(field, value): &(&str, &str)| json!({ "field_name": field, "type": field, "value": value, "tags": [format!("attempt_id:{attempt}")] });
        let body = rows.iter().map(row).collect::<Value>().to_string();
        self.write(|l, w| l.add_metadata(task, body.as_bytes(), w)).expect("metadata")
    }

    fn artifacts(&mut self, task: &Place, attempt: u32, rows: &[(&str, u8)]) -> Planned {
        let row = |(name, digest): &(&str, u8)| json!({ "name": name, "sha": sha(*digest), "attempt_id": attempt });
        let body = rows.iter().map(row).collect::<Value>().to_string();
        self.write(|l, w| l.add_artifacts(task, body.as_bytes(), w)).expect("artifacts")
    }

    /// Runs a scheduled task to its good end; the event with which it began.
    fn finish(&mut self, task: &Place, path: Option<&str>, made: &[(&str, u8)]) -> Event {
        let mut rows = vec![("attempt", "0")];
        rows.extend(path.map(|path| ("foreach-execution-path", path)));
        let begun = self.metadata(task, 0, &rows).events.remove(0).0;
        self.metadata(task, 0, &[("attempt_ok", "True")]);
        self.metadata(task, 0, &[("attempt-done", "0")]);
        self.artifacts(task, 0, made);
        begun
    }
}

fn fold(ledger: &mut Ledger, position: u64, event: &Event) {
    ledger.apply(position, Time(1_000_000 * (1000 + position as i64)), event, &kept(event), false);
}

fn kept(event: &Event) -> Kept {
    Kept::of(event, || Ok(Vec::new())).expect("nothing is moved out")
}

fn sha(n: u8) -> String {
    format!("{n:02x}").repeat(20)
}

/// The inputs of an event as `NAME=DIGEST`, its first two digits.
fn inputs(event: &Event) -> Vec<String> {
    let one = |reference: &lineage_store::event::Ref| {
        let digest = reference.digest.as_ref().map(ToString::to_string).unwrap_or_default();
        format!("{}={}", reference.name.as_deref().unwrap_or_default(), &digest["sha1:".len()..][..2])
    };
    event.inputs.iter().map(|input| one(&input.reference)).collect()
}

/// The names of the outputs of all events of a task.
fn outputs(world: &World, task: &Place) -> Vec<String> {
    let of = world.events.iter().filter(|event| event.run == Some(task.spec()) && event.state != State::Fail);
    of.flat_map(|event| &event.outputs).filter_map(|output| output.reference.name.clone()).collect()
}

#[test]
fn branches_follow_their_split_and_a_join_follows_both() {
    let (mut world, run) = World::begin("F");
    let parameters = world.schedule(&run, "_parameters");
    world.metadata(&parameters, 0, &[("attempt-done", "0")]);
    world.artifacts(&parameters, 0, &[("name", 1)]);
    let start = world.schedule(&run, "start");
    let begun = world.finish(&start, None, &[("x", 2), ("name", 1), ("_graph_info", 9)]);
    assert_eq!(inputs(&begun), ["F/name=01"]);
    assert_eq!(outputs(&world, &start), ["F/x"], "what was carried over was not made, and `_…` is the client's");
    let (a, b) = (world.schedule(&run, "a"), world.schedule(&run, "b"));
    assert_eq!(inputs(&world.finish(&a, None, &[("x", 3), ("name", 1)])), ["F/name=01", "F/x=02"]);
    assert_eq!(inputs(&world.finish(&b, None, &[("x", 4), ("name", 1)])), ["F/name=01", "F/x=02"]);
    let join = world.schedule(&run, "join");
    let begun = world.finish(&join, None, &[("x", 4), ("name", 1)]);
    assert_eq!(inputs(&begun), ["F/name=01", "F/x=03", "F/x=04"]);
    assert!(begun.inputs.iter().all(|input| input.inferred));
    assert_eq!(outputs(&world, &join), ["F/x"], "the join decided, though one branch had these bytes");
    let end = world.schedule(&run, "end");
    assert_eq!(inputs(&world.finish(&end, None, &[("x", 4)])), ["F/name=01", "F/x=04"]);
    let done = world.events.iter().find(|event| event.run.as_deref() == Some("F/1") && event.state == State::Complete);
    assert!(done.is_some(), "the run ended with its last step");
}

#[test]
fn tasks_of_a_loop_do_not_follow_other_iterations() {
    let (mut world, run) = World::begin("F");
    let start = world.schedule(&run, "start");
    world.finish(&start, None, &[("items", 1)]);
    let work: Vec<Place> = (0..3).map(|_| world.schedule(&run, "work")).collect();
    for (i, task) in work.iter().enumerate() {
        let begun = world.finish(task, Some(&format!("work:{i}")), &[("y", 10 + i as u8)]);
        assert_eq!(inputs(&begun), ["F/items=01"]);
    }
    let next = world.schedule(&run, "next");
    let begun = world.finish(&next, Some("work:1"), &[("z", 20)]);
    assert_eq!(inputs(&begun), ["F/y=0b"]);
    let join = world.schedule(&run, "join");
    let begun = world.finish(&join, None, &[("w", 30)]);
    assert_eq!(inputs(&begun), ["F/y=0a", "F/y=0c", "F/z=14"], "of iteration 1 only the last step counts");
}

#[test]
fn a_clone_follows_what_it_was_cloned_from_and_makes_nothing() {
    let (mut world, run) = World::begin("F");
    let origin = world.schedule(&run, "start");
    world.finish(&origin, None, &[("x", 1)]);
    let again = world.run("F");
    let clone = world.schedule(&again, "start");
    let rows = [
        ("origin-task-id", origin.task.as_str()),
        ("origin-run-id", &run.run),
        ("attempt", "0"),
        ("attempt_ok", "True"),
    ];
    let begun = world.metadata(&clone, 0, &rows).events.remove(0).0;
    assert_eq!((inputs(&begun), begun.state), (vec!["F/x=01".to_owned()], State::Complete));
    world.metadata(&clone, 0, &[("attempt-done", "0")]);
    world.artifacts(&clone, 0, &[("x", 1)]);
    assert!(outputs(&world, &clone).is_empty());
    let next = world.schedule(&again, "next");
    assert_eq!(inputs(&world.finish(&next, None, &[])), ["F/x=01"]);
}

#[test]
fn in_a_resumed_run_loops_and_the_last_step_are_known_from_the_first() {
    let (mut world, run) = World::begin("F");
    let parameters = world.schedule(&run, "_parameters");
    world.metadata(&parameters, 0, &[("end_step", "finish"), ("attempt-done", "0")]);
    let origins: Vec<Place> = (0..2).map(|_| world.schedule(&run, "work")).collect();
    for (i, task) in origins.iter().enumerate() {
        world.finish(task, Some(&format!("work:{i}")), &[("y", 10 + i as u8)]);
    }
    let again = world.run("F");
    for origin in &origins {
        let clone = world.schedule(&again, "work");
        let rows = [("origin-task-id", origin.task.as_str()), ("origin-run-id", &run.run), ("attempt", "0")];
        world.metadata(&clone, 0, &rows);
        world.metadata(&clone, 0, &[("attempt_ok", "True"), ("attempt-done", "0")]);
        world.artifacts(&clone, 0, &[("y", 10 + u8::from(origin.task == origins[1].task))]);
    }
    let next = world.schedule(&again, "next");
    assert_eq!(inputs(&world.finish(&next, Some("work:1"), &[])), ["F/y=0b"]);
    let last = world.schedule(&again, "finish");
    world.finish(&last, None, &[]);
    let ended = |run: &Place| {
        let name = format!("F/{}", run.run);
        world.events.iter().any(|event| event.run.as_ref() == Some(&name) && event.state == State::Complete)
    };
    assert!(ended(&again) && !ended(&run));
}

#[test]
fn the_first_of_two_artifacts_of_one_name_counts() {
    let (mut world, run) = World::begin("F");
    let task = world.schedule(&run, "start");
    let plan = |ledger: &Ledger, digest| {
        let body = json!([{ "name": "x", "sha": sha(digest) }]).to_string();
        ledger.add_artifacts(&task, body.as_bytes(), &Writer { caller: "x", kinds: &Kinds::default() }).expect("rows")
    };
    // Both are planned before either is recorded.
    let both = [plan(&world.ledger, 1), plan(&world.ledger, 2)];
    for (event, _) in both.into_iter().flat_map(|planned| planned.events) {
        world.apply(event);
    }
    let list = world.ledger.artifacts(&task, Wanted::default());
    let rows = list.rows(&|position| Ok(kept(&world.events[position as usize]).sent)).expect("rows");
    assert_eq!(serde_json::to_value(rows).expect("JSON").as_array().map(Vec::len), Some(1));
}

#[test]
fn what_a_failed_attempt_left_is_partial_and_the_next_attempt_counts() {
    let (mut world, run) = World::begin("F");
    let task = world.schedule(&run, "work");
    world.metadata(&task, 0, &[("attempt", "0")]);
    let failed = world.metadata(&task, 0, &[("attempt_ok", "False")]);
    assert_eq!((failed.events[0].0.state, failed.events[0].0.attempt), (State::Fail, Some(1)));
    let done = world.metadata(&task, 0, &[("attempt-done", "0")]);
    assert_eq!(done.events[0].0.state, State::Running, "the verdict was told");
    assert_eq!(world.artifacts(&task, 0, &[("x", 1)]).events[0].0.state, State::Fail);
    world.metadata(&task, 1, &[("attempt", "1")]);
    world.metadata(&task, 1, &[("attempt_ok", "True"), ("attempt-done", "1")]);
    assert_eq!(world.artifacts(&task, 1, &[("x", 2)]).events[0].0.attempt, Some(2));
    let read = |wanted| {
        let list = world.ledger.artifacts(&task, wanted);
        let events = &world.events;
        let rows = list.rows(&|position| Ok(kept(&events[position as usize]).sent)).expect("rows");
        serde_json::to_value(rows).expect("JSON")
    };
    let newest = read(Wanted::default());
    assert_eq!((newest[0]["sha"].as_str(), newest.as_array().map(Vec::len)), (Some(sha(2).as_str()), Some(1)));
    let first = read(Wanted { attempt: Some(0), name: Some("x") });
    assert_eq!(first[0]["sha"], json!(sha(1)));
}

#[test]
fn settings_say_what_is_a_model() {
    let (mut world, run) = World::begin("F");
    world.kinds = Kinds { models: vec!["*/model".to_owned()], datasets: vec!["F/raw".to_owned()] };
    let load = world.schedule(&run, "start");
    world.finish(&load, None, &[("raw", 1)]);
    let train = world.schedule(&run, "train");
    let begun = world.finish(&train, None, &[("model", 2), ("raw", 1)]);
    assert_eq!(begun.inputs[0].reference.kind, Some(EntityKind::Dataset));
    let made = world.events.iter().find(|event| event.kind == Kind::Training).expect("a training");
    assert_eq!(made.outputs[0].reference.kind, Some(EntityKind::Model));
}

#[test]
fn a_ledger_folded_anew_is_the_one_that_was_kept() {
    let (mut world, run) = World::begin("F");
    let task = world.schedule(&run, "start");
    world.finish(&task, None, &[("x", 1), ("y", 2)]);
    let change = json!({ "tags_to_add": ["a", "b"], "tags_to_remove": ["t"] }).to_string();
    world.write(|l, w| l.mutate_tags(&run, change.as_bytes(), "1", w)).expect("tags");
    let named = json!({ "run_number": "argo-x" }).to_string();
    world.write(|l, w| l.create_run(&Place::flow("F"), named.as_bytes(), w)).expect("a run");
    let mut anew = Ledger::default();
    for (position, event) in (0..).zip(&world.events) {
        fold(&mut anew, position, event);
    }
    assert_eq!(anew, world.ledger);
    assert_eq!(anew.tags(&run), Some(&["a".to_owned(), "b".to_owned()][..]));
}

#[test]
fn numbers_are_not_handed_out_twice_even_if_their_events_are_taken_back() {
    let (mut world, run) = World::begin("F");
    let task = world.schedule(&run, "start");
    world.ledger.clear();
    for (position, event) in (0..).zip(&world.events) {
        world.ledger.apply(position, Time(0), event, &kept(event), position > 0);
    }
    assert!(world.ledger.run(&run, &Beats::default()).is_none() && world.ledger.flow("F").is_some());
    let next = world.run("F");
    assert_eq!(next.run, "2");
    assert_ne!(world.schedule(&next, "start").task, task.task);
}

#[test]
fn many_rows_are_spread_over_events_and_read_whole() {
    let (mut world, run) = World::begin("F");
    let task = world.schedule(&run, "start");
    let names: Vec<String> = (0..500).map(|i| format!("artifact_{i:04}")).collect();
    let rows: Vec<(&str, u8)> = names.iter().map(|name| (name.as_str(), 1)).collect();
    let planned = world.artifacts(&task, 0, &rows);
    assert!(planned.events.len() > 1 && planned.n_rows == 500, "{}", planned.events.len());
    let ids: std::collections::BTreeSet<_> = planned.events.iter().map(|(_, received)| received.clone()).collect();
    assert_eq!(ids.len(), planned.events.len(), "each is another");
    let list = world.ledger.artifacts(&task, Wanted::default());
    let events = &world.events;
    let rows = list.rows(&|position| Ok(kept(&events[position as usize]).sent)).expect("rows");
    assert_eq!(rows.len(), 500);
    assert_eq!(world.artifacts(&task, 0, &[("artifact_0000", 2)]).n_rows, 0, "the first one stays");
}

#[test]
fn a_batch_of_which_only_a_part_was_recorded_is_completed_when_it_comes_again() {
    let (mut world, run) = World::begin("F");
    let task = world.schedule(&run, "start");
    let row = |i| json!({ "name": format!("artifact_{i:04}"), "sha": sha(1) });
    let body = (0..500).map(row).collect::<Value>().to_string();
    let plan = |ledger: &Ledger| {
        ledger.add_artifacts(&task, body.as_bytes(), &Writer { caller: "x", kinds: &Kinds::default() }).expect("rows")
    };
    let first = plan(&world.ledger).events.remove(0);
    world.apply(first.0);
    let again = plan(&world.ledger);
    assert!(again.events.iter().all(|(_, received)| *received != first.1), "the same would be no new event");
    for (event, _) in again.events {
        world.apply(event);
    }
    let list = world.ledger.artifacts(&task, Wanted::default());
    let rows = list.rows(&|position| Ok(kept(&world.events[position as usize]).sent)).expect("rows");
    assert_eq!(rows.len(), 500);
}

#[test]
fn values_come_back_as_they_were_sent() {
    let (mut world, run) = World::begin("F");
    let task = world.schedule(&run, "start");
    let body =
        br#"[{"field_name":"f","value":{"big":123456789012345678901234567890,"nested":[1.50,null,"\u00e9"]},"x":1}]"#;
    world.write(|l, w| l.add_metadata(&task, body, w)).expect("metadata");
    let list = world.ledger.metadata(&task);
    let rows = list.rows(&|position| Ok(kept(&world.events[position as usize]).sent)).expect("rows");
    let text = serde_json::to_string(&rows).expect("JSON");
    assert!(text.contains("123456789012345678901234567890") && text.contains("\u{e9}"), "{text}");
}

#[test]
fn facets_that_somebody_else_wrote_do_no_harm() {
    let (mut world, run) = World::begin("F");
    let task = world.schedule(&run, "s");
    for facets in [
        r#"{"metaflow":{"says":"run","flow":"F","run":"99999999999999999999"}}"#,
        r#"{"metaflow":{"says":"run","flow":"F"},"sent":[1]}"#,
        r#"{"metaflow":{"says":"task","flow":"F","run":"7","step":"s","task":"-1"}}"#,
        r#"{"metaflow":{"says":"metadata","flow":"F","run":"1","step":"s","task":"1"},"sent":{"a":1},"follows":7}"#,
        r#"{"metaflow":{"says":"artifacts","flow":"F","run":"1","step":"s","task":"1"},"sent":[{"name":1}]}"#,
        r#"{"metaflow":{"says":"flew"}}"#,
        r#"{"metaflow":[]}"#,
    ] {
        let text = format!(r#"{{"v":1,"kind":"transform","namespace":"metaflow","run":"x","facets":{facets}}}"#);
        world.apply(*Event::parse(text.as_bytes(), "somebody").expect(facets));
    }
    assert_eq!(world.run("F").run, "2");
    assert_eq!(world.artifacts(&task, 0, &[("x", 1)]).n_rows, 1);
}

#[test]
fn statuses_that_clients_act_on() {
    let (mut world, run) = World::begin("F");
    let flow = Place::flow("F");
    let again = world.write(|l, w| l.create_flow(&flow, b"{}", w));
    assert!(matches!(again, Err(Denied::Exists(_))));
    let nowhere = world.write(|l, w| l.create_run(&Place::flow("G"), b"{}", w));
    assert!(matches!(nowhere, Err(Denied::Missing(_))));
    let numbered = world.write(|l, w| l.create_run(&flow, br#"{"run_number":"7"}"#, w));
    assert!(matches!(numbered, Err(Denied::Malformed(_))));
    let named = |world: &mut World| world.write(|l, w| l.create_run(&flow, br#"{"run_number":"argo-1"}"#, w));
    assert_eq!(named(&mut world).expect("a run").place.run, "argo-1");
    assert!(matches!(named(&mut world), Err(Denied::Exists(_))));
    let task = run.clone().step("s").task("9");
    let unknown = world.write(|l, w| l.add_metadata(&task, b"[]", w));
    assert!(matches!(unknown, Err(Denied::Malformed(_))));
    let system = world.write(|l, w| l.mutate_tags(&run, br#"{"tags_to_remove":["user:alice"]}"#, "1", w));
    assert!(matches!(system, Err(Denied::SystemTags(_))));
    for body in [&b"[]"[..], b"{\"tags_to_add\":\"a\"}", b"{\"tags_to_add\":[1]}", b"{", b"null"] {
        let wrong = world.write(|l, w| l.mutate_tags(&run, body, "1", w));
        assert!(matches!(wrong, Err(Denied::Malformed(_))), "{}", String::from_utf8_lossy(body));
    }
    assert!(world.write(|l, w| l.create_flow(&Place::flow("a/b"), b"{}", w)).is_err());
}

#[test]
fn tasks_are_found_by_their_metadata() {
    let (mut world, run) = World::begin("F");
    let tasks: Vec<Place> = (0..3).map(|_| world.schedule(&run, "work")).collect();
    for (i, task) in tasks.iter().enumerate() {
        world.finish(task, Some(&format!("work:{i}")), &[]);
    }
    let pattern = Pattern::read("^(?:work:1)$").expect("a pattern");
    let events = &world.events;
    let read = |position: u64| Ok(kept(&events[position as usize]).sent);
    let found: Vec<String> = world
        .ledger
        .tasks_with_metadata(&run.clone().step("work"))
        .into_iter()
        .filter(|(_, rows)| rows.has(Some("foreach-execution-path"), Some(&pattern), &read).expect("rows"))
        .map(|(spec, _)| spec)
        .collect();
    assert_eq!(found, [tasks[1].spec()]);
}
