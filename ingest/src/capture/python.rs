//! The Python hook: asks Python programs, by their environment alone, which addresses and databases they use.

use std::collections::BTreeSet;
use std::ffi::{OsStr, OsString};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

/// The module that Python imports by itself when it starts.
const MODULE: &str = include_str!("sitecustomize.py");
/// The file to which the module writes, named by this variable.
const VARIABLE: &str = "LINEAGE_PYTHON";
/// So much of what was told is read.
const TOLD_BYTES_MAX: u64 = 4 * 1024 * 1024;
/// So many addresses are kept.
const EXTERNALS_MAX: usize = 1000;

/// Something outside of the file system that a program used.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct External {
    /// `url` or `sqlite`.
    pub kind: String,
    /// Its address, without user, query and fragment.
    pub name: String,
}

/// The hook of one run: a folder with the module, and the file of what was told.
#[derive(Debug)]
pub struct PythonHook {
    folder: PathBuf,
    told: PathBuf,
    /// Whether the folder is that of several runs.
    is_shared: bool,
}

impl PythonHook {
    /// Puts the module into a folder of its own, which must not exist.
    pub fn install(folder: &Path) -> io::Result<Self> {
        fs::create_dir(folder)?;
        fs::write(folder.join("sitecustomize.py"), MODULE)?;
        Ok(Self { told: folder.join("told"), folder: folder.to_owned(), is_shared: false })
    }

    /// The hook of another run with the same module, which lives as long as the folder of this one.
    #[must_use]
    pub fn share(&self, told: PathBuf) -> Self {
        Self { folder: self.folder.clone(), told, is_shared: true }
    }

    /// The variables that make Python find it, in place of those of the same name.
    pub fn variables(&self, env: &[(OsString, OsString)]) -> Vec<(OsString, OsString)> {
        let mut path = self.folder.clone().into_os_string();
        let own = env.iter().rev().find(|(name, _)| name == "PYTHONPATH").map(|(_, value)| value.as_os_str());
        if let Some(own) = own.filter(|own| !own.is_empty()) {
            path.push(OsStr::new(":"));
            path.push(own);
        }
        vec![("PYTHONPATH".into(), path), (VARIABLE.into(), self.told.clone().into())]
    }

    /// What was told, and the end of the hook.
    pub fn finish(self) -> Vec<External> {
        let small = fs::metadata(&self.told).is_ok_and(|metadata| metadata.len() <= TOLD_BYTES_MAX);
        let text = if small { fs::read(&self.told).unwrap_or_default() } else { Vec::new() };
        let text = String::from_utf8_lossy(&text);
        let told: BTreeSet<External> = text.lines().filter_map(read).take(EXTERNALS_MAX).collect();
        if !self.is_shared {
            // A folder that stays behind lies in the store, beside the run's other files.
            fs::remove_dir_all(&self.folder).ok();
        }
        told.into_iter().collect()
    }
}

fn read(line: &str) -> Option<External> {
    let (kind, name) = line.split_once('\t')?;
    let known = matches!(kind, "url" | "sqlite") && !name.is_empty();
    known.then(|| External { kind: kind.to_owned(), name: strip(name).to_owned() })
}

/// Without query and fragment; the module has done so already, but the file is open to everyone in the run.
fn strip(name: &str) -> &str {
    name.split(['?', '#', ';']).next().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    use std::process::Command;

    /// Runs a Python program under the hook; `None`, said loudly, where there is no Python.
    fn told(folder: &Path, program: &str, own_path: &str) -> Option<(String, Vec<External>)> {
        let hook = PythonHook::install(&folder.join("hook")).expect("the hook");
        let env = vec![("PYTHONPATH".into(), own_path.into())];
        let mut command = Command::new("python3");
        command.args(["-c", program]).current_dir(folder).envs(hook.variables(&env));
        let Ok(output) = command.output() else {
            io::Write::write_all(&mut io::stderr(), b"SKIPPED: python3 is not installed\n").expect("standard error");
            return None;
        };
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        Some((String::from_utf8_lossy(&output.stdout).into_owned(), hook.finish()))
    }

    #[test]
    fn addresses_and_databases_are_told_without_secrets() {
        let folder = tempfile::tempdir().expect("a folder");
        let program = "
import http.server, os, sqlite3, threading, urllib.request
class Answer(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200); self.end_headers(); self.wfile.write(b'ok')
    def log_message(self, *_): pass
server = http.server.HTTPServer(('127.0.0.1', 0), Answer)
threading.Thread(target=server.serve_forever, daemon=True).start()
port = server.server_port
urllib.request.urlopen('http://127.0.0.1:%d/data/x.csv?sig=hunter2#part' % port).read()
import http.client
connection = http.client.HTTPConnection('127.0.0.1', port)
connection.request('GET', '/other?token=hunter2', headers={'Authorization': 'hunter2'})
connection.getresponse().read()
sqlite3.connect('a.db').close()
sqlite3.connect('file:b.db?key=hunter2', uri=True).close()
try: urllib.request.urlopen('http://ana:hunter2@127.0.0.1:1/x')
except Exception: pass
print(port, 'LINEAGE_PYTHON' in os.environ)
";
        let Some((said, found)) = told(folder.path(), program, "") else { return };
        let port = said.split(' ').next().expect("a port");
        let here = fs::canonicalize(folder.path()).expect("a path");
        let mut expected = vec![
            ("sqlite".to_owned(), here.join("a.db").display().to_string()),
            ("sqlite".to_owned(), "file:b.db".to_owned()),
            ("url".to_owned(), format!("http://127.0.0.1:{port}/data/x.csv")),
            ("url".to_owned(), format!("http://127.0.0.1:{port}/other")),
            ("url".to_owned(), "http://127.0.0.1:1/x".to_owned()),
        ];
        expected.sort();
        let mut found: Vec<_> = found.into_iter().map(|external| (external.kind, external.name)).collect();
        found.sort();
        assert_eq!(found, expected);
        assert!(!folder.path().join("hook").exists());
    }

    #[test]
    fn an_own_module_is_still_imported() {
        let folder = tempfile::tempdir().expect("a folder");
        let own = folder.path().join("own");
        fs::create_dir(&own).expect("a folder");
        fs::write(own.join("sitecustomize.py"), "import builtins\nbuiltins.mine = 'mine'\n").expect("a module");
        let program =
            "import sys, sitecustomize; print(mine, sitecustomize.__file__, [p for p in sys.path if 'hook' in p])";
        let Some((said, _)) = told(folder.path(), program, own.to_str().expect("text")) else { return };
        assert_eq!(said.trim(), format!("mine {} []", own.join("sitecustomize.py").display()));
    }

    #[test]
    fn what_others_write_into_the_file_is_read_with_care() {
        assert_eq!(read("url\thttps://h/x?sig=1").map(|external| external.name).as_deref(), Some("https://h/x"));
        assert_eq!(read("url\t"), None);
        assert_eq!(read("other\tx"), None);
        assert_eq!(read("url"), None);
    }
}
