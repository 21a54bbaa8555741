//! What is logged to runs: metrics, parameters and tags, one at a time or in batches.

use lineage_store::event::{About, Args, Json, Kind, NAME_BYTES_MAX, RunRef, State};
use serde::Deserialize;
use serde_json::{Map, Value};

use super::super::Ledger;
use super::super::body::{Body, list, required};
use super::super::error::Error;
use super::super::fact::{Fact, Logged, Pair, Tag, pairs};
use super::super::metric::{self, Sent};
use super::super::number::word;
use super::super::pen::{Pen, Then, params as asked_for};
use super::{Run, id_of};

/// The most measurements, and the most of everything together, of one batch: `MLflow`'s own limits.
const BATCH_MAX: usize = 1000;
/// The most parameters, and the most tags, of one batch.
const PAIRS_MAX: usize = 100;
/// The longest value of a parameter, in characters.
const PARAM_CHARS_MAX: usize = 6000;
/// The longest value of a tag, in characters.
const TAG_CHARS_MAX: usize = 8000;
/// So many bytes of a batch go into one event: a facet above 16 KiB would move out of it into a file of its own.
const EVENT_BYTES: usize = 12 * 1024;
/// The keys that `MLflow` sets itself.
const OWN_TAGS: &str = "mlflow.";

#[derive(Deserialize)]
struct Batch {
    #[serde(default, deserialize_with = "list")]
    metrics: Vec<Sent>,
    #[serde(default, deserialize_with = "list")]
    params: Vec<Tag>,
    #[serde(default, deserialize_with = "list")]
    tags: Vec<Tag>,
}

/// `runs/log-batch`
pub fn log_batch(body: &Body, pen: &mut Pen<'_>) -> Result<Then, Error> {
    let id = id_of(body)?;
    let batch: Batch = body.read()?;
    for (what, n, max) in [
        ("metrics", batch.metrics.len(), BATCH_MAX),
        ("params", batch.params.len(), PAIRS_MAX),
        ("tags", batch.tags.len(), PAIRS_MAX),
        ("entities", batch.metrics.len() + batch.params.len() + batch.tags.len(), BATCH_MAX),
    ] {
        if n > max {
            let text =
                format!("A batch logging request can contain at most {max} {what}. Got {n}. Please split it up.");
            return Err(Error::invalid(text));
        }
    }
    log(pen, &id, batch)
}

/// `runs/log-metric`
pub fn log_metric(body: &Body, pen: &mut Pen<'_>) -> Result<Then, Error> {
    let batch = Batch { metrics: vec![body.read()?], params: Vec::new(), tags: Vec::new() };
    log(pen, &id_of(body)?, batch)
}

#[derive(Deserialize)]
struct OnePair {
    key: Option<String>,
    value: Option<String>,
}

fn pair(body: &Body) -> Result<Tag, Error> {
    let one: OnePair = body.read()?;
    Ok(Tag { key: metric::key(one.key)?, value: one.value.unwrap_or_default() })
}

/// `runs/log-parameter`
pub fn log_parameter(body: &Body, pen: &mut Pen<'_>) -> Result<Then, Error> {
    let batch = Batch { metrics: Vec::new(), params: vec![pair(body)?], tags: Vec::new() };
    log(pen, &id_of(body)?, batch)
}

/// `runs/set-tag`
pub fn set_tag(body: &Body, pen: &mut Pen<'_>) -> Result<Then, Error> {
    let batch = Batch { metrics: Vec::new(), params: Vec::new(), tags: vec![pair(body)?] };
    log(pen, &id_of(body)?, batch)
}

#[derive(Deserialize)]
struct Untag {
    key: Option<String>,
}

