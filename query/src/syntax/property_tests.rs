//! Properties over random questions and random text.

use super::lexer::lex;
use super::words::{FUNCTIONS, PLURALS, SINGULARS, SYMBOLS};
use super::*;
use proptest::prelude::*;

/// Questions derived from the grammar; each choice is one byte of the seed, and an empty seed ends every recursion.
struct Grammar<'a> {
    seed: &'a [u8],
    depth: usize,
}

impl Grammar<'_> {
    fn choose(&mut self, count: usize) -> usize {
        let Some((first, rest)) = self.seed.split_first() else { return 0 };
        self.seed = rest;
        usize::from(*first) % count
    }

    fn pick(&mut self, from: &[&str]) -> String {
        from[self.choose(from.len())].to_owned()
    }

    fn maybe(&mut self, part: impl FnOnce(&mut Self) -> String) -> String {
        if self.choose(3) == 1 { part(self) } else { String::new() }
    }

    fn deeper(&mut self, part: impl FnOnce(&mut Self) -> String) -> String {
        self.depth += 1;
        let out = if self.depth > 6 { "model x".to_owned() } else { part(self) };
        self.depth -= 1;
        out
    }

    fn name(&mut self) -> String {
        self.pick(&["x", "churn-raw", "'my data'", ":p", "'tagged'", "a", "'it''s'", "\"q\"", "val/auc", "été"])
    }

    fn reference(&mut self) -> String {
        let name =
            self.pick(&["x", "a@v3", "x@2", "x@2026-01", "'x y'@'a b'", "b3:12ab", "./f.csv", "'/p q'", ":p@:v"]);
        let kind = self.maybe(|g| g.pick(SINGULARS) + " ");
        format!("{kind}{name}")
    }

    fn time(&mut self) -> String {
        self.pick(&["2026-01-31", "2026-06", "2026-02-03T04:05:06Z", "now", "today", "7 days ago", ":t"])
    }

    fn window(&mut self) -> String {
        let (one, two) = (self.time(), self.time());
        match self.choose(7) {
            0 => format!(" since {one}"),
            1 => format!(" before {one}"),
            2 => format!(" after {one}"),
            3 => format!(" during {one}"),
            4 => format!(" between {one} and {two}"),
            5 => " in the last 9 days".to_owned(),
            _ => " since their last training".to_owned(),
        }
    }

    fn closed(&mut self) -> String {
        match self.choose(3) {
            0 => self.reference(),
            1 => format!("({})", self.deeper(Self::set)),
            _ => self.deeper(Self::function),
        }
    }

    fn operand(&mut self) -> String {
        match self.choose(8) {
            0 => format!("every {}", self.closed()),
            1 => format!("only {}", self.closed()),
            2 => format!("all of ({}, {})", self.reference(), self.reference()),
            3 => "any of :xs".to_owned(),
            4 => self.pick(PLURALS),
            _ => self.closed(),
        }
    }

    fn clause(&mut self) -> String {
        let not = self.maybe(|_| "not ".to_owned());
        let depth = self.maybe(|g| g.pick(&["directly ", "within 3 steps "]));
        let avoiding = self.maybe(|g| format!(" avoiding {}", g.closed()));
        let (by, window) = (self.maybe(|g| format!(" by {}", g.name())), self.maybe(Self::window));
        let operand = self.operand();
        match self.choose(14) {
            0 => format!("{not}{depth}trained on {operand}{by}{avoiding}{window}"),
            1 => format!("{not}evaluated on {operand}{by}{window}"),
            2 => format!("{not}deployed to prod{by}{window}"),
            3 => format!("{not}audited{by}{window}"),
            4 => format!("{not}{depth}fine-tuned from {operand}{by}{window}"),
            5 => format!("{not}{depth}upstream of {operand}{avoiding}"),
            6 => format!("{not}{depth}derived from {operand}{avoiding}"),
            7 => format!("{not}live in any of (prod, 'a b')"),
            8 => format!("{not}tagged {}", self.value()),
            9 => format!("{not}used by {operand}{window}"),
            10 => format!("{not}using {operand}"),
            11 => format!("{not}about {operand}"),
            12 => format!(
                "{not}with{}{by}{window}",
                self.pick(&[" an audit", " at least 2 failing audits", " passing evaluation"])
            ),
            _ => format!("by {}{window}", self.name()),
        }
    }

    fn function(&mut self) -> String {
        let operand = match self.choose(3) {
            0 => self.set(),
            _ => self.operand(),
        };
        let depth = self.maybe(|_| ", depth=2".to_owned());
        let by = self.maybe(|g| format!(", by={}", g.name()));
        match self.choose(8) {
            0 => format!("up({operand}{depth})"),
            1 => format!("trained(on={operand}{depth}{by}, since=last training)"),
            2 => format!("deployed(to=prod{by}, last=3 days)"),
            3 => "tagged(gold)".to_owned(),
            4 => format!("with(passing audit, at_least=2{by}, between=2026-01 and 2026-02)"),
            5 => format!("fine_tuned({operand}{by})"),
            6 => format!("using({operand})"),
            _ => format!("down({operand}, avoiding={})", self.closed()),
        }
    }

    fn value(&mut self) -> String {
        self.pick(&[
            "1",
            "-0.5",
            "1e6",
            "10MB",
            "30 s",
            "gold",
            "'not'",
            "now",
            "2026-01-01",
            ":v",
            "2 hours ago",
            "''",
        ])
    }

    fn test(&mut self) -> String {
        let attr = self.pick(&["accuracy", "metric.'a b'", "param.lr", "f1-score", "latest"]);
        let (one, two) = (self.value(), self.value());
        match self.choose(10) {
            0 => attr,
            1 => format!("has {attr}"),
            2 => format!("{attr} >= {one}"),
            3 => format!("{attr} not in ({one}, {two})"),
            4 => format!("{attr} between {one} and {two}"),
            5 => format!("not {}", self.deeper(|g| format!("({})", g.condition()))),
            6 => format!("({})", self.deeper(Self::condition)),
            7 => format!("{attr} like {one}"),
            _ => self.clause(),
        }
    }

    fn condition(&mut self) -> String {
        let joint = self.pick(&[" and ", " or "]);
        (0..=self.choose(3)).map(|_| self.test()).collect::<Vec<_>>().join(&joint)
    }

    fn head(&mut self) -> String {
        let base = match self.choose(8) {
            0 => format!("({})", self.deeper(Self::set)),
            1 => self.reference(),
            2 => self.deeper(Self::function),
            3 => format!("({} as of {} known at log 7)", self.deeper(Self::set), self.time()),
            4 => format!("query q(a = {})", self.value()),
            _ => self.pick(PLURALS),
        };
        match self.choose(9) {
            0 => format!("{base}[{}]", self.deeper(Self::condition)),
            1 => format!("{base}::"),
            2 => format!("{base}::{}", self.reference()),
            3 => format!("::{base}"),
            _ => base,
        }
    }

    fn phrase(&mut self) -> String {
        let mut out = self.head();
        for _ in 0..self.choose(3) {
            let joint = self.pick(&[" ", ", ", " and ", ", and "]);
            let part = match self.choose(4) {
                0 => format!("where {}", self.deeper(Self::condition)),
                _ => self.clause(),
            };
            out = format!("{out}{joint}{part}");
        }
        out
    }

    fn set(&mut self) -> String {
        let mut out = self.phrase();
        let joints: &[&str] = if self.choose(2) == 0 { &[" union ", " | "] } else { &[" & ", " ~ ", " except "] };
        for _ in 0..self.choose(3) {
            let joint = self.pick(joints);
            let part = if self.choose(2) == 0 { format!("({})", self.deeper(Self::set)) } else { self.head() };
            out = format!("{out}{joint}{part}");
        }
        out
    }

    fn statement(&mut self) -> String {
        let set = self.set();
        let body = match self.choose(10) {
            0 => format!("count {set} per owner, kind"),
            1 => format!("max metric.auc of {set}"),
            2 => format!("paths from {} to {} avoiding {}", self.closed(), self.closed(), self.closed()),
            3 => format!("why {} in ({set})", self.reference()),
            4 => format!("what changed between {} and {}", self.reference(), self.reference()),
            5 => format!("diff(({set}), {}, {})", self.time(), self.time()),
            6 => format!("diff(({set}), ({}))", self.set()),
            _ => set,
        };
        let tail = self.maybe(|g| format!(" as of {}", g.time())) + &self.maybe(|g| format!(" known at {}", g.time()));
        let more =
            self.maybe(|_| " including retracted order by name desc, created limit 5 show live, size".to_owned());
        format!("{body}{tail}{more}")
    }
}

