//! Access: who asks, what each role may do, and the rule that every endpoint has.

use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::SystemTime;

use axum::http::{HeaderMap, StatusCode, header};
use lineage_store::digest::Blake3;
use lineage_store::event::{About, Event, Kind};
use lineage_store::time::Time;

use super::reply::Refused;
use crate::token::{Role, Token, Tokens};

/// Who may use an endpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Rule {
    /// Anyone who can connect: it says nothing of what is recorded.
    Open,
    /// Whoever may read anything: it says nothing of a namespace.
    Known,
    /// Whoever may read the namespace in the path.
    ReadNamespace,
    /// Whoever may read every namespace, as answers cross them.
    ReadAll,
    /// Whoever may read one namespace, which a protocol has for itself.
    ReadIn(&'static str),
    /// Whoever may send anything; each event is judged by its kind and namespaces.
    Send,
    /// Whoever may send to one namespace, which a protocol has for itself.
    SendTo(&'static str),
}

impl Rule {
    /// Every rule.
    #[cfg(test)]
    pub(crate) const ALL: [Self; 7] =
        [Self::Open, Self::Known, Self::ReadNamespace, Self::ReadAll, Self::ReadIn("n"), Self::Send, Self::SendTo("n")];

    /// What it asks for, in words.
    pub(crate) fn about(self) -> String {
        match self {
            Self::Open => "anyone".to_owned(),
            Self::Known => "any token".to_owned(),
            Self::ReadNamespace => "reader of the namespace".to_owned(),
            Self::ReadAll => "reader of every namespace".to_owned(),
            Self::ReadIn(namespace) => format!("reader of the namespace `{namespace}`"),
            Self::Send => "emitter; for some kinds operator or auditor".to_owned(),
            Self::SendTo(namespace) => format!("emitter of the namespace `{namespace}`"),
        }
    }
}

/// Who asks.
#[derive(Clone, Debug)]
pub(crate) enum Caller {
    /// Someone on this machine, where no token is asked for.
    Local,
    /// Whoever has a token.
    Principal(Arc<Token>),
    /// Nobody known.
    Nobody,
}

impl Caller {
    /// The authenticated name.
    pub(crate) fn principal(&self) -> Option<&str> {
        match self {
            Self::Principal(token) => Some(&token.name),
            Self::Local | Self::Nobody => None,
        }
    }

    /// Whether one of some roles is had on a namespace; `None`: on every namespace.
    fn has(&self, roles: &[Role], namespace: Option<&str>) -> bool {
        match self {
            Self::Local => true,
            Self::Nobody => false,
            Self::Principal(token) => token.has(roles, namespace),
        }
    }

    /// Whether a namespace may be read.
    pub(crate) fn may_read(&self, namespace: &str) -> bool {
        self.has(&Role::READING, Some(namespace))
    }

    /// Judges the rule of an endpoint; `namespace` is the one in its path.
    pub(crate) fn check(&self, rule: Rule, namespace: Option<&str>) -> Result<(), Refused> {
        let may = match rule {
            Rule::Open => return Ok(()),
            Rule::Known => !matches!(self, Self::Nobody),
            Rule::ReadNamespace => namespace.is_some_and(|namespace| self.may_read(namespace)),
            Rule::ReadAll => self.has(&Role::READING, None),
            Rule::ReadIn(namespace) => self.may_read(namespace),
            Rule::SendTo(namespace) => self.has(&Role::SENDING, Some(namespace)),
            Rule::Send => match self {
                Self::Principal(token) => token.has_anywhere(&Role::SENDING),
                _ => matches!(self, Self::Local),
            },
        };
        match (may, self) {
            (true, _) => Ok(()),
            (false, Self::Nobody) => Err(nobody()),
            (false, _) => Err(forbidden(format!("this takes a {}", rule.about()))),
        }
    }

    /// Judges an event by its kind and the namespaces that it reaches.
    pub(crate) fn check_event(&self, event: &Event) -> Result<(), Refused> {
        if event.kind == Kind::Access {
            let text = "changes of access are not taken over HTTP";
            return Err(forbidden(text.to_owned()).help("use `lineage token` beside the store"));
        }
        let roles: &[Role] = if is_judgement(event.kind) { &Role::JUDGING } else { &Role::SENDING };
        for namespace in reach(event) {
            if !self.has(roles, namespace) {
                let words: Vec<_> = roles.iter().map(|role| role.as_str()).collect();
                let of = namespace.map_or("every namespace".to_owned(), |name| format!("`{}`", name.escape_debug()));
                return Err(forbidden(format!(
                    "an event of kind `{}` takes the role {} of {of}",
                    event.kind,
                    words.join(" or ")
                )));
            }
        }
        Ok(())
    }
}

/// The kinds that only an operator or auditor may send.
pub(crate) fn is_judgement(kind: Kind) -> bool {
    matches!(
        kind,
        Kind::Audit
            | Kind::Approve
            | Kind::Deployment
            | Kind::Retirement
            | Kind::Alias
            | Kind::Retract
            | Kind::Hold
            | Kind::Erase
    )
}

/// The namespaces that an event changes something in; `None` stands for all of them.
///
/// What a run reads and writes keeps its own namespace, as `OpenLineage` has it; so do the owners that it tells.
fn reach(event: &Event) -> Vec<Option<&str>> {
    let mut reach = vec![Some(event.namespace.as_str())];
    if event.kind == Kind::Erase || event.kind == Kind::Hold {
        // A subject has no namespace.
        return vec![None];
    }
    if is_judgement(event.kind) || matches!(event.kind, Kind::Tag | Kind::Untag | Kind::Link) {
        for about in &event.about {
            match about {
                About::Thing(thing) if thing.name.is_none() => reach.push(None),
                About::Thing(thing) => reach.extend(thing.namespace.as_deref().map(Some)),
                About::Run(run) => reach.extend(run.namespace.as_deref().map(Some)),
                About::Event(_) => {}
            }
        }
    }
    reach
}

fn nobody() -> Refused {
    Refused::new(StatusCode::UNAUTHORIZED, "unauthorized", "this takes a token")
        .help("send `Authorization: Bearer TOKEN`; `lineage token add NAME --role ROLE` makes one")
}

fn forbidden(message: String) -> Refused {
    Refused::new(StatusCode::FORBIDDEN, "forbidden", message)
}

/// The tokens of a store as last read, and whether one is asked for.
pub(crate) struct Access {
    required: bool,
    file: PathBuf,
    read: Mutex<Read>,
}

/// The tokens, and when their file was written.
#[derive(Default)]
struct Read {
    stamp: Option<(SystemTime, u64)>,
    tokens: Tokens,
}

impl Access {
    /// Reads the tokens of a store; `required`: nothing is served without one.
    pub(crate) fn open(root: &Path, required: bool) -> Self {
        Self { required, file: Tokens::file(root), read: Mutex::default() }
    }

    /// Whether a token is asked for.
    pub(crate) fn is_required(&self) -> bool {
        self.required
    }

    /// Who asks.
    pub(crate) fn caller(&self, headers: &HeaderMap, peer: IpAddr, now: Time) -> Result<Caller, Refused> {
        let mut read = self.read.lock().unwrap_or_else(PoisonError::into_inner);
        self.refresh(&mut read)?;
        let local = !self.required && peer.is_loopback();
        let without = if local { Caller::Local } else { Caller::Nobody };
        if local && read.tokens.is_empty() {
            // Clients are often configured with a key that nobody asks for.
            return Ok(Caller::Local);
        }
        let Some(secret) = credential(headers) else { return Ok(without) };
        // Tokens are found by the digest of 256 random bits, so that the time it takes tells nothing of any.
        match read.tokens.find(&Blake3::of(secret.as_bytes())) {
            Some(token) if token.is_valid(now) => Ok(Caller::Principal(token)),
            Some(_) => Err(Refused::new(StatusCode::UNAUTHORIZED, "expired", "the token has expired")
                .help("`lineage token add` makes a new one")),
            None => Err(Refused::new(StatusCode::UNAUTHORIZED, "unauthorized", "the token is not known")
                .help("`lineage token list` shows the tokens of the store, `lineage token add` makes one")),
        }
    }

    /// Reads the file again if it was written since.
    fn refresh(&self, read: &mut Read) -> Result<(), Refused> {
        let stamp = std::fs::metadata(&self.file).ok().and_then(|m| Some((m.modified().ok()?, m.len())));
        if stamp == read.stamp {
            return Ok(());
        }
        // Who may do what is not known, so nobody may do anything.
        read.tokens = Tokens::read(&self.file).map_err(|error| {
            read.stamp = None;
            Refused::later("access", format!("the tokens cannot be read: {error}"))
        })?;
        read.stamp = stamp;
        Ok(())
    }
}

/// The secret of a request: a bearer token, a password, or the key header of Metaflow's clients.
fn credential(headers: &HeaderMap) -> Option<String> {
    if let Some(key) = headers.get("x-api-key") {
        return Some(key.to_str().ok()?.trim().to_owned());
    }
    let (scheme, value) = headers.get(header::AUTHORIZATION)?.to_str().ok()?.trim().split_once(' ')?;
    let value = value.trim();
    if scheme.eq_ignore_ascii_case("bearer") {
        return Some(value.to_owned());
    }
    if scheme.eq_ignore_ascii_case("basic") {
        let text = String::from_utf8(super::base64::decode(value)?).ok()?;
        return text.split_once(':').map(|(_, password)| password.to_owned());
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::token::Grant;

    fn principal(grants: &[(Role, &str)]) -> Caller {
        let grants = grants.iter().map(|(role, namespace)| Grant { role: *role, namespace: (*namespace).to_owned() });
        Caller::Principal(Arc::new(Token::new("t", Blake3::of(b"x"), grants.collect(), None)))
    }

    #[test]
    fn every_rule_has_its_roles() {
        let all = [Role::Reader, Role::Emitter, Role::Operator, Role::Auditor].map(|role| principal(&[(role, "*")]));
        let row = |rule| all.each_ref().map(|caller| caller.check(rule, Some("n")).is_ok());
        let (reads, sends) = ([true, false, true, true], [false, true, true, true]);
        let expected = [[true; 4], [true; 4], reads, reads, reads, sends, sends];
        assert_eq!(Rule::ALL.map(row), expected);
        let some = principal(&[(Role::Reader, "a")]);
        assert!(some.check(Rule::ReadNamespace, Some("a")).is_ok());
        assert!(some.check(Rule::ReadNamespace, Some("b")).is_err());
        assert!(some.check(Rule::ReadAll, None).is_err(), "answers cross namespaces");
        assert!(Caller::Nobody.check(Rule::Known, None).is_err());
    }

    #[test]
    fn kinds_ask_for_roles_on_every_namespace_they_reach() {
        let event = |text: &str| Event::parse(text.as_bytes(), "x").expect("an event");
        let audit = event(
            r#"{"v":1,"kind":"audit","namespace":"a","outcome":"pass","about":[{"kind":"model","namespace":"b","name":"m"}]}"#,
        );
        let emitter = principal(&[(Role::Emitter, "*")]);
        assert!(emitter.check_event(&audit).is_err());
        assert!(principal(&[(Role::Auditor, "a")]).check_event(&audit).is_err(), "it is about a model of b");
        assert!(principal(&[(Role::Auditor, "a"), (Role::Operator, "b")]).check_event(&audit).is_ok());
        let run = event(r#"{"v":1,"kind":"transform","namespace":"a","outputs":[{"namespace":"b","name":"t"}]}"#);
        assert!(principal(&[(Role::Emitter, "a")]).check_event(&run).is_ok());
        assert!(principal(&[(Role::Emitter, "b")]).check_event(&run).is_err());
        assert!(principal(&[(Role::Reader, "*")]).check_event(&run).is_err());
    }
}
