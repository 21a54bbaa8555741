//! Storms: clients that come again and again, answers that are lost, servers that are killed, others beside them.
//!
//! In full: `SERVE_FULL=1 SERVE_SEED=1 cargo test -p lineage-tests --test it serve::storm`.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use lineage_store::journal::Journal;
use lineage_tests::front::{Fate, Front};
use lineage_tests::http::Connection;
use lineage_tests::random::Random;
use lineage_tests::sandbox::{Sandbox, binary};
use lineage_tests::server::{Server, signal_to};
use lineage_tests::strace;

use super::basics::run_event;
use super::{seed, size};

/// So many clients at once.
const CLIENTS: usize = 16;

fn event(i: usize) -> String {
    run_event("COMPLETE", &format!("run-{i}"), &format!("job-{}", i % 7), &["raw"], &[&format!("t{}", i % 100)])
        .to_string()
}

/// Sends an event until it is answered; its position.
fn send(address: SocketAddr, connection: &mut Option<Connection>, event: &str) -> u64 {
    loop {
        let open = connection.get_or_insert_with(|| Connection::open(address).unwrap());
        match open.post("/api/v1/lineage", event.as_bytes()) {
            Ok(answer) if answer.status == 503 => {}
            Ok(answer) => {
                assert!(answer.status == 201 || answer.status == 200, "{}", answer.text());
                return answer.json()["positions"][0].as_u64().unwrap();
            }
            Err(_) => *connection = None,
        }
    }
}

#[test]
fn events_sent_again_because_answers_were_lost_are_recorded_once() {
    let n = size(300, 10_000);
    let sandbox = Sandbox::new();
    let server = Server::start(&sandbox);
    let front = Front::start(server.address, |i| match i % 5 {
        0 | 1 => Fate::Lose,
        2 => Fate::Refuse,
        _ => Fate::Pass,
    });
    let (next, known) = (AtomicUsize::new(0), Mutex::new(HashMap::new()));
    std::thread::scope(|scope| {
        for _ in 0..CLIENTS {
            scope.spawn(|| {
                let mut connection = None;
                loop {
                    let i = next.fetch_add(1, Ordering::Relaxed);
                    if i >= 3 * n {
                        return;
                    }
                    // Each is sent three times, by whichever client comes to it.
                    let position = send(front.address, &mut connection, &event(i % n));
                    let first = *known.lock().unwrap().entry(i % n).or_insert(position);
                    assert_eq!(position, first, "every reply has the same position");
                }
            });
        }
    });
    let mut positions: Vec<u64> = known.into_inner().unwrap().into_values().collect();
    positions.sort_unstable();
    assert_eq!(positions, (0..n as u64).collect::<Vec<_>>());
    assert_eq!(server.metric("lineage_events"), n as u64);
    assert!(server.metric("lineage_events_total{result=\"duplicate\"}") > 2 * n as u64);
}

#[test]
fn one_event_sent_by_a_hundred_at_once_is_recorded_once() {
    let sandbox = Sandbox::new();
    let server = Server::start(&sandbox);
    let (start, new) = (std::sync::Barrier::new(100), AtomicUsize::new(0));
    std::thread::scope(|scope| {
        for _ in 0..100 {
            scope.spawn(|| {
                let mut connection = server.connect();
                start.wait();
                let answer = connection.post("/api/v1/lineage", event(1).as_bytes()).unwrap();
                new.fetch_add(usize::from(answer.status == 201), Ordering::Relaxed);
                assert_eq!(answer.json()["positions"][0], 0);
            });
        }
    });
    assert_eq!((new.into_inner(), server.metric("lineage_events")), (1, 1));
}

/// What clients were told before the server was killed: the number of each event and its position.
fn acknowledged(address: SocketAddr, next: &AtomicUsize, end: &AtomicBool) -> Vec<(usize, u64)> {
    let told = Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        for _ in 0..CLIENTS {
            scope.spawn(|| {
                let Ok(mut connection) = Connection::open(address) else { return };
                while !end.load(Ordering::Relaxed) {
                    let i = next.fetch_add(1, Ordering::Relaxed);
                    let Ok(answer) = connection.post("/api/v1/lineage", event(i).as_bytes()) else { return };
                    if answer.status == 201 {
                        told.lock().unwrap().push((i, answer.json()["positions"][0].as_u64().unwrap()));
                    }
                }
            });
        }
    });
    told.into_inner().unwrap()
}

#[test]
fn a_killed_server_loses_nothing_that_it_acknowledged() {
    let kills = size(6, 200);
    let (sandbox, mut random) = (Sandbox::new(), Random::new(seed()));
    let (next, mut all) = (AtomicUsize::new(0), Vec::new());
    for _ in 0..kills {
        let server = Server::start(&sandbox);
        let (id, address) = (server.id(), server.address);
        let end = AtomicBool::new(false);
        // It dies after a number of requests that nobody knows before, in the middle of others.
        let last = next.load(Ordering::Relaxed) + 1 + random.below(400);
        let told = std::thread::scope(|scope| {
            let clients = scope.spawn(|| acknowledged(address, &next, &end));
            while next.load(Ordering::Relaxed) < last {
                std::thread::yield_now();
            }
            signal_to(id, "KILL");
            end.store(true, Ordering::Relaxed);
            clients.join().unwrap()
        });
        server.kill();
        all.extend(told);
    }
    // Sent again, each is told to be recorded already, at the same position.
    let server = Server::start(&sandbox);
    let mut connection = server.connect();
    for (i, position) in &all {
        let answer = connection.post("/api/v1/lineage", event(*i).as_bytes()).unwrap();
        assert_eq!(answer.status, 200, "event {i} at {position} is lost: {}", answer.text());
        assert_eq!(answer.json()["positions"][0].as_u64(), Some(*position));
    }
    assert!(all.len() >= kills, "{} acknowledged in {kills} lives", all.len());
    lineage_tests::told(&format!("{kills} kills, {} acknowledged, 0 lost", all.len()));
    drop(server);
    sandbox.run(["verify"]).done();
}

