//! The machine: what it can give to the steps of a pipeline.

use std::fs;
use std::path::Path;

use lineage_ingest::pipeline::Capacity;

/// Where a control group says how much memory it may have; the files of version 2 and 1.
const MEMORY_LIMITS: [&str; 2] = ["/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes"];

/// The cores, memory and graphics processors that this process may use.
pub(crate) fn capacity() -> Capacity {
    let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    Capacity { cpu: cores as u64 * 1000, memory: memory(), gpu: graphics_processors() }
}

/// Bytes of memory; without any word of it, as much as one may ask for.
fn memory() -> u64 {
    let limit = |path: &&str| fs::read_to_string(path).ok()?.trim().parse::<u64>().ok();
    let limits = MEMORY_LIMITS.iter().filter_map(limit);
    limits.chain(physical_memory()).min().unwrap_or(u64::MAX)
}

fn physical_memory() -> Option<u64> {
    let text = fs::read_to_string("/proc/meminfo").ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix("MemTotal:"))?;
    let kibibytes: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kibibytes << 10)
}

/// Device files of NVIDIA's driver; other vendors' processors are not counted.
fn graphics_processors() -> u64 {
    let Ok(devices) = fs::read_dir(Path::new("/dev")) else { return 0 };
    let is_processor = |name: &str| {
        name.strip_prefix("nvidia")
            .is_some_and(|number| !number.is_empty() && number.bytes().all(|b| b.is_ascii_digit()))
    };
    devices.flatten().filter(|device| device.file_name().to_str().is_some_and(is_processor)).count() as u64
}
