//! Tests of what goes wrong elsewhere: programs that other recorders miss, misread or break.

use std::fmt::Write as _;
use std::io::{Read as _, Write as _};
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::process::CommandExt as _;
use std::process::{Command, Stdio};
use std::{env, fs, io};

use lineage_store::digest::Blake3;

use super::tests::Place;
use super::watch::Way;
use super::*;

/// The user that may do nothing.
const NOBODY: u32 = 65534;
/// What a test that runs itself again as another user or under a profile looks for.
const AGAIN: &str = "LINEAGE_TEST_AGAIN";

/// Says loudly that something was not tested.
fn skipped(what: &str) {
    writeln!(io::stderr(), "SKIPPED: {what}").expect("standard error");
}

fn has(program: &str) -> bool {
    let there = Command::new("sh").args(["-c", &format!("command -v {program}")]).stdout(Stdio::null()).status();
    let there = there.is_ok_and(|status| status.success());
    if !there {
        skipped(&format!("{program} is not installed"));
    }
    there
}

fn is_root() -> bool {
    let root = rustix::process::geteuid().is_root();
    if !root {
        skipped("this needs root");
    }
    root
}

/// Compiles a program of C into a folder; `None`, said loudly, where that does not work.
fn compile(place: &Place, name: &str, flags: &[&str], body: &str) -> Option<String> {
    if !has("cc") {
        return None;
    }
    let source = format!("{HEADERS}\n{body}\n");
    let folder = place.path().join("bin");
    fs::create_dir_all(&folder).expect("a folder");
    let (file, program) = (folder.join(format!("{name}.c")), folder.join(name));
    fs::write(&file, source).expect("a file");
    let output = Command::new("cc").arg("-w").arg("-o").arg(&program).arg(&file).args(flags).output().expect("cc");
    if !output.status.success() {
        skipped(&format!("{name} does not compile here: {}", String::from_utf8_lossy(&output.stderr)));
        return None;
    }
    fs::remove_file(file).expect("removed");
    Some(program.display().to_string())
}

const HEADERS: &str = r#"
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <spawn.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
extern char **environ;
static void must(int ok, const char *what) { if (!ok) { perror(what); exit(9); } }
static void eat(int fd) { char b[64]; must(fd >= 0, "open"); read(fd, b, 64); close(fd); }
"#;

fn hole(trace: &Trace, kind: Blind) -> u64 {
    trace.holes.iter().find(|hole| hole.kind == kind).map_or(0, |hole| hole.count)
}

/// Compiles a program, runs it by every way, and gives what was seen of each to a test.
fn by_each_way(body: &str, flags: &[&str], check: impl Fn(&Place, &Trace, Way)) {
    for way in Way::ALL {
        let place = Place::new();
        place.write("in.csv", "a,b\n");
        let Some(program) = compile(&place, "program", flags, body) else { return };
        let trace = place.observe_by(way, &[&program]);
        check(&place, &trace, way);
    }
}

#[test]
fn a_static_program() {
    by_each_way("int main() { eat(open(\"in.csv\", O_RDONLY)); }", &["-static"], |place, trace, way| {
        assert_eq!(place.reads(trace), ["bin/program", "in.csv"], "{way:?}");
        assert_eq!(trace.completeness, Completeness::Complete);
    });
}

#[test]
fn a_ring_is_refused_so_that_its_program_is_seen() {
    let body = r#"int main() {
        char params[256] = {0};
        must(syscall(SYS_io_uring_setup, 8, params) < 0 && errno == ENOSYS, "a ring");
        eat(open("in.csv", O_RDONLY));
    }"#;
    by_each_way(body, &[], |place, trace, way| {
        assert_eq!(place.reads(trace), ["bin/program", "in.csv"], "{way:?}");
        assert_eq!(hole(trace, Blind::Ring), u64::from(way == Way::Notification || cfg!(target_arch = "x86_64")));
        assert_eq!(trace.completeness, Completeness::Complete, "what a ring would have done is seen");
    });
}

#[test]
#[cfg(target_arch = "x86_64")]
fn calls_of_another_processor_are_a_hole() {
    let body = r#"static const char path[] = "in.csv";
    int main() {
        int fd;
        __asm__ volatile ("int $0x80" : "=a"(fd) : "a"(5), "b"(path), "c"(0), "d"(0) : "memory");
        exit(fd < 0 && fd != -ENOSYS ? 9 : 0);
    }"#;
    by_each_way(body, &["-static", "-no-pie"], |_, trace, way| {
        assert_eq!((hole(trace, Blind::Architecture), trace.completeness), (1, Completeness::Partial), "{way:?}");
    });
}

