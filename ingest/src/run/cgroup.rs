//! Control groups: what this process may use, what it used at most, and whether its memory ran out; versions 1 and 2.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::{Map, Value, json};

/// Where control groups are mounted.
const MOUNT: &str = "/sys/fs/cgroup";
/// What version 1 says for no limit: the largest number of pages.
const UNLIMITED: u64 = 1 << 62;

/// The folder of this process's group that has a file; `controller` is what version 1 files it under.
///
/// Inside a container the group is mounted as the root, whatever its path says.
fn file(controller: &str, v2: &str, v1: &str) -> Option<PathBuf> {
    let text = fs::read_to_string("/proc/self/cgroup").ok()?;
    let mut candidates = Vec::new();
    for line in text.lines() {
        let mut parts = line.splitn(3, ':').skip(1);
        let (Some(controllers), Some(path)) = (parts.next(), parts.next()) else { continue };
        let path = path.trim_start_matches('/');
        if controllers.is_empty() {
            candidates.extend([path, ""].map(|path| Path::new(MOUNT).join(path).join(v2)));
        } else if controllers.split(',').any(|name| name == controller) {
            let mount = Path::new(MOUNT).join(controllers);
            candidates.extend([path, ""].map(|path| mount.join(path).join(v1)));
        }
    }
    candidates.into_iter().find(|path| path.is_file())
}

fn read(controller: &str, v2: &str, v1: &str) -> Option<String> {
    Some(fs::read_to_string(file(controller, v2, v1)?).ok()?.trim().to_owned())
}

/// How often a process was killed because the memory of this group ran out; `None` where that is not told.
pub(super) fn oom_kills() -> Option<u64> {
    let events = read("memory", "memory.events", "memory.oom_control")?;
    events.lines().find_map(|line| line.strip_prefix("oom_kill ")?.trim().parse().ok())
}

/// The most memory that this group ever used, in bytes.
pub(super) fn memory_peak() -> Option<u64> {
    read("memory", "memory.peak", "memory.max_usage_in_bytes")?.parse().ok()
}

/// What this group allows; what is not limited is left out.
pub(super) fn limits() -> Map<String, Value> {
    let mut limits = Map::new();
    let number = |text: Option<String>| text?.parse::<u64>().ok().filter(|n| *n < UNLIMITED);
    if let Some(bytes) = number(read("memory", "memory.max", "memory.limit_in_bytes")) {
        limits.insert("memory".to_owned(), json!(bytes));
    }
    if let Some(n) = number(read("pids", "pids.max", "pids.max")) {
        limits.insert("processes".to_owned(), json!(n));
    }
    if let Some(cpus) = cpus() {
        limits.insert("cpus".to_owned(), json!(cpus));
    }
    limits
}

/// Processors, as a share of time: `50000 100000` is half of one.
fn cpus() -> Option<f64> {
    let text = read("cpu", "cpu.max", "cpu.cfs_quota_us")?;
    let (quota, period) = match text.split_once(' ') {
        Some((quota, period)) => (quota.to_owned(), period.to_owned()),
        None => (text, read("cpu", "", "cpu.cfs_period_us")?),
    };
    let (quota, period): (f64, f64) = (quota.parse().ok()?, period.parse().ok()?);
    (quota > 0.0 && period > 0.0).then(|| quota / period)
}
