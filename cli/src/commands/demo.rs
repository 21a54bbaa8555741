//! `lineage demo`: a small store, made by really running an example, and questions to it.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::Context as _;
use lineage_ingest::run::Declared;
use lineage_query::output::{Answer, Format};
use lineage_store::event::{EntityKind, Kind};
use lineage_store::{FOLDER, Store};

use crate::config;
use crate::context::Context;
use crate::exit::{ExitCode, Problem};
use crate::reference::Target;
use crate::session::Session;

use super::question::{self, Asked};
use super::{add, name, query, run};

const EXAMPLES: &str = "\
EXAMPLES
  lineage demo               in the new folder lineage-demo
  lineage demo /tmp/try

It needs a POSIX shell and awk, nothing else.";

/// The scripts of docs/examples/churn.
const SCRIPTS: [(&str, &str); 6] = [
    ("make_raw.sh", include_str!("../../../docs/examples/churn/make_raw.sh")),
    ("prepare.sh", include_str!("../../../docs/examples/churn/prepare.sh")),
    ("train.sh", include_str!("../../../docs/examples/churn/train.sh")),
    ("evaluate.sh", include_str!("../../../docs/examples/churn/evaluate.sh")),
    ("audit.sh", include_str!("../../../docs/examples/churn/audit.sh")),
    ("deploy.sh", include_str!("../../../docs/examples/churn/deploy.sh")),
];

/// What is asked when the store is there.
const QUESTIONS: [(&str, &str); 6] = [
    ("What was trained on the raw data, through whatever steps?", "models trained on dataset churn-raw"),
    ("What data stands behind the newest model?", "datasets upstream of model churn@latest"),
    ("Which models have learned from personal data?", "models trained on (datasets tagged pii)"),
    ("Which models failed an audit?", "models with a failing audit"),
    (
        "May this go on? A gate: no model is live without a passing audit since its last training.",
        "models live in prod without a passing audit since their last training",
    ),
    ("And in staging?", "models live in staging without a passing audit since their last training"),
];

/// The question whose answer goes into a file.
const FILED: &str = "models where accuracy > 0.8 order by accuracy desc";

/// Arguments of `lineage demo`.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Demo {
    /// A new or empty folder
    #[arg(default_value = "lineage-demo")]
    dir: PathBuf,
}

impl Demo {
    pub(super) fn run(self, context: &Context) -> anyhow::Result<ExitCode> {
        let folder = make_folder(&self.dir)?;
        let root = folder.join(FOLDER);
        Store::create(&root, config::DEFAULT)?;
        let context = &context.with_store(&root);
        say(context, &format!("A store in {}, filled by running a small example.\n", folder.display()))?;
        Steps { context, folder: &folder }.take()?;
        ask(context, &folder)?;
        say(context, &next(&self.dir))?;
        Ok(ExitCode::Done)
    }
}

fn say(context: &Context, text: &str) -> anyhow::Result<()> {
    Ok(context.terminal.print(text)?)
}

fn make_folder(dir: &Path) -> anyhow::Result<PathBuf> {
    if fs::read_dir(dir).is_ok_and(|mut entries| entries.next().is_some()) || dir.is_file() {
        return Err(Problem::failed(format!(
            "{} is not empty, and the demo does not touch what is yours",
            dir.display()
        ))
        .help("name a new folder: `lineage demo DIR`")
        .into());
    }
    fs::create_dir_all(dir).with_context(|| format!("cannot create {}", dir.display()))?;
    for (name, text) in SCRIPTS {
        fs::write(dir.join(name), text).with_context(|| format!("cannot write {name}"))?;
    }
    dir.canonicalize().with_context(|| format!("cannot find {}", dir.display()))
}

/// The steps of the example.
struct Steps<'a> {
    context: &'a Context,
    folder: &'a Path,
}

