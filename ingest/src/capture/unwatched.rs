//! The watch where there is none: elsewhere than on Linux no way to observe is tried.

use super::kernel::Image;
use super::launch::{Launch, StartError};
use super::trace::{Mechanism, Trace};

/// A way to observe; there is none.
#[derive(Clone, Copy, Debug)]
pub(super) enum Way {}

/// A command that is observed; there is none.
#[derive(Debug)]
pub(super) enum Watch {}

/// Why a command does not run under a watch.
#[allow(dead_code, reason = "what is not tried does not fail")]
pub(super) enum Failed {
    Start(StartError),
    Watch(String),
}

/// Where the end of a command would be told.
pub(super) enum End {}

impl Way {
    pub(super) const ALL: [Self; 0] = [];

    pub(super) fn mechanism(self) -> Mechanism {
        match self {}
    }

    pub(super) fn start(self, _: &mut Image, _: &Launch) -> Result<(u32, Watch), Failed> {
        match self {}
    }
}

impl Watch {
    pub(super) fn end(&self) -> Option<&End> {
        match *self {}
    }

    pub(super) fn finish(self) -> Trace {
        match self {}
    }
}

impl End {
    pub(super) fn look(&self, _: bool) -> std::io::Result<Option<super::launch::Exit>> {
        match *self {}
    }
}
