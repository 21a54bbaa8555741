//! What surrounds a command: its environment by an allow-list, its program, its lock files, its machine and its limits.

use std::ffi::{OsStr, OsString};
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use lineage_store::artifact::Artifacts;
use rustix::process::{Resource, getrlimit};
use serde_json::{Map, Value, json};

use super::RunSpec;
use super::cgroup;
use super::files::path_name;
use super::redact::{is_secret_name, redact_text};

/// Variables that are recorded, as they change what a program computes and hold no secrets. `*` stands for any rest.
pub(super) const VARIABLES: &[&str] = &[
    "CI",
    "CONDA_DEFAULT_ENV",
    "CONDA_PREFIX",
    "CUBLAS_WORKSPACE_CONFIG",
    "CUDA_VISIBLE_DEVICES",
    "GITHUB_RUN_ID",
    "GITHUB_SHA",
    "HIP_VISIBLE_DEVICES",
    "LANG",
    "LANGUAGE",
    "LC_*",
    "MKL_NUM_THREADS",
    "NUMEXPR_NUM_THREADS",
    "NVIDIA_VISIBLE_DEVICES",
    "OMP_*",
    "OPENBLAS_NUM_THREADS",
    "POLARS_MAX_THREADS",
    "PYTHONHASHSEED",
    "PYTHONPATH",
    "RAYON_NUM_THREADS",
    "SLURM_JOB_ID",
    "SOURCE_DATE_EPOCH",
    "TF_CUDNN_DETERMINISTIC",
    "TF_DETERMINISTIC_OPS",
    "TORCH_*",
    "TZ",
    "VIRTUAL_ENV",
];
/// Files that fix which packages are used, looked for beside the command and beside the store.
const LOCK_FILES: &[&str] = &[
    "Cargo.lock",
    "Gemfile.lock",
    "Manifest.toml",
    "Pipfile.lock",
    "conda-lock.yml",
    "environment.yml",
    "go.sum",
    "package-lock.json",
    "pdm.lock",
    "pixi.lock",
    "pnpm-lock.yaml",
    "poetry.lock",
    "renv.lock",
    "requirements.txt",
    "uv.lock",
    "yarn.lock",
];
/// A larger program is told by its path and size alone; hashing it would hold the command up.
const PROGRAM_BYTES_MAX: u64 = 64 * 1024 * 1024;
/// A larger file fixes no packages.
const LOCK_FILE_BYTES_MAX: u64 = 16 * 1024 * 1024;

/// What is said of the surroundings: the facets of the start, and the software.
#[derive(Clone, Debug, Default)]
pub(super) struct Surroundings {
    pub(super) facets: Map<String, Value>,
    pub(super) software: Map<String, Value>,
    /// What belongs to the facet of the process.
    pub(super) process: Map<String, Value>,
}

/// Looks around.
pub(super) fn describe(spec: &RunSpec) -> Surroundings {
    let ground = spec.ground.as_ref();
    let mut found = ground.map_or_else(|| of_process(spec), |ground| ground.surroundings());
    found.facets.insert("environment".to_owned(), environment(spec));
    let locks = lock_files(spec);
    if !locks.is_empty() {
        found.facets.insert("lock_files".to_owned(), json!(locks));
    }
    if let Some(program) = program(spec) {
        software(&program, &mut found.software);
        let said = ground.map_or_else(|| executable(&program), |ground| ground.program(&program, executable));
        found.process.insert("executable".to_owned(), said);
    }
    found
}

/// What this process and the machine give to every command alike.
pub(super) fn of_process(spec: &RunSpec) -> Surroundings {
    let mut found = Surroundings::default();
    found.facets.insert("machine".to_owned(), machine(spec));
    for (key, value) in [("container", container()), ("limits", Value::Object(cgroup::limits()))] {
        if value.as_object().is_some_and(|object| !object.is_empty()) {
            found.facets.insert(key.to_owned(), value);
        }
    }
    if let Some(umask) = status_field("Umask") {
        found.process.insert("umask".to_owned(), json!(umask));
    }
    found.process.insert("ulimits".to_owned(), ulimits());
    found
}