impl Steps<'_> {
    fn take(&self) -> anyhow::Result<()> {
        self.raw_data()?;
        self.prepare()?;
        // A model that has not learned enough fails its audit; it goes to staging all the same.
        self.model("0.01", "staging", false)?;
        self.model("0.5", "prod", true)?;
        self.talk()
    }

    fn raw_data(&self) -> anyhow::Result<()> {
        say(self.context, "$ sh make_raw.sh raw.csv && lineage add dataset churn-raw raw.csv --tag pii")?;
        let status = Command::new("sh")
            .args(["make_raw.sh", "raw.csv"])
            .current_dir(self.folder)
            .status()
            .context("cannot run sh; the demo needs a POSIX shell and awk")?;
        if !status.success() {
            return Err(Problem::failed("make_raw.sh failed").help("the demo needs a POSIX shell and awk").into());
        }
        let session = self.context.open_to_write()?;
        add::new(EntityKind::Dataset, "churn-raw", &self.folder.join("raw.csv"), &["pii"]).record(session)?;
        Ok(())
    }

    fn prepare(&self) -> anyhow::Result<()> {
        self.step(
            &["dataset:churn-raw=raw.csv"],
            &["dataset:churn-train=train.csv", "dataset:churn-holdout=holdout.csv"],
            &["sh", "prepare.sh", "raw.csv", "train.csv", "holdout.csv"],
            |_| {},
        )
    }

    fn model(&self, rate: &str, environment: &str, passes: bool) -> anyhow::Result<()> {
        self.step(
            &["dataset:churn-train=train.csv"],
            &["model:churn=model.txt"],
            &["sh", "train.sh", "train.csv", "model.txt", "metrics.json", rate],
            |run| {
                run.metrics = Some("metrics.json".into());
                run.param.push(("lr".to_owned(), rate.to_owned()));
            },
        )?;
        self.step(
            &["model:churn=model.txt", "dataset:churn-holdout=holdout.csv"],
            &["artifact:churn-report=report.md", "artifact:churn-evaluation=evaluation.json"],
            &["sh", "evaluate.sh", "model.txt", "holdout.csv", "report.md", "evaluation.json"],
            |run| {
                run.kind = Some(Kind::Evaluation);
                run.metrics = Some("evaluation.json".into());
            },
        )?;
        self.step(
            &["model:churn=model.txt", "artifact:churn-evaluation=evaluation.json"],
            &["artifact:churn-audit=audit.md"],
            &["sh", "audit.sh", "evaluation.json", "audit.md"],
            |run| run.kind = Some(Kind::Audit),
        )?;
        if !passes {
            say(self.context, "  (the audit says no, which is recorded like a yes)")?;
        }
        let live = format!("live-{environment}");
        let output = format!("artifact:churn-live=live-{environment}/model.txt");
        self.step(&["model:churn=model.txt"], &[&output], &["sh", "deploy.sh", "model.txt", &live], |run| {
            run.kind = Some(Kind::Deployment);
            run.to = Some(environment.to_owned());
        })
    }

    /// What people add.
    fn talk(&self) -> anyhow::Result<()> {
        say(self.context, "$ lineage alias model churn@v2 champion")?;
        name::point(self.context, &Target::new(EntityKind::Model, "churn@v2"), "champion")?;
        say(self.context, "$ lineage describe model churn --owner ana --purpose 'keep customers'")?;
        let session = self.context.open_to_write()?;
        let fields = [("owner", "ana".into()), ("purpose", "keep customers".into())];
        name::describe(session, &Target::new(EntityKind::Model, "churn"), &fields)?;
        Ok(())
    }

    fn step(
        &self,
        inputs: &[&str],
        outputs: &[&str],
        command: &[&str],
        more: impl FnOnce(&mut run::Run),
    ) -> anyhow::Result<()> {
        let declared = |list: &[&str]| list.iter().map(|text| Declared::parse(text)).collect::<Result<Vec<_>, _>>();
        let mut run = run::in_folder(self.folder);
        run.input = declared(inputs).map_err(Problem::failed)?;
        run.output = declared(outputs).map_err(Problem::failed)?;
        run.command = command.iter().map(Into::into).collect();
        more(&mut run);
        say(self.context, &format!("$ {}", shown(&run, inputs, outputs, command)))?;
        let session = self.context.open_to_write()?;
        let (result, _, _) = run::execute(&session, &run)?;
        say(self.context, &format!("  {}", result.summary))?;
        session.finish(false);
        let verdict = result.kind == Kind::Audit && result.exit_code == 1;
        if result.exit_code != 0 && !verdict {
            let what = format!("the step ended with exit code {}", result.exit_code);
            return Err(Problem::failed(what).help("the demo needs a POSIX shell and awk").into());
        }
        Ok(())
    }
}

/// The command line that does the same.
fn shown(run: &run::Run, inputs: &[&str], outputs: &[&str], command: &[&str]) -> String {
    let mut words = vec!["lineage run".to_owned()];
    words.extend(run.kind.map(|kind| format!("--kind {kind}")));
    words.extend(run.to.as_ref().map(|to| format!("--to {to}")));
    words.extend(inputs.iter().map(|input| format!("-i {input}")));
    words.extend(outputs.iter().map(|output| format!("-o {output}")));
    words.extend(run.metrics.as_ref().map(|file| format!("--metrics {}", file.display())));
    words.extend(run.param.iter().map(|(name, value)| format!("-p {name}={value}")));
    words.push("--".to_owned());
    words.extend(command.iter().map(|word| (*word).to_owned()));
    words.join(" ")
}

/// Asks the questions.
fn ask(context: &Context, folder: &Path) -> anyhow::Result<()> {
    let session = context.open()?;
    for (meaning, text) in QUESTIONS {
        say(context, &format!("\n{meaning}\n$ lineage query \"{text}\""))?;
        let (answer, digits) = answered(&session, text)?;
        query::write(&answer, digits, Format::Table, None, context)?;
        query::tell_notes(context, &answer);
    }
    let file = folder.join("answers.parquet");
    say(context, &format!("\n$ lineage query \"{FILED}\" -o answers.parquet"))?;
    let (answer, digits) = answered(&session, FILED)?;
    query::write(&answer, digits, Format::Parquet, Some(&file), context)?;
    say(context, &format!("  wrote {}", file.display()))
}

fn answered(session: &Session, text: &str) -> anyhow::Result<(Answer, usize)> {
    Asked::plain(text)
        .ask(session, question::answered)
        .with_context(|| format!("the question \"{text}\" has no answer"))
}

fn next(dir: &Path) -> String {
    let dir = dir.display();
    format!(
        "\nwhat to try next, in {dir}:\n  cd {dir}\n  lineage log\n  lineage show model churn@champion\n  \
         lineage show ./model.txt                       which version is this file?\n  \
         lineage history dataset churn-raw\n  \
         lineage query \"models live in prod\" --expect some\n  lineage verify\n  lineage --help"
    )
}