#[test]
fn other_languages() {
    for way in Way::ALL {
        let place = Place::new();
        place.write("in.csv", "a,b\n");
        let script =
            "const fs = require('fs'); fs.promises.readFile('in.csv').then(t => fs.writeFileSync('out.csv', t))";
        for program in ["node", "bun"] {
            if has(program) {
                let trace = place.observe_by(way, &[program, "-e", script]);
                assert!(place.reads(&trace).contains(&"in.csv".to_owned()), "{program} {way:?}");
                assert!(place.writes(&trace).contains(&"out.csv".to_owned()), "{program} {way:?}");
                fs::remove_file(place.path().join("out.csv")).expect("an output");
            }
        }
        if has("go") {
            place.write(
                "p/main.go",
                "package main\nimport \"os\"\nfunc main() { t, _ := os.ReadFile(\"in.csv\"); os.WriteFile(\"out.csv\", t, 0644) }\n",
            );
            let built =
                Command::new("go").args(["build", "-o", "prog", "p/main.go"]).current_dir(place.path()).status();
            assert!(built.expect("go").success());
            let trace = place.observe_by(way, &["./prog"]);
            assert!(place.reads(&trace).contains(&"in.csv".to_owned()), "{way:?}");
            assert!(place.writes(&trace).contains(&"out.csv".to_owned()), "{way:?}");
        }
    }
}

#[test]
fn a_hundred_threads() {
    let body = r#"
    static void *work(void *arg) {
        for (int i = 0; i < 20; i++) {
            char name[64]; snprintf(name, 64, "d/%ld.csv", (long)arg); eat(open(name, O_RDONLY));
            snprintf(name, 64, "d/%ld.out", (long)arg); close(creat(name, 0644));
        }
        return 0;
    }
    int main() {
        pthread_t t[100];
        mkdir("d", 0755);
        for (long i = 0; i < 100; i++) {
            char name[64]; snprintf(name, 64, "d/%ld.csv", i);
            must(symlink("../in.csv", name) == 0, name); unlink(name); must(link("in.csv", name) == 0, name);
        }
        for (long i = 0; i < 100; i++) must(!pthread_create(&t[i], 0, work, (void *)i), "thread");
        for (long i = 0; i < 100; i++) pthread_join(t[i], 0);
    }"#;
    by_each_way(body, &["-pthread"], |place, trace, way| {
        assert_eq!(trace.completeness, Completeness::Complete, "{way:?}: {:?}", trace.holes);
        assert_eq!(place.reads(trace), ["bin/program", "in.csv"]);
        assert_eq!(place.writes(trace).len(), 200, "a second name and an output for each");
    });
}

#[test]
fn children_by_vfork_and_posix_spawn() {
    let body = r#"int main() {
        int status, out = open("out.csv", O_CREAT | O_WRONLY, 0644); pid_t pid;
        dup2(out, 1);
        char *argv[] = {"cat", "in.csv", 0}, *again[] = {"cat", "other.csv", 0};
        must(!posix_spawnp(&pid, "cat", 0, 0, argv, environ), "spawn");
        waitpid(pid, &status, 0); must(status == 0, "cat");
        close(open("other.csv", O_CREAT | O_WRONLY, 0644));
        if ((pid = vfork()) == 0) { execvp("cat", again); _exit(9); }
        waitpid(pid, &status, 0); must(status == 0, "cat");
    }"#;
    by_each_way(body, &[], |place, trace, way| {
        assert_eq!(place.reads(trace), ["bin/program", "in.csv"], "{way:?}");
        assert_eq!(place.writes(trace), ["other.csv", "out.csv"]);
        let programs: Vec<_> = trace.executions.iter().filter_map(|e| e.program.file_name()?.to_str()).collect();
        assert_eq!(programs, ["program", "cat", "cat"]);
        assert_eq!(trace.executions[1].argv, [b"cat".to_vec(), b"in.csv".to_vec()]);
    });
}

