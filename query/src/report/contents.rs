//! What each report has: its tables, its questions, and what is to be said of it.

use std::rc::Rc;

use lineage_store::event::EntityKind;
use lineage_store::graph::{VersionId, View};
use lineage_store::time::Time;

use super::folder::Entry;
use super::log::{self, Lines, Passed, Wanted};
use super::moment::Moment;
use super::rows::Written;
use super::{
    Order, Pack, Report, ReportError, documentation, graph, inventory, judgements, lineage, processing, slots,
};
use crate::engine::bits::{Bits, Nodes};
use crate::engine::eval::Evaluator;
use crate::engine::resolve::Resolver;
use crate::engine::whole::Whole;
use crate::engine::world::World;
use crate::engine::{QueryError, Request, answer};
use crate::output::{self, Format, TableStyle};
use crate::syntax;
use crate::syntax::ast::{Body, Set};

/// The question behind the table of unaudited models.
const UNAUDITED: &str = "models without a passing audit since their last training";

/// A question whose answer is, or selects, the rows of a table.
pub(super) struct Asked {
    pub(super) table: String,
    pub(super) text: String,
    /// Whether the rows are its answer as it is.
    pub(super) exact: bool,
}

/// A column of an answer: name, type, description, unit.
pub(super) struct AnswerColumn {
    pub(super) name: String,
    pub(super) kind: &'static str,
    pub(super) about: Option<String>,
    pub(super) unit: Option<String>,
}

/// The answer to a question, as a table.
pub(super) struct Answered {
    pub(super) name: String,
    pub(super) text: String,
    pub(super) columns: Vec<AnswerColumn>,
    pub(super) rows: u64,
    pub(super) entry: Entry,
}

/// Everything that was written, before the manifest.
#[derive(Default)]
pub(super) struct Contents {
    pub(super) tables: Vec<Written>,
    pub(super) answers: Vec<Answered>,
    pub(super) lines: Option<Lines>,
    pub(super) queries: Vec<Asked>,
    /// Files that are no tables.
    pub(super) others: Vec<Entry>,
    pub(super) notes: Vec<String>,
}

/// A report in its moment.
pub(super) struct Asking<'a> {
    pub(super) order: &'a Order<'a>,
    /// What was recorded by the position.
    pub(super) head: &'a View,
    pub(super) request: &'a Request<'a>,
    /// The instant that the report speaks of.
    pub(super) as_of: Time,
    pub(super) position: Option<u64>,
}

/// What counts of a view at an instant.
fn world_at(head: &View, as_of: Time, whole: Rc<Whole>) -> World {
    let recorded = head.count().checked_sub(1).map(|last| head.recorded(last));
    // Nothing happened later than it was recorded.
    let view = if recorded.is_some_and(|last| as_of < last) { head.at(head.count(), as_of) } else { head.clone() };
    World::new(view, as_of, as_of, false, whole)
}

