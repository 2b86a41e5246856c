//! Who may ask for what on the xDS port: a credential grants a role and a scope, and a node gets no other.
//!
//! ```text
//! bearer token ── its SHA-256 ─────────┐
//! JWT (JWKS file) ── claim or `sub` ───┼──► grants ──► does one cover the role and scope that the node asks for?
//! ServiceAccount (TokenReview) ────────┤
//! client certificate ── its SANs ──────┘
//! ```
//! The grants file has a line for each grant, `SUBJECT ROLE SCOPES`, and comments after `#`:
//!
//! ```text
//! sha256:9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08  gateway  shop/edge,infra/*
//! san:spiffe://example.org/ns/shop/sa/edge                                 gateway  shop/*
//! sub:system:serviceaccount:shop:edge                                      gateway  shop/edge
//! san:spiffe://example.org/ns/shop/sa/orders                               grpc     shop
//! sha256:60303ae22b998861bce3b28f33eec1be758a213c86c93c076dbe9f558c11c752  sidecar  reg/infra.nacos/svc/orders
//! sub:operator@example.org                                                 admin
//! ```
//! The scope of a gateway is its namespace and name, that of a gRPC program a namespace, that of a sidecar the path of its
//! SPIFFE id (`ns/NAMESPACE/sa/ACCOUNT`, `reg/NAMESPACE.REGISTRY/svc/SERVICE`); `*` stands for any letters but `/`.
//! Whoever sees all namespaces at once needs the scope `*` itself. The role `admin` may ask for the status of all clients (CSDS). A JWT may carry its
//! grant itself, in the claim `isthmus`: `{"role": "gateway", "gateways": ["shop/*"]}`,
//! `{"role": "grpc", "namespaces": ["shop"]}` or `{"role": "sidecar", "workloads": ["ns/shop/sa/orders"]}`. A ServiceAccount
//! is the sidecar that it says it is, and no other. Tokens are never kept or printed.

mod jwt;
mod review;
#[cfg(test)]
mod sidecar_tests;
#[cfg(test)]
pub(crate) mod tests;

use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;
use std::time::SystemTime;

use anyhow::{Context, bail};
use model::Identity;
use ring::digest::{SHA256, digest};
use serve::{Client, Refusal};
use x509_parser::prelude::{FromDer, GeneralName, X509Certificate};

use crate::reload::Contents;
use crate::settings::Settings;
pub(crate) use jwt::Jwt;
pub(crate) use review::{Accounts, Reviews, Trouble};

/// Longer credentials are not looked at.
const MAX_TOKEN: usize = 16 << 10;

/// What one credential may ask for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Grant {
    role: String,
    /// Gateways or namespaces, with `*`.
    scopes: Vec<String>,
}

/// The scope of a gRPC program that sees all namespaces. As a glob it covers each of them too; no other glob covers it
/// by accident, since no namespace is called so.
const EVERYTHING: &str = "*";

impl Grant {
    fn covers(&self, role: &str, scope: &str) -> bool {
        let covered = |glob: &String| match scope {
            EVERYTHING => glob == EVERYTHING,
            scope => matches(glob, scope),
        };
        self.role == role && self.scopes.iter().any(covered)
    }
}

/// Everything that is known about credentials. Without any of it, everyone is let in.
#[derive(Debug, Default)]
pub(crate) struct Auth {
    required: bool,
    tokens: HashMap<[u8; 32], Vec<Grant>>,
    subjects: Vec<(String, Grant)>,
    names: Vec<(String, Grant)>,
    jwt: Option<Jwt>,
    reviews: Option<Arc<Reviews>>,
}

/// What a client was found to be.
#[derive(Default)]
pub(crate) struct Allowed {
    /// `None`: whatever it says.
    grants: Option<Vec<Grant>>,
    /// The pod that its token was made for, if it says so.
    pod: Option<Arc<str>>,
}

impl Auth {
    /// The files that credentials are known from.
    pub(crate) fn files(settings: &Settings) -> impl Iterator<Item = &Path> {
        settings.xds_tokens_file.as_deref().into_iter().chain(settings.xds_jwks_file.as_deref())
    }

    /// # Errors
    /// When a file has a mistake in it: going on would let in fewer or more than was meant.
    pub(crate) fn new(settings: &Settings, files: &Contents) -> anyhow::Result<Self> {
        let mut auth = Self::default();
        if let Some(path) = &settings.xds_tokens_file {
            auth.grants(files.text(path)?).with_context(|| path.display().to_string())?;
        }
        if let Some(path) = &settings.xds_jwks_file {
            let jwt = Jwt::new(
                files.text(path)?,
                settings.xds_jwt_audience.clone(),
                settings.xds_jwt_issuer.clone(),
            );
            auth.required = true;
            auth.jwt = Some(jwt.with_context(|| path.display().to_string())?);
        }
        Ok(auth)
    }

    /// Tokens of ServiceAccounts are good as well, and sidecars must have one; with `all`, everybody must have a credential.
    #[must_use]
    pub(crate) fn with_reviews(mut self, reviews: Option<Arc<Reviews>>, all: bool) -> Self {
        self.required |= all && reviews.is_some();
        self.reviews = reviews;
        self
    }