#[test]
fn paths_relative_to_folders() {
    let body = r#"int main() {
        mkdir("a", 0755); mkdir("a/b", 0755);
        int here = open(".", O_RDONLY | O_DIRECTORY), b = open("a/b", O_RDONLY | O_DIRECTORY);
        close(openat(b, "by-folder", O_CREAT | O_WRONLY, 0644));
        must(fchdir(b) == 0, "fchdir");
        close(open("by-fchdir", O_CREAT | O_WRONLY, 0644));
        eat(open("../../in.csv", O_RDONLY));
        must(chdir("..") == 0, "chdir");
        close(open("by-chdir", O_CREAT | O_WRONLY, 0644));
        must(renameat(b, "by-folder", here, "moved") == 0, "renameat");
        close(openat(-100, "x.tmp", O_CREAT | O_WRONLY, 0644)); unlink("x.tmp");
    }"#;
    by_each_way(body, &[], |place, trace, way| {
        assert_eq!(place.reads(trace), ["bin/program", "in.csv"], "{way:?}");
        assert_eq!(place.writes(trace), ["a/b/by-fchdir", "a/by-chdir", "moved"]);
        assert_eq!((trace.n_temps, trace.completeness), (2, Completeness::Complete));
    });
}

#[test]
fn paths_through_open_descriptors() {
    let body = r#"int main() {
        char name[64];
        int path = open("in.csv", O_PATH), here = open(".", O_PATH | O_DIRECTORY);
        snprintf(name, 64, "/proc/self/fd/%d", path); eat(open(name, O_RDONLY));
        snprintf(name, 64, "/dev/fd/%d/out.csv", here); close(creat(name, 0644));
        close(open("/proc/self/cwd/more.csv", O_CREAT | O_WRONLY, 0644));
        close(open("/proc/self/maps", O_RDONLY)); close(open("/dev/null", O_RDONLY));
        int unnamed = open(".", O_TMPFILE | O_RDWR, 0644); write(unnamed, "x", 1);
        snprintf(name, 64, "/proc/self/fd/%d", unnamed);
        must(linkat(AT_FDCWD, name, AT_FDCWD, "linked.csv", AT_SYMLINK_FOLLOW) == 0, "linkat");
    }"#;
    by_each_way(body, &[], |place, trace, way| {
        assert_eq!(place.reads(trace), ["bin/program", "in.csv"], "{way:?}");
        assert_eq!(place.writes(trace), ["linked.csv", "more.csv", "out.csv"], "{way:?}");
        assert_eq!((trace.n_temps, trace.completeness), (0, Completeness::Complete));
    });
}

#[test]
fn links_and_folders_that_move() {
    let place = Place::new();
    place.write("in.csv", "a,b\n");
    let trace = place
        .sh("mkdir d; echo 1 > d/x; echo 2 > d/y; mv d e; ln -s in.csv link; cat link > /dev/null; ln in.csv hard; \
         cat hard > /dev/null; echo 3 > tmp; mv tmp e/z");
    assert_eq!(place.reads(&trace), ["in.csv"]);
    assert_eq!(place.writes(&trace), ["e/x", "e/y", "e/z", "hard"]);
    assert_eq!(trace.n_temps, 1);
}

#[test]
fn an_input_that_others_change_is_unstable() {
    for way in Way::ALL {
        let place = Place::new();
        place.write("in.csv", "old");
        place.write("large.csv", &"x".repeat(1 << 20));
        assert!(Command::new("mkfifo").arg(place.path().join("gate")).status().expect("mkfifo").success());
        let mut launch = place.launch(&["sh", "-c", "cat in.csv large.csv; echo; cat gate"]);
        let (mut out, theirs) = io::pipe().expect("a pipe");
        (launch.stdout, launch.ways) = (Some(theirs.into()), Place::only(way));
        let mut started = start(&launch).expect("started");
        drop(launch);
        let mut text = vec![0; 3 + (1 << 20) + 1];
        out.read_exact(&mut text).expect("it has read");
        place.write("in.csv", "new");
        fs::OpenOptions::new()
            .append(true)
            .open(place.path().join("large.csv"))
            .expect("open")
            .write_all(b"y")
            .expect("y");
        fs::write(place.path().join("gate"), "go").expect("the gate");
        assert_eq!(started.wait().expect("its end").code(), 0);
        let trace = started.finish();
        let digests = |read: &Read| (read.stored.clone().map(|s| s.digest), read.after.clone().map(|s| s.digest));
        let reads: Vec<_> = trace.accesses.iter().filter_map(|access| access.read.as_ref()).collect();
        assert_eq!(reads.len(), 2, "{way:?}");
        assert!(reads.iter().all(|read| read.unstable));
        assert_eq!(digests(reads[0]), (Some(Blake3::of(b"old")), Some(Blake3::of(b"new"))));
        // A large one is hashed in the background, so its change may come first: then only the new digest is known.
        let (old, new) = ("x".repeat(1 << 20), "x".repeat(1 << 20) + "y");
        let (before, after) = digests(reads[1]);
        assert!(before.is_none_or(|digest| digest == Blake3::of(old.as_bytes())));
        assert_eq!(after, Some(Blake3::of(new.as_bytes())));
    }
}

