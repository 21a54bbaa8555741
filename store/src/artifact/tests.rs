//! Tests of storing, restoring and verifying.

use std::fs;
use std::os::unix::fs::{PermissionsExt as _, symlink};

use tempfile::TempDir;

use super::*;

fn setup() -> (TempDir, Artifacts) {
    let folder = TempDir::new().expect("a folder");
    let artifacts = Artifacts::create(&folder.path().join("artifacts")).expect("a shelf");
    (folder, artifacts)
}

fn write(path: &Path, text: &str) {
    fs::create_dir_all(path.parent().expect("a parent")).expect("a folder");
    fs::write(path, text).expect("a file");
}

fn damage_file(artifacts: &Artifacts, digest: &Blake3, text: &str) {
    let path = artifacts.path(digest);
    fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).expect("writable");
    fs::write(&path, text).expect("damage");
}

#[test]
fn a_file_is_kept_once_and_restored() {
    let (folder, artifacts) = setup();
    let source = folder.path().join("data.csv");
    write(&source, "a,b\n1,2\n");
    let stored = artifacts.put_file(&source).expect("stored");
    assert_eq!(stored.digest, Blake3::of(b"a,b\n1,2\n"));
    assert_eq!((stored.size, stored.n_files, stored.sha256.len()), (8, None, 64));
    assert_eq!(Artifacts::hash_path(&source).expect("hashed"), stored);
    assert_eq!(artifacts.put_bytes(b"a,b\n1,2\n").expect("stored"), stored);
    assert_eq!(artifacts.size_on_disk().expect("a size"), 8);
    let target = folder.path().join("back.csv");
    write(&target, "old");
    artifacts.get(&stored.digest, &target).expect("restored");
    assert_eq!(fs::read_to_string(&target).expect("text"), "a,b\n1,2\n");
    assert_eq!(artifacts.read(&stored.digest, 8).expect("bytes"), b"a,b\n1,2\n");
    assert!(artifacts.read(&stored.digest, 7).is_err());
    assert_eq!(fs::read_dir(folder.path().join("artifacts/tmp")).expect("tmp").count(), 0);
    let missing = artifacts.get(&Blake3::of(b"other"), &target).expect_err("missing");
    assert!(matches!(missing, StoreError::NoArtifact { .. }));
}

#[test]
fn damage_is_found_and_never_restored() {
    let (folder, artifacts) = setup();
    let digest = artifacts.put_bytes(b"weights").expect("stored").digest;
    artifacts.put_bytes(b"other").expect("stored");
    damage_file(&artifacts, &digest, "Weights");
    let target = folder.path().join("model");
    let error = artifacts.get(&digest, &target).expect_err("damaged");
    assert!(error.is_corrupt() && error.to_string().contains(&digest.hex()[2..]), "{error}");
    assert!(!target.exists());
    assert!(artifacts.open_verified(&digest).is_err());
    let mut n_bytes = 0;
    let damage = artifacts.verify_all(&mut |n| n_bytes += n).expect("verified");
    assert_eq!((damage.len(), n_bytes), (1, 12));
    assert_eq!(damage[0].file, artifacts.path(&digest));
    damage_file(&artifacts, &digest, "short");
    artifacts.put_bytes(b"weights").expect("mended");
    assert!(artifacts.verify_all(&mut |_| {}).expect("verified").is_empty());
}