    /// Who is to be asked about the credential of this client before it is looked at.
    pub(crate) fn reviews(&self, client: &Client) -> Option<Arc<Reviews>> {
        client.token.as_ref().and(self.reviews.clone())
    }

    fn grants(&mut self, text: &str) -> anyhow::Result<()> {
        self.required = true;
        for (index, line) in text.lines().enumerate() {
            let line = line.split_once('#').map_or(line, |(line, _)| line);
            let words: Vec<_> = line.split_whitespace().collect();
            if !words.is_empty() {
                self.grant(&words).with_context(|| format!("line {}", index + 1))?;
            }
        }
        Ok(())
    }

    fn grant(&mut self, words: &[&str]) -> anyhow::Result<()> {
        let (subject, role, globs) = match words {
            [subject, "admin"] => (subject, "admin", None),
            [subject, role @ ("gateway" | "grpc" | "sidecar"), globs] => {
                (subject, *role, Some(globs))
            }
            _ => bail!(
                "expected `SUBJECT gateway NAMESPACE/NAME,…`, `SUBJECT grpc NAMESPACE,…`, `SUBJECT sidecar PATH,…` or \
                 `SUBJECT admin`"
            ),
        };
        let scopes: Vec<_> =
            globs.into_iter().flat_map(|globs| globs.split(',')).map(str::to_owned).collect();
        if let Some(bad) = scopes.iter().find(|glob| !is_scope(role, glob)) {
            let wanted = match role {
                "gateway" => "NAMESPACE/NAME",
                "grpc" => "NAMESPACE",
                _ => "ns/NAMESPACE/sa/ACCOUNT or reg/NAMESPACE.REGISTRY/svc/SERVICE",
            };
            bail!("{bad} is no {wanted}");
        }
        let grant = Grant { role: role.to_owned(), scopes };
        match subject.split_once(':') {
            Some(("sha256", hex)) => {
                let digest = from_hex(hex).context("expected the 64 hex digits of a SHA-256")?;
                self.tokens.entry(digest).or_default().push(grant);
            }
            Some(("sub", name)) if !name.is_empty() => self.subjects.push((name.into(), grant)),
            Some(("san", name)) if !name.is_empty() => self.names.push((name.into(), grant)),
            // The line itself is not told: it may be a token that somebody wrote there by mistake.
            _ => bail!("a subject begins with sha256:, sub: or san:"),
        }
        Ok(())
    }

    /// Whether ServiceAccounts are asked about.
    pub(crate) fn asks_cluster(&self) -> bool {
        self.reviews.is_some()
    }

    /// Checks the credential of a client, whatever it asks for.
    ///
    /// # Errors
    /// When it has none that is known here.
    pub(crate) fn identify(&self, client: &Client, now: SystemTime) -> Result<Allowed, Refusal> {
        if self.required { self.check(client, now) } else { Ok(Allowed::default()) }
    }

    /// The same for a sidecar, which is given a certificate: where ServiceAccounts can be asked about, it must be one.
    ///
    /// # Errors
    /// When it has no credential that is known here.
    pub(crate) fn identify_sidecar(
        &self,
        client: &Client,
        now: SystemTime,
    ) -> Result<Allowed, Refusal> {
        if self.required || self.reviews.is_some() {
            self.check(client, now)
        } else {
            Ok(Allowed::default())
        }
    }

    fn check(&self, client: &Client, now: SystemTime) -> Result<Allowed, Refusal> {
        let allowed = |grants| Ok(Allowed { grants: Some(grants), pod: None });
        let no = |text: &str| Err(Refusal::Unauthenticated(text.to_owned()));
        // A wrong token is not made good by a certificate: who sends one means it.
        if let Some(token) = &client.token {
            let token = token.reveal();
            if token.len() > MAX_TOKEN {
                return no("the token is too long");
            }
            // Looked up by its digest: how long that takes tells nothing about the token.
            if let Ok(key) = <[u8; 32]>::try_from(digest(&SHA256, token.as_bytes()).as_ref())
                && let Some(grants) = self.tokens.get(&key)
            {
                return allowed(grants.clone());
            }
            let (subject, mut grants, pod) =
                match (self.jwt.as_ref().map(|jwt| jwt.verify(token, now)), &self.reviews) {
                    (Some(Ok(claims)), _) => {
                        (claims.subject.map(Arc::from), Vec::from_iter(claims.grant), None)
                    }
                    // Of another issuer, perhaps.
                    (_, Some(reviews)) => {
                        let reviewed = reviews.identify(token, now)?;
                        (Some(reviewed.user), reviewed.grants, reviewed.pod)
                    }
                    (Some(Err(error)), None) => {
                        return no(&format!("the token is not accepted: {error}"));
                    }
                    (None, None) => return no("the token is not known"),
                };
            grants.extend(subject.iter().flat_map(|subject| granted(&self.subjects, subject)));
            return Ok(Allowed { grants: Some(grants), pod });
        }
        let Some(leaf) = client.certificates.first() else {
            return no("a credential is required: a bearer token, or a client certificate");
        };
        // rustls has verified the chain; only what it says about the client is read here.
        let Ok(names) = alternative_names(leaf) else {
            return no("the client certificate cannot be read");
        };
        let grants: Vec<_> = names.iter().flat_map(|name| granted(&self.names, name)).collect();
        if grants.is_empty() {
            return no("the client certificate is not known, and there is no bearer token");
        }
        allowed(grants)
    }
}

