//! Text for people: aligned columns, sizes, times, and one line for each event.

use lineage_store::event::{About, EntityKind, Event, Kind, Outcome, State};
use lineage_store::graph::{Use, View};
use lineage_store::time::Time;

use crate::reference::{Found, label};

/// The most things that one line names on each side.
const NAMED_MAX: usize = 3;

/// The word for a kind.
pub(crate) fn kind_word(kind: EntityKind) -> &'static str {
    kind.as_str()
}

/// Text without the control characters that would let it rewrite the terminal.
pub(crate) fn clean(text: &str) -> String {
    text.chars().flat_map(|c| if c.is_control() { c.escape_debug().collect() } else { vec![c] }).collect()
}

/// A number of bytes.
pub(crate) fn size(bytes: u64) -> String {
    const UNITS: [&str; 4] = ["kB", "MB", "GB", "TB"];
    if bytes < 1000 {
        return format!("{bytes} B");
    }
    let (mut value, mut unit) = (bytes as f64 / 1000.0, 0);
    while value >= 999.95 && unit + 1 < UNITS.len() {
        value /= 1000.0;
        unit += 1;
    }
    format!("{value:.1} {}", UNITS[unit])
}

/// A number with a word, in the plural where that is right.
pub(crate) fn count(n: u64, word: &str) -> String {
    format!("{n} {word}{}", if n == 1 { "" } else { "s" })
}

/// A time to the second.
pub(crate) fn time(time: Time) -> String {
    Time(time.0.div_euclid(1_000_000_000) * 1_000_000_000).to_string()
}

/// How long ago a time was.
pub(crate) fn ago(then: Time, now: Time) -> String {
    let seconds = now.0.saturating_sub(then.0) / 1_000_000_000;
    match seconds {
        ..0 => "in the future".to_owned(),
        0..60 => format!("{seconds} s ago"),
        60..3600 => format!("{} min ago", seconds / 60),
        3600..172_800 => format!("{} h ago", seconds / 3600),
        _ => format!("{} days ago", seconds / 86_400),
    }
}

/// Text cut to a width.
pub(crate) fn fit(text: &str, width: Option<usize>) -> String {
    match width {
        Some(width) if text.chars().count() > width => {
            text.chars().take(width.saturating_sub(1)).chain(std::iter::once('…')).collect()
        }
        _ => text.to_owned(),
    }
}

/// Rows of cells under each other, each column as wide as its widest cell.
pub(crate) fn align(rows: &[Vec<String>]) -> String {
    let columns = rows.iter().map(Vec::len).max().unwrap_or(0);
    let width = |column: usize| rows.iter().filter_map(|r| r.get(column)).map(|c| c.chars().count()).max().unwrap_or(0);
    let widths: Vec<usize> = (0..columns).map(width).collect();
    let mut text = String::new();
    for row in rows {
        let mut line = String::new();
        for (cell, width) in row.iter().zip(&widths) {
            line.push_str(cell);
            line.push_str(&" ".repeat(width - cell.chars().count() + 2));
        }
        text.push_str(line.trim_end());
        text.push('\n');
    }
    text
}

/// One event in one phrase: what it used, made, or is about.
pub(crate) fn phrase(view: &View, position: u32, event: &Event) -> String {
    let mentions = view.mentions(position);
    let of = |about: bool| {
        mentions
            .iter()
            .filter(move |m| (m.usage == Use::About) == about)
            .map(|m| label(view, Found::Version(m.version)))
    };
    let mut about: Vec<String> = of(true).collect();
    // What an event is about is often an input of its run, too.
    let inputs: Vec<String> = of(false).filter(|input| !about.contains(input)).collect();
    let entities = view.about_entities(position);
    if !entities.is_empty() {
        about = entities.into_iter().map(|entity| label(view, Found::Entity(entity))).collect();
    }
    let outputs: Vec<_> = view.made(position).iter().map(|made| label(view, Found::Version(made.version))).collect();
    let mut words = Vec::new();
    if event.kind <= Kind::Evaluation || event.kind == Kind::Register {
        words.extend(event.job.as_deref().map(clean));
    }
    if about.is_empty() {
        words.extend(said_about(view, event));
    } else {
        words.push(list(&about));
    }
    if (!inputs.is_empty() && event.kind != Kind::Audit) || !outputs.is_empty() {
        let (inputs, outputs) = (list(&inputs), list(&outputs));
        words.push(match (inputs.is_empty(), outputs.is_empty()) {
            (true, _) => outputs,
            (_, true) => format!("{inputs} →"),
            _ => format!("{inputs} → {outputs}"),
        });
    }
    words.extend(details(event));
    words.join("  ")
}

