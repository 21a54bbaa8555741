//! Tests of specifications: what is read, how it is ordered, and every way in which one can be wrong.

use super::*;

const CAPACITY: Capacity = Capacity { cpu: 4000, memory: 8 << 30, gpu: 0 };

const CHURN: &str = r#"
[pipeline]
name = "churn"
tags = ["exp-7"]
schedule = "0 3 * * *"
timeout = "6h"

[params]
lr = { type = "float", default = 0.1, min = 0 }
seeds = [1, 2, 3]

[secrets]
env = ["DB_PASSWORD"]

[tokens]
license = 2

[[step]]
id = "prep"
run = ["sh", "prep.sh"]
inputs = ["dataset:raw=data/*.csv"]
outputs = ["dataset:clean=work/clean.csv"]

[[step]]
id = "train"
kind = "training"
foreach = "params.seeds"
as = "seed"
max_parallel = 2
run = ["sh", "train.sh", "--seed", "{seed}", "--lr", "{params.lr}"]
inputs = ["work/clean.csv"]
outputs = ["model:candidate-{seed}=work/model-{seed}.txt"]
resources = { cpu = 1.5, memory = "1G", tokens = { license = 1 } }
timeout = "2h"
retry = { times = 3, on = ["signal", "timeout", "exit:75"], delay = "30s", backoff = 2 }

[[step]]
id = "pick"
join = "train"
run = ["sh", "pick.sh"]
outputs = ["model:churn=model.txt"]

[[step]]
id = "audit"
kind = "audit"
shell = "test -s model.txt"
inputs = ["model:churn=model.txt"]
gate = true

[[step]]
id = "ship"
kind = "deployment"
needs = ["audit"]
when = "audit.verdict == 'pass'"
approve = { role = "owner", expires = "7d" }
run = ["sh", "ship.sh"]
inputs = ["model:churn=model.txt"]
environment = "prod"
"#;

#[test]
fn a_whole_specification_is_read_and_ordered() {
    let spec = Spec::parse(CHURN).expect("valid");
    assert_eq!((spec.name.as_str(), spec.params.len(), spec.steps.len()), ("churn", 2, 5));
    let train = spec.step("train").expect("a step");
    assert_eq!((train.resources.cpu, train.resources.memory), (Some(1500), Some(1 << 30)));
    assert_eq!((train.retry.times, train.retry.backoff), (3, 2));
    assert!(!spec.step("ship").expect("a step").cache);

    let plan = Plan::new(&spec, &CAPACITY).expect("valid");
    let needs: Vec<Vec<usize>> = plan.steps.iter().map(|step| step.needs.clone()).collect();
    assert_eq!(needs, [vec![], vec![0], vec![1], vec![2], vec![2, 3]]);
    let stacks: Vec<Vec<usize>> = plan.steps.iter().map(|step| step.stack.clone()).collect();
    assert_eq!(stacks, [vec![], vec![1], vec![], vec![], vec![]]);
    assert_eq!(plan.order, [0, 1, 2, 3, 4]);
}

#[test]
fn a_step_after_a_foreach_runs_in_its_branches_until_they_are_joined() {
    let text = "[pipeline]\nname = \"n\"\n[params]\na = [1]\nb = [2]\n\
        [[step]]\nid = \"outer\"\nforeach = \"params.a\"\nas = \"x\"\nrun = [\"true\"]\n\
        [[step]]\nid = \"inner\"\nneeds = [\"outer\"]\nforeach = \"params.b\"\nas = \"y\"\nrun = [\"true\", \"{x}{y}\"]\n\
        [[step]]\nid = \"after\"\nneeds = [\"inner\"]\nrun = [\"true\", \"{y}\"]\n\
        [[step]]\nid = \"join\"\nneeds = [\"after\"]\njoin = \"inner\"\nrun = [\"true\", \"{x}\"]\n\
        [[step]]\nid = \"end\"\nneeds = [\"join\"]\njoin = \"outer\"\nrun = [\"true\"]\n";
    let spec = Spec::parse(text).expect("valid");
    let plan = Plan::new(&spec, &CAPACITY).expect("valid");
    let stacks: Vec<Vec<usize>> = plan.steps.iter().map(|step| step.stack.clone()).collect();
    assert_eq!(stacks, [vec![0], vec![0, 1], vec![0, 1], vec![0], vec![]]);
}

#[test]
fn an_item_of_a_pattern_of_files_is_one_of_those_files() {
    let text = pipeline(
        "[[step]]\nid = \"count\"\nforeach = \"data/*.txt\"\nas = \"f\"\nrun = [\"x\"]\ninputs = [\"{f}\"]\noutputs = [\"n/{index}\"]\n\
         [[step]]\nid = \"all\"\njoin = \"count\"\nrun = [\"x\"]\ninputs = [\"n/*\"]\noutputs = [\"all.txt\"]\n",
    );
    let spec = Spec::parse(&text).expect("valid");
    let plan = Plan::new(&spec, &CAPACITY).expect("an item is not any file, so there is no cycle");
    assert_eq!(plan.order, [0, 1]);
}

