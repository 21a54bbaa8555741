//! A generated history: pipelines of several steps that end in a model, which is evaluated, audited and deployed.
//!
//! The shape is that of `bench/gen.py`: events of some 600 bytes, some sources, and one hub that a twentieth of the runs use.

use std::collections::HashMap;
use std::fmt::Write as _;
use std::io::{self, Write};

use lineage_store::digest::Blake3;
use lineage_store::time::Time;

use super::HUB;
use crate::random::Random;

/// The first event happened at the start of 2023; two years pass.
const BEGIN: i64 = 1_672_531_200_000_000_000;
const SPAN: i64 = 2 * 365 * 86_400 * 1_000_000_000;

struct World<'a> {
    out: &'a mut dyn Write,
    random: Random,
    versions: HashMap<String, u64>,
    n: u64,
    events: u64,
}

/// Writes so many events in the native format.
pub fn write(events: u64, out: &mut dyn Write) -> io::Result<()> {
    let mut world = World { out, random: Random::new(20_240), versions: HashMap::new(), n: 0, events };
    let sources = ((events as f64).sqrt() as usize).max(30);
    let pipelines = (events / 700).max(12) as usize;
    let mut next = vec![0; pipelines];
    world.event("transform", "", &world.made("dataset", HUB))?;
    while world.n < events {
        let pipeline = world.random.below(pipelines);
        let depth = 5 + pipeline * 7 % 16;
        let step = next[pipeline];
        next[pipeline] = (step + 1) % (depth + 4);
        world.step(pipeline, step, depth, sources)?;
    }
    world.out.flush()
}

impl World<'_> {
    fn step(&mut self, pipeline: usize, step: usize, depth: usize, sources: usize) -> io::Result<()> {
        let own = |step: usize| format!("p{pipeline}/t{step}");
        let model = format!("p{pipeline}/model");
        if step < depth {
            let mut inputs = Vec::new();
            if step > 0 {
                inputs.push(self.current("dataset", &own(step - 1)));
            }
            if step == 0 || self.random.one_in(5) {
                let source = format!("raw/{}", self.random.below(sources));
                inputs.push(self.current("dataset", &source));
            }
            if self.random.one_in(20) {
                inputs.push(self.current("dataset", HUB));
            }
            let output = self.made("dataset", &own(step));
            return self.event("transform", &inputs.join(","), &output);
        }
        if step == depth {
            let inputs = self.current("dataset", &own(depth - 1));
            let output = self.made("model", &model);
            return self.event("training", &inputs, &output);
        }
        let about = self.current("model", &model);
        let kind = ["evaluation", "audit", "deployment"][step - depth - 1];
        self.about(kind, &about)
    }

    fn reference(kind: &str, name: &str, version: u64) -> String {
        let digest = Blake3::of(format!("{name}@{version}").as_bytes()).hex();
        format!(r#"{{"kind":"{kind}","name":"{name}","version":"{version}","digest":"b3:{digest}"}}"#)
    }

    fn current(&self, kind: &str, name: &str) -> String {
        Self::reference(kind, name, self.versions.get(name).copied().unwrap_or(1))
    }

    fn made(&self, kind: &str, name: &str) -> String {
        Self::reference(kind, name, self.versions.get(name).copied().unwrap_or(0) + 1)
    }

    fn begin(&mut self, kind: &str) -> String {
        let time = Time(BEGIN + SPAN / self.events.max(1) as i64 * self.n as i64);
        let n = self.n;
        self.n += 1;
        format!(
            r#"{{"v":1,"id":"e{n:016}","kind":"{kind}","time":"{time}","actor":"user:{}","job":"job-{}","code":{{"repo":"https://git.example.org/ml/pipelines","commit":"{n:040x}","dirty":false}}"#,
            n % 97,
            n % 1009
        )
    }

    fn event(&mut self, kind: &str, inputs: &str, output: &str) -> io::Result<()> {
        let name = output.split('"').nth(7).unwrap_or_default().to_owned();
        *self.versions.entry(name).or_default() += 1;
        let mut line = self.begin(kind);
        let n = self.n;
        write!(
            line,
            r#","run":"r{n}","inputs":[{inputs}],"outputs":[{output}],"params":{{"lr":0.{},"rows":{}}}"#,
            n % 89,
            n * 13 % 5_000_000
        )
        .ok();
        if kind == "training" {
            write!(line, r#","metrics":{{"accuracy":0.{},"loss":0.{}}}"#, 700 + n % 300, n % 997).ok();
        }
        writeln!(self.out, "{line}}}")
    }

    fn about(&mut self, kind: &str, about: &str) -> io::Result<()> {
        let mut line = self.begin(kind);
        let n = self.n;
        match kind {
            "deployment" => write!(line, r#","environment":"prod","service":"s{}""#, n % 500),
            _ => write!(line, r#","outcome":"{}""#, if n.is_multiple_of(7) { "fail" } else { "pass" }),
        }
        .ok();
        writeln!(self.out, r#"{line},"about":[{about}],"params":{{"suite":"nightly-{}"}}}}"#, n % 31)
    }
}
