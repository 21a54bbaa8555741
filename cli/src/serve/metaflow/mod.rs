//! Metaflow's metadata service, below `/metaflow`: what its clients write is recorded, what they read is folded from it.

mod folded;
mod read;
mod write;

use std::sync::Arc;

use axum::body::Body;
use axum::http::{HeaderName, HeaderValue, Response, StatusCode};
use lineage_ingest::metaflow::{Denied, NAMESPACE, Place, SERVICE_VERSION};

use super::access::Rule;
use super::endpoint::{Endpoint, Method, Outcome, Parameter};
use super::reply::{self, JSON, Refused};
use super::router::{Call, Routes};
use folded::Folded;

/// The header by which clients tell what the service can do.
const VERSION: HeaderName = HeaderName::from_static("metadata_service_version");

const TEXT: &[Outcome] = &[(200, &["text/plain"], "The answer")];
const FIELD: Parameter = ("metadata_field_name", "string", "Only tasks that have this field of metadata");
const PATTERN: Parameter = ("pattern", "string", "Only tasks with a value that this regular expression is found in");

/// Adds the routes of this protocol.
pub(crate) fn routes(routes: Routes) -> Routes {
    let folded = Arc::new(Folded::default());
    let routes = about(routes);
    let routes = write::routes(routes, &folded);
    read::routes(routes, &folded)
}

/// What is answered without looking at anything.
fn about(routes: Routes) -> Routes {
    let open = |path, about| Endpoint::get(path, Rule::Open, about).gives(TEXT);
    let text = |text: &'static str| {
        move |_: Call| async move { Ok(versioned(reply::bytes("text/plain; charset=utf-8", text))) }
    };
    routes
        .add(
            open("/metaflow/ping", "Metaflow: whether the service is there, and its version in a header"),
            text("pong"),
        )
        .add(open("/metaflow/version", "Metaflow: the version of the service"), text(SERVICE_VERSION))
        .add(
            Endpoint::new(
                Method::Post,
                "/metaflow/tags",
                Rule::SendTo(NAMESPACE),
                "Metaflow: refused, see `tag/mutate`",
            )
            .gives(&[(501, &[JSON], "It is not served")]),
            |_| async {
                let text = "tags of single objects are not served";
                Err(Refused::new(StatusCode::NOT_IMPLEMENTED, "not-built", text)
                    .help("tag the run: PATCH /metaflow/flows/FLOW/runs/RUN/tag/mutate"))
            },
        )
}

/// Where a request leads, by its path.
fn place(call: &Call) -> Place {
    let part = |name| call.part(name);
    Place::flow(part("flow")).run(part("run")).step(part("step")).task(part("task"))
}

/// An answer that says which calls are served.
fn versioned(mut response: Response<Body>) -> Response<Body> {
    response.headers_mut().insert(VERSION, HeaderValue::from_static(SERVICE_VERSION));
    response
}

/// A refusal in the statuses that clients act on.
fn refused(denied: &Denied) -> Refused {
    let text = denied.to_string();
    match denied {
        Denied::Missing(_) => Refused::missing(text),
        Denied::Exists(_) => Refused::new(StatusCode::CONFLICT, "conflict", text),
        Denied::Malformed(_) => Refused::bad(text),
        Denied::Invalid(_) | Denied::SystemTags(_) => Refused::invalid(text),
    }
}