fn environment(spec: &RunSpec) -> Value {
    let mut variables = Map::new();
    for (name, value) in &spec.variables {
        let name = name.to_string_lossy();
        if is_recorded(&name, &spec.recorded_variables)
            && !is_secret_name(&name)
            && !spec.secrets.iter().any(|secret| *secret == name)
        {
            variables.insert(name.into_owned(), json!(redact_text(&value.to_string_lossy())));
        }
    }
    let others = spec.variables.len() - variables.len();
    json!({ "variables": variables, "others": others })
}

/// Whether the value of a variable is recorded, where its name is no secret's.
pub(crate) fn is_recorded(name: &str, further: &[String]) -> bool {
    VARIABLES.iter().any(|listed| matches(listed, name)) || further.iter().any(|listed| matches(listed, name))
}

fn matches(listed: &str, name: &str) -> bool {
    listed.strip_suffix('*').map_or(listed == name, |start| name.starts_with(start))
}

fn variable<'a>(spec: &'a RunSpec, name: &str) -> Option<&'a OsStr> {
    spec.variables.iter().find(|(other, _)| other == name).map(|(_, value)| OsString::as_os_str(value))
}

/// The file that is executed.
fn program(spec: &RunSpec) -> Option<PathBuf> {
    let name = Path::new(spec.argv.first()?);
    let is_program = |path: &Path| path.metadata().is_ok_and(|m| m.is_file() && m.permissions().mode() & 0o111 != 0);
    if name.components().count() > 1 {
        return Some(spec.cwd.join(name)).filter(|path| is_program(path));
    }
    let path = variable(spec, "PATH").unwrap_or(OsStr::new("/usr/local/bin:/bin:/usr/bin"));
    std::env::split_paths(path).map(|folder| spec.cwd.join(folder).join(name)).find(|path| is_program(path))
}

fn executable(program: &Path) -> Value {
    let real = program.canonicalize().unwrap_or_else(|_| program.to_owned());
    let mut object = json!({ "path": program.to_string_lossy() });
    if real != program {
        object["real_path"] = json!(real.to_string_lossy());
    }
    let size = real.metadata().map_or(0, |m| m.len());
    object["size"] = json!(size);
    if size <= PROGRAM_BYTES_MAX
        && let Ok(digest) = Artifacts::digest_file(&real)
    {
        object["digest"] = json!(digest.to_string());
    }
    object
}

/// The interpreter by the name of its real file, as running it to ask would cost more than the rest together.
fn software(program: &Path, found: &mut Map<String, Value>) {
    let mut file = program.to_owned();
    if let Some(interpreter) = shebang(&file) {
        found.insert("interpreter".to_owned(), json!(interpreter));
        file = PathBuf::from(interpreter);
    }
    let real = file.canonicalize().unwrap_or_else(|_| file.clone());
    let name = real.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    let word = name.trim_end_matches(|c: char| c.is_ascii_digit() || c == '.').to_owned();
    let mut version = name[word.len()..].trim_matches('.').to_owned();
    // A virtual environment knows the version to the last digit.
    let settings = file.parent().and_then(Path::parent).map(|folder| folder.join("pyvenv.cfg"));
    if let Some(text) = settings.and_then(|path| fs::read_to_string(path).ok()) {
        let line = text.lines().find_map(|line| line.strip_prefix("version")?.trim_start().strip_prefix('='));
        version = line.map_or(version, |line| line.trim().to_owned());
    }
    if !version.is_empty() && !word.is_empty() {
        found.insert(word.trim_end_matches('-').to_owned(), json!(version));
    }
}

/// The program in the first line of a script.
fn shebang(script: &Path) -> Option<String> {
    let mut head = [0; 256];
    let n = std::io::Read::read(&mut fs::File::open(script).ok()?, &mut head).ok()?;
    let line = head[..n].strip_prefix(b"#!")?.split(|b| *b == b'\n').next()?;
    let text = String::from_utf8_lossy(line).trim().to_owned();
    let mut words = text.split_whitespace();
    let first = words.next()?.to_owned();
    Some(if first.ends_with("/env") { words.next().map_or(first, str::to_owned) } else { first })
}

