//! The `OpenAPI` document, made from the routes themselves.

use serde_json::{Map, Value, json};

use super::access::Rule;
use super::endpoint::Endpoint;
use super::reply;
use super::router::Routes;

/// What any endpoint may answer beside its own statuses.
const SHARED: [(u16, &str); 13] = [
    (400, "It cannot be read"),
    (401, "It takes a token, or the token is not valid"),
    (403, "The token does not allow it; without tokens: a foreign host or page"),
    (404, "It is not there"),
    (405, "It takes another method"),
    (408, "The body did not come in time"),
    (409, "Another event has the same id"),
    (413, "The body is too large"),
    (415, "The body is of another type"),
    (422, "It can be read and is wrong"),
    (429, "More requests came than are served a second"),
    (500, "A bug"),
    (503, "It may be served a little later, as `Retry-After` says"),
];

/// Adds the route of the document, which describes every route that was added before, and itself.
pub(crate) fn routes(routes: Routes) -> Routes {
    let own = Endpoint::get("/api/openapi.json", Rule::Open, "This document");
    let mut endpoints = routes.endpoints().to_vec();
    endpoints.push(own);
    let document = document(&endpoints);
    routes.add(own, move |_| {
        let response = reply::json(&document);
        async { Ok(response) }
    })
}

fn document(endpoints: &[Endpoint]) -> Value {
    let mut paths = Map::new();
    for endpoint in endpoints {
        // What stands for the rest of a path is one part in the words of `OpenAPI`.
        let path = paths.entry(endpoint.path.replace("{*", "{")).or_insert_with(|| json!({}));
        path[endpoint.method.as_str().to_ascii_lowercase()] = operation(endpoint);
    }
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "lineage",
            "version": env!("CARGO_PKG_VERSION"),
            "description": "Events of other tools in, questions out. See docs/SERVER.md.",
        },
        "paths": paths,
        "components": {
            "securitySchemes": { "token": { "type": "http", "scheme": "bearer" } },
            "schemas": {
                "Refusal": {
                    "type": "object",
                    "required": ["code", "message"],
                    "properties": {
                        "code": { "type": "integer" },
                        "message": { "type": "string" },
                        "help": { "type": "string" },
                    },
                },
            },
        },
    })
}

fn operation(endpoint: &Endpoint) -> Value {
    let parts = endpoint.path.split('{').skip(1).filter_map(|part| part.trim_start_matches('*').split('}').next());
    let mut parameters: Vec<Value> = parts
        .map(|name| json!({ "name": name, "in": "path", "required": true, "schema": { "type": "string" } }))
        .collect();
    parameters.extend(endpoint.parameters.iter().map(
        |(name, kind, about)| json!({ "name": name, "in": "query", "description": about, "schema": { "type": kind } }),
    ));
    let mut responses = Map::new();
    for (status, about) in SHARED {
        responses.insert(status.to_string(), answer(about, &["application/json"]));
    }
    for (status, types, about) in endpoint.gives {
        responses.insert(status.to_string(), answer(about, types));
    }
    let mut operation = json!({
        "summary": endpoint.about,
        "description": format!("For: {}.", endpoint.rule.about()),
        "parameters": parameters,
        "responses": responses,
        "x-rule": endpoint.rule.about(),
    });
    if endpoint.rule != Rule::Open {
        operation["security"] = json!([{ "token": [] }]);
    }
    if !endpoint.takes.is_empty() {
        operation["requestBody"] = json!({ "required": true, "content": content(endpoint.takes, &json!({})) });
    }
    operation
}

fn answer(about: &str, types: &[&str]) -> Value {
    let schema = if types == ["application/json"] { json!({}) } else { json!({ "type": "string" }) };
    json!({ "description": about, "content": content(types, &schema) })
}

fn content(types: &[&str], schema: &Value) -> Value {
    types.iter().map(|one| ((*one).to_owned(), json!({ "schema": schema }))).collect::<Map<_, _>>().into()
}