/// `runs/delete-tag`
pub fn delete_tag(body: &Body, pen: &mut Pen<'_>) -> Result<Then, Error> {
    let id = id_of(body)?;
    let key = required(body.read::<Untag>()?.key, "key")?;
    let ledger = pen.ledger;
    let run = ledger.runs.found(&id)?.active()?;
    let Some(value) = run.tags.get(key.as_str()) else {
        return Err(Error::missing("a tag of the run with the key", &key));
    };
    let gone = lineage_tag(&key, value);
    let fact = Fact::RunTagGone { run: id, key };
    pen_tag_gone(pen, run, gone)?;
    let event = pen.of_run(run, Kind::Transform, State::Running, &fact)?;
    pen.write(event);
    Ok(Then::Empty)
}

/// A tag of a run as a tag of the lineage: `key=value`, unless `MLflow` set it or it is no name.
fn lineage_tag(key: &str, value: &str) -> Option<String> {
    let tag = if value.is_empty() { key.to_owned() } else { format!("{key}={value}") };
    let fits = !key.starts_with(OWN_TAGS) && tag.len() <= NAME_BYTES_MAX && !tag.chars().any(char::is_control);
    fits.then_some(tag)
}

/// Takes a tag away from the events of a run so far.
fn pen_tag_gone(pen: &mut Pen<'_>, run: &Run, tag: Option<String>) -> Result<(), Error> {
    let Some(tag) = tag else { return Ok(()) };
    let mut event = pen.consequence(Kind::Untag);
    let named = RunRef { namespace: None, job: Some(run.job.to_string()), run: run.id.to_string() };
    event.about.push(About::Run(named));
    event.args = Args::build(Kind::Untag, &[("tags", Value::from(vec![tag]))])
        .map_err(|refusal| Error::invalid(refusal.to_string()))?;
    pen.write(event);
    Ok(())
}

/// Judges a batch and writes it.
fn log(pen: &mut Pen<'_>, id: &str, batch: Batch) -> Result<Then, Error> {
    let ledger = pen.ledger;
    let run = ledger.runs.found(id)?.active()?;
    ledger.room(batch.metrics.len())?;
    let params = new_params(run, batch.params)?;
    for tag in &batch.tags {
        check_length("tag", &metric::key(Some(tag.key.clone()))?, &tag.value, TAG_CHARS_MAX)?;
    }
    for tag in &batch.tags {
        let before = run.tags.get(tag.key.as_str()).filter(|before| ***before != *tag.value);
        pen_tag_gone(pen, run, before.and_then(|before| lineage_tag(&tag.key, before)))?;
    }
    let told: Vec<Pair> = params.clone();
    write_logged(pen, run, batch.metrics, params, pairs(batch.tags))?;
    if told.is_empty() {
        return Ok(Then::Empty);
    }
    let id = id.to_owned();
    Ok(Then::ask(move |ledger| check_told(ledger, &id, &told)))
}

/// Writes what was logged to a run, in as many events as it takes.
pub(in super::super) fn write_logged(
    pen: &mut Pen<'_>,
    run: &Run,
    metrics: Vec<Sent>,
    params: Vec<Pair>,
    tags: Vec<Pair>,
) -> Result<(), Error> {
    let mut parts = Parts { run: &run.id, facts: Vec::new(), bytes: 0 };
    for sent in metrics {
        parts.metric(sent, pen.stamp.now)?;
    }
    for pair in params {
        parts.room(None, None, pair.0.len() + pair.1.len()).params.push(pair);
    }
    for pair in tags {
        parts.room(None, None, pair.0.len() + pair.1.len()).tags.push(pair);
    }
    parts.facts.into_iter().try_for_each(|part| write_part(pen, run, part))
}

/// Whether parameters have the values that were told: another request may have been faster with others.
fn check_told(ledger: &Ledger, id: &str, told: &[Pair]) -> super::super::Answer {
    let run = ledger.runs.found(id)?;
    for (key, value) in told {
        match run.params.get(key.as_str()) {
            Some(kept) if **kept != **value => return Err(changed(id, key, kept, value)),
            _ => {}
        }
    }
    Ok(b"{}".to_vec())
}

