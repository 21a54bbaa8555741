//! The time of the processor that a process took, as the system tells it.

use std::fs;
use std::time::Duration;

/// What Linux counts it in, on every machine: a hundredth of a second.
const TICK: Duration = Duration::from_millis(10);

/// The time that a process took so far, in user space and in the kernel; `None` where the system does not tell.
pub fn used(pid: u32) -> Option<Duration> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The name before it, in brackets, may hold anything.
    let mut fields = stat.rsplit_once(')')?.1.split_whitespace().skip(11);
    let ticks: u32 = fields.next()?.parse::<u32>().ok()? + fields.next()?.parse::<u32>().ok()?;
    Some(TICK * ticks)
}
