//! Every example of the language, the refusals, the helps, and completion.

use super::ast::Kind;
use super::*;

const EXAMPLES: &str = include_str!("examples.txt");

/// The lines of the examples: a code or nothing, and the queries that are the same tree.
fn examples() -> impl Iterator<Item = (Option<&'static str>, Vec<&'static str>)> {
    EXAMPLES.lines().filter(|line| !line.is_empty() && !line.starts_with('#')).map(|line| match line.split_once(' ') {
        Some((code, query)) if code.len() == 5 && code.starts_with("E0") => (Some(code), vec![query]),
        _ => (None, line.split(" == ").collect()),
    })
}

fn read(text: &str) -> Statement {
    parse(text).unwrap_or_else(|errors| panic!("{text}\n{}", render_narrated(&errors[0], text)))
}

fn refused(text: &str) -> Vec<Diagnostic> {
    parse(text).expect_err(text)
}

#[test]
fn examples_parse_and_print_in_both_spellings() {
    for (_, queries) in examples().filter(|(code, _)| code.is_none()) {
        let first = read(queries[0]);
        for query in queries {
            let tree = read(query);
            assert_eq!(first, tree, "{query}");
            for printed in [print_english(&tree), print_terse(&tree)] {
                let again = read(&printed);
                assert_eq!(again, tree, "{query} => {printed}");
                assert!(printed == print_english(&again) || printed == print_terse(&again), "{printed}");
            }
        }
    }
}

#[test]
fn refusals_have_exactly_their_code() {
    for (code, queries) in examples() {
        let Some(code) = code else { continue };
        let query = queries[0];
        let codes: Vec<_> = refused(query).iter().map(|told| told.code).collect();
        assert_eq!(codes, [code], "{query}: {:?}", refused(query));
    }
}

#[test]
fn unclear_queries_come_with_spellings_that_parse() {
    for (code, queries) in examples() {
        if matches!(code, Some("E0107" | "E0109")) {
            let fixes = &refused(queries[0])[0].fixes;
            assert!(!fixes.is_empty(), "{}", queries[0]);
            for fix in fixes {
                read(fix);
            }
        }
    }
}

#[test]
fn canonical_english_has_its_brackets() {
    for (query, english, terse) in [
        (
            "models trained on datasets tagged pii",
            "models trained on (datasets tagged pii)",
            "models & trained(on=datasets & tagged(pii))",
        ),
        (
            "models & live(prod) ~ with(audit)",
            "models live in prod without an audit",
            "models & live(prod) ~ with(audit)",
        ),
        (
            "models tagged gold and not trained on dataset legacy",
            "models tagged gold, not trained on dataset legacy",
            "models & tagged(gold) ~ trained(on=dataset legacy)",
        ),
        (
            "audits[outcome = 'fail'] & about(model churn)",
            "audits about model churn where outcome = fail",
            "audits[outcome = fail] & about(model churn)",
        ),
    ] {
        assert_eq!(print_english(&read(query)), english);
        assert_eq!(print_terse(&read(query)), terse);
    }
}

#[test]
fn ambiguity_is_shown_with_both_spellings() {
    let text = "models trained on datasets tagged pii where accuracy > 0.9";
    let told = &refused(text)[0];
    assert_eq!(
        told.fixes,
        [
            "models trained on (datasets tagged pii) where accuracy > 0.9",
            "models trained on (datasets tagged pii where accuracy > 0.9)"
        ]
    );
    assert_eq!(
        refused("models trained on datasets tagged pii live in prod")[0].fixes,
        ["models trained on datasets tagged pii, live in prod"]
    );
    assert_eq!(
        refused("models trained on X and Y")[0].fixes,
        ["models trained on all of (X, Y)", "models trained on any of (X, Y)"]
    );
    assert_eq!(refused("models traind on X")[0].suggestions, ["trained"]);
}

