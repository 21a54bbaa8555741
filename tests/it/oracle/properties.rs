//! Properties 2, 3, 4, 5 and 12 of the language, on the random histories and questions of the oracle.

use std::fmt::Debug;

use lineage_store::Store;
use lineage_store::graph::View;
use lineage_tests::random::Random;
use serde_json::{Value, json};

use super::engine::{append, ask, envelope, record, rows};
use super::histories::{NOW, Sending, history};
use super::question::{Clause, Noun, Operator, Question, Set, Test, Time};
use super::questions::{condition, question, step_clause, version_clause, versions, with};
use super::said::{Seconds, seconds, spelled};

/// Histories for each property.
const HISTORIES: usize = 60;
/// Questions for each history.
const QUESTIONS: usize = 12;
/// Events of a history at most.
const EVENTS: usize = 16;
/// When questions are asked again.
const LATER: &str = "2026-11-25T12:00:00Z";

/// Records a random history and looks at it; its number is its seed.
fn for_each_history(histories: usize, check: impl Fn(&mut Random, &Store, &[Sending])) {
    for seed in 0..histories {
        let mut random = Random::new(seed as u64);
        let folder = tempfile::tempdir().expect("a folder");
        let (store, recorded) = record(folder.path(), &history(&mut random, EVENTS), 0);
        if !recorded.is_empty() {
            check(&mut random, &store, &recorded);
        }
    }
}

fn view(store: &Store) -> View {
    store.view().expect("a view")
}

/// Both are the same, or the history and the questions are shown.
fn same<T: PartialEq + Debug>(history: &[Sending], asked: &[&str], a: &T, b: &T) {
    let told = || history.iter().map(|(at, event)| format!("{} {event}", spelled(*at))).collect::<Vec<_>>().join("\n");
    assert!(a == b, "{}\n{}\n{a:#?}\n{b:#?}", told(), asked.join("\n"));
}

/// Sets of versions, steps and events, as the left side of conditions.
fn base(random: &mut Random) -> (Set, Noun) {
    let nouns = [Noun::Model, Noun::Artifact, Noun::Dataset, Noun::Run, Noun::Event, Noun::Audit];
    let noun = nouns[random.below(nouns.len())];
    (Set::Kind(noun), noun)
}

fn narrowed(base: &Set, clauses: &[Clause]) -> String {
    Set::Narrowed(Box::new(base.clone()), clauses.to_vec()).text()
}

/// 2: `where p` and `where not p` divide a set, and so do `with` and `without`.
#[test]
fn a_condition_divides_a_set() {
    for_each_history(HISTORIES, |random, store, history| {
        let view = view(store);
        for _ in 0..QUESTIONS {
            let (set, noun) = base(random);
            let (yes, no) = if noun.is_version() && random.one_in(3) {
                let with = with(random);
                (with.clone(), Clause::Not(Box::new(with)))
            } else {
                let test = condition(random, noun, 2);
                (Clause::Where(test.clone()), Clause::Where(Test::Not(Box::new(test))))
            };
            let (yes, no) = (narrowed(&set, &[yes]), narrowed(&set, &[no]));
            match (ask(&view, &yes), ask(&view, &no)) {
                (Ok(mut both), Ok(others)) => {
                    both.extend(others);
                    both.sort();
                    same(history, &[&yes, &no], &both, &ask(&view, &set.text()).expect("a kind"));
                }
                (yes_error, no_error) => same(history, &[&yes, &no], &yes_error.is_err(), &no_error.is_err()),
            }
        }
    });
}

/// 3: the order of clauses, and of the operands of union and intersection, changes no byte of the rows.
#[test]
fn order_changes_no_answer() {
    for_each_history(HISTORIES, |random, store, history| {
        let view = view(store);
        for _ in 0..QUESTIONS {
            let (set, noun) = base(random);
            let clause = |random: &mut Random| {
                if noun.is_version() {
                    version_clause(random, noun, 2, history.len())
                } else {
                    step_clause(random, 2, history.len())
                }
            };
            let clauses = [clause(random), clause(random), clause(random)];
            let [a, b, c] = &clauses;
            let first = narrowed(&set, &clauses);
            for other in [[c, b, a], [b, c, a], [b, a, c]] {
                let other = narrowed(&set, &other.map(Clause::clone));
                // Of several errors the first is told.
                same(history, &[&first, &other], &rows(&view, &first).ok(), &rows(&view, &other).ok());
            }
            let (a, b) = (versions(random, 1, history.len()), versions(random, 1, history.len()));
            for operator in [Operator::Union, Operator::Intersect] {
                let joined = |a: &Set, b: &Set| Set::Joined(operator, Box::new(a.clone()), Box::new(b.clone())).text();
                let (one, other) = (joined(&a, &b), joined(&b, &a));
                same(history, &[&one, &other], &rows(&view, &one).ok(), &rows(&view, &other).ok());
            }
        }
    });
}

/// Events after a history, with ids of their own.
fn later_events(random: &mut Random, count: usize, recorded: Seconds) -> Vec<Sending> {
    let mut events = Vec::new();
    while events.len() < count {
        for (_, mut event) in history(random, EVENTS) {
            event["id"] = json!(format!("later-{}", events.len()));
            events.push((recorded, event));
        }
    }
    events
}