impl Allowed {
    /// # Errors
    /// When the credential is good, but not for this.
    pub(crate) fn gateway(&self, gateway: &str) -> Result<(), Refusal> {
        match &self.grants {
            Some(grants) if !grants.iter().any(|grant| grant.covers("gateway", gateway)) => {
                Err(Refusal::PermissionDenied(format!(
                    "this credential is not for the gateway {gateway}"
                )))
            }
            Some(_) | None => Ok(()),
        }
    }

    /// # Errors
    /// When the credential is good, but not for this namespace, or not for all of them.
    pub(crate) fn grpc(&self, namespace: Option<&str>) -> Result<(), Refusal> {
        let scope = namespace.unwrap_or(EVERYTHING);
        match &self.grants {
            Some(grants) if !grants.iter().any(|grant| grant.covers("grpc", scope)) => {
                Err(Refusal::PermissionDenied(match namespace {
                    Some(name) => format!("this credential is not for gRPC programs of namespace {name}"),
                    None => "this credential is not for gRPC programs that see all namespaces: make the bootstrap with \
                             `isthmus bootstrap --role grpc --namespace NAME`"
                        .into(),
                }))
            }
            Some(_) | None => Ok(()),
        }
    }

    /// `pod` is the one that the sidecar says it is in.
    ///
    /// # Errors
    /// When the credential is good, but not that of this workload.
    pub(crate) fn sidecar(&self, identity: &Identity, pod: Option<&str>) -> Result<(), Refusal> {
        let Some(grants) = &self.grants else { return Ok(()) };
        if !grants.iter().any(|grant| grant.covers("sidecar", &identity.to_string())) {
            return Err(Refusal::PermissionDenied(format!(
                "this credential is not that of {identity}"
            )));
        }
        match (&self.pod, pod) {
            (Some(own), Some(pod)) if **own != *pod => Err(Refusal::PermissionDenied(format!(
                "this credential is not that of the pod {pod}"
            ))),
            _ => Ok(()),
        }
    }

    /// # Errors
    /// When the credential is good, but not for the status of others.
    pub(crate) fn admin(&self) -> Result<(), Refusal> {
        match &self.grants {
            Some(grants) if !grants.iter().any(|grant| grant.role == "admin") => {
                Err(Refusal::PermissionDenied("this credential has not the role admin".into()))
            }
            Some(_) | None => Ok(()),
        }
    }
}

/// Whether a glob is of the form that the scopes of a role have.
fn is_scope(role: &str, glob: &str) -> bool {
    let parts: Vec<_> = glob.split('/').collect();
    let full = parts.iter().all(|part| !part.is_empty());
    full && match role {
        "gateway" => parts.len() == 2,
        "grpc" => parts.len() == 1,
        _ => matches!(parts.as_slice(), ["ns", _, "sa", _] | ["reg", _, "svc", _]),
    }
}

fn granted(list: &[(String, Grant)], name: &str) -> Vec<Grant> {
    list.iter().filter(|(glob, _)| matches(glob, name)).map(|(_, grant)| grant.clone()).collect()
}

/// `*` stands for any letters but `/`.
fn matches(glob: &str, text: &str) -> bool {
    let Some((head, rest)) = glob.split_once('*') else { return glob == text };
    let Some(mut text) = text.strip_prefix(head) else { return false };
    loop {
        if matches(rest, text) {
            return true;
        }
        let mut letters = text.chars();
        match letters.next() {
            None | Some('/') => return false,
            Some(_) => text = letters.as_str(),
        }
    }
}

pub(crate) fn from_hex(text: &str) -> Option<[u8; 32]> {
    if text.len() != 64 || !text.is_ascii() {
        return None;
    }
    let mut out = [0; 32];
    for (byte, pair) in out.iter_mut().zip(text.as_bytes().chunks(2)) {
        let digit = |c: u8| char::from(c).to_digit(16);
        *byte = u8::try_from(digit(pair[0])? * 16 + digit(pair[1])?).ok()?;
    }
    Some(out)
}

/// URIs (SPIFFE) and DNS names. The common name is no identity.
fn alternative_names(der: &[u8]) -> Result<Vec<String>, ()> {
    let (_, certificate) = X509Certificate::from_der(der).map_err(|_| ())?;
    let names = certificate.subject_alternative_name().map_err(|_| ())?;
    let text = |name: &GeneralName<'_>| match name {
        GeneralName::URI(text) | GeneralName::DNSName(text) => Some((*text).to_owned()),
        _ => None,
    };
    Ok(names
        .map(|names| names.value.general_names.iter().filter_map(text).collect())
        .unwrap_or_default())
}
