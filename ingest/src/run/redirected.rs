//! Redirected streams: files of ours that the command reads or writes without ever naming them, as in `< in > out`.

use std::fs::{self, File};
use std::os::fd::AsRawFd as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::PathBuf;

use super::stream::Standard;

/// The regular files to which the standard streams of this process lead.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Redirected {
    /// Standard input.
    pub input: Option<PathBuf>,
    /// Standard output. Standard error is none: the recorder speaks there itself, and a file of both is a log.
    pub output: Option<PathBuf>,
}

impl Redirected {
    /// Looks where these streams lead; only Linux tells.
    pub fn of(standard: &Standard) -> Self {
        let error = path(&standard.error);
        Self {
            input: path(&standard.input),
            output: path(&standard.output).filter(|path| Some(path) != error.as_ref()),
        }
    }
}

/// The path of an open regular file, if it has a name and that leads to it.
fn path(file: &File) -> Option<PathBuf> {
    let open = file.metadata().ok().filter(|metadata| metadata.is_file() && metadata.nlink() > 0)?;
    let path = fs::read_link(format!("/proc/self/fd/{}", file.as_raw_fd())).ok()?;
    let named = fs::symlink_metadata(&path).ok()?;
    ((named.dev(), named.ino()) == (open.dev(), open.ino())).then_some(path)
}

#[cfg(test)]
mod tests {
    #[test]
    #[cfg(target_os = "linux")]
    fn only_files_with_a_name_are_told() {
        use std::sync::Arc;

        use super::*;

        let folder = tempfile::tempdir().expect("a folder");
        let root = folder.path().canonicalize().expect("a path");
        let file = |name: &str| Arc::new(File::create(root.join(name)).expect("a file"));
        let null = || Arc::new(File::open("/dev/null").expect("the null device"));
        let (input, output) = (file("in"), file("out"));
        let of = |input: &Arc<File>, output: &Arc<File>, error: &Arc<File>| {
            let [input, output, error] = [input, output, error].map(Arc::clone);
            Redirected::of(&Standard { input, output, error })
        };
        let both = Redirected { input: Some(root.join("in")), output: Some(root.join("out")) };
        assert_eq!(of(&input, &output, &null()), both);
        assert_eq!(of(&null(), &null(), &output), Redirected::default());
        assert_eq!(of(&null(), &output, &output), Redirected::default(), "a file of both is a log");
        fs::remove_file(root.join("in")).expect("removed");
        assert_eq!(of(&input, &null(), &null()), Redirected::default(), "it has no name any more");
    }
}