#[test]
fn a_large_file_is_hashed_before_it_is_rewritten() {
    let place = Place::new();
    let old = "x".repeat(3 << 20);
    place.write("large.bin", &old);
    let trace = place.sh("head -c 1 large.bin > /dev/null; echo new > large.bin");
    let read = trace.accesses[0].read.as_ref().expect("it was read");
    assert_eq!(read.stored.as_ref().map(|stored| stored.digest), Some(Blake3::of(old.as_bytes())));
    assert!(trace.accesses[0].written && !read.unstable);
    assert_eq!(trace.completeness, Completeness::Complete);
}

#[test]
fn processes_that_never_stop_are_not_waited_for() {
    for way in Way::ALL {
        let place = Place::new();
        place.write("in.csv", "a,b\n");
        let mut launch = place.launch(&[
            "sh",
            "-c",
            "cat in.csv > /dev/null; while :; do cat in.csv; done > /dev/null 2>&1 & exit 0",
        ]);
        (launch.ways, launch.group) = (Place::only(way), Group::New);
        let mut started = start(&launch).expect("started");
        assert_eq!(started.wait().expect("its end").code(), 0);
        let group = rustix::process::Pid::from_raw(started.pid() as i32).expect("a group");
        // It comes back, although calls may come for ever.
        let trace = started.finish();
        rustix::process::kill_process_group(group, rustix::process::Signal::KILL).ok();
        assert_eq!(place.reads(&trace), ["in.csv"], "{way:?}");
    }
}

#[test]
fn a_tracer_inside() {
    if !has("strace") {
        return;
    }
    let place = Place::new();
    place.write("in.csv", "a,b\n");
    let trace = place.observe_by(Way::Notification, &["strace", "-f", "-o", "log.txt", "cat", "in.csv"]);
    assert_eq!(place.reads(&trace), ["in.csv"]);
    assert_eq!(place.writes(&trace), ["log.txt"]);
}

#[test]
fn another_listener_is_a_hole() {
    let body = r#"int main() {
        struct sock_filter all = {6, 0, 0, 0x7fff0000}; struct sock_fprog program = {1, &all};
        must(syscall(SYS_seccomp, 1, 8, &program) < 0 && errno == EBUSY, "a second listener");
        must(syscall(SYS_seccomp, 1, 0, &program) == 0, "a filter of its own");
        eat(open("in.csv", O_RDONLY));
    }"#;
    let place = Place::new();
    place.write("in.csv", "a,b\n");
    let Some(program) = compile(&place, "program", &[], body) else { return };
    let trace = place.observe_by(Way::Notification, &[&program]);
    assert_eq!((hole(&trace, Blind::Listener), trace.completeness), (1, Completeness::Partial));
    assert_eq!(place.reads(&trace), ["bin/program", "in.csv"]);
}

#[test]
fn a_program_with_the_rights_of_its_owner_is_held_back() {
    let place = Place::new();
    let Some(program) = compile(&place, "program", &[], "int main() { exit(geteuid() == 0 ? 0 : 0); }") else { return };
    if !is_root() {
        return;
    }
    fs::set_permissions(&program, fs::Permissions::from_mode(0o4755)).expect("setuid");
    std::os::unix::fs::chown(&program, Some(NOBODY), None).expect("another owner");
    fs::set_permissions(&program, fs::Permissions::from_mode(0o4755)).expect("setuid");
    let trace = place.observe(&[&program]);
    assert_eq!(trace.held_back, [std::path::PathBuf::from(&program)]);
}

