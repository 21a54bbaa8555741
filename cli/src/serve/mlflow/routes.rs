//! The addresses of `MLflow`'s protocol.

use std::sync::Arc;

use lineage_ingest::mlflow::{NAMESPACE, Read, Write, experiment, file, metric, model, registry, run};
use tokio::sync::Semaphore;

use super::super::access::Rule;
use super::super::endpoint::{Endpoint, Method, Outcome, Parameter};
use super::super::reply;
use super::super::router::Routes;
use super::tracking::Tracking;
use super::{artifacts, read, write};

/// So many files are stored at once; each has a thread of its own, and others wait.
const UPLOADS: usize = 8;

/// Whoever reads, and whoever writes: the protocol has no namespaces, so that all of it is in one.
const READ: Rule = Rule::ReadIn(NAMESPACE);
const SEND: Rule = Rule::SendTo(NAMESPACE);

const JSON: &[&str] = &["application/json"];
const BYTES: &[&str] = &["application/octet-stream"];
const NOT_BUILT: &[Outcome] = &[(501, JSON, "It is not built")];

/// What a request does.
#[derive(Clone, Copy)]
enum Action {
    Read(Read),
    Write(Write),
}

use Action::{Read as R, Write as W};
use Method::{Delete, Get, Patch, Post};

/// Method, path below `/api/2.0/mlflow`, what it is, what it does.
type Row = (Method, &'static str, &'static str, Action);

macro_rules! path {
    ($path:literal) => {
        concat!("/api/2.0/mlflow/", $path)
    };
}

const EXPERIMENTS: &[Row] = &[
    (Post, path!("experiments/create"), "Make an experiment", W(experiment::create)),
    (Get, path!("experiments/get"), "An experiment", R(experiment::get)),
    (Get, path!("experiments/get-by-name"), "An experiment by its name", R(experiment::get_by_name)),
    (Post, path!("experiments/search"), "Experiments by name, time and tags", R(experiment::search)),
    (Get, path!("experiments/search"), "Experiments by name, time and tags", R(experiment::search)),
    (Post, path!("experiments/update"), "Rename an experiment", W(experiment::update)),
    (Post, path!("experiments/delete"), "Delete an experiment and its runs", W(experiment::delete)),
    (Post, path!("experiments/restore"), "Restore an experiment and its runs", W(experiment::restore)),
    (Post, path!("experiments/set-experiment-tag"), "Tag an experiment", W(experiment::set_tag)),
    (Post, path!("experiments/delete-experiment-tag"), "Take a tag away", W(experiment::delete_tag)),
];

const RUNS: &[Row] = &[
    (Post, path!("runs/create"), "Begin a run", W(run::create)),
    (Get, path!("runs/get"), "A run", R(run::get)),
    (Post, path!("runs/update"), "Rename or end a run", W(run::update)),
    (Post, path!("runs/delete"), "Delete a run", W(run::delete)),
    (Post, path!("runs/restore"), "Restore a run", W(run::restore)),
    (Post, path!("runs/search"), "Runs by metrics, parameters, tags and attributes", R(run::search)),
    (Post, path!("runs/log-batch"), "Log metrics, parameters and tags", W(run::log_batch)),
    (Post, path!("runs/log-metric"), "Log a metric", W(run::log_metric)),
    (Post, path!("runs/log-parameter"), "Log a parameter", W(run::log_parameter)),
    (Post, path!("runs/set-tag"), "Tag a run", W(run::set_tag)),
    (Post, path!("runs/delete-tag"), "Take a tag away", W(run::delete_tag)),
    (Post, path!("runs/log-inputs"), "Log the datasets and models that a run used", W(run::log_inputs)),
    (Post, path!("runs/outputs"), "Log the models that a run made", W(run::log_outputs)),
    (Post, path!("runs/log-model"), "Log a model among the files of a run", W(run::log_model)),
    (Get, path!("metrics/get-history"), "Every measurement of a metric", R(metric::get_history)),
    (Get, path!("artifacts/list"), "The files of a run", R(file::list_of_run)),
];

const MODELS: &[Row] = &[
    (Post, path!("logged-models"), "Begin a logged model", W(model::create)),
    (
        Post,
        path!("logged-models/search"),
        "Logged models by metrics, parameters, tags and attributes",
        R(model::search),
    ),
    (Get, path!("logged-models/{model_id}"), "A logged model", R(model::get)),
    (Patch, path!("logged-models/{model_id}"), "Finish a logged model", W(model::finish)),
    (Delete, path!("logged-models/{model_id}"), "Delete a logged model", W(model::delete)),
    (Post, path!("logged-models/{model_id}/params"), "Log parameters of a logged model", W(model::log_params)),
    (Patch, path!("logged-models/{model_id}/tags"), "Tag a logged model", W(model::set_tags)),
    (Delete, path!("logged-models/{model_id}/tags/{tag_key}"), "Take a tag away", W(model::delete_tag)),
];