#[test]
fn other_processes_record_and_query_beside_a_busy_server() {
    let sandbox = Sandbox::new();
    let server = Server::start(&sandbox);
    let (next, end) = (AtomicUsize::new(0), AtomicBool::new(false));
    let rounds = size(8, 100);
    let told = std::thread::scope(|scope| {
        let clients = scope.spawn(|| acknowledged(server.address, &next, &end));
        sandbox.write("file.csv", "a,b\n");
        sandbox.run(["add", "dataset", "beside", "file.csv"]).done();
        for i in 0..rounds {
            let ran = sandbox.run(["tag", "dataset", "beside", &format!("tag-{i}")]);
            assert!(ran.code == 0, "a command beside the server: {ran}");
            assert_eq!(sandbox.names(&format!("datasets where tag = 'tag-{i}'")), ["beside"]);
        }
        end.store(true, Ordering::Relaxed);
        clients.join().unwrap()
    });
    // Both see everything.
    let all = told.len() + rounds + 1;
    assert_eq!(server.metric("lineage_events"), all as u64);
    assert_eq!(sandbox.run(["--json", "status"]).json()["events"], all);
    assert_eq!(server.column(&format!("datasets where tag = 'tag-{}'", rounds - 1), "name"), ["beside"]);
}

#[test]
fn a_journal_that_others_hold_is_told_with_503() {
    let sandbox = Sandbox::new();
    let server = Server::start(&sandbox);
    let journal = Journal::open(&sandbox.store().join("journal")).unwrap();
    let held = journal.lock(Duration::from_secs(10)).unwrap();
    let answer = server.post("/api/v1/lineage", &event(0)).is(503);
    assert_eq!(answer.header("retry-after"), Some("1"));
    // Questions are answered meanwhile.
    server.query("datasets").is(200);
    drop(held);
    server.post("/api/v1/lineage", &event(0)).is(201);
}

#[test]
fn bodies_that_rest_in_memory_are_limited_together() {
    let sandbox = Sandbox::new();
    let server = Server::start(&sandbox);
    let part = vec![b' '; 3_900_000];
    let open = |_| {
        let mut connection = server.connect();
        let head = "POST /api/v1/lineage HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n";
        connection.write(format!("{head}Content-Length: 4000000\r\n\r\n").as_bytes()).unwrap();
        // The last of them may be refused before everything is sent.
        connection.write(&part).ok();
        connection
    };
    let mut resting: Vec<Connection> = (0..9).map(open).collect();
    let statuses = resting.iter_mut().map(|connection| connection.answer(false).map_or(0, |answer| answer.status));
    let statuses: Vec<u16> = statuses.collect();
    assert!(statuses.contains(&503) && statuses.contains(&408), "one does not fit, the others rest: {statuses:?}");
    assert!(server.metric("lineage_refused_total{reason=\"memory\"}") > 0);
    server.post("/api/v1/lineage", &event(0)).is(201);
}

#[test]
fn after_a_failed_sync_nothing_is_acknowledged_and_the_server_ends() {
    if !strace::is_there() {
        return;
    }
    let sandbox = Sandbox::new();
    let mut told = 0;
    for when in [1, 2, 7] {
        let trace = sandbox.path().join("trace");
        let mut command = strace::command(&format!("fdatasync:error=EIO:when={when}+"), &trace, binary());
        command.args(["--json", "--actor", "ana", "serve", "--listen", "127.0.0.1:0"]).current_dir(sandbox.path());
        let server = Server::of(&mut command);
        let mut connection = server.connect();
        let mut statuses = Vec::new();
        // It ends by itself, and with it the connection.
        while let Ok(answer) = connection.post("/api/v1/lineage", event(told + statuses.len()).as_bytes()) {
            statuses.push(answer.status);
        }
        let good = statuses.iter().take_while(|status| **status == 201).count();
        assert!(good < when && statuses[good..].iter().all(|status| *status == 503), "{when}: {statuses:?}");
        assert!(statuses.len() > good, "the failure was told");
        let (code, said) = server.wait();
        assert_eq!(code, 6, "{said}");
        assert!(said.contains("nothing more is acknowledged"), "{said}");
        told += good;
        let again = Server::start(&sandbox);
        for i in 0..told {
            assert_eq!(again.post("/api/v1/lineage", &event(i)).is(200).json()["duplicate"], true);
        }
        // What was answered with 503 is sent again: recorded now, if it had not been.
        let answer = again.post("/api/v1/lineage", &event(told));
        assert!(answer.status == 201 || answer.status == 200);
        told += 1;
    }
    sandbox.run(["verify"]).done();
}
