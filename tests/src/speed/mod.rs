//! The bench: a generated history is loaded, asked and appended to, beside what the machine can do at best.

pub mod append;
pub mod capture;
pub mod closure;
pub mod generate;
pub mod load;
pub mod pipeline;
pub mod serve;
pub mod verify;

use std::time::Duration;

/// The name that many runs use.
pub const HUB: &str = "credit/customers";

/// The median of several measurements.
pub fn median(mut times: Vec<Duration>) -> Duration {
    times.sort_unstable();
    times[times.len() / 2]
}

/// The time of the processor that this process took so far, in its ticks of 10 ms.
pub fn ticks() -> u64 {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    // The fields after the name: user time is the 12th, system time the 13th.
    let fields = stat.rsplit_once(')').map(|(_, rest)| rest.split_whitespace()).into_iter().flatten();
    fields.skip(11).take(2).filter_map(|field| field.parse::<u64>().ok()).sum()
}

/// Milliseconds with two digits.
pub fn ms(time: Duration) -> String {
    format!("{:.2} ms", time.as_secs_f64() * 1e3)
}

/// A rate, in thousands where it is high.
pub fn rate(n: u64, time: Duration) -> String {
    let rate = n as f64 / time.as_secs_f64();
    if rate >= 1e4 { format!("{:.0} k/s", rate / 1e3) } else { format!("{rate:.0} /s") }
}

/// One row of the table: what, how much, and the floor or remark beside it.
pub type Row = [String; 3];