const REGISTRY: &[Row] = &[
    (Post, path!("registered-models/create"), "Make a registered model", W(registry::create)),
    (Get, path!("registered-models/get"), "A registered model", R(registry::get)),
    (Get, path!("registered-models/search"), "Registered models by name and tags", R(registry::search)),
    (Patch, path!("registered-models/update"), "Describe a registered model", W(registry::update)),
    (Post, path!("registered-models/rename"), "Rename a registered model", W(registry::rename)),
    (Delete, path!("registered-models/delete"), "Delete a registered model", W(registry::delete)),
    (Post, path!("registered-models/set-tag"), "Tag a registered model", W(registry::set_tag)),
    (Delete, path!("registered-models/delete-tag"), "Take a tag away", W(registry::delete_tag)),
    (Post, path!("registered-models/alias"), "Point an alias to a version", W(registry::set_alias)),
    (Get, path!("registered-models/alias"), "The version of an alias", R(registry::get_by_alias)),
    (Delete, path!("registered-models/alias"), "Take an alias away", W(registry::delete_alias)),
    (Post, path!("registered-models/get-latest-versions"), "The newest versions", R(registry::latest_versions)),
    (Get, path!("registered-models/get-latest-versions"), "The newest versions", R(registry::latest_versions)),
    (Post, path!("model-versions/create"), "Register a version", W(registry::create_version)),
    (Get, path!("model-versions/get"), "A version", R(registry::get_version)),
    (Get, path!("model-versions/search"), "Versions by name, run and tags", R(registry::search_versions)),
    (Patch, path!("model-versions/update"), "Describe a version", W(registry::update_version)),
    (Delete, path!("model-versions/delete"), "Delete a version", W(registry::delete_version)),
    (Post, path!("model-versions/set-tag"), "Tag a version", W(registry::set_version_tag)),
    (Delete, path!("model-versions/delete-tag"), "Take a tag away", W(registry::delete_version_tag)),
    (Post, path!("model-versions/transition-stage"), "Move a version to a stage", W(registry::transition)),
    (Get, path!("model-versions/get-download-uri"), "Where the files of a version are", R(registry::get_download_uri)),
];

const FILES: &str = "/api/2.0/mlflow-artifacts/artifacts";
const FILE: &str = "/api/2.0/mlflow-artifacts/artifacts/{*path}";
const PARTS: &str = "/api/2.0/mlflow-artifacts/mpu/create/{*path}";
const FOLDER: &[Parameter] = &[("path", "string", "The folder")];

/// Adds the routes of `MLflow`.
pub(crate) fn routes(mut routes: Routes) -> Routes {
    let tracking = Arc::new(Tracking::default());
    for (method, path, about, action) in [EXPERIMENTS, RUNS, MODELS, REGISTRY].concat() {
        let rule = if matches!(action, R(_)) { READ } else { SEND };
        let takes = if method == Get { &[][..] } else { JSON };
        let endpoint = Endpoint::new(method, path, rule, about).takes(takes);
        let tracking = Arc::clone(&tracking);
        routes = match action {
            R(of) => routes.add(endpoint, move |call| read(call, Arc::clone(&tracking), of)),
            W(of) => routes.add(endpoint, move |call| write(call, Arc::clone(&tracking), of)),
        };
    }
    files(routes, &tracking)
}

/// Adds the routes of the artifact proxy, and what clients ask of a server before they use it.
fn files(routes: Routes, tracking: &Arc<Tracking>) -> Routes {
    let uploads = Arc::new(Semaphore::new(UPLOADS));
    let [put, get, delete, list] = [(); 4].map(|()| Arc::clone(tracking));
    routes
        .add(Endpoint::get(FILES, READ, "The files of a folder").parameters(FOLDER), move |call| {
            artifacts::list(call, Arc::clone(&list))
        })
        .add(Endpoint::get(FILE, READ, "The bytes of a file").gives(&[(200, BYTES, "The bytes")]), move |call| {
            artifacts::get(call, Arc::clone(&get))
        })
        .add(Endpoint::new(Method::Put, FILE, SEND, "Store a file").takes(BYTES), move |call| {
            artifacts::put(call, Arc::clone(&put), Arc::clone(&uploads))
        })
        .add(Endpoint::new(Delete, FILE, SEND, "Take a file out of the list"), move |call| {
            artifacts::delete(call, Arc::clone(&delete))
        })
        .add(
            Endpoint::post(PARTS, SEND, "Refused by name: files are taken whole").takes(JSON).gives(NOT_BUILT),
            artifacts::parts,
        )
        .add(
            Endpoint::get("/api/3.0/mlflow/server-info", Rule::Open, "What MLflow's clients may use here"),
            |_| async { Ok(reply::json(&info())) },
        )
        .add(
            Endpoint::get("/health", Rule::Open, "Whether the server lives, as MLflow's clients ask").gives(&[(
                200,
                &["text/plain"],
                "It does",
            )]),
            |_| async { Ok(reply::bytes("text/plain", "OK")) },
        )
}

/// What clients may use beside the protocol: nothing that they would miss.
fn info() -> serde_json::Value {
    serde_json::json!({
        "store_type": "lineage",
        "workspaces_enabled": false,
        "trace_archival_enabled": false,
        "multipart_uploads_enabled": false,
        "multipart_downloads_enabled": false,
        "presigned_upload_run_id_supported": false,
        "presigned_upload_model_id_supported": false,
        "features_enabled": { "gateway": false },
    })
}
