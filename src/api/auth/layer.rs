//! The layer around all paths.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::RequestExt as _;
use axum::body::Body;
use axum::extract::{ConnectInfo, MatchedPath, RawPathParams, Request, State};
use axum::http::{HeaderMap, HeaderValue, Method, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use futures::StreamExt as _;

use super::audit::{Audited, Outcome, Record};
use super::origin::{check, check_host, is_safe};
use super::rate::Buckets;
use super::{Access, SESSION, Shown, Unknown};
use crate::problem::{
    FORBIDDEN, OBJECT_NOT_FOUND, Problem, TOO_MANY, UNAUTHENTICATED, UNAVAILABLE,
};
use crate::replica::{Asked, CLAIM, FEED, HANDED_ON, Replicas, signed, stranger};
use crate::{Bearer, Caller, Role, Time, Via};

/// Paths for everybody. What has no path of its own is a file of the console, or nothing.
const OPEN: &[&str] = &[
    "/healthz",
    "/readyz",
    "/errors/{code}",
    "/login/link",
    "/login/oidc",
    "/login/oidc/callback",
    "/api/v1/login",
    "/api/v1/logout",
    "/api/v1/me",
    "/api/docs",
    "/api/v1/openapi.json",
];
const METRICS: &str = "/metrics";

/// Questions that are too long for a URL: they change nothing.
pub(super) const QUESTIONS: &[&str] =
    &["/api/v1/import/{format}", "/api/v1/validate", "/api/v1/why"];

/// Bad credentials from one address: so many at once, then one in this time.
const FAILURES: f64 = 20.0;
const FAILURE_EVERY: Duration = Duration::from_secs(6);

/// How long a stream goes on before its caller is asked again.
const STREAM: Duration = Duration::from_secs(600);

const LONGEST_NAME: usize = 64;
const LONGEST_REASON: usize = 500;

pub(crate) struct Guard {
    access: Option<Arc<dyn Access>>,
    replicas: Option<Arc<dyn Replicas>>,
    required: bool,
    metrics_open: bool,
    requests: Option<Buckets<Arc<str>>>,
    failures: Buckets<Option<IpAddr>>,
}

/// The id of this request, for whoever writes it down.
#[derive(Clone, Debug)]
pub(crate) struct RequestId(pub(crate) Arc<str>);

impl Guard {
    pub(crate) fn new(
        access: Option<Arc<dyn Access>>,
        replicas: Option<Arc<dyn Replicas>>,
    ) -> Self {
        let about = access.as_ref().map(|access| access.about()).unwrap_or_default();
        let rate = f64::from(about.rate);
        Self {
            required: about.required,
            metrics_open: about.metrics_open || !about.required,
            requests: (about.rate > 0 && about.required).then(|| Buckets::new(4.0 * rate, rate)),
            failures: Buckets::new(FAILURES, 1.0 / FAILURE_EVERY.as_secs_f64()),
            access,
            replicas,
        }
    }

    fn is_open(&self, place: &Place) -> bool {
        match place.matched.as_deref() {
            Some(METRICS) => self.metrics_open,
            Some(path) => OPEN.contains(&path),
            None => !place.path.starts_with("/api"),
        }
    }
}

/// What a request is about, as far as its path says.
struct Place {
    method: Method,
    path: String,
    /// With the query.
    full: String,
    matched: Option<String>,
    params: Vec<(String, String)>,
}

impl Place {
    async fn of(request: &mut Request) -> Self {
        let params = request.extract_parts::<RawPathParams>().await.ok();
        let params = params.iter().flatten().map(|(n, v)| (n.to_owned(), v.to_owned())).collect();
        let matched = request.extensions().get::<MatchedPath>();
        Self {
            method: request.method().clone(),
            path: request.uri().path().to_owned(),
            full: request.uri().path_and_query().map(ToString::to_string).unwrap_or_default(),
            matched: matched.map(|matched| matched.as_str().to_owned()),
            params,
        }
    }

    fn param(&self, name: &str) -> Option<&str> {
        self.params.iter().find(|(n, _)| n == name).map(|(_, value)| value.as_str())
    }

    fn matches(&self, path: &str) -> bool {
        self.matched.as_deref() == Some(path)
    }

    fn namespace(&self) -> Option<&str> {
        let name = if self.matches("/api/v1/namespaces/{name}") { "name" } else { "namespace" };
        self.param(name).or_else(|| self.param("ns"))
    }

    /// The last part of the path that is a word and not a name.
    fn verb(&self) -> String {
        let last = || {
            let matched = self.matched.as_deref().unwrap_or_default();
            let word = matched.rsplit('/').next().unwrap_or_default();
            self.param(word.trim_matches(['{', '}'])).unwrap_or(word).to_owned()
        };
        match self.method {
            Method::GET | Method::HEAD => "get".into(),
            Method::PUT => "put".into(),
            Method::DELETE => "delete".into(),
            _ if self.matches("/api/v1/tokens") => "create".into(),
            _ => last(),
        }
    }

    fn object(&self) -> Vec<String> {
        let Some(name) = self.param("name").or_else(|| self.param("id")) else { return Vec::new() };
        let kind = self.param("plural").map(str::to_owned).or_else(|| {
            let matched = self.matched.as_deref()?.strip_prefix("/api/v1/")?;
            matched.split('/').find(|part| !part.starts_with('{')).map(str::to_owned)
        });
        let namespace = self.param("namespace").map(|name| format!("{name}/")).unwrap_or_default();
        vec![format!("{} {namespace}{name}", kind.unwrap_or_default())]
    }
}

/// Finds out who asks, refuses what they may not, and writes down what became of it.
pub(crate) async fn guard(
    State(guard): State<Arc<Guard>>,
    mut request: Request,
    next: Next,
) -> Response {
    let place = Place::of(&mut request).await;
    let query = request.uri().query().unwrap_or_default().to_owned();
    let mut headers = request.headers().clone();
    // HTTP/2 has the name of the server elsewhere.
    if let Some(authority) = request.uri().authority()
        && !headers.contains_key(header::HOST)
        && let Ok(authority) = HeaderValue::try_from(authority.as_str())
    {
        headers.insert(header::HOST, authority);
    }
    let peer = request.extensions().get::<ConnectInfo<SocketAddr>>();
    let address = peer.map(|ConnectInfo(address)| address.ip().to_canonical());
    let id = request.extensions().get::<RequestId>().cloned();
    let changes = guard.access.as_ref().map(|access| access.changes());
    let claim = headers.get(CLAIM).map(|claim| claim.to_str().unwrap_or_default().to_owned());
    let admitted = admit(&guard, &place, &headers, address).await;
    let (caller, response) = match admitted {
        Ok(caller) => {
            if let Some(caller) = &caller {
                request.extensions_mut().insert(caller.clone());
            }
            if place.matches("/api/v1/login") {
                request.extensions_mut().insert(Turns(guard.clone()));
            }
            (caller, next.run(request).await)
        }
        Err((caller, refusal)) => (caller, *refusal),
    };
    let mut response = response;
    let failed = place.matches("/api/v1/login") || place.matches("/login/link");
    if failed && problem(&response).is_some_and(|p| p.kind().code() == UNAUTHENTICATED.code()) {
        response = guard.failure(address, response);
    }
    // Who logs in is known afterwards.
    let caller = response.extensions_mut().remove::<Caller>().or(caller);
    if let Some(access) = &guard.access
        && let Some(record) =
            record(&place, &query, &headers, address, caller.as_ref(), &mut response, id.clone())
    {
        access.record(record);
    }
    if let Some(((replicas, claim), caller)) =
        guard.replicas.as_deref().zip(claim).zip(caller.as_ref())
        && caller.via == Via::Replica
    {
        let id = id.map(|id| id.0).unwrap_or_default();
        return signed(replicas, &claim, response, &id).await;
    }
    match (changes, caller) {
        (Some(changes), Some(_)) if guard.required && is_stream(&response) => {
            until_changed(response, changes)
        }
        _ => response,
    }
}

type Refusal = (Option<Caller>, Box<Response>);

async fn admit(
    guard: &Guard,
    place: &Place,
    headers: &HeaderMap,
    address: Option<IpAddr>,
) -> Result<Option<Caller>, Refusal> {
    let no = |caller: Option<Caller>, problem: Problem| (caller, Box::new(problem.into_response()));
    let session = cookie(headers, SESSION);
    check(headers, &place.method, session.is_some()).map_err(|problem| no(None, problem))?;
    if headers.contains_key(CLAIM) || place.matches(FEED) {
        return replica(guard, place, headers).map_err(|problem| no(None, problem)).map(Some);
    }
    let open = guard.is_open(place);
    let known_only = guard.failures.is_empty(&address, Instant::now());
    if known_only && (place.matches("/api/v1/login") || place.matches("/login/link")) {
        return Err((None, Box::new(too_many(FAILURE_EVERY))));
    }
    let shown = Shown {
        bearer: bearer(headers),
        session: session.map(str::to_owned),
        client: client(headers, session.is_some()),
        address,
        known_only,
        writes: !is_safe(&place.method) || place.matches("/api/v1/me"),
        namespace: place.namespace().map(str::to_owned),
        plural: place.param("plural").map(str::to_owned),
    };
    let Some(access) = guard.access.as_ref().filter(|_| guard.required) else {
        if !open {
            check_host(headers).map_err(|problem| no(None, problem))?;
        }
        let anybody = Caller { client: shown.client, address, ..Caller::anybody() };
        rights(place, &anybody).map_err(|problem| no(Some(anybody.clone()), problem))?;
        return Ok(Some(anybody));
    };
    if open && !place.matches("/api/v1/me") {
        return Ok(None);
    }
    let caller = match access.identify(&shown).await {
        Ok(caller) => caller,
        Err(Unknown::Nobody) if open => return Ok(None),
        Err(why) => {
            let bad = matches!(why, Unknown::Refused(_));
            let response = no(None, unknown(why)).1;
            return Err((
                None,
                if bad { Box::new(guard.failure(address, *response)) } else { response },
            ));
        }
    };
    if let Some(requests) = &guard.requests
        && let Err(wait) = requests.take(&caller.subject, Instant::now())
    {
        return Err((Some(caller), Box::new(too_many(wait))));
    }
    if !open {
        rights(place, &caller).map_err(|problem| no(Some(caller.clone()), problem))?;
    }
    Ok(Some(caller))
}

/// Who asks by way of another replica. Whoever claims to be one and is not is nobody else either.
fn replica(guard: &Guard, place: &Place, headers: &HeaderMap) -> Result<Caller, Problem> {
    let known = place.matched.as_deref().is_some_and(|path| HANDED_ON.contains(&path));
    let claim = headers.get(CLAIM).and_then(|claim| claim.to_str().ok());
    let asked = Asked { method: &place.method, path: &place.full, accept: None };
    let replicas = guard.replicas.as_deref().filter(|_| known).zip(claim);
    let caller = replicas.and_then(|(replicas, claim)| replicas.admit(claim, &asked));
    let caller = caller.ok_or_else(stranger)?;
    if !place.matches(FEED) {
        rights(place, &caller)?;
    }
    Ok(caller)
}

/// The least that is needed, so that no path is open by mistake.
fn rights(place: &Place, caller: &Caller) -> Result<(), Problem> {
    let question = place.matched.as_deref().is_some_and(|path| QUESTIONS.contains(&path));
    let least = if is_safe(&place.method) || question { Role::Viewer } else { Role::Editor };
    match place.namespace() {
        Some(namespace) if caller.may(least, Some(namespace)) => Ok(()),
        // What somebody may not see is not there.
        Some(namespace) if !caller.may(Role::Viewer, Some(namespace)) => Err(Problem::new(
            OBJECT_NOT_FOUND,
            format!("there is nothing at {} that you may see", place.path),
        )),
        namespace @ Some(_) => caller.must(least, namespace),
        None if caller.grants.iter().any(|grant| grant.role >= least) => Ok(()),
        None if caller.grants.is_empty() => Err(Problem::new(
            FORBIDDEN,
            format!("{} is known, and has no role here", caller.subject),
        )
        .hint("somebody with the role admin can grant one: Access in the console")),
        None => caller.must(least, None),
    }
}

/// For who logs in: whose turn it is to be counted is only known once their credential is read.
#[derive(Clone)]
pub(super) struct Turns(Arc<Guard>);

impl Turns {
    /// # Errors
    /// With the answer, where somebody has sent too many requests.
    pub(super) fn take(&self, subject: &Arc<str>) -> Result<(), Box<Response>> {
        let Some(requests) = &self.0.requests else { return Ok(()) };
        requests.take(subject, Instant::now()).map_err(|wait| Box::new(too_many(wait)))
    }
}

impl Guard {
    /// A bad credential is answered as it is, until there have been too many.
    fn failure(&self, address: Option<IpAddr>, response: Response) -> Response {
        match self.failures.take(&address, Instant::now()) {
            Ok(()) => response,
            Err(wait) => too_many(wait),
        }
    }
}

fn too_many(wait: Duration) -> Response {
    let seconds = wait.as_secs_f64().ceil().max(1.0);
    let text = format!("more requests than one caller may send: again in {seconds} s");
    let mut response = Problem::new(TOO_MANY, text).into_response();
    if let Ok(value) = HeaderValue::try_from(format!("{seconds}")) {
        response.headers_mut().insert(header::RETRY_AFTER, value);
    }
    response
}

pub(super) fn unknown(why: Unknown) -> Problem {
    let hint = "log in at /, or send `Authorization: Bearer` with a token";
    match why {
        Unknown::Nobody => Problem::new(UNAUTHENTICATED, "this needs a login").hint(hint),
        Unknown::Refused(text) => Problem::new(UNAUTHENTICATED, text).hint(hint),
        Unknown::Unavailable(text) => Problem::new(UNAVAILABLE, text),
    }
}

/// Where `Authorization` is for somebody on the way, such as the API server of Kubernetes as a proxy.
const TOKEN_HEADER: &str = "x-isthmus-token";

fn bearer(headers: &HeaderMap) -> Option<Bearer> {
    if let Some(token) = headers.get(TOKEN_HEADER) {
        return Some(Bearer::new(token.to_str().unwrap_or_default().trim()));
    }
    let text = headers.get(header::AUTHORIZATION)?.to_str().ok().unwrap_or_default();
    let (scheme, token) = text.split_once(' ').unwrap_or((text, ""));
    // Another scheme is a credential that is not good, and not none.
    Some(Bearer::new(if scheme.eq_ignore_ascii_case("bearer") { token.trim() } else { "" }))
}

pub(super) fn cookie<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    let cookies = headers.get_all(header::COOKIE).iter().filter_map(|value| value.to_str().ok());
    let mut pairs =
        cookies.flat_map(|text| text.split(';')).filter_map(|pair| pair.split_once('='));
    pairs.find(|(key, _)| key.trim() == name).map(|(_, value)| value.trim())
}