fn lock_files(spec: &RunSpec) -> Vec<Value> {
    let mut folders = vec![spec.cwd.clone()];
    if spec.workspace_root != spec.cwd {
        folders.push(spec.workspace_root.clone());
    }
    let mut found = Vec::new();
    for path in folders.iter().flat_map(|folder| LOCK_FILES.iter().map(|name| folder.join(name))) {
        if !path.metadata().is_ok_and(|m| m.is_file() && m.len() <= LOCK_FILE_BYTES_MAX) {
            continue;
        }
        if let (Ok(name), Ok(digest)) = (path_name(&path, spec), Artifacts::digest_file(&path)) {
            found.push(json!({ "path": name, "digest": digest.to_string() }));
        }
    }
    found
}

fn status_field(name: &str) -> Option<String> {
    let status = fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'))?;
    Some(line.trim().to_owned())
}

/// What a process may use, where that is limited; in bytes, files or seconds.
fn ulimits() -> Value {
    let known = [
        ("address_space", Resource::As),
        ("core", Resource::Core),
        ("cpu", Resource::Cpu),
        ("data", Resource::Data),
        ("file_size", Resource::Fsize),
        ("open_files", Resource::Nofile),
        ("processes", Resource::Nproc),
        ("stack", Resource::Stack),
    ];
    let limit = |(name, resource)| Some((String::from(name), json!(getrlimit(resource).current?)));
    Value::Object(known.into_iter().filter_map(limit).collect())
}

/// The machine, with its name where that may be told.
fn machine(spec: &RunSpec) -> Value {
    let mut object = platform();
    let named = [("host", Some(&spec.host).filter(|host| !host.is_empty())), ("hostname", spec.hostname.as_ref())];
    object.extend(named.into_iter().filter_map(|(key, name)| Some((key.to_owned(), json!(name?)))));
    Value::Object(object)
}

/// What the machine is, without its name.
pub(crate) fn platform() -> Map<String, Value> {
    let uname = rustix::system::uname();
    let mut object = Map::new();
    let mut say = |key: &str, value: Option<Value>| {
        if let Some(value) = value {
            object.insert(key.to_owned(), value);
        }
    };
    say("kernel", Some(json!(format!("{} {}", text(uname.sysname()), text(uname.release())))));
    say("arch", Some(json!(text(uname.machine()))));
    say("cpus", std::thread::available_parallelism().ok().map(|n| json!(n.get())));
    let cpu = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let field = |name: &str| {
        let line = cpu.lines().find(|line| line.starts_with(name))?;
        Some(line.split_once(':')?.1.trim().to_owned())
    };
    say("cpu", field("model name").or_else(|| field("CPU part")).map(|model| json!(model)));
    // Which instructions there are decides the last bits of a result; their list is long, its digest is not.
    let flags = field("flags").or_else(|| field("Features"));
    say(
        "cpu_flags",
        flags.map(|flags| json!(lineage_store::digest::Blake3::of(flags.as_bytes()).hex()[..16].to_owned())),
    );
    let memory = fs::read_to_string("/proc/meminfo").unwrap_or_default();
    let total = memory.lines().find_map(|line| line.strip_prefix("MemTotal:")?.split_whitespace().next()?.parse().ok());
    say("memory", total.map(|kib: u64| json!(kib * 1024)));
    let gpus = gpus();
    say("gpus", Some(json!(gpus)).filter(|_| !gpus.is_empty()));
    say(
        "gpu_driver",
        fs::read_to_string("/proc/driver/nvidia/version")
            .ok()
            .and_then(|text| Some(json!(text.lines().next()?.trim()))),
    );
    object
}

fn text(text: &std::ffi::CStr) -> String {
    text.to_string_lossy().into_owned()
}

