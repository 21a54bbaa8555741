//! The router: the only place where an address gets an endpoint, and then with the rule of who may use it.

use std::net::{IpAddr, Ipv4Addr};
use std::pin::Pin;
use std::sync::Arc;
use std::time::Instant;

use axum::Router;
use axum::body::Body;
use axum::extract::{FromRequestParts as _, Query, RawPathParams};
use axum::http::{HeaderMap, Request, Response, StatusCode, Uri};
use axum::routing::{MethodFilter, on};

use super::access::Caller;
use super::app::App;
use super::endpoint::{Endpoint, Method};
use super::gate;
use super::reply::{Refused, Reply};

/// One request on its way to its endpoint, after its caller was judged by the endpoint's rule.
pub(crate) struct Call {
    /// The server.
    pub(crate) app: Arc<App>,
    /// Who asks.
    pub(crate) caller: Caller,
    /// The request's headers.
    pub(crate) headers: HeaderMap,
    /// What was sent, still unread.
    pub(crate) body: Body,
    path: Vec<(String, String)>,
    query: Vec<(String, String)>,
}

impl Call {
    /// A part of the path, decoded.
    pub(crate) fn part(&self, name: &str) -> &str {
        find(&self.path, name).unwrap_or_default()
    }

    /// A parameter of the address, decoded.
    pub(crate) fn parameter(&self, name: &str) -> Option<&str> {
        find(&self.query, name).filter(|value| !value.is_empty())
    }

    /// All parameters of the address, decoded.
    pub(crate) fn parameters(&self) -> impl Iterator<Item = (&str, &str)> {
        self.query.iter().map(|(key, value)| (key.as_str(), value.as_str()))
    }

    /// A number among the parameters, from 0 to a greatest value.
    pub(crate) fn number(&self, name: &str, default: usize, max: usize) -> Result<usize, Refused> {
        let Some(text) = self.parameter(name) else { return Ok(default) };
        match text.parse::<usize>() {
            Ok(number) => Ok(number.min(max)),
            Err(_) => Err(Refused::bad(format!("`{name}` must be a number, not `{}`", text.escape_debug()))),
        }
    }
}

fn find<'a>(pairs: &'a [(String, String)], name: &str) -> Option<&'a str> {
    pairs.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
}

/// The address from which a request came.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Peer(pub(crate) IpAddr);

/// The routes so far.
#[derive(Default)]
pub(crate) struct Routes {
    router: Router<Arc<App>>,
    endpoints: Vec<Endpoint>,
}

impl Routes {
    /// Adds an endpoint. There is no other way to add one, and none without a rule.
    pub(crate) fn add<F, R>(mut self, endpoint: Endpoint, run: F) -> Self
    where
        F: Fn(Call) -> R + Clone + Send + Sync + 'static,
        R: Future<Output = Reply> + Send + 'static,
    {
        let at = self.endpoints.len();
        let (rule, takes_body) = (endpoint.rule, !endpoint.takes.is_empty());
        let handler = move |axum::extract::State(app): axum::extract::State<Arc<App>>, request: Request<Body>| {
            let run = run.clone();
            let future: Pin<Box<dyn Future<Output = Response<Body>> + Send>> = Box::pin(async move {
                let begun = Instant::now();
                let served = async {
                    let call = admit(&app, rule, takes_body, request).await?;
                    run(call).await
                };
                let response = served.await.unwrap_or_else(|refused| refuse(&app, refused));
                app.metrics.request(at, response.status(), begun.elapsed());
                response
            });
            future
        };
        let filter = match endpoint.method {
            Method::Get => MethodFilter::GET,
            Method::Head => MethodFilter::HEAD,
            Method::Post => MethodFilter::POST,
            Method::Put => MethodFilter::PUT,
            Method::Patch => MethodFilter::PATCH,
            Method::Delete => MethodFilter::DELETE,
        };
        self.router = self.router.route(endpoint.path, on(filter, handler));
        self.endpoints.push(endpoint);
        self
    }

    /// Every endpoint, in the order in which they were added.
    pub(crate) fn endpoints(&self) -> &[Endpoint] {
        &self.endpoints
    }

    /// The service of all routes; everything else is refused by name.
    pub(crate) fn serve(self, app: Arc<App>) -> Router {
        let unknown = |axum::extract::State(app): axum::extract::State<Arc<App>>, uri: Uri| async move {
            let text = format!("there is nothing at {}", brief(uri.path()));
            let missing = Refused::missing(text).help("the endpoints are listed at /api/openapi.json");
            // MLflow's clients ask for further endpoints and do without them if they are told so in this word.
            refuse(&app, missing.with(serde_json::json!({ "error_code": "ENDPOINT_NOT_FOUND" })))
        };
        let wrong = |axum::extract::State(app): axum::extract::State<Arc<App>>, uri: Uri| async move {
            let text = format!("{} takes another method", brief(uri.path()));
            refuse(&app, Refused::new(StatusCode::METHOD_NOT_ALLOWED, "method", text))
        };
        self.router.fallback(unknown).method_not_allowed_fallback(wrong).with_state(app)
    }
}

/// The beginning of a text that somebody sent.
fn brief(text: &str) -> String {
    text.chars().take(80).collect::<String>().escape_debug().to_string()
}

fn refuse(app: &App, refused: Refused) -> Response<Body> {
    app.metrics.refused(refused.reason());
    refused.into_response()
}

/// Judges a request before anything of its body is read.
async fn admit(
    app: &Arc<App>,
    rule: super::access::Rule,
    takes_body: bool,
    request: Request<Body>,
) -> Result<Call, Refused> {
    let (mut parts, body) = request.into_parts();
    let peer = parts.extensions.get::<Peer>().map_or(IpAddr::V4(Ipv4Addr::LOCALHOST), |peer| peer.0);
    let path: Vec<(String, String)> = RawPathParams::from_request_parts(&mut parts, &())
        .await
        .map_err(|_| Refused::bad("the path is not percent-encoded UTF-8"))?
        .iter()
        .map(|(key, value)| (key.to_owned(), value.to_owned()))
        .collect();
    gate::check(app, &parts, takes_body)?;
    let judged = app.access.caller(&parts.headers, peer, app.now()).and_then(|caller| {
        app.limits.admit(&caller, peer)?;
        caller.check(rule, find(&path, "namespace")).map(|()| caller)
    });
    let caller = judged
        .map_err(|refused| if refused.is_unauthorized() { app.limits.unauthorized(refused, peer) } else { refused })?;
    let Query(query) = Query::try_from_uri(&parts.uri)
        .map_err(|_| Refused::bad("the parameters of the address are not percent-encoded UTF-8"))?;
    Ok(Call { app: Arc::clone(app), caller, headers: parts.headers, body, path, query })
}
