use model::{Backend, SessionPersistence, SessionToken, Severity, codes};

use crate::at::{At, Fields};
use crate::report::{Place, Report};
use crate::values;

/// `sessionPersistence` of a rule with these back ends.
pub(crate) fn persistence(
    rule: &mut Fields<'_>,
    backends: &[Backend],
    report: &mut Report,
) -> Option<SessionPersistence> {
    let at = rule.take("sessionPersistence")?;
    let place = at.place();
    let mut f = at.fields();
    let name = f.take("sessionName").filter(|at| !at.text().is_empty());
    let name = name.and_then(|at| values::token(&at, report)).map(Into::into);
    let limit = f.take("absoluteTimeout");
    let lifetime = limit.as_ref().and_then(|at| values::duration(at, report));
    let header = f.text("type") == Some("Header");
    let cookie = f.take("cookieConfig");
    if let (true, Some(cookie)) = (header, &cookie) {
        let text = "`cookieConfig` does not belong to a session of type Header";
        report.error(codes::INVALID_VALUE, cookie.place(), text, "remove it");
    }
    let mut cookie = cookie.map(At::fields);
    let permanent = cookie.as_mut().and_then(|f| f.text("lifetimeType")) == Some("Permanent");
    if let Some(cookie) = cookie {
        cookie.finish(report);
    }
    f.finish(report);
    if permanent && limit.is_none() {
        let text = "a permanent cookie needs an `absoluteTimeout`";
        report.error(codes::MISSING_FIELD, place.clone(), text, "add it, or choose Session");
    }
    if let (false, Some(limit)) = (permanent, &limit) {
        no_limit(limit, header, report);
    }
    if backends.iter().filter(|backend| backend.weight > 0).count() > 1 {
        several(place, report);
    }
    let token = if header {
        SessionToken::Header
    } else {
        SessionToken::Cookie { lifetime: lifetime.filter(|_| permanent) }
    };
    Some(SessionPersistence { name, token })
}

/// The token of a session is the endpoint's address and nothing more, so that only the client can forget it.
fn no_limit(limit: &At<'_>, header: bool, report: &mut Report) {
    let text = "the proxy keeps no time for sessions: this one lasts as long as the client wants";
    let hint = if header {
        "remove it, or use a permanent cookie"
    } else {
        "remove it, or choose `lifetimeType: Permanent`"
    };
    report.say(Severity::Warning, codes::UNSUPPORTED_FIELD, limit.value(), text, hint);
}

/// Which back end gets a request is drawn anew each time; the token counts only within it.
fn several(rule: Place, report: &mut Report) {
    let text = "with several back ends a session holds only while the same back end is drawn";
    let hint = "give the rule one back end";
    report.say(Severity::Warning, codes::UNSUPPORTED_FIELD, rule, text, hint);
}