/// The models of NVIDIA devices, as their driver lists them.
fn gpus() -> Vec<String> {
    let Ok(entries) = fs::read_dir("/proc/driver/nvidia/gpus") else { return Vec::new() };
    let mut paths: Vec<_> = entries.flatten().map(|entry| entry.path().join("information")).collect();
    paths.sort();
    let model = |path: PathBuf| {
        let text = fs::read_to_string(path).ok()?;
        Some(text.lines().find_map(|line| line.strip_prefix("Model:"))?.trim().to_owned())
    };
    paths.into_iter().filter_map(model).collect()
}

/// The container, as far as it can be told from inside.
fn container() -> Value {
    let mut object = Map::new();
    if let Ok(text) = fs::read_to_string("/run/.containerenv") {
        object.insert("engine".to_owned(), json!("podman"));
        for (key, name) in [("image", "image="), ("image_digest", "imageid="), ("id", "id=")] {
            let value = text.lines().find_map(|line| line.strip_prefix(name));
            if let Some(value) = value {
                object.insert(key.to_owned(), json!(value.trim_matches('"')));
            }
        }
    } else if Path::new("/.dockerenv").exists() {
        object.insert("engine".to_owned(), json!("docker"));
        let mounts = fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
        let id = mounts.split("/containers/").nth(1).and_then(|rest| rest.split('/').next());
        if let Some(id) = id.filter(|id| id.len() == 64 && id.bytes().all(|b| b.is_ascii_hexdigit())) {
            object.insert("id".to_owned(), json!(id));
        }
    }
    Value::Object(object)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spec(variables: &[(&str, &str)]) -> RunSpec {
        let argv = vec!["sh".into()];
        let mut spec = RunSpec::new(argv, "/".into(), "r-1".to_owned(), "ana".to_owned());
        spec.variables = variables.iter().map(|(n, v)| ((*n).into(), (*v).into())).collect();
        spec
    }

    #[test]
    fn only_listed_variables_are_recorded() {
        let mut spec =
            spec(&[("LC_ALL", "C"), ("OMP_NUM_THREADS", "4"), ("HOME", "/root"), ("MINE", "1"), ("MY_TOKEN", "x")]);
        spec.recorded_variables = vec!["MINE".to_owned(), "MY_*".to_owned()];
        let want = r#"{"others":2,"variables":{"LC_ALL":"C","MINE":"1","OMP_NUM_THREADS":"4"}}"#;
        assert_eq!(environment(&spec).to_string(), want, "a telling name is never recorded, even if it is listed");
    }

    #[test]
    fn the_program_is_the_one_that_runs() {
        let program = program(&spec(&[("PATH", "/nowhere:/bin")])).expect("sh");
        assert_eq!(program, Path::new("/bin/sh"));
        assert!(executable(&program)["digest"].as_str().is_some_and(|digest| digest.starts_with("b3:")));
        let mut other = spec(&[]);
        other.argv = vec!["no-such-command-anywhere".into()];
        assert!(super::program(&other).is_none());
    }

    #[test]
    fn interpreters_show_their_version() {
        let folder = tempfile::tempdir().expect("a folder");
        let at = |name: &str| folder.path().join(name);
        fs::create_dir(at("bin")).expect("a folder");
        fs::write(at("bin/python3.11"), "").expect("a file");
        std::os::unix::fs::symlink(at("bin/python3.11"), at("bin/python")).expect("a link");
        let said = |program: &Path| {
            let mut found = Map::new();
            software(program, &mut found);
            Value::Object(found).to_string()
        };
        assert_eq!(said(&at("bin/python")), r#"{"python":"3.11"}"#);
        fs::write(at("pyvenv.cfg"), "home = /usr/bin\nversion = 3.11.9\n").expect("a file");
        assert_eq!(said(&at("bin/python")), r#"{"python":"3.11.9"}"#);
        fs::write(at("script"), "#!/usr/bin/env Rscript\n").expect("a file");
        assert_eq!(said(&at("script")), r#"{"interpreter":"Rscript"}"#);
    }

    #[test]
    fn the_machine_is_described() {
        let mut spec = spec(&[]);
        spec.host = "abc".to_owned();
        let machine = machine(&spec);
        assert!(machine["kernel"].is_string() && machine["host"] == "abc" && machine["hostname"].is_null());
    }
}