/// 4: what was known at a position is the same bytes after a thousand further events, whatever the clock says.
#[test]
fn what_was_known_stays_as_it_was() {
    for_each_history(6, |random, store, history| {
        let before = view(store);
        let asked: Vec<String> = (0..3 * QUESTIONS)
            .map(|_| {
                let mut question = question(random, history.len());
                question.known_at.get_or_insert(history.len() - 1);
                question.text()
            })
            .collect();
        let answers: Vec<_> = asked.iter().map(|text| envelope(&before, text, NOW)).collect();
        let further = append(store, &later_events(random, 1_000, seconds(NOW)), 0);
        assert!(further.len() > 500, "too many of the further events were refused");
        let after = view(store);
        for (text, answer) in asked.iter().zip(&answers) {
            same(history, &[text], answer, &envelope(&after, text, LATER));
        }
    });
}

/// 4: what had happened by an instant is not changed by what occurs later, other than retractions and links.
#[test]
fn what_had_happened_stays_as_it_was() {
    for_each_history(HISTORIES, |random, store, history| {
        let until = seconds("2026-11-20T10:00:00Z") + 60 * random.below(60) as Seconds;
        let asked: Vec<String> = (0..QUESTIONS)
            .map(|_| {
                let mut question = question(random, history.len());
                (question.as_of, question.known_at) = (Some(Time::Instant(until)), None);
                question.text()
            })
            // Parentheses may have a time or position of their own.
            .filter(|text| !text.contains("known at") && text.matches("as of").count() == 1)
            .collect();
        let before = view(store);
        let answers: Vec<_> = asked.iter().map(|text| rows(&before, text)).collect();
        let mut events = later_events(random, 40, seconds(NOW));
        events.retain(|(_, event)| event["kind"] != "retract" && event["kind"] != "link");
        for (_, event) in &mut events {
            event["time"] = json!(spelled(until + 60 * (1 + random.below(50) as Seconds)));
        }
        append(store, &events, 0);
        let after = view(store);
        for (text, answer) in asked.iter().zip(&answers) {
            same(history, &[text], answer, &rows(&after, text));
        }
    });
}

/// The same history about other names, runs, bytes and events.
fn renamed(history: &[Sending]) -> Vec<Sending> {
    fn rename(value: &mut Value, field: &str) {
        match value {
            Value::Object(members) => members.iter_mut().for_each(|(field, value)| rename(value, field)),
            Value::Array(list) => list.iter_mut().for_each(|value| rename(value, field)),
            Value::String(text) => match field {
                "name" | "run" | "id" | "event" | "service" => text.insert_str(0, "other-"),
                "digest" | "digests" => text.replace_range(text.len() - 8.., "77777777"),
                _ => {}
            },
            _ => {}
        }
    }
    let one = |(at, event): &Sending| {
        let mut event = event.clone();
        rename(&mut event, "");
        (*at, event)
    };
    history.iter().map(one).collect()
}

/// 5: how events of different names and runs are mixed in the log changes no answer about versions.
#[test]
fn insertion_order_of_strangers_changes_no_answer() {
    for seed in 0..HISTORIES {
        let mut random = Random::new(seed as u64);
        let alike =
            |events: Vec<Sending>| events.into_iter().map(|(_, event)| (seconds(NOW), event)).collect::<Vec<_>>();
        let (a, b) = (alike(history(&mut random, EVENTS)), alike(renamed(&history(&mut random, EVENTS))));
        let mut mixed = Vec::new();
        let (mut left, mut right) = (a.iter().peekable(), b.iter().peekable());
        while left.peek().is_some() || right.peek().is_some() {
            let side = if right.peek().is_none() || left.peek().is_some() && random.one_in(2) {
                &mut left
            } else {
                &mut right
            };
            mixed.extend(side.next().cloned());
        }
        let plain: Vec<Sending> = b.iter().chain(&a).cloned().collect();
        let folders = [tempfile::tempdir().expect("a folder"), tempfile::tempdir().expect("a folder")];
        let (one, recorded) = record(folders[0].path(), &plain, 0);
        let (other, _) = record(folders[1].path(), &mixed, 0);
        let views = [view(&one), view(&other)];
        for _ in 0..2 * QUESTIONS {
            let set = versions(&mut random, 2, recorded.len());
            let show =
                ["size", "rows", "created", "owner", "tag", "label", "latest", "live", "origin"].map(str::to_owned);
            let text = Question { show: show.to_vec(), ..Question::of(set) }.text();
            if !["known at", "recorded", "position"].iter().any(|word| text.contains(word)) {
                same(&mixed, &[&text], &rows(&views[0], &text), &rows(&views[1], &text));
            }
        }
    }
}

/// 12: the same bytes in every thread, from a store that is opened anew, and from one that is rebuilt.
#[test]
fn answers_are_the_same_bytes_everywhere() {
    for seed in 0..6 {
        let mut random = Random::new(seed);
        let folder = tempfile::tempdir().expect("a folder");
        let (store, recorded) = record(folder.path(), &history(&mut random, EVENTS), 1);
        let asked: Vec<String> =
            (0..3 * QUESTIONS).map(|_| question(&mut random, recorded.len().max(1)).text()).collect();
        let all = |view: &View| asked.iter().map(|text| envelope(view, text, NOW)).collect::<Vec<_>>();
        let shared = view(&store);
        let first = all(&shared);
        std::thread::scope(|scope| {
            let threads: Vec<_> = (0..4).map(|_| scope.spawn(|| all(&shared))).collect();
            for thread in threads {
                same(&recorded, &[], &first, &thread.join().expect("no panic"));
            }
        });
        drop(store);
        let store = Store::open(&folder.path().join(".lineage")).expect("opens");
        same(&recorded, &[], &first, &all(&view(&store)));
        store.rebuild(&mut |_, _| {}).expect("rebuilt");
        same(&recorded, &[], &first, &all(&view(&store)));
    }
}
