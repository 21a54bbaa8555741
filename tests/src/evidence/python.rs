//! The second verifier, run by the Python of the machine.

use std::io::Write as _;
use std::path::PathBuf;
use std::process::{Command, Output, Stdio};

use crate::{skipped, workspace};

/// The program.
pub fn program() -> PathBuf {
    workspace().join("store/src/proof/verify.py")
}

/// Whether Python is here; says so loudly if not.
pub fn is_here() -> bool {
    let here = Command::new("python3").arg("--version").output().is_ok_and(|output| output.status.success());
    if !here {
        skipped("the second verifier: there is no python3");
    }
    here
}

/// Runs the verifier with arguments; its exit code and its output.
pub fn verify(arguments: &[&str]) -> (i32, String) {
    let output = Command::new("python3").arg(program()).args(arguments).output().unwrap();
    (output.status.code().unwrap_or(-1), text(&output))
}

/// Runs a script that finds the verifier as the module `verify`, with text on its standard input.
pub fn script(script: &str, input: &[u8]) -> Output {
    let mut child = Command::new("python3")
        .args(["-B", "-c", script])
        .env("PYTHONPATH", program().parent().unwrap())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdin = child.stdin.take().unwrap();
    std::thread::scope(|scope| {
        scope.spawn(move || stdin.write_all(input).unwrap());
        child.wait_with_output().unwrap()
    })
}

/// Everything that was said.
pub fn text(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}