fn client(headers: &HeaderMap, session: bool) -> Arc<str> {
    let agent = headers.get(header::USER_AGENT).and_then(|value| value.to_str().ok());
    let agent = agent.unwrap_or_default();
    if session {
        "console".into()
    } else if agent.starts_with("isthmus/") {
        "cli".into()
    } else {
        agent.chars().take(LONGEST_NAME).collect::<String>().into()
    }
}

fn problem(response: &Response) -> Option<&Problem> {
    response.extensions().get::<Problem>()
}

fn record(
    place: &Place,
    query: &str,
    headers: &HeaderMap,
    address: Option<IpAddr>,
    caller: Option<&Caller>,
    response: &mut Response,
    id: Option<RequestId>,
) -> Option<Record> {
    let status = response.status();
    let audited = response.extensions_mut().remove::<Audited>();
    let outcome = match status.as_u16() {
        401 | 403 => Outcome::Denied,
        // It is not let see what it asks for.
        404 if !is_safe(&place.method) => Outcome::Denied,
        400.. => Outcome::Refused,
        _ => Outcome::Done,
    };
    let parameter = |name: &str| {
        let pairs = query.split('&').filter_map(|pair| pair.split_once('='));
        pairs.into_iter().find(|(key, _)| *key == name).map(|(_, value)| value)
    };
    let link = place.matched.as_deref().is_some_and(|path| path.starts_with("/login/"));
    let question = place.matched.as_deref().is_some_and(|path| QUESTIONS.contains(&path))
        || parameter("dryRun") == Some("true");
    let write = !is_safe(&place.method) && !question;
    // That a browser asks before anybody has logged in is no try of anything.
    let first_look = caller.is_none() && bearer(headers).is_none();
    let tried = outcome == Outcome::Denied && !(is_safe(&place.method) && first_look);
    let logged_in = link && status.is_redirection();
    let wanted = write || tried || logged_in;
    if !wanted || status.as_u16() == 429 {
        return None;
    }
    let Audited { objects, namespaces, revision, changes } = audited.unwrap_or_else(|| Audited {
        objects: place.object(),
        namespaces: place.namespace().map(str::to_owned).into_iter().collect(),
        ..Audited::default()
    });
    let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    Some(Record {
        at: Time::now(),
        subject: caller.map(|caller| caller.subject.to_string()).unwrap_or_default(),
        via: caller.map(|caller| caller.via),
        client: caller.map_or_else(|| client(headers, false), |c| c.client.clone()).to_string(),
        address: address.map(|address| address.to_string()),
        forwarded_for: text("x-forwarded-for").map(|text| text.chars().take(200).collect()),
        verb: if link { "login".into() } else { place.verb() },
        path: place.path.chars().take(LONGEST_REASON).collect(),
        objects,
        namespaces,
        reason: parameter("reason").map(words).unwrap_or_default(),
        result: outcome,
        status: status.as_u16(),
        code: problem(response).map(|problem| problem.kind().code().to_string()),
        revision,
        changes,
        request_id: id.map(|id| id.0.to_string()).unwrap_or_default(),
    })
}

/// A value of a query, as it was meant.
fn words(value: &str) -> String {
    let plain = value.replace('+', " ");
    let text = percent_encoding::percent_decode_str(&plain).decode_utf8_lossy();
    text.chars().take(LONGEST_REASON).collect()
}

fn is_stream(response: &Response) -> bool {
    let kind = response.headers().get(header::CONTENT_TYPE);
    kind.is_some_and(|kind| kind.as_bytes().starts_with(b"text/event-stream"))
}

/// A stream ends when somebody may have lost a right, and after a while in any case, since tokens end by themselves:
/// whoever still may comes again, goes on where they were, and is asked again.
pub(super) fn until_changed(
    response: Response,
    mut changes: tokio::sync::watch::Receiver<u64>,
) -> Response {
    let (head, body) = response.into_parts();
    let changed = async move {
        // An error means that the server is on its way out.
        let _ = tokio::time::timeout(STREAM, changes.changed()).await;
    };
    let body = body.into_data_stream().take_until(Box::pin(changed));
    Response::from_parts(head, Body::from_stream(body))
}