#[test]
fn several_errors_are_told_at_once() {
    let text = "models traind on X where a = 1 and order by created limit many";
    let codes: Vec<_> = refused(text).iter().map(|told| told.code).collect();
    assert_eq!(codes.first(), Some(&"E0102"));
    assert!((2..=3).contains(&codes.len()), "{codes:?}");
}

#[test]
fn expected_words_are_told() {
    let told = &refused("models trained in dataset X")[0];
    assert!(told.message.starts_with("expected `on`, `by`"), "{}", told.message);
    assert!(told.message.ends_with("after `trained`, found `in`"), "{}", told.message);
}

#[test]
fn trees_are_json() {
    let tree =
        serde_json::to_value(read("models trained on dataset X as of 2026-06-30")).expect("a tree has no odd keys");
    assert_eq!(tree["body"]["set"]["and"][1]["rel"]["relation"], "trained");
    assert_eq!(tree["as_of"]["kind"]["date"], "2026-06-30");
}

#[test]
fn first_steps_are_explained() {
    assert_eq!(
        refused("")[0].message,
        "a question begins with a noun, a name, `count`, `path`, `why` or `what changed`; found the end"
    );
    assert_eq!(
        refused("models trained on dataset")[0].help,
        ["`datasets` means any of them, `dataset NAME` one by name"]
    );
    let told = refused("models in prod");
    assert_eq!(
        told[0].message,
        "expected `where`, a clause, `and`, a set operator or the end after `models`, found `in`"
    );
}

#[test]
fn completion_knows_the_position() {
    let at = |text: &str| expected_at(text, text.len());
    assert_eq!(at("models trained on dataset ").names, Some(NamePosition::Reference(Some(Kind::Dataset))));
    assert_eq!(at("models trained on dataset chu").names, Some(NamePosition::Reference(Some(Kind::Dataset))));
    assert_eq!(at("models trained on dataset chu").replace, ast::Span::new(26, 29));
    let words = at("models ").keywords;
    for word in ["trained", "where", "union", "as of"] {
        assert!(words.contains(&word), "{word}: {words:?}");
    }
    assert!(at("models trained ").keywords.contains(&"on"));
    assert_eq!(at("models live in ").names, Some(NamePosition::Slot));
    assert_eq!(at("models tagged ").names, Some(NamePosition::Tag));
    assert_eq!(at("models where ").names, Some(NamePosition::Attribute));
    assert_eq!(at("models where owner = ").names, Some(NamePosition::Value("owner".to_owned())));
    assert_eq!(at("model churn@").names, Some(NamePosition::Version(Some(Kind::Model), "churn".to_owned())));
    assert!(at("").keywords.contains(&"models"));
    assert!(at("models frobnicate ").keywords.is_empty());
    let quoted = at("models trained on dataset 'chu");
    let start = quoted.replace;
    assert_eq!((start.start, start.end), (26, 30));
    assert_eq!(quoted.names, Some(NamePosition::Reference(Some(Kind::Dataset))));
}

#[test]
fn limits_are_errors() {
    let deep = format!("{}models{}", "(".repeat(65), ")".repeat(65));
    assert_eq!(refused(&deep)[0].code, "E0114");
    read(&format!("{}models{}", "(".repeat(64), ")".repeat(64)));
    assert_eq!(refused(&format!("models{}", "::model x".repeat(65)))[0].code, "E0114");
    assert_eq!(refused(&format!("models where {}a", "not ".repeat(90)))[0].code, "E0114");
    assert_eq!(refused(&format!("models {}", " ".repeat(MAX_BYTES)))[0].code, "E0114");
    assert_eq!(refused(&format!("models{}", " used by trainings using datasets".repeat(99)))[0].code, "E0114");
}

#[test]
fn suggestions_are_few_and_near() {
    let names = ["churn-raw", "churn-raw-eu", "clicks", "churn", "orders"];
    assert_eq!(suggest("chrun-raw", names), ["churn-raw", "churn-raw-eu"]);
    assert_eq!(suggest("churn", names), ["churn", "churn-raw", "churn-raw-eu"]);
    assert!(suggest("zzz", names).is_empty());
}