#[test]
fn the_longest_path_and_names_that_are_no_text() {
    let place = Place::new();
    let root = place.path();
    // Folders until a name fills the path to exactly 4,095 bytes.
    let mut path = root.clone();
    while path.as_os_str().len() + 201 < 4095 - 2 {
        path.push("d".repeat(200));
    }
    fs::create_dir_all(&path).expect("folders");
    let rest = 4095 - path.as_os_str().len() - 1;
    let long = path.join("f".repeat(rest.min(255)));
    let strange = root.join(std::ffi::OsStr::from_bytes(b"\xff\xfe\n.csv"));
    for file in [&long, &strange] {
        fs::write(file, "x").expect("a file");
    }
    for way in Way::ALL {
        let mut launch = place.launch(&["cat"]);
        launch.argv.extend([long.clone().into_os_string(), strange.clone().into_os_string()]);
        launch.ways = Place::only(way);
        let mut started = start(&launch).expect("started");
        assert_eq!(started.wait().expect("its end").code(), 0);
        let trace = started.finish();
        let mut reads: Vec<_> = trace.accesses.iter().map(|access| access.path.clone()).collect();
        reads.sort();
        let mut expected = vec![long.clone(), strange.clone()];
        expected.sort();
        assert_eq!(reads, expected, "{way:?}");
        assert_eq!(trace.completeness, Completeness::Complete);
    }
    assert_eq!(long.as_os_str().len(), 4095);
}

#[test]
fn paths_at_the_end_of_memory_and_outside_of_it() {
    let body = r#"int main() {
        char *page = mmap(0, 8192, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        munmap(page + 4096, 4096);
        strcpy(page + 4096 - 7, "in.csv");
        eat(open(page + 4096 - 7, O_RDONLY));
        must(open((char *)8, O_RDONLY) < 0 && errno == EFAULT, "a path outside of memory");
    }"#;
    by_each_way(body, &[], |place, trace, way| {
        assert_eq!(place.reads(trace), ["bin/program", "in.csv"], "{way:?}");
        assert_eq!((hole(trace, Blind::Unreadable), trace.completeness), (1, Completeness::Partial));
    });
}

#[test]
fn another_root() {
    let body = r#"int main() {
        mkdir("jail", 0755); mkdir("jail/d", 0755);
        int fd = creat("jail/d/x.csv", 0644); write(fd, "x", 1); close(fd);
        must(chroot("jail") == 0, "chroot"); must(chdir("/") == 0, "chdir");
        eat(open("/d/x.csv", O_RDONLY));
        close(creat("/d/../d/out.csv", 0644)); close(creat("here.csv", 0644));
        must(rename("/d/out.csv", "/d/renamed.csv") == 0, "rename");
    }"#;
    if is_root() {
        by_each_way(body, &[], |place, trace, way| {
            let expected = ["jail/d/renamed.csv", "jail/d/x.csv", "jail/here.csv"];
            assert_eq!(place.writes(trace), expected, "{way:?}");
            assert_eq!(trace.completeness, Completeness::Complete);
        });
    }
}

#[test]
fn a_folder_with_many_files() {
    // A million take a minute to make; what matters is that the number is beyond what is read.
    const FILES: u32 = 20_000;
    let place = Place::new();
    fs::create_dir(place.path().join("d")).expect("a folder");
    for i in 0..FILES {
        fs::write(place.path().join(format!("d/{i}")), "").expect("a file");
    }
    place.write("few/a", "");
    place.write("few/b", "");
    let trace = place.sh("ls d | wc -l; ls few");
    let listed: Vec<_> = trace.listings.iter().map(|l| (l.path.clone(), l.names.as_ref().map(|n| n.0))).collect();
    assert_eq!(listed, [(place.path().join("d"), None), (place.path().join("few"), Some(2))]);
    assert!(trace.accesses.is_empty());
}

/// Runs one test of this file again by another start; whether this process is that other one.
fn again(test: &str, change: impl FnOnce(&mut Command)) -> bool {
    if env::var_os(AGAIN).is_some() {
        return true;
    }
    let mut command = Command::new(env::current_exe().expect("this program"));
    change(&mut command);
    command.args(["--exact", &format!("capture::acceptance::{test}"), "--nocapture"]).env(AGAIN, "1");
    let output = command.output().expect("the test again");
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success() && text.contains("1 passed"), "{text}{}", String::from_utf8_lossy(&output.stderr));
    false
}