/// Every problem of a text, as it is told.
fn problems(text: &str) -> Vec<String> {
    let problems = match Spec::parse(text) {
        Err(problems) => problems,
        Ok(spec) => Plan::new(&spec, &CAPACITY).err().unwrap_or_default(),
    };
    problems.iter().map(|problem| problem.told("p.toml", text).to_string()).collect()
}

/// A pipeline of these steps and tables.
fn pipeline(rest: &str) -> String {
    format!("[pipeline]\nname = \"p\"\n{rest}")
}

/// What is wrong, the line, and what must be in the message and its remedy.
const BAD: [(&str, usize, &str); 48] = [
    ("[pipeline\n", 1, "no TOML"),
    ("[[step]]\nid = \"a\"\nrun = [\"true\"]\n", 1, "there is no [pipeline]; begin with [pipeline]"),
    ("[pipeline]\n[[step]]\nid = \"a\"\nrun = [\"true\"]\n", 1, "no name; write name ="),
    ("[pipeline]\nname = \"a b\"\n", 2, "`a b` is no name of a pipeline; use letters"),
    ("P[pipelines]\n", 3, "no field `pipelines`; did you mean `pipeline`?"),
    ("P", 1, "the pipeline has no steps; write [[step]]"),
    ("Pstep = 1\n", 3, "no field `step`"),
    ("P[[step]]\nrun = [\"true\"]\n", 3, "a step has no id; write id ="),
    ("P[[step]]\nid = \"a\"\n", 3, "the step a runs nothing; write run ="),
    ("P[[step]]\nid = \"a\"\nrun = [\"true\"]\nshell = \"x\"\n", 6, "both run and shell"),
    ("P[[step]]\nid = \"a\"\nrun = \"true\"\n", 5, "`run` of the step a is a string; write run = ["),
    ("P[[step]]\nid = \"a\"\nrun = [\"true\"]\nneds = [\"b\"]\n", 6, "no field `neds`; did you mean `needs`?"),
    (
        "P[[step]]\nid = \"a\"\nkind = \"train\"\nrun = [\"true\"]\n",
        5,
        "unknown kind `train`; did you mean `training`?",
    ),
    ("P[[step]]\nid = \"9\"\nrun = [\"true\"]\n", 4, "`9` is no id of a step; use letters"),
    ("P[[step]]\nid = \"params\"\nrun = [\"true\"]\n", 4, "`params` is no id of a step; choose another one"),
    ("PA[[step]]\nid = \"a\"\nrun = [\"true\"]\n", 6, "two steps a; give one"),
    ("PA[[step]]\nid = \"b\"\nneeds = [\"aa\"]\nrun = [\"true\"]\n", 8, "unknown step `aa`; did you mean `a`?"),
    (
        "P[[step]]\nid = \"a\"\nneeds = [\"b\"]\nrun = [\"true\"]\n[[step]]\nid = \"b\"\nneeds = [\"a\"]\nrun = [\"true\"]\n",
        3,
        "wait for each other: a → b → a; let one",
    ),
    (
        "P[[step]]\nid = \"a\"\nrun = [\"true\"]\noutputs = [\"w/x\"]\n[[step]]\nid = \"b\"\nrun = [\"true\"]\noutputs = [\"w\"]\n",
        10,
        "the steps a and b both write w/x; let each",
    ),
    ("P[[step]]\nid = \"a\"\nrun = [\"x\", \"{params.lr}\"]\n", 5, "unknown parameter `lr`; there is none"),
    ("P[[step]]\nid = \"a\"\nrun = [\"x\", \"{seed}\"]\n", 5, "has no `{seed}`; valid are index"),
    ("P[[step]]\nid = \"a\"\nrun = [\"x\"]\nretry = { backoff = 11 }\n", 6, "a whole number from 1 to 10"),
    ("PA[[step]]\nid = \"b\"\nrun = [\"x\", \"{ab.y}\"]\n", 8, "unknown step `ab`; did you mean `a`?"),
    ("P[params]\nlr = { type = \"flot\" }\n", 4, "no type `flot`; did you mean `float`?"),
    ("P[params]\nlr = { min = 1 }\n", 4, "neither type nor default; write type"),
    ("P[params]\nlr = { default = 0.1, min = 1 }\n", 4, "the default of the parameter lr has less than 1"),
    ("P[params]\nlr = { default = 2, min = 3, max = 1 }\n", 4, "a min above its max; swap them"),
    ("P[params]\nd = 2026-11-20\n", 4, "a value that JSON does not have; write dates"),
    ("P[[step]]\nid = \"a\"\nrun = [\"x\"]\nforeach = \"seeds\"\n", 6, "cannot branch over `seeds`; write params.NAME"),
    (
        "P[params]\ns = 1\n[[step]]\nid = \"a\"\nrun = [\"x\"]\nforeach = \"params.s\"\n",
        8,
        "which is no list; write s = [",
    ),
    ("P[[step]]\nid = \"a\"\nrun = [\"x\"]\nas = \"seed\"\n", 6, "`as` but no foreach; write foreach"),
    ("P[[step]]\nid = \"a\"\nrun = [\"x\"]\nforeach = \"d/*\"\nas = \"index\"\n", 7, "cannot be the name of an item"),
    (
        "P[[step]]\nid = \"a\"\nrun = [\"x\"]\nforeach = \"d/*\"\noutputs = [\"o\"]\n",
        7,
        "all branches of the step a write o; put {item}",
    ),
    ("PA[[step]]\nid = \"b\"\njoin = \"a\"\nrun = [\"x\"]\n", 8, "joins a, which has no foreach; name the step"),
    (
        "P[[step]]\nid = \"a\"\nrun = [\"x\"]\nforeach = \"d/*\"\n[[step]]\nid = \"b\"\nrun = [\"x\"]\nforeach = \"e/*\"\n\
         [[step]]\nid = \"c\"\nneeds = [\"a\", \"b\"]\nrun = [\"x\"]\n",
        11,
        "needs branches of a and of b; gather one",
    ),
    (
        "P[[step]]\nid = \"a\"\nrun = [\"x\"]\nresources = { cpu = 64 }\n",
        6,
        "64 cores of cpu, and there is 4 cores; ask for less",
    ),
    ("P[[step]]\nid = \"a\"\nrun = [\"x\"]\nresources = { memory = \"1T\" }\n", 6, "of memory, and there is 8192 MiB"),
    ("P[[step]]\nid = \"a\"\nrun = [\"x\"]\nresources = { memory = \"8\" }\n", 6, "no amount of memory: `8`; write"),
    ("P[[step]]\nid = \"a\"\nrun = [\"x\"]\nresources = { gpu = 1 }\n", 6, "1 of gpu, and there is 0"),
    (
        "P[[step]]\nid = \"a\"\nrun = [\"x\"]\nresources = { tokens = { l = 1 } }\n",
        6,
        "unknown token l; write [tokens]",
    ),
    ("P[[step]]\nid = \"a\"\nrun = [\"x\"]\ntimeout = \"2\"\n", 6, "no length of time: `2`; write for example 90s"),
    (
        "P[[step]]\nid = \"a\"\nrun = [\"x\"]\nretry = { on = [\"signl\"] }\n",
        6,
        "no kind of failure; did you mean `signal`?",
    ),
    ("P[[step]]\nid = \"a\"\nrun = [\"x\"]\nretry = { times = -1 }\n", 6, "a whole number from 0 to 100"),
    ("P[[step]]\nid = \"a\"\nrun = [\"x\"]\nwhen = \"b.x = 1\"\n", 6, "compares with `=`; write `==`"),
    ("P[[step]]\nid = \"a\"\nrun = [\"x\"]\ngate = true\n", 3, "is a gate but no audit; write kind = \"audit\""),
    ("P[[step]]\nid = \"a\"\nkind = \"deployment\"\nrun = [\"x\"]\n", 3, "deploys nowhere; write environment"),
    ("P[[step]]\nid = \"a\"\nrun = [\"x\"]\ninputs = [\"table:a=x\"]\n", 6, "`table` in `table:a=x` is no kind"),
    ("[pipeline]\nname = \"p\"\nschedule = \"61 * * * *\"\n", 3, "the schedule `61 * * * *` is not valid"),
];

#[test]
fn every_bad_specification_is_refused_with_line_reason_and_remedy() {
    for (text, line, wanted) in BAD {
        let step = "[[step]]\nid = \"a\"\nrun = [\"true\"]\n";
        let text = match text.strip_prefix('P') {
            Some(rest) => pipeline(&rest.replacen("A[[step]]", &format!("{step}[[step]]"), 1)),
            None => text.to_owned(),
        };
        let told = problems(&text);
        let is_it = |told: &String| told.contains(wanted) && told.starts_with(&format!("p.toml:{line}:"));
        assert!(told.iter().any(is_it), "{text}\nwanted line {line}: {wanted}\ntold {told:#?}");
    }
}

#[test]
fn all_problems_are_told_at_once_in_the_order_of_the_text() {
    let text = pipeline("[[step]]\nid = \"a\"\nkind = \"train\"\nrun = \"x\"\ntimeout = \"2\"\n");
    let told = problems(&text);
    assert_eq!(told.len(), 3, "{told:#?}");
    assert!(told[0].starts_with("p.toml:5:") && told[2].starts_with("p.toml:7:"), "{told:#?}");
}