fn changed(id: &str, key: &str, old: &str, new: &str) -> Error {
    Error::invalid(format!(
        "Changing param values is not allowed. Param with key='{}' was already logged with value='{}' for run ID='{id}'. \
         Attempted logging new value '{}'.",
        key.escape_debug(),
        old.escape_debug(),
        new.escape_debug()
    ))
}

fn check_length(what: &str, key: &str, value: &str, max: usize) -> Result<(), Error> {
    // Only a text of so many bytes can have so many characters.
    if value.len() > max && value.chars().count() > max {
        let key = key.escape_debug();
        return Err(Error::invalid(format!("the value of {what} '{key}' is longer than {max} characters")));
    }
    Ok(())
}

/// The parameters that a run does not have yet; another value of one that it has is refused.
fn new_params(run: &Run, sent: Vec<Tag>) -> Result<Vec<Pair>, Error> {
    let mut params: Vec<Pair> = Vec::with_capacity(sent.len());
    for Tag { key, value } in sent {
        let key = metric::key(Some(key))?;
        check_length("param", &key, &value, PARAM_CHARS_MAX)?;
        let before = run.params.get(key.as_str()).map(|value| &**value);
        let before = before.or_else(|| params.iter().find(|(k, _)| *k == key).map(|(_, value)| value.as_str()));
        match before {
            Some(before) if before == value => {}
            Some(before) => return Err(changed(&run.id, &key, before, &value)),
            None => params.push((key, value)),
        }
    }
    Ok(params)
}

/// A batch in parts, each of which is one event.
struct Parts<'a> {
    run: &'a str,
    facts: Vec<Logged>,
    /// The size of the last part.
    bytes: usize,
}

impl Parts<'_> {
    /// The part to which so many bytes more about a model and a dataset go.
    fn room(&mut self, model: Option<String>, dataset: Option<Pair>, bytes: usize) -> &mut Logged {
        const OVERHEAD: usize = 48;
        let is_there = self.facts.last().is_some_and(|part| {
            let plain = model.is_none() && dataset.is_none();
            self.bytes + bytes + OVERHEAD <= EVENT_BYTES
                && (plain && part.metrics.is_empty() || (&part.model, &part.dataset) == (&model, &dataset))
        });
        if !is_there {
            self.facts.push(Logged { run: self.run.to_owned(), model, dataset, ..Logged::default() });
            self.bytes = 0;
        }
        self.bytes += bytes + OVERHEAD;
        let last = self.facts.len() - 1;
        &mut self.facts[last]
    }

    fn metric(&mut self, sent: Sent, now: i64) -> Result<(), Error> {
        let key = metric::key(sent.key)?;
        let value = sent.value.ok_or_else(|| {
            Error::invalid(format!(
                "Missing value for required parameter 'value' of the metric '{}'",
                key.escape_debug()
            ))
        })?;
        let (timestamp, step) = (sent.timestamp.map_or(now, i64::from), sent.step.map_or(0, i64::from));
        let dataset = sent.dataset_name.zip(sent.dataset_digest);
        let model = sent.model_id.filter(|id| !id.is_empty());
        self.room(model, dataset, key.len()).metrics.push((key, value, timestamp, step));
        Ok(())
    }
}

/// Writes one part of a batch.
fn write_part(pen: &mut Pen<'_>, run: &Run, part: Logged) -> Result<(), Error> {
    let mut metrics = Map::new();
    for (key, value, ..) in &part.metrics {
        metrics.insert(key.clone(), word(value.0).map_or_else(|| Value::from(value.0), Value::from));
    }
    let (params, tags) = (asked_for(&part.params), part.tags.iter().filter_map(|(key, value)| lineage_tag(key, value)));
    let tags: Vec<String> = tags.collect();
    let mut event = pen.of_run(run, Kind::Transform, State::Running, &Fact::Logged(part))?;
    event.metrics = Json::from_value(&Value::Object(metrics)).map_err(Error::invalid)?;
    event.params = params;
    event.tags = tags;
    pen.write(event);
    Ok(())
}
