//! How failures are told: drawn on a terminal, in plain sentences elsewhere, as JSON to programs.

use std::ffi::OsStr;

use lineage_query::syntax::{self, Diagnostic};
use serde_json::{Value, json};

use crate::exit::{ExitCode, explain};
use crate::render::clean;
use crate::terminal::Terminal;

/// The forms of an error.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum ErrorFormat {
    /// With the place drawn under the question
    Text,
    /// In plain sentences, for logs and screen readers
    Narrated,
    /// One JSON object
    Json,
}

/// In which form errors are told, and where.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Errors {
    format: ErrorFormat,
    /// With `--json` a program reads JSON from standard output, so errors go there as well.
    to_output: bool,
    color: bool,
}

impl Errors {
    /// As asked for, else as fits the stream: drawn on a terminal that may have colour.
    pub(crate) fn new(asked: Option<ErrorFormat>, json: bool, no_color: bool, terminal: &Terminal) -> Self {
        let color = terminal.err && !no_color;
        let fitting = match (json, color) {
            (true, _) => ErrorFormat::Json,
            (false, true) => ErrorFormat::Text,
            (false, false) => ErrorFormat::Narrated,
        };
        Self { format: asked.unwrap_or(fitting), to_output: json, color }
    }

    /// Says what failed and what to do about it.
    pub(crate) fn tell(self, error: &anyhow::Error, terminal: &Terminal) -> ExitCode {
        let Some((code, message, help)) = explain(error) else { return ExitCode::Done };
        if self.format == ErrorFormat::Json {
            self.put(terminal, &failed(&message, help.as_deref(), code), code);
            return code;
        }
        if !message.is_empty() {
            let message: Vec<_> = message.lines().map(clean).collect();
            terminal.tell(&format!("error: {}", message.join(" ")));
        }
        if let Some(help) = help {
            terminal.tell(&format!("help: {}", clean(&help)));
        }
        code
    }

    /// Says what is wrong with a question.
    pub(crate) fn tell_diagnostics(self, list: &[Diagnostic], text: &str, code: ExitCode, terminal: &Terminal) {
        match self.format {
            ErrorFormat::Json => {
                let errors: Vec<_> = list.iter().map(|d| syntax::render_json(d, text)).collect();
                self.put(terminal, &json!({ "errors": errors, "exit": code.number() }), code);
            }
            ErrorFormat::Text => {
                for diagnostic in list {
                    terminal.tell(&syntax::render_text(diagnostic, text, self.color));
                }
            }
            ErrorFormat::Narrated => {
                for diagnostic in list {
                    terminal.tell(&syntax::render_narrated(diagnostic, text));
                }
            }
        }
    }

    /// The error of a command line that clap refused, before there is a context.
    pub(crate) fn tell_usage(error: &clap::Error, terminal: &Terminal) {
        let (mut json, mut asked, mut before) = (false, false, false);
        for argument in std::env::args_os().skip(1).take_while(|argument| argument != "--") {
            json |= argument == "--json";
            asked |= argument == "--error-format=json" || before && argument == OsStr::new("json");
            before = argument == "--error-format";
        }
        if !json && !asked {
            // That a pipe is closed is no failure.
            error.print().ok();
            return;
        }
        let text = error.render().to_string();
        let mut parts = text.split("\n\n").map(|part| part.split_whitespace().collect::<Vec<_>>().join(" "));
        let message = parts.next().unwrap_or_default();
        let help: Vec<String> = parts.filter(|part| !part.is_empty()).collect();
        let errors = Self { format: ErrorFormat::Json, to_output: json, color: false };
        let told = failed(message.trim_start_matches("error: "), Some(&help.join("; ")), ExitCode::Usage);
        errors.put(terminal, &told, ExitCode::Usage);
    }

    /// Standard output holds one object: what a command has answered before it failed stays alone there, and so does
    /// what a command that was run has written.
    fn put(self, terminal: &Terminal, value: &Value, code: ExitCode) {
        if self.to_output && !terminal.has_answered() && !matches!(code, ExitCode::Child(_)) {
            // Where nobody reads, nobody can be told.
            terminal.print(&value.to_string()).ok();
        } else {
            terminal.tell(&value.to_string());
        }
    }
}

/// A failure that is no wrong question, in the form of those.
fn failed(message: &str, help: Option<&str>, code: ExitCode) -> Value {
    let help: Vec<&str> = help.into_iter().filter(|help| !help.is_empty()).collect();
    json!({
        "errors": [{
            "code": null, "message": message, "labels": [], "fixes": [], "help": help, "note": null,
            "suggestions": [], "edits": [],
        }],
        "exit": code.number(),
    })
}