fn round_trips(text: &str) -> Result<bool, TestCaseError> {
    let Ok(tree) = parse(text) else { return Ok(false) };
    for printed in [print_english(&tree), print_terse(&tree)] {
        match parse(&printed) {
            Ok(again) => prop_assert_eq!(&again, &tree, "{} => {}", text, printed),
            Err(told) => prop_assert!(false, "{} => {}", text, render_narrated(&told[0], &printed)),
        }
    }
    Ok(true)
}

#[test]
fn most_of_the_grammar_is_accepted() {
    let mut accepted = 0;
    let mut state = 1_u64;
    for _ in 0..2000 {
        let seed: Vec<u8> = std::iter::repeat_with(|| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (state >> 56) as u8
        })
        .take(60)
        .collect();
        let text = Grammar { seed: &seed, depth: 0 }.statement();
        accepted += usize::from(round_trips(&text).unwrap_or_else(|error| panic!("{error}")));
    }
    assert!(accepted > 200, "only {accepted} of 2000 questions were accepted");
}

/// Tokens that are each right somewhere.
fn soup() -> impl Strategy<Value = String> {
    let extra = ["x", "'q'", ":p", "1", "2026-01-01", "7 days", "b3:12ab", "./f", "a = 1", "$x", "==", "'", "é", "@v3"];
    let words: Vec<&'static str> =
        [RESERVED, SYMBOLS, PLURALS, FUNCTIONS, &extra].iter().flat_map(|list| list.iter().copied()).collect();
    prop::collection::vec(prop::sample::select(words), 0..30).prop_map(|words| words.join(" "))
}

