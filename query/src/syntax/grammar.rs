//! The grammar for programs: the rules as text, the closed word list, and what each word is for.

use super::words::{CLAUSE_WORDS, EDITION, FUNCTIONS, PLURALS, RESERVED, SINGULARS, SYMBOLS, TAIL_WORDS, WINDOW_WORDS};
use serde_json::{Value, json};

/// The rules of edition 1 in EBNF.
pub const EBNF: &str = include_str!("grammar.ebnf");

/// What the words are for that a question is made of.
const ABOUT: &[(&str, &str)] = &[
    ("about", "events that use, make or concern something"),
    ("all of", "each of the names"),
    ("and", "both"),
    ("any of", "one of the names"),
    ("as of", "what had happened by then"),
    ("audited", "versions that an audit is about"),
    ("avg", "the mean of an attribute"),
    ("avoiding", "routes around a set"),
    ("between", "from one time through another"),
    ("by", "the agent"),
    ("count", "how many, `per` group"),
    ("created", "when or by whom a version was minted"),
    ("deployed", "versions that a deployment named; `live` is the state"),
    ("derived", "reached from data over data inputs"),
    ("diff", "what changed, in symbols"),
    ("directly", "in one step"),
    ("downstream", "everything that something led to"),
    ("during", "within a day or month"),
    ("evaluated", "versions that an evaluation is about"),
    ("every", "each member of a set"),
    ("except", "without the members of another set"),
    ("explain", "how a question is read, and what it costs"),
    ("fine-tuned", "trained from a base model"),
    ("has", "the attribute is there"),
    ("in last", "a time until now"),
    ("including retracted", "with what was taken back"),
    ("intersect", "members of both sets"),
    ("known at", "what had been recorded by then"),
    ("like", "a pattern of % and _"),
    ("limit", "the most rows"),
    ("live", "in a slot now"),
    ("max", "the largest of an attribute"),
    ("min", "the smallest of an attribute"),
    ("not", "what does not"),
    ("only", "nothing outside a set"),
    ("or", "one or the other, inside `where`"),
    ("order by", "the order of the rows"),
    ("path", "one shortest way"),
    ("paths", "everything between"),
    ("per", "one row a group"),
    ("produced", "made by a step"),
    ("producing", "steps that made something"),
    ("query", "a saved question"),
    ("show", "further columns"),
    ("since", "from a time on"),
    ("sum", "the sum of an attribute"),
    ("tagged", "having a tag now"),
    ("trained", "made by a training, through transforms and base models"),
    ("union", "members of either set"),
    ("upstream", "everything that led to something"),
    ("used", "read by a step"),
    ("using", "steps that read something"),
    ("what changed", "between two versions, or in a set between two times"),
    ("where", "a condition on attributes"),
    ("why", "what shows that something is in a set, or not"),
    ("with", "having events about it"),
    ("within", "in so many steps"),
    ("without", "having no events about it"),
];

/// What a word of the language is for; empty for words that explain themselves.
pub fn about(word: &str) -> &'static str {
    ABOUT.iter().find(|(known, _)| *known == word).map_or("", |(_, about)| about)
}

/// The grammar as one object; `attributes` are the built-in ones with what they mean.
pub fn grammar(attributes: &[(&str, &str)]) -> Value {
    let described = |words: &[&str]| -> Vec<Value> {
        words.iter().map(|word| json!({ "word": word, "about": about(word) })).collect()
    };
    let attributes = attributes.iter().map(|(word, about)| json!({ "word": word, "about": about }));
    json!({
        "schema": "lineage.grammar/1",
        "edition": EDITION,
        "ebnf": EBNF,
        "reserved": RESERVED,
        "symbols": SYMBOLS,
        "nouns": PLURALS.iter().zip(SINGULARS).map(|(many, one)| json!({ "plural": many, "singular": one })).collect::<Vec<_>>(),
        "clauses": described(CLAUSE_WORDS),
        "windows": described(WINDOW_WORDS),
        "tails": described(TAIL_WORDS),
        "functions": FUNCTIONS,
        "attributes": attributes.collect::<Vec<_>>(),
        "attribute_namespaces": ["metric", "param", "meta"],
        "max_bytes": super::parse::MAX_BYTES,
        "max_depth": super::token::MAX_DEPTH,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_word_is_told_of() {
        assert!(ABOUT.is_sorted());
        let first = |words: &str| words.split(' ').next().unwrap_or_default().to_owned();
        for (word, _) in ABOUT {
            assert!(RESERVED.contains(&first(word).as_str()), "{word}");
        }
        for word in CLAUSE_WORDS.iter().chain(TAIL_WORDS) {
            assert!(!about(word).is_empty(), "{word}");
        }
        // The rules name every word but those that are spelled in their plural, or stand within others.
        for word in RESERVED.iter().filter(|word| !PLURALS.contains(word) && !SINGULARS.contains(word)) {
            let quoted = EBNF.contains(&format!("\"{word}")) || EBNF.contains(&format!(" {word}\""));
            assert!(quoted || *word == "feature" || *word == "of", "{word}");
        }
    }
}