#[test]
fn a_user_without_rights() {
    if env::var_os(AGAIN).is_none() && !is_root() {
        return;
    }
    let this = env::current_exe().expect("this program");
    let open = |path: &std::path::Path| path.metadata().is_ok_and(|m| m.permissions().mode() & 0o1 != 0);
    if !this.ancestors().all(open) {
        return skipped("others may not run this program, so nobody cannot");
    }
    if again("a_user_without_rights", |command| {
        command.uid(NOBODY).gid(NOBODY);
    }) {
        let status = fs::read_to_string("/proc/self/status").expect("its status");
        assert!(status.contains("CapEff:\t0000000000000000"), "{status}");
        for way in Way::ALL {
            let place = Place::new();
            place.write("in.csv", "a,b\n");
            let trace = place.observe_by(way, &["sh", "-c", "cat in.csv > out.csv; cat /etc/shadow; exit 0"]);
            assert_eq!((trace.completeness, place.reads(&trace)), (Completeness::Complete, vec!["in.csv".to_owned()]));
            assert_eq!(place.writes(&trace), ["out.csv"]);
        }
    }
}

/// Puts on a filter that refuses the named calls, as strict containers do, and runs the rest of its arguments.
const DENY: &str = r#"int main(int argc, char **argv) {
    struct sock_filter f[64]; int n = 0;
    f[n++] = (struct sock_filter){0x20, 0, 0, 0};
    int i = 1;
    for (; i < argc && strcmp(argv[i], "--"); i++) {
        f[n++] = (struct sock_filter){0x15, 0, 1, atoi(argv[i])};
        f[n++] = (struct sock_filter){6, 0, 0, 0x00050000 | EPERM};
    }
    f[n++] = (struct sock_filter){6, 0, 0, 0x7fff0000};
    struct sock_fprog program = {n, f};
    prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
    must(syscall(SYS_seccomp, 1, 0, &program) == 0, "a filter");
    execvp(argv[i + 1], argv + i + 1);
    must(0, "exec");
}"#;

/// Runs a test again where these calls are refused.
fn again_without(test: &str, calls: &[libc::c_long]) -> bool {
    if env::var_os(AGAIN).is_some() {
        return true;
    }
    let place = Place::new();
    let Some(deny) = compile(&place, "deny", &[], DENY) else { return false };
    let mut line = String::new();
    for call in calls {
        write!(line, "{call} ").expect("text");
    }
    again(test, |command| {
        let this = command.get_program().to_owned();
        *command = Command::new(deny);
        command.args(line.split_whitespace()).arg("--").arg(this);
    })
}

#[test]
fn a_profile_that_denies_tracing_and_reading_memory() {
    let denied = [libc::SYS_ptrace, libc::SYS_process_vm_readv, libc::SYS_pidfd_getfd];
    if again_without("a_profile_that_denies_tracing_and_reading_memory", &denied) {
        let place = Place::new();
        place.write("in.csv", "a,b\n");
        let trace = place.observe_by(Way::Notification, &["sh", "-c", "cat in.csv > out.csv"]);
        assert_eq!((trace.completeness, place.reads(&trace)), (Completeness::Complete, vec!["in.csv".to_owned()]));
        let mut launch = place.launch(&["true"]);
        (launch.ways, launch.mode) = (Place::only(Way::Tracing), CaptureMode::Require);
        let error = start(&launch).expect_err("no tracing").to_string();
        assert!(error.contains("tracing is refused") && error.contains("--capture"), "{error}");
        launch.mode = CaptureMode::Auto;
        let mut started = start(&launch).expect("unobserved");
        assert_eq!(started.wait().expect("its end").code(), 0);
        let trace = started.finish();
        assert_eq!((trace.mechanism, trace.completeness), (Mechanism::Declared, Completeness::Declared));
        assert!(trace.fallback.expect("why").contains("tracing is refused"));
    }
}

#[test]
fn a_profile_that_denies_filters() {
    if again_without("a_profile_that_denies_filters", &[libc::SYS_seccomp]) {
        let place = Place::new();
        let mut launch = place.launch(&["true"]);
        launch.mode = CaptureMode::Require;
        let error = start(&launch).expect_err("no filter");
        assert!(matches!(error, StartError::Unobservable(_)), "{error}");
        launch.mode = CaptureMode::Auto;
        let mut started = start(&launch).expect("unobserved");
        assert_eq!(started.wait().expect("its end").code(), 0);
        assert_eq!(started.finish().completeness, Completeness::Declared);
    }
}
