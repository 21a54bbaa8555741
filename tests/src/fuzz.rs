//! Mutating questions: what is kept of them, what must hold for each, and which are worth keeping.

use std::collections::HashSet;
use std::fs;
use std::path::PathBuf;

use lineage_query::syntax::{
    RESERVED, Statement, expected_at, parse, print_english, print_terse, render_json, render_narrated, render_text,
};

use crate::random::Random;
use crate::workspace;

/// A mutated text is at most so long, in bytes.
const LONGEST: usize = 4096;
/// The most texts that are mutated further.
const KEPT_MAX: usize = 20_000;

/// The folder of the corpus; each line of its files is a text.
pub fn corpus() -> PathBuf {
    workspace().join("tests/fuzz/corpus")
}

/// The texts of the corpus.
///
/// # Panics
/// If it cannot be read.
pub fn read_corpus() -> Vec<String> {
    let mut paths: Vec<PathBuf> = fs::read_dir(corpus()).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    let texts = paths.iter().map(|path| fs::read_to_string(path).unwrap());
    texts.flat_map(|text| text.lines().map(unescaped).collect::<Vec<_>>()).filter(|line| !line.is_empty()).collect()
}

/// A line of the corpus as a text: line breaks and control characters are escaped there.
fn unescaped(line: &str) -> String {
    serde_json::from_str(&format!("\"{line}\"")).unwrap_or_else(|_| line.to_owned())
}

/// A text as a line of the corpus.
pub fn escaped(text: &str) -> String {
    serde_json::Value::from(text).to_string().trim_matches('"').to_owned()
}

/// Texts that are mutated, and what was seen.
pub struct Fuzz {
    random: Random,
    texts: Vec<String>,
    seen: HashSet<String>,
    /// The texts that did something new.
    pub found: Vec<String>,
}

impl Fuzz {
    /// Begins with the corpus.
    pub fn new(seed: u64) -> Self {
        let mut fuzz = Self { random: Random::new(seed), texts: Vec::new(), seen: HashSet::new(), found: Vec::new() };
        for text in read_corpus() {
            fuzz.seen.insert(check(&text).unwrap_or_default());
            fuzz.texts.push(text);
        }
        fuzz
    }

    /// How many texts there are to mutate.
    pub fn texts(&self) -> usize {
        self.texts.len()
    }

    /// Mutates a text and checks it; what does not hold, with the text.
    ///
    /// # Errors
    /// What does not hold.
    pub fn round(&mut self) -> Result<(), String> {
        let text = self.mutated();
        let trace = check(&text).map_err(|why| format!("{}\n{why}", escaped(&text)))?;
        if self.seen.insert(trace) && self.texts.len() < KEPT_MAX {
            self.found.push(text.clone());
            self.texts.push(text);
        }
        Ok(())
    }

    /// The next text, for a caller that must know it even if checking it does not return.
    pub fn mutated(&mut self) -> String {
        let mut text = self.pick().to_owned();
        for _ in 0..=self.below(3) {
            text = self.mutate(&text);
        }
        while text.len() > LONGEST {
            text.pop();
        }
        text
    }

    fn below(&mut self, n: usize) -> usize {
        self.random.below(n.max(1))
    }

    fn pick(&mut self) -> &str {
        let at = self.below(self.texts.len());
        &self.texts[at]
    }

    /// A place between two characters.
    fn place(&mut self, text: &str) -> usize {
        let mut at = self.below(text.len() + 1);
        while !text.is_char_boundary(at) {
            at -= 1;
        }
        at
    }

    fn mutate(&mut self, text: &str) -> String {
        let (a, b) = (self.place(text), self.place(text));
        let (from, to) = (a.min(b), a.max(b));
        let (before, inside, after) = (&text[..from], &text[from..to], &text[to..]);
        match self.below(7) {
            0 => format!("{before}{after}"),
            1 => format!("{before}{inside}{inside}{after}"),
            2 => {
                let other = self.pick().to_owned();
                let at = self.place(&other);
                format!("{before}{}", &other[at..])
            }
            3 => format!("{before} {} {after}", RESERVED[self.below(RESERVED.len())]),
            4 => {
                const MARKS: [&str; 24] = [
                    "(", ")", "[", "]", "::", ",", "|", "&", "~", "=", "!=", "@", ":", "'", "\"", ".", "$", "==", "*",
                    "\n", "\u{0}", "é", "\u{202e}", "9",
                ];
                format!("{before}{}{inside}{after}", MARKS[self.below(MARKS.len())])
            }
            5 => before.to_owned() + &inside.repeat(1 + self.below(20)) + after,
            _ => {
                let c = char::from_u32(u32::try_from(self.below(0x250)).unwrap_or(0)).unwrap_or(' ');
                format!("{before}{c}{after}")
            }
        }
    }
}

/// Everything that must hold for a text; a trace of what it did, equal for texts that do the same.
///
/// # Errors
/// What does not hold.
pub fn check(text: &str) -> Result<String, String> {
    for cursor in [0, text.len() / 2, text.len()] {
        let expected = expected_at(text, cursor);
        if text.get(expected.replace.start..expected.replace.end).is_none() {
            return Err(format!("completion at {cursor} replaces no part of the text"));
        }
    }
    match parse(text) {
        Ok(tree) => survives_printing(&tree),
        Err(told) => {
            if !(1..=3).contains(&told.len()) {
                return Err(format!("{} errors", told.len()));
            }
            let mut trace = String::new();
            for told in &told {
                if let Some(fix) = told.fixes.iter().find(|fix| parse(fix).is_err()) {
                    return Err(format!("offered, but it does not parse: {fix}"));
                }
                let drawn = render_text(told, text, false);
                if drawn.contains(['\u{1b}', '\u{202e}', '\u{0}']) {
                    return Err(format!("steers a terminal: {drawn:?}"));
                }
                let (_, _) = (render_narrated(told, text), render_json(told, text));
                // The words of a message without what it quotes of the text.
                let words: String = told.message.split('`').step_by(2).collect();
                trace.extend([told.code, " ", &words, " ", &told.edits.len().to_string(), ";"]);
            }
            Ok(trace)
        }
    }
}

fn survives_printing(tree: &Statement) -> Result<String, String> {
    for printed in [print_english(tree), print_terse(tree)] {
        match parse(&printed) {
            Ok(again) if again == *tree => {}
            Ok(_) => return Err(format!("printed it means something else: {printed}")),
            Err(told) => {
                return Err(format!("printed it does not parse: {printed}\n{}", render_narrated(&told[0], &printed)));
            }
        }
    }
    // The shape of the tree: its words without names, numbers and places.
    let shape: String =
        format!("{:?}", tree.body).chars().filter(|c| c.is_alphabetic() || "({[".contains(*c)).collect();
    Ok(shape.chars().take(120).collect())
}