impl Asking<'_> {
    /// Writes everything but proofs and manifest.
    pub(super) fn contents(&self, pack: &Pack<'_>) -> Result<Contents, ReportError> {
        let wanted = self.wanted();
        let (head, as_of, log) = (self.head, self.as_of, self.order.log.clone());
        let (passed, told) = std::thread::scope(|scope| {
            // A world is of one thread, so the pass over the log has one of its own.
            let passing = scope.spawn(move || {
                let whole = Rc::new(Whole::new(super::event_reader(log)));
                let world = world_at(head, as_of, Rc::clone(&whole));
                let passed = log::pass(pack, &Moment::new(&world), wanted);
                whole.check().map_err(ReportError::Store).and(passed)
            });
            let told = self.told(pack);
            (passing.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)), told)
        });
        let (mut contents, Passed { tables, lines }) = (told?, passed?);
        contents.tables.extend(tables);
        contents.tables.sort_by_key(|written| written.table.name);
        contents.lines = lines;
        let hidden = self.head.n_hidden();
        if hidden > 0 {
            contents.notes.push(format!("{hidden} events are retracted and count for nothing but the table events"));
        }
        Ok(contents)
    }

    /// Which tables come from the pass over the log.
    fn wanted(&self) -> Wanted {
        let lines = self.order.events;
        match self.order.report {
            Report::Full => Wanted { events: true, runs: true, measurements: true, decisions: true, lines },
            Report::Deployments => Wanted { decisions: true, lines, ..Wanted::default() },
            _ => Wanted { lines, ..Wanted::default() },
        }
    }

    /// Everything that follows from the index.
    fn told(&self, pack: &Pack<'_>) -> Result<Contents, ReportError> {
        let mut contents = Contents::default();
        if let Report::Query(texts) = self.order.report {
            for (n, text) in texts.iter().enumerate() {
                let name = if texts.len() == 1 { "answer".to_owned() } else { format!("answer-{}", n + 1) };
                let answered = self.answered(pack, name, text, &mut contents.notes)?;
                let (table, text) = (answered.name.clone(), answered.text.clone());
                contents.queries.push(Asked { table, text, exact: true });
                contents.answers.push(answered);
            }
            return Ok(contents);
        }
        let whole = Rc::new(Whole::new(Rc::clone(&self.request.events)));
        let world = world_at(self.head, self.as_of, Rc::clone(&whole));
        let told = self.tables(pack, &Moment::new(&world), &mut contents);
        // What could not be read is the reason for whatever else went wrong.
        whole.check()?;
        told.map(|()| contents)
    }

    fn tables(&self, pack: &Pack<'_>, moment: &Moment<'_>, contents: &mut Contents) -> Result<(), ReportError> {
        let tables = match self.order.report {
            Report::Full => vec![
                graph::versions(pack, moment)?,
                graph::edges(pack, moment)?,
                graph::copies(pack, moment)?,
                judgements::audits(pack, moment)?,
                judgements::evaluations(pack, moment)?,
                slots::deployments(pack, moment)?,
                self.unaudited(pack, moment, contents)?,
            ],
            Report::ModelInventory => vec![
                inventory::models(pack, moment)?,
                judgements::audits(pack, moment)?,
                judgements::evaluations(pack, moment)?,
                slots::deployments(pack, moment)?,
            ],
            Report::TrainingData { model } => {
                let models = self.models(moment, model.as_deref(), contents, "training_data")?;
                vec![lineage::training_data(pack, moment, &models)?]
            }
            Report::Deployments => vec![slots::deployments(pack, moment)?, judgements::audits(pack, moment)?],
            Report::Unaudited => {
                vec![self.unaudited(pack, moment, contents)?, judgements::audits(pack, moment)?]
            }
            Report::ErasureImpact { subject } => lineage::erasure_impact(pack, moment, subject)?,
            Report::TechnicalDocumentation { model } => {
                let models = self.models(moment, model.as_deref(), contents, "version_chain")?;
                vec![
                    documentation::chain(pack, moment, &models)?,
                    lineage::training_data(pack, moment, &models)?,
                    documentation::steps(pack, moment, &models)?,
                    judgements::tests(pack, moment, &models)?,
                    documentation::changes(pack, moment, &models)?,
                    documentation::gaps(pack, moment, &models)?,
                ]
            }
            Report::RecordsOfProcessing => vec![processing::processing(pack, moment)?],
            Report::Query(_) => Vec::new(),
        };
        contents.tables.extend(tables);
        Ok(())
    }

    fn unaudited(&self, pack: &Pack<'_>, moment: &Moment<'_>, contents: &mut Contents) -> Result<Written, ReportError> {
        let found = self.select(moment.world, UNAUDITED)?;
        contents.queries.push(Asked { table: "unaudited".to_owned(), text: self.dated(UNAUDITED), exact: false });
        inventory::unaudited(pack, moment, &found)
    }

    /// The versions of models, or those that a question selects.
    fn models(
        &self,
        moment: &Moment<'_>,
        question: Option<&str>,
        contents: &mut Contents,
        table: &str,
    ) -> Result<Vec<VersionId>, ReportError> {
        let Some(question) = question else { return Ok(moment.models()) };
        let found = self.select(moment.world, question)?;
        contents.queries.push(Asked { table: table.to_owned(), text: self.dated(question), exact: false });
        let view = &moment.world.view;
        let models = found.iter().filter(|v| view.entity_kind(view.entity(*v)) == EntityKind::Model);
        let models = moment.by_name(models);
        if models.is_empty() {
            return Err(ReportError::NoModel { text: question.to_owned() });
        }
        Ok(models)
    }

    /// The versions of a set that is asked for in the language.
    fn select(&self, world: &World, text: &str) -> Result<Bits, ReportError> {
        let failed = |error: QueryError| ReportError::Query { text: text.to_owned(), error };
        let statement = syntax::parse(text).map_err(|diagnostics| {
            failed(QueryError::Statement { class: crate::engine::Class::Syntax, diagnostics })
        })?;
        let set: &Set = match &statement.body {
            Body::Set(set) if statement.as_of.is_none() && statement.known_at.is_none() => set,
            _ => return Err(ReportError::NoSet { text: text.to_owned() }),
        };
        let resolver = Resolver::new(self.request, self.head);
        let plan = resolver.set(set, world).map_err(|error| failed(error.into()))?;
        let Nodes { versions, .. } = Evaluator::new(world).set(&plan);
        Ok(versions)
    }

    /// The canonical question that has the same answer whenever it is asked.
    fn dated(&self, text: &str) -> String {
        let Ok(mut statement) = syntax::parse(text) else { return text.to_owned() };
        let Some(position) = self.position else { return syntax::print_english(&statement) };
        let clauses = format!("models as of {} known at log {position}", self.as_of);
        if let Ok(clauses) = syntax::parse(&clauses) {
            statement.known_at = statement.known_at.or(clauses.known_at);
            statement.as_of = statement.as_of.or(clauses.as_of);
        }
        syntax::print_english(&statement)
    }

    /// The answer to a question, as a table of its own.
    fn answered(
        &self,
        pack: &Pack<'_>,
        name: String,
        text: &str,
        notes: &mut Vec<String>,
    ) -> Result<Answered, ReportError> {
        let dated = self.dated(text);
        let request = Request {
            text: &dated,
            params: self.request.params,
            zone: self.request.zone.clone(),
            events: Rc::clone(&self.request.events),
            head: None,
            limits: self.request.limits.clone(),
            ..*self.request
        };
        let answer = answer(self.head, &request).map_err(|error| ReportError::Query { text: dated.clone(), error })?;
        let mut sink = pack.folder.begin(format!("{name}.parquet"))?;
        output::write(&answer, &Format::Parquet, &mut sink, &TableStyle::default())?;
        notes.extend(answer.notes.iter().map(|note| format!("{name}: {} ({})", note.text, note.code)));
        let schema = answer.batch.schema();
        let kinds = output::kinds(&answer.batch)?;
        let columns = schema.fields().iter().zip(kinds).map(|(field, kind)| AnswerColumn {
            name: field.name().clone(),
            kind,
            about: field.metadata().get("description").cloned(),
            unit: field.metadata().get("unit").cloned(),
        });
        let (columns, rows) = (columns.collect(), answer.batch.num_rows() as u64);
        Ok(Answered { name, text: answer.canonical, columns, rows, entry: sink.finish()? })
    }
}
