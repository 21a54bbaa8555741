//! `lineage log`: what was recorded, newest last.

use std::time::Duration;

use lineage_store::Reader;
use lineage_store::event::Kind;
use lineage_store::graph::View;

use crate::context::Context;
use crate::exit::ExitCode;
use crate::render::{align, clean, fit, phrase, time};
use crate::session::Session;

const EXAMPLES: &str = "\
EXAMPLES
  lineage log
  lineage log --limit 0 --kind audit         every audit
  lineage log --json | jq .event.actor
  lineage log --follow                       go on with what is recorded from now";

/// How often `--follow` looks.
const POLL: Duration = Duration::from_millis(200);

/// Arguments of `lineage log`.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Log {
    /// How many events; 0 for all
    #[arg(long, short = 'n', default_value_t = 30, value_name = "N")]
    limit: u32,
    /// Only events of this kind
    #[arg(long, value_name = "KIND", value_parser = parse_kind)]
    kind: Option<Kind>,
    /// Go on with what is recorded from now
    #[arg(long, short)]
    follow: bool,
}

fn parse_kind(word: &str) -> Result<Kind, String> {
    Kind::from_word(word).ok_or_else(|| {
        let kinds: Vec<_> = Kind::ALL.iter().map(|kind| kind.as_str()).collect();
        format!("the kinds are {}", kinds.join(", "))
    })
}

impl Log {
    pub(super) fn run(self, context: &Context) -> anyhow::Result<ExitCode> {
        let session = context.open()?;
        let (lines, mut seen) = session.with_view(|view| {
            let positions = self.positions(view);
            Ok((Lines::new(&session)?.of(view, &positions)?, view.count()))
        })?;
        if lines.is_empty() && !self.follow && !context.json {
            context.terminal.tell("no events yet");
        }
        if !lines.is_empty() {
            context.terminal.print(&lines)?;
        }
        if !self.follow {
            return Ok(ExitCode::Done);
        }
        loop {
            std::thread::sleep(POLL);
            if session.store.head()?.count > u64::from(seen) {
                let from = seen;
                let (lines, count) = session.with_view(|view| {
                    let positions: Vec<u32> = (from..view.count()).filter(|p| self.wants(view, *p)).collect();
                    Ok((Lines::new(&session)?.of(view, &positions)?, view.count()))
                })?;
                seen = count;
                if !lines.is_empty() {
                    context.terminal.print(&lines)?;
                }
            }
        }
    }

    fn wants(&self, view: &View, position: u32) -> bool {
        self.kind.is_none_or(|kind| view.kind(position) == kind)
    }

    /// The last events that are wanted, oldest first.
    fn positions(&self, view: &View) -> Vec<u32> {
        let limit = if self.limit == 0 { usize::MAX } else { self.limit as usize };
        let newest = (0..view.count()).rev().filter(|position| self.wants(view, *position));
        let mut positions: Vec<u32> = newest.take(limit).collect();
        positions.reverse();
        positions
    }
}

/// Makes lines of events.
pub(super) struct Lines<'a> {
    session: &'a Session,
    reader: Reader,
}

impl<'a> Lines<'a> {
    pub(super) fn new(session: &'a Session) -> anyhow::Result<Self> {
        Ok(Self { session, reader: session.store.reader()? })
    }

    /// A line for each event: JSON, or columns.
    pub(super) fn of(&self, view: &View, positions: &[u32]) -> anyhow::Result<String> {
        if self.session.context.json {
            let mut text = String::new();
            for position in positions {
                text.push_str(&self.json(view, *position)?);
                text.push('\n');
            }
            return Ok(text);
        }
        let rows = positions.iter().map(|position| self.row(view, *position)).collect::<anyhow::Result<Vec<_>>>()?;
        let width = self.session.context.terminal.width;
        Ok(align(&rows).lines().map(|line| fit(line, width) + "\n").collect())
    }

    /// The leaf with its position.
    pub(super) fn json(&self, view: &View, position: u32) -> anyhow::Result<String> {
        let record = self.reader.get(position.into())?;
        let hidden = if view.is_hidden(position) { ",\"retracted\":true" } else { "" };
        Ok(format!("{{\"position\":{position}{hidden},\"event\":{}}}", String::from_utf8_lossy(&record.leaf)))
    }

    fn row(&self, view: &View, position: u32) -> anyhow::Result<Vec<String>> {
        let (event, ..) = self.reader.event(position.into())?;
        let hidden = if view.is_hidden(position) { "(retracted) " } else { "" };
        Ok(vec![
            format!("#{position}"),
            time(view.time(position)),
            event.kind.to_string(),
            clean(&event.actor),
            format!("{hidden}{}", phrase(view, position, &event)),
        ])
    }
}
