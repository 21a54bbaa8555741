//! What a pipeline costs beyond its commands: a step that does nothing, cores that are kept busy, memory of many branches.

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use super::{Row, ms};
use crate::memory;
use crate::sandbox::binary;

/// Steps that do nothing, and starts of a process that are measured beside them.
const STEPS: u32 = 1000;
/// Branches that compute.
const WIDE: usize = 16;
/// Iterations of each: some seconds of processor time in all.
const TURNS: usize = 300_000;
/// Branches of which memory is measured: the second must not take much more than the first.
const MANY: [usize; 2] = [1000, 10_000];
/// How often the memory of a runner is looked at; what is read is its maximum so far.
const LOOK: Duration = Duration::from_millis(20);

/// Measures all three.
pub fn measure(folder: &Path) -> Vec<Row> {
    let mut rows = trivial(&folder.join("trivial"));
    rows.push(wide(&folder.join("wide")));
    rows.extend(MANY.map(|branches| many(&folder.join(format!("many-{branches}")), branches)));
    rows
}

/// A folder with a store and a specification.
fn place(folder: &Path, spec: &str) -> PathBuf {
    fs::create_dir_all(folder).unwrap();
    let status = Command::new(binary()).arg("init").current_dir(folder).stdout(Stdio::null()).status().unwrap();
    assert!(status.success());
    fs::write(folder.join("p.toml"), spec).unwrap();
    folder.to_owned()
}

fn run(folder: &Path, arguments: &[&str]) -> Duration {
    let mut command = Command::new(binary());
    command.args(["run", "p.toml"]).args(arguments).current_dir(folder).stdout(Stdio::null()).stderr(Stdio::null());
    let began = Instant::now();
    assert!(command.status().unwrap().success(), "{}", folder.display());
    began.elapsed()
}

/// Steps one after the other, observed or not, and once more with everything reused; each beside starting a process.
fn trivial(folder: &Path) -> Vec<Row> {
    let mut spec = "[pipeline]\nname = \"trivial\"\n".to_owned();
    for step in 0..STEPS {
        writeln!(spec, "[[step]]\nid = \"s{step}\"\nrun = [\"/bin/true\", \"{step}\"]").unwrap();
    }
    let began = Instant::now();
    for _ in 0..STEPS {
        assert!(Command::new("/bin/true").status().unwrap().success());
    }
    let start = began.elapsed() / STEPS;
    let observed = place(&folder.join("observed"), &spec);
    let declared = place(&folder.join("declared"), &spec);
    let row = |what: &str, time: Duration, least: Duration| {
        let beyond = (time / STEPS).saturating_sub(least);
        let beside = format!("at most 5 ms; process start {}, whole run {}", ms(least), ms(time));
        [format!("pipeline: {STEPS} steps that do nothing, {what}"), format!("{} each beyond it", ms(beyond)), beside]
    };
    vec![
        row("observed, one at a time", run(&observed, &["--jobs", "1"]), start),
        row("observed, all reused", run(&observed, &["--jobs", "1"]), Duration::ZERO),
        row("declared, one at a time", run(&declared, &["--jobs", "1", "--capture", "declared"]), start),
    ]
}

/// Processor time of all branches beside what the cores could give in the time of the clock.
fn wide(folder: &Path) -> Row {
    let items: Vec<String> = (0..WIDE).map(|item| item.to_string()).collect();
    let work = format!("i=0; while [ $i -lt {TURNS} ]; do i=$((i+1)); done");
    let spec = format!(
        "[pipeline]\nname = \"wide\"\n[params]\nn = [{}]\n[[step]]\nid = \"s\"\nforeach = \"params.n\"\nas = \"n\"\nrun = [\"sh\", \"-c\", \"{work}\", \"{{n}}\"]\n",
        items.join(", ")
    );
    let folder = place(folder, &spec);
    let began = Instant::now();
    // A shell tells what its children and theirs took.
    let mut command = Command::new("sh");
    command.args(["-c", "\"$@\" > /dev/null 2>&1 || exit 9; times", "sh"]).current_dir(&folder);
    let output = command.arg(binary()).args(["run", "p.toml"]).output().unwrap();
    let took = began.elapsed();
    assert!(output.status.success());
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let used: Duration =
        text.lines().last().unwrap_or_default().split_whitespace().filter_map(super::capture::seconds).sum();
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let busy = used.as_secs_f64() / (took.as_secs_f64() * cores as f64);
    let beside = format!("processor time {} in {} on {cores} cores", ms(used), ms(took));
    [
        format!("pipeline: a foreach of {WIDE} branches that compute"),
        format!("{:.0} % of all cores", busy * 100.0),
        beside,
    ]
}

/// The most memory of the runner, and the time of each branch.
fn many(folder: &Path, branches: usize) -> Row {
    let items: Vec<String> = (0..branches).map(|item| item.to_string()).collect();
    let spec = format!(
        "[pipeline]\nname = \"many\"\n[params]\nn = [{}]\n[[step]]\nid = \"s\"\nforeach = \"params.n\"\nas = \"n\"\nmax_branches = {branches}\nshell = \"echo v={{n}} > $LINEAGE_OUT\"\n[[step]]\nid = \"all\"\njoin = \"s\"\nrun = [\"/bin/true\"]\n",
        items.join(", ")
    );
    let folder = place(folder, &spec);
    let mut command = Command::new(binary());
    command.args(["run", "p.toml"]).current_dir(&folder).stdout(Stdio::null()).stderr(Stdio::null());
    let began = Instant::now();
    let mut child = command.spawn().unwrap();
    let mut most = 0;
    let status = loop {
        most = most.max(memory::peak(child.id()).unwrap_or(0));
        match child.try_wait().unwrap() {
            Some(status) => break status,
            None => std::thread::sleep(LOOK),
        }
    };
    assert!(status.success());
    let each = began.elapsed() / branches as u32;
    let measured = format!("{} MB at most", most / 1_000_000);
    [format!("pipeline: a foreach of {branches} branches"), measured, format!("{} each", ms(each))]
}
