//! What observing a command costs: processor time of the whole tree with and without it, in rounds that alternate.
//!
//! Ratios of processor time hold on a busy machine as well, where times of the clock say nothing.

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use super::{Row, median, ms};
use crate::sandbox::binary;
use crate::skipped;

/// So often each command runs in each way.
const ROUNDS: usize = 7;
/// Files of the compilation, and tables of the training.
const SOURCES: usize = 30;
const TABLES: usize = 50;
/// Opens of the loop, which does nothing else: the worst case.
const OPENS: usize = 50_000;

/// Reads fifty tables, fits a model, and writes a hundred files by temporary names.
const TRAINING: &str = r#"
import glob, os, tempfile
import pandas as pd
from sklearn.linear_model import LogisticRegression
def save(path, data):
    descriptor, temporary = tempfile.mkstemp(dir=os.path.dirname(path))
    with os.fdopen(descriptor, "wb") as out: out.write(data)
    os.replace(temporary, path)
os.makedirs("out", exist_ok=True)
frames = [pd.read_csv(path) for path in sorted(glob.glob("data/*.csv"))]
together = pd.concat(frames)
model = LogisticRegression().fit(together[["a", "b"]], together["y"])
for i, frame in enumerate(frames):
    save("out/rows-%02d.csv" % i, frame.assign(p=model.predict(frame[["a", "b"]])).to_csv(index=False).encode())
    save("out/stat-%02d.json" % i, frame.describe().to_json().encode())
"#;

const LOOP: &str = r"
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>
int main(int argc, char **argv) {
    char bytes[64];
    for (int i = atoi(argv[2]); i > 0; i--) {
        int file = open(argv[1], O_RDONLY);
        read(file, bytes, sizeof bytes);
        close(file);
    }
    return 0;
}
";

/// A command that is run in a folder.
struct Work {
    what: &'static str,
    /// The most that it may cost, as a multiple.
    limit: &'static str,
    argv: Vec<String>,
}

/// Measures what can be run here; each row has the ratio of the medians, and the medians.
pub fn measure(folder: &Path, python: &str) -> Vec<Row> {
    let folder = folder.join("capture");
    fs::create_dir_all(&folder).unwrap();
    let status = Command::new(binary()).arg("init").current_dir(&folder).stdout(Stdio::null()).status().unwrap();
    assert!(status.success());
    let works = [training(&folder, python), compilation(&folder), opens(&folder)];
    works.into_iter().flatten().map(|work| row(&folder, &work)).collect()
}

fn row(folder: &Path, work: &Work) -> Row {
    let ways: [Option<&str>; 3] = [None, Some("declared"), Some("auto")];
    let mut times: [Vec<Duration>; 3] = Default::default();
    // One round more than is counted: the first fills caches.
    for round in 0..=ROUNDS {
        for (way, times) in ways.iter().zip(&mut times) {
            let time = run(folder, *way, &work.argv);
            if round > 0 {
                times.push(time);
            }
        }
    }
    let [bare, declared, observed] = times.map(median);
    let ratio = |time: Duration| time.as_secs_f64() / bare.as_secs_f64();
    let measured = format!("{:.2} times, declared {:.2} times", ratio(observed), ratio(declared));
    [work.what.to_owned(), measured, format!("at most {}; bare {}, observed {}", work.limit, ms(bare), ms(observed))]
}

/// The processor time of a command and of all that it started, observed or not.
fn run(folder: &Path, way: Option<&str>, argv: &[String]) -> Duration {
    // A shell tells what its children and theirs took.
    let mut command = Command::new("sh");
    command.args(["-c", "\"$@\" > /dev/null || exit 9; times", "sh"]).current_dir(folder);
    if let Some(way) = way {
        command.arg(binary()).args(["run", "--capture", way, "--"]);
    }
    let output = command.args(argv).output().unwrap();
    assert!(output.status.success(), "{argv:?}: {}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let children = text.lines().last().unwrap_or_default();
    children.split_whitespace().map(|time| seconds(time).unwrap()).sum()
}

/// A time as `times` writes it, such as `0m1.230s`.
pub(super) fn seconds(text: &str) -> Option<Duration> {
    let (minutes, seconds) = text.trim_end_matches('s').split_once('m')?;
    Some(Duration::from_secs_f64(minutes.parse::<f64>().ok()? * 60.0 + seconds.parse::<f64>().ok()?))
}

fn training(folder: &Path, python: &str) -> Option<Work> {
    let there = Command::new(python).args(["-c", "import pandas, sklearn"]).stderr(Stdio::null()).status();
    if !there.is_ok_and(|status| status.success()) {
        skipped("the training: pandas and scikit-learn are not installed; name another Python by --python");
        return None;
    }
    fs::create_dir_all(folder.join("data")).unwrap();
    for i in 0..TABLES {
        let mut table = "a,b,y\n".to_owned();
        for row in 0..2000 {
            writeln!(table, "{}.{i},{},{}", row % 7, row * i % 11, (row + i) % 2).unwrap();
        }
        fs::write(folder.join(format!("data/part-{i:02}.csv")), table).unwrap();
    }
    fs::write(folder.join("train.py"), TRAINING).unwrap();
    let argv = [python, "train.py"].map(str::to_owned).to_vec();
    Some(Work { what: "capture: pandas and scikit-learn, 50 tables in, 100 files out", limit: "1.06", argv })
}

/// Compiles a program of C; `None`, said loudly, where there is no compiler.
fn compile(source: &Path, program: &Path) -> Option<()> {
    let built = Command::new("cc").arg("-w").arg("-o").arg(program).arg(source).status();
    if built.is_ok_and(|status| status.success()) {
        return Some(());
    }
    skipped("what needs a compiler of C: install cc");
    None
}

fn compilation(folder: &Path) -> Option<Work> {
    let source = folder.join("c");
    fs::create_dir_all(&source).unwrap();
    for i in 0..SOURCES {
        let headers = ["stdio", "stdlib", "string", "math", "time", "unistd", "sys/stat", "sys/socket", "pthread"];
        let includes = headers.map(|header| format!("#include <{header}.h>\n")).concat();
        let body = format!(
            "{includes}int f{i}(int x) {{ char b[64]; snprintf(b, 64, \"%d\", x * {i}); return strlen(b); }}\n"
        );
        fs::write(source.join(format!("f{i}.c")), body).unwrap();
    }
    fs::write(source.join("main.c"), "int main(void) { return 0; }\n").unwrap();
    compile(&source.join("main.c"), &folder.join("main"))?;
    let script = "for f in c/f*.c; do cc -O1 -c $f -o ${f%.c}.o; done";
    let argv = ["sh", "-c", script].map(str::to_owned).to_vec();
    Some(Work { what: "capture: a compilation of 30 files of C", limit: "1.25", argv })
}

fn opens(folder: &Path) -> Option<Work> {
    let (source, program) = (folder.join("loop.c"), folder.join("loop"));
    fs::write(&source, LOOP).unwrap();
    compile(&source, &program)?;
    let file: PathBuf = folder.join("one.csv");
    fs::write(&file, "a,b\n").unwrap();
    let argv = vec![program.display().to_string(), file.display().to_string(), OPENS.to_string()];
    Some(Work { what: "capture: nothing but 50,000 times open, read and close", limit: "6", argv })
}
