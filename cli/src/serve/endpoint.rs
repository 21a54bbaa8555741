//! Endpoints as they are described: address, rule, and what goes in and comes out, for the router and its documents.

use super::access::Rule;

/// The methods in use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Method {
    /// Reads.
    Get,
    /// Asks whether it is there.
    Head,
    /// Sends or asks.
    Post,
    /// Stores.
    Put,
    /// Changes.
    Patch,
    /// Takes away.
    Delete,
}

impl Method {
    /// The word of the protocol.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Get => "GET",
            Self::Head => "HEAD",
            Self::Post => "POST",
            Self::Put => "PUT",
            Self::Patch => "PATCH",
            Self::Delete => "DELETE",
        }
    }
}

/// A parameter of an address: name, type in the words of JSON Schema, meaning.
pub(crate) type Parameter = (&'static str, &'static str, &'static str);

/// An answer: status, types of its body, meaning.
pub(crate) type Outcome = (u16, &'static [&'static str], &'static str);

/// One endpoint.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Endpoint {
    /// The method.
    pub(crate) method: Method,
    /// The path, its variable parts in braces.
    pub(crate) path: &'static str,
    /// Who may use it.
    pub(crate) rule: Rule,
    /// What it does, in one line.
    pub(crate) about: &'static str,
    /// What may be added to the address.
    pub(crate) parameters: &'static [Parameter],
    /// The types of what is sent; empty: nothing.
    pub(crate) takes: &'static [&'static str],
    /// What it answers, but for the refusals that all endpoints share.
    pub(crate) gives: &'static [Outcome],
}

impl Endpoint {
    /// An endpoint that reads.
    pub(crate) const fn get(path: &'static str, rule: Rule, about: &'static str) -> Self {
        Self::new(Method::Get, path, rule, about)
    }

    /// An endpoint that takes a body.
    pub(crate) const fn post(path: &'static str, rule: Rule, about: &'static str) -> Self {
        Self::new(Method::Post, path, rule, about)
    }

    /// An endpoint that takes nothing and answers JSON.
    pub(crate) const fn new(method: Method, path: &'static str, rule: Rule, about: &'static str) -> Self {
        Self {
            method,
            path,
            rule,
            about,
            parameters: &[],
            takes: &[],
            gives: &[(200, &["application/json"], "The answer")],
        }
    }

    /// What may be added to the address.
    pub(crate) const fn parameters(mut self, parameters: &'static [Parameter]) -> Self {
        self.parameters = parameters;
        self
    }

    /// The types of what is sent.
    pub(crate) const fn takes(mut self, types: &'static [&'static str]) -> Self {
        self.takes = types;
        self
    }

    /// What it answers.
    pub(crate) const fn gives(mut self, outcomes: &'static [Outcome]) -> Self {
        self.gives = outcomes;
        self
    }
}