/// Runs and events, as they are named.
fn said_about(view: &View, event: &Event) -> Vec<String> {
    let words = event.about.iter().map(|about| match about {
        About::Event(id) => match view.find_event(&event.namespace, id) {
            Some(position) => format!("#{position}"),
            None => format!("event {}", clean(id)),
        },
        About::Run(run) => format!("run {}", clean(&run.run)),
        About::Thing(thing) => {
            let version = thing.version.as_ref().map(|version| format!("@{version}")).unwrap_or_default();
            let name = thing.name.as_deref().unwrap_or("a digest");
            clean(&format!("{} {name}{version}", thing.kind.map_or("", kind_word)))
        }
    });
    words.collect()
}

fn details(event: &Event) -> Vec<String> {
    let mut words = Vec::new();
    let args = &event.args;
    words.extend(event.outcome.map(|outcome| match outcome {
        Outcome::Pass => "pass".to_owned(),
        Outcome::Fail => "fail".to_owned(),
    }));
    words.extend(event.environment.as_ref().map(|environment| match event.kind {
        Kind::Retirement => format!("from {}", clean(environment)),
        _ => format!("to {}", clean(environment)),
    }));
    words.extend(event.service.as_ref().map(|service| format!("service {}", clean(service))));
    match event.kind {
        Kind::Tag => words.push(format!("+{}", clean(&args.texts("tags").join(" +")))),
        Kind::Untag => words.push(format!("-{}", clean(&args.texts("tags").join(" -")))),
        Kind::Alias => {
            let verb = if args.flag("remove") { "no longer " } else { "" };
            words.push(format!("{verb}@{}", clean(&args.text("alias").unwrap_or_default())));
        }
        Kind::Describe => {
            for field in ["owner", "purpose", "tier", "description"] {
                words.extend(args.text(field).map(|text| format!("{field} {}", clean(&text))));
            }
        }
        Kind::Retract => words.extend(args.text("reason").map(|text| clean(&text))),
        _ => {}
    }
    if event.state != State::Complete {
        words.push(event.state.to_string());
    }
    words
}

fn list(names: &[String]) -> String {
    let mut shown: Vec<String> = names.iter().take(NAMED_MAX).map(|name| clean(name)).collect();
    if names.len() > NAMED_MAX {
        shown.push(format!("{} more", names.len() - NAMED_MAX));
    }
    shown.join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_read_well() {
        assert_eq!(
            [0, 999, 1000, 999_949, 999_950, 5_000_000_000].map(size),
            ["0 B", "999 B", "1.0 kB", "999.9 kB", "1.0 MB", "5.0 GB"]
        );
        assert_eq!((count(1, "event"), count(2, "event")), ("1 event".to_owned(), "2 events".to_owned()));
        let s = |n: i64| ago(Time(0), Time(n * 1_000_000_000));
        assert_eq!([5, 65, 7200, 864_000].map(s), ["5 s ago", "1 min ago", "2 h ago", "10 days ago"]);
    }

    #[test]
    fn columns_line_up_and_text_is_harmless() {
        let rows = [vec!["a".to_owned(), "b".to_owned()], vec!["ccc".to_owned(), "d".to_owned()]];
        assert_eq!(align(&rows), "a    b\nccc  d\n");
        assert_eq!(clean("a\x1b[2Jb"), "a\\u{1b}[2Jb");
        assert_eq!(fit("abcdef", Some(4)), "abc…");
    }
}
