//! The trace: what was observed of a command, by which mechanism, and what could not be seen.

/// How a command was observed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mechanism {
    /// Not at all; only what was declared is known, compared before and after.
    Declared,
    /// Not even that.
    Off,
}

impl Mechanism {
    /// The word that stands in events.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Declared => "declared",
            Self::Off => "off",
        }
    }
}

/// How much of what a command read and wrote is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Completeness {
    /// Everything that passes through the file system.
    Complete,
    /// Something was seen, and something is known not to have been seen: the holes say what.
    Partial,
    /// What the caller declared.
    Declared,
    /// Nothing.
    None,
}

impl Completeness {
    /// The word that stands in events.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Complete => "complete",
            Self::Partial => "partial",
            Self::Declared => "declared",
            Self::None => "none",
        }
    }
}

/// What was observed of a command.
#[derive(Clone, Debug)]
pub struct Trace {
    /// By which means.
    pub mechanism: Mechanism,
    /// How much of it.
    pub completeness: Completeness,
}