/// Nothing a diagnostic or completion does may panic either.
fn survives(text: &str) -> Result<(), TestCaseError> {
    if let Err(told) = parse(text) {
        prop_assert!((1..=3).contains(&told.len()), "{} errors", told.len());
        for told in told {
            prop_assert!(render_narrated(&told, text).starts_with("error[E0"));
            let drawn = render_text(&told, text, false);
            prop_assert!(drawn.starts_with("error[E0"));
            prop_assert!(told.fixes.iter().all(|fix| parse(fix).is_ok()), "{:?}", told.fixes);
            let _json = render_json(&told, text);
        }
    }
    for cursor in [0, text.len() / 2, text.len()] {
        let found = expected_at(text, cursor);
        prop_assert!(text.get(found.replace.start..found.replace.end).is_some());
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 600, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn questions_survive_both_printers(seed in prop::collection::vec(any::<u8>(), 0..120)) {
        let text = Grammar { seed: &seed, depth: 0 }.statement();
        round_trips(&text)?;
        survives(&text)?;
    }

    #[test]
    fn token_soup_never_panics(text in soup()) {
        survives(&text)?;
        round_trips(&text)?;
    }

    #[test]
    fn random_text_never_panics(bytes in prop::collection::vec(any::<u8>(), 0..200), text in any::<String>()) {
        survives(&String::from_utf8_lossy(&bytes))?;
        survives(&text)?;
    }

    #[test]
    fn every_name_can_be_quoted(text in any::<String>()) {
        for name in [text.clone(), format!("'{text}"), format!("./{text}"), text.to_lowercase()] {
            let tree = parse(&format!("models trained on dataset {}", quote(&name)));
            let tree = tree.map_err(|told| TestCaseError::fail(format!("{name:?}: {told:?}")))?;
            let printed = format!("{tree:?}");
            prop_assert!(printed.contains(&format!("Text({name:?})")), "{}", printed);
            let metric = parse(&format!("models where metric.'{}' > 1", name.replace('\'', "''")));
            let (metric, wanted) = (format!("{metric:?}"), format!("{name:?}"));
            prop_assert!(metric.starts_with("Ok") && metric.contains(&wanted), "{}", metric);
        }
    }

    #[test]
    fn tokens_never_outnumber_bytes(text in any::<String>()) {
        prop_assert!(lex(&text).tokens.len() <= text.len());
    }
}
