//! Completion in shells: the script that a shell loads, and what is offered for questions and names.

use std::env;
use std::ffi::{OsStr, OsString};
use std::sync::OnceLock;

use clap_complete::env::{CompleteEnv, Shells};
use clap_complete::{ArgValueCompleter, CompletionCandidate};

use super::language::candidates;
use crate::app;
use crate::context::{Context, Global};
use crate::exit::{ExitCode, Problem};

const EXAMPLES: &str = "\
EXAMPLES
  echo 'source <(lineage completions bash)' >> ~/.bashrc
  echo 'source <(lineage completions zsh)' >> ~/.zshrc
  lineage completions fish > ~/.config/fish/completions/lineage.fish

Questions and names are completed from the store; quote a question, then Tab works inside the quotes.";

/// The variable by which a shell asks for completions.
const VARIABLE: &str = "COMPLETE";
/// Shells that compare candidates with what the typed word means, and quote what they insert.
const QUOTING_SHELLS: [&str; 3] = ["zsh", "fish", "elvish"];
/// The shell that asks.
static SHELL: OnceLock<OsString> = OnceLock::new();
/// What some shell would read in double quotes, so that it is never offered there.
const SPECIAL: [char; 5] = ['"', '$', '`', '\\', '!'];
/// Flags of questions that take a value.
const VALUED: [&str; 12] = [
    "--actor",
    "--budget-steps",
    "--edition",
    "--error-format",
    "--expect",
    "--max-rows",
    "--now",
    "--output",
    "--param",
    "--store",
    "--timeout",
    "--tz",
];

/// Arguments of `lineage completions`.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Completions {
    /// bash, zsh, fish, elvish or powershell
    shell: String,
}

impl Completions {
    pub(super) fn run(self, context: &Context) -> anyhow::Result<ExitCode> {
        let shells = Shells::builtins();
        let Some(shell) = shells.completer(&self.shell) else {
            let known: Vec<&str> = shells.names().collect();
            return Err(Problem::usage(format!("`{}` is no shell that is known", self.shell.escape_debug()))
                .help(format!("write {}", known.join(", ")))
                .into());
        };
        let mut script = Vec::new();
        shell.write_registration(VARIABLE, "lineage", "lineage", "lineage", &mut script)?;
        context.terminal.write(&script)?;
        Ok(ExitCode::Done)
    }
}

/// Answers a shell that asks for completions; whether one did.
pub(crate) fn answer() -> bool {
    let folder = env::current_dir().ok();
    // The variable is taken away before anything is completed.
    if let Some(shell) = env::var_os(VARIABLE) {
        drop(SHELL.set(shell));
    }
    let asked =
        CompleteEnv::with_factory(app::clap_command).var(VARIABLE).try_complete(env::args_os(), folder.as_deref());
    // A shell shows nothing of an error; what was typed stays as it is.
    asked.unwrap_or(true)
}

/// Completes the words of a question.
pub(crate) fn of_question() -> ArgValueCompleter {
    ArgValueCompleter::new(|current: &OsStr| {
        let before = words_before();
        offered(&before, &current.to_string_lossy())
    })
}

/// Completes `KIND NAME[@VERSION]`.
pub(crate) fn of_reference() -> ArgValueCompleter {
    ArgValueCompleter::new(|current: &OsStr| {
        let kind = words_before().pop().filter(|word| crate::reference::kind_of(word).is_some());
        offered(kind.as_slice(), &current.to_string_lossy())
    })
}

/// The words between the command and the cursor, without flags.
fn words_before() -> Vec<String> {
    let words: Vec<String> =
        env::args_os().skip_while(|word| word != "--").skip(1).map(|w| w.to_string_lossy().into()).collect();
    let index = env::var("_CLAP_COMPLETE_INDEX").ok().and_then(|index| index.parse().ok());
    let cursor: usize = index.unwrap_or(words.len().saturating_sub(1));
    let mut kept = Vec::new();
    let mut words = words.into_iter().take(cursor).skip(1);
    while let Some(word) = words.next() {
        if VALUED.contains(&word.as_str()) || word == "-o" {
            words.next();
        } else if !word.starts_with('-') {
            kept.push(word);
        }
    }
    // The first is the command.
    kept.drain(..kept.len().min(1));
    kept
}

/// What may follow these words instead of the current one.
fn offered(before: &[String], current: &str) -> Vec<CompletionCandidate> {
    let quote = current.chars().next().filter(|c| matches!(c, '\'' | '"'));
    let typed = current.trim_start_matches(['\'', '"']);
    let text = before.iter().map(String::as_str).chain([typed]).collect::<Vec<_>>().join(" ");
    let shared = text.len() - typed.len();
    let context = Context::new(Global::default());
    let Ok(found) = candidates(&context, &text, text.len()) else { return Vec::new() };
    let inside = quote.is_some() || typed.contains(' ');
    let shell_quotes = SHELL.get().is_some_and(|shell| QUOTING_SHELLS.iter().any(|quoting| shell == quoting));
    found
        .into_iter()
        .filter_map(|candidate| {
            let kept = typed.get(..candidate.replace.start.checked_sub(shared)?)?;
            let text = format!("{kept}{}", candidate.text);
            let word = if shell_quotes { text } else { in_shell(&text, quote, inside)? };
            Some(CompletionCandidate::new(word).help((!candidate.doc.is_empty()).then(|| candidate.doc.into())))
        })
        .collect()
}

/// The text as one word of a shell: `inside` quotes as it is, else in double quotes where it must be.
///
/// `None` where a shell might read it as something else.
fn in_shell(text: &str, quote: Option<char>, inside: bool) -> Option<String> {
    let plain = text.chars().all(|c| c.is_alphanumeric() || "_-./@:,+=%".contains(c));
    if text.contains(SPECIAL) || quote == Some('\'') && text.contains('\'') {
        return None;
    }
    match quote {
        Some(quote) => Some(format!("{quote}{text}")),
        None if inside || plain => Some(text.to_owned()),
        None => Some(format!("\"{text}\"")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_one_word_of_a_shell() {
        assert_eq!(in_shell("churn-raw", None, false).as_deref(), Some("churn-raw"));
        assert_eq!(in_shell("'my data'", None, false).as_deref(), Some("\"'my data'\""));
        assert_eq!(in_shell("models trained on 'my data'", None, true).as_deref(), Some("models trained on 'my data'"));
        assert_eq!(in_shell("models trained", Some('"'), true).as_deref(), Some("\"models trained"));
        assert_eq!(in_shell("dataset 'my data'", Some('\''), true), None, "the quote would end there");
        for hostile in ["'$(rm -rf x)'", "'`x`'", "'a\"b'", "'a!b'", "'a\\b'"] {
            assert_eq!(in_shell(hostile, None, true), None, "{hostile}");
        }
    }
}