#[test]
fn a_folder_is_one_version_wherever_it_lies() {
    let (folder, artifacts) = setup();
    let source = folder.path().join("model");
    write(&source.join("weights/a.bin"), "a");
    write(&source.join("run.sh"), "#!/bin/sh\n");
    write(&source.join(".lineage/journal"), "not part of it");
    fs::set_permissions(source.join("run.sh"), fs::Permissions::from_mode(0o755)).expect("executable");
    let stored = artifacts.put_path(&source).expect("stored");
    assert_eq!((stored.n_files, stored.size), (Some(2), 11));
    assert_eq!(Artifacts::hash_path(&source).expect("hashed"), stored);
    let many = [source.join("weights/a.bin"), source.join("run.sh")];
    assert_eq!(Artifacts::hash_many(&source, &many).expect("hashed"), stored);
    assert_eq!(artifacts.put_many(&source, &many).expect("stored"), stored);
    let manifest = artifacts.manifest(&stored.digest).expect("read").expect("a manifest");
    assert_eq!(manifest.entries().iter().map(|e| e.path.as_str()).collect::<Vec<_>>(), ["run.sh", "weights/a.bin"]);
    let back = folder.path().join("back");
    artifacts.get(&stored.digest, &back).expect("restored");
    assert_eq!(Artifacts::hash_path(&back).expect("hashed").digest, stored.digest);
    assert!(artifacts.get(&stored.digest, &back).is_err(), "a folder with files is never replaced");
    assert!(artifacts.remove(&manifest.entries()[0].digest).expect("removed"));
    let damage = artifacts.verify_all(&mut |_| {}).expect("verified");
    assert!(damage.len() == 1 && damage[0].what.contains("run.sh"), "{damage:?}");
    assert!(artifacts.get(&stored.digest, &folder.path().join("half")).is_err());
    assert!(!folder.path().join("half").exists());
}

#[test]
fn what_has_no_bytes_is_refused() {
    let (folder, artifacts) = setup();
    let source = folder.path().join("folder");
    write(&source.join("a"), "a");
    symlink(source.join("a"), source.join("link")).expect("a link");
    let error = artifacts.put_path(&source).expect_err("a link inside").to_string();
    assert!(error.contains("link") && error.contains("symbolic"), "{error}");
    artifacts.put_path(&source.join("link")).expect("a link that was named is followed");
    fs::remove_file(source.join("link")).expect("removed");
    rustix::fs::mknodat(
        rustix::fs::CWD,
        source.join("pipe"),
        rustix::fs::FileType::Fifo,
        rustix::fs::Mode::from_raw_mode(0o600),
        0,
    )
    .expect("a pipe");
    assert!(artifacts.put_path(&source).expect_err("a pipe").to_string().contains("pipe"));
    assert!(artifacts.put_file(Path::new("/dev/null")).is_err());
    fs::create_dir(folder.path().join("empty")).expect("a folder");
    assert!(artifacts.put_path(&folder.path().join("empty")).is_err());
    assert!(artifacts.put_many(&source, &[folder.path().join("elsewhere")]).is_err());
}

#[test]
fn bytes_that_change_are_never_kept_under_the_wrong_name() {
    let (folder, artifacts) = setup();
    let mut folders = BTreeSet::new();
    let digest = Blake3::of(b"before");
    let kept = artifacts.shelf.keep(&digest, 6, &mut folders, &mut |_, _| Ok(Blake3::of(b"after"))).expect("no error");
    assert!(!kept && !artifacts.contains(&digest));
    let before = std::time::SystemTime::now() + std::time::Duration::from_mins(1);
    fs::write(folder.path().join("artifacts/tmp/1-1"), "left by a crash").expect("a leftover");
    assert_eq!(artifacts.sweep(before).expect("swept"), 1);
}

#[test]
fn a_read_only_folder_can_be_read() {
    let (folder, artifacts) = setup();
    let digest = artifacts.put_bytes(b"x").expect("stored").digest;
    let path = folder.path().join("artifacts");
    fs::set_permissions(&path, fs::Permissions::from_mode(0o555)).expect("read-only");
    let opened = Artifacts::open(&path).expect("opened");
    assert_eq!(opened.read(&digest, 10).expect("bytes"), b"x");
    assert!(opened.verify_all(&mut |_| {}).expect("verified").is_empty());
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).expect("writable");
    assert!(Artifacts::open(&folder.path().join("none")).is_err());
}
