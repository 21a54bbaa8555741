//! The gate of a server without tokens: pages in a browser on this machine must not get through to it.

use axum::http::request::Parts;
use axum::http::{HeaderMap, Method, StatusCode, header};

use super::app::App;
use super::reply::Refused;

/// Whoever asks without a token must address this machine by its own name, must not be a foreign page, and must
/// declare what is sent, so that no page of another site can make a browser send it; a body that is not read
/// (`takes_body`) needs no declaration.
pub(crate) fn check(app: &App, parts: &Parts, takes_body: bool) -> Result<(), Refused> {
    if app.access.is_required() {
        return Ok(());
    }
    let host = parts
        .headers
        .get(header::HOST)
        .and_then(|host| host.to_str().ok())
        .or(parts.uri.authority().map(axum::http::uri::Authority::as_str));
    if !host.is_some_and(is_loopback) {
        return Err(foreign("host", "without tokens only requests to localhost are served"));
    }
    if let Some(origin) = parts.headers.get(header::ORIGIN) {
        let own =
            origin.to_str().ok().and_then(|origin| origin.split_once("://")).is_some_and(|(_, host)| is_loopback(host));
        if !own {
            return Err(foreign("origin", "without tokens requests of foreign pages are not served"));
        }
    }
    if takes_body && matches!(parts.method, Method::POST | Method::PATCH) && !is_json(&parts.headers) {
        return Err(Refused::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "media-type", "a body must be declared as JSON")
            .help("send `Content-Type: application/json`"));
    }
    Ok(())
}

fn foreign(reason: &'static str, message: &str) -> Refused {
    Refused::new(StatusCode::FORBIDDEN, reason, message)
        .help("serve with --require-tokens and send one, or address 127.0.0.1")
}

/// Whether `host[:port]` is this machine.
fn is_loopback(host: &str) -> bool {
    let name = match host.strip_prefix('[') {
        Some(rest) => rest.split(']').next().unwrap_or_default(),
        None => host.split(':').next().unwrap_or_default(),
    };
    name.eq_ignore_ascii_case("localhost")
        || name.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback())
}

/// Whether a body is declared as JSON or NDJSON.
fn is_json(headers: &HeaderMap) -> bool {
    let declared = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let essence = declared.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    matches!(essence.as_str(), "application/json" | "application/x-ndjson") || essence.ends_with("+json")
}

#[cfg(test)]
mod tests {
    use super::is_loopback;

    #[test]
    fn names_of_this_machine() {
        for host in ["localhost", "LOCALHOST:80", "127.0.0.1:5000", "127.9.9.9", "[::1]:80", "[::1]"] {
            assert!(is_loopback(host), "{host}");
        }
        for host in ["", "example.org", "localhost.example.org", "127.0.0.1.example.org", "[::2]:80", "10.0.0.1"] {
            assert!(!is_loopback(host), "{host}");
        }
    }
}
