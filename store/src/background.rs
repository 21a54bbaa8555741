//! Threads for work that can wait: they give way to those that somebody waits for.

use std::io;
use std::thread::JoinHandle;

/// How far a thread gives way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Priority {
    /// It works ahead for a thread that is waited for: where cores are short, it gets a third of one beside that.
    Ahead,
    /// Nobody waits for it: where cores are short, it gets a ninth of one.
    Last,
}

/// Starts a thread with a name, for whoever looks at the process.
pub fn spawn<T: Send + 'static>(
    name: &str,
    priority: Priority,
    work: impl FnOnce() -> T + Send + 'static,
) -> io::Result<JoinHandle<T>> {
    std::thread::Builder::new().name(name.to_owned()).spawn(move || {
        give_way(priority);
        work()
    })
}

/// On Linux each thread has a niceness of its own; elsewhere it is that of the process, which is not ours to change.
fn give_way(priority: Priority) {
    let niceness = match priority {
        Priority::Ahead => 5,
        Priority::Last => 10,
    };
    if cfg!(target_os = "linux") {
        // Without it the work is only done less politely.
        let _ = rustix::process::nice(niceness);
    }
}