#[test]
fn reserved_words_are_sorted_and_quotable() {
    assert!(RESERVED.is_sorted());
    for word in RESERVED {
        assert_eq!(quote(word), format!("'{word}'"));
        read(&format!("dataset '{word}'"));
    }
}

/// The tokens of a text, and how often the parser looks at one.
fn work(text: &str) -> (usize, usize) {
    let tokens = lexer::lex(text).tokens;
    (tokens.len(), parse::furthest_of(text, &tokens).looked.get())
}

/// Each token is looked at so many times at most, however long the text is; the rest is for its end.
fn is_linear(text: &str) -> bool {
    let (tokens, looks) = work(text);
    looks <= 150 * tokens + 500
}

#[test]
fn work_grows_with_the_tokens() {
    for (start, part) in [
        ("models", " tagged a,"),
        ("models", " | models"),
        ("models where a", " and b > 1"),
        ("models where a", " and b = 1 or"),
        ("models trained on all of (a", ", b"),
        ("models", "[a]"),
        ("models order by a", ", b"),
        ("", "("),
        ("", "up("),
        ("models where ", "not "),
        ("models trained on", " datasets derived from"),
        ("models trained on", " datasets where a"),
        ("models", " trained on x and"),
        ("x", "::"),
        ("count models per a", ", b"),
    ] {
        for times in [10, 100, 1000, 5000] {
            let text = format!("{start}{}", part.repeat(times));
            assert!(is_linear(&text), "{times} times `{part}` after `{start}`: {:?}", work(&text));
        }
    }
    for (_, queries) in examples() {
        assert!(queries.iter().all(|query| is_linear(query)), "{queries:?}");
    }
}

#[test]
fn the_deepest_questions_fit_the_stack_of_a_thread() {
    let shapes = [
        ("models where trained on (", 31),
        ("models trained on datasets derived from (", 31),
        ("up(datasets[used by (", 21),
    ];
    for (part, times) in shapes {
        let close: String = part
            .chars()
            .rev()
            .filter_map(|c| [('(', ')'), ('[', ']')].iter().find(|p| p.0 == c).map(|p| p.1))
            .collect();
        let text = format!("{}model x{}", part.repeat(times), close.repeat(times));
        let check = move || {
            let tree = read(&text);
            assert_eq!(read(&print_english(&tree)), tree);
        };
        let thread = std::thread::Builder::new().stack_size(2 << 20).spawn(check).expect("a thread starts");
        thread.join().expect("the stack suffices");
    }
}

#[test]
fn habits_of_other_languages_are_translated() {
    let mut wrong = Vec::new();
    let mut count = 0;
    for line in include_str!("dialects.txt").lines().filter(|line| !line.is_empty() && !line.starts_with("# ")) {
        let (theirs, ours) = line.split_once(" => ").unwrap_or_else(|| panic!("{line}"));
        let fixes: Vec<String> = refused(theirs).into_iter().flat_map(|told| told.fixes).collect();
        for fix in &fixes {
            read(fix);
        }
        if fixes.first().map(String::as_str) != Some(ours) {
            wrong.push(format!("{theirs}\n  expected {ours}\n  got {fixes:?}"));
        }
        count += 1;
    }
    assert!(wrong.is_empty() && count > 60, "{count}: {}", wrong.join("\n"));
}

#[test]
fn several_errors_are_mended_together() {
    let told = refused("models where a == 1 && b <> 2 || !tagged gold");
    assert_eq!(told.len(), 3);
    let both =
        ["models where (a = 1 and b != 2) or not tagged gold", "models where a = 1 and (b != 2 or not tagged gold)"];
    assert_eq!(told[0].fixes, both[..1]);
    assert!(refused("models traind on X where acc >> 1")[0].fixes.is_empty(), "what does not parse is not offered");
    let long = format!("models trained on X and '{}'", "y".repeat(5000));
    assert!(refused(&long)[0].fixes.is_empty(), "a long text is mended by its author");
}
