use std::sync::Arc;

use model::{
    Cors, Filter, Fraction, HeaderEdit, HeaderValue, PathModifier, Redirect, Rewrite, Severity,
    codes,
};

use crate::at::{At, Fields};
use crate::http_route::backend_ref;
use crate::report::{Place, Report};
use crate::values;

/// What filters need to know of the rule they stand in.
pub(crate) struct Context<'a> {
    pub namespace: &'a Arc<str>,
    /// Whether the rule has exactly one match and that is of a path prefix.
    pub single_prefix: bool,
}

pub(crate) struct Filters {
    pub filters: Vec<Filter>,
    /// Where a redirect stands, if there is one.
    pub redirect: Option<Place>,
}

/// The field that belongs to each filter type, as the schema lists them.
const TYPES: [(&str, &str); 8] = [
    ("RequestHeaderModifier", "requestHeaderModifier"),
    ("ResponseHeaderModifier", "responseHeaderModifier"),
    ("RequestMirror", "requestMirror"),
    ("RequestRedirect", "requestRedirect"),
    ("URLRewrite", "urlRewrite"),
    ("CORS", "cors"),
    ("ExtensionRef", "extensionRef"),
    ("ExternalAuth", "externalAuth"),
];

pub(crate) fn filters(
    list: Option<&At<'_>>,
    context: &Context<'_>,
    report: &mut Report,
) -> Filters {
    let mut out = Filters { filters: Vec::new(), redirect: None };
    let mut seen: Vec<&str> = Vec::new();
    for item in list.map(At::items).unwrap_or_default() {
        let place = item.place();
        let mut f = item.fields();
        let kind = f.text("type").unwrap_or_default();
        check_types(&mut f, kind, report);
        // Several mirrors are several copies; of everything else a second one would undo or hide the first.
        if !matches!(kind, "RequestMirror" | "ExtensionRef") && seen.contains(&kind) {
            let text = format!("the filter {kind} stands twice");
            report.error(codes::CONFLICTING_FILTERS, place.clone(), text, "merge the two into one");
        }
        let other = match kind {
            "RequestRedirect" => "URLRewrite",
            "URLRewrite" => "RequestRedirect",
            _ => "",
        };
        if seen.contains(&other) {
            let text = "RequestRedirect and URLRewrite exclude each other: a redirect is sent without being forwarded";
            report.error(codes::CONFLICTING_FILTERS, place.clone(), text, "remove one");
        }
        seen.push(kind);
        if kind == "RequestRedirect" {
            out.redirect = Some(place);
        }
        out.filters.extend(filter(kind, &mut f, context, report));
        f.finish(report);
    }
    out
}

/// The field named by the type must be there, and no other.
fn check_types(f: &mut Fields<'_>, kind: &str, report: &mut Report) {
    for (name, field) in TYPES {
        let given = f.take(field);
        match (name == kind, given) {
            (true, None) => {
                let text = format!("a filter of type {kind} needs the field `{field}`");
                report.error(codes::MISSING_FIELD, f.at.place(), text, "");
            }
            (false, Some(given)) => {
                let text = format!("`{field}` does not belong to a filter of type {kind}");
                report.error(
                    codes::INVALID_VALUE,
                    given.place(),
                    text,
                    format!("write `type: {name}`, or remove it"),
                );
            }
            _ => {}
        }
    }
}

fn filter(
    kind: &str,
    f: &mut Fields<'_>,
    context: &Context<'_>,
    report: &mut Report,
) -> Option<Filter> {
    Some(match kind {
        "RequestHeaderModifier" => {
            Filter::RequestHeaders(header_edit(f.object("requestHeaderModifier")?, report))
        }
        "ResponseHeaderModifier" => {
            Filter::ResponseHeaders(header_edit(f.object("responseHeaderModifier")?, report))
        }
        "RequestRedirect" => {
            Filter::Redirect(redirect(f.object("requestRedirect")?, context, report))
        }
        "URLRewrite" => Filter::Rewrite(rewrite(f.object("urlRewrite")?, context, report)),
        "RequestMirror" => mirror(f.object("requestMirror")?, context, report),
        "CORS" => Filter::Cors(cors(f.object("cors")?, report)),
        other => {
            let text = format!("the filter {} is not supported", report.quote(other));
            let hint =
                "requests that it is for are answered 500: Gateway API forbids to skip a filter";
            report.say(Severity::Error, codes::UNSUPPORTED_FILTER, f.at.place(), text, hint);
            Filter::Unsupported { kind: other.into(), pointer: f.at.shared_pointer() }
        }
    })
}

fn header_edit(mut f: Fields<'_>, report: &mut Report) -> HeaderEdit {
    let set = header_values(f.items("set"), report);
    let add = header_values(f.items("add"), report);
    let remove =
        f.items("remove").iter().filter_map(|at| values::header_name(at, report)).collect();
    f.finish(report);
    HeaderEdit { set, add, remove }
}

/// HTTPHeader: of equal names only the first counts.
fn header_values(items: Vec<At<'_>>, report: &mut Report) -> Vec<HeaderValue> {
    let mut out: Vec<HeaderValue> = Vec::new();
    for item in items {
        let mut f = item.fields();
        let name = f.take("name").and_then(|at| values::header_name(&at, report));
        let value = f.take("value").and_then(|at| values::header_value(&at, report));
        f.finish(report);
        if let (Some(name), Some(value)) = (name, value)
            && !out.iter().any(|h| h.name == name)
        {
            out.push(HeaderValue { name, value });
        }
    }
    out
}

fn redirect(mut f: Fields<'_>, context: &Context<'_>, report: &mut Report) -> Redirect {
    let redirect = Redirect {
        scheme: f.shared("scheme"),
        hostname: f.take("hostname").and_then(|at| values::exact_hostname(&at, report)),
        path: f.object("path").and_then(|path| path_modifier(path, context, report)),
        port: f.take("port").map(|at| at.port()),
        status: f.take("statusCode").and_then(|at| u16::try_from(at.int()).ok()),
    };
    f.finish(report);
    redirect
}

fn rewrite(mut f: Fields<'_>, context: &Context<'_>, report: &mut Report) -> Rewrite {
    let rewrite = Rewrite {
        hostname: f.take("hostname").and_then(|at| values::exact_hostname(&at, report)),
        path: f.object("path").and_then(|path| path_modifier(path, context, report)),
    };
    f.finish(report);
    rewrite
}

fn path_modifier(
    mut f: Fields<'_>,
    context: &Context<'_>,
    report: &mut Report,
) -> Option<PathModifier> {
    let place = f.at.place();
    let kind = f.text("type").unwrap_or_default();
    let (full, prefix) = (f.take("replaceFullPath"), f.take("replacePrefixMatch"));
    f.finish(report);
    let (wanted, field, other) = match kind {
        "ReplaceFullPath" => (full, "replaceFullPath", prefix),
        _ => (prefix, "replacePrefixMatch", full),
    };
    if let Some(other) = other {
        let text = format!("this field does not belong to a path of type {kind}");
        report.error(codes::INVALID_VALUE, other.value(), text, "remove it, or change the type");
    }
    let Some(at) = wanted else {
        report.error(
            codes::MISSING_FIELD,
            place,
            format!("a path of type {kind} needs `{field}`"),
            "",
        );
        return None;
    };
    if at.text().chars().any(|c| c.is_control() || c == ' ') {
        let text = "a path has no spaces or control characters";
        report.error(codes::INVALID_VALUE, at.value(), text, "percent-encode them");
        return None;
    }
    if kind == "ReplaceFullPath" {
        return Some(PathModifier::ReplaceFull(at.shared()));
    }
    if !context.single_prefix {
        let text =
            "replacePrefixMatch needs a rule with exactly one match, and that of type PathPrefix";
        report.error(codes::INVALID_VALUE, at.value(), text, "give each prefix a rule of its own");
        return None;
    }
    Some(PathModifier::ReplacePrefix(at.shared()))
}

fn mirror(mut f: Fields<'_>, context: &Context<'_>, report: &mut Report) -> Filter {
    let (percent, fraction) = (f.take("percent"), f.object("fraction"));
    let fraction = match (percent, fraction) {
        (Some(percent), Some(_)) => {
            let text = "percent and fraction exclude each other";
            report.error(codes::INVALID_VALUE, percent.value(), text, "remove one");
            None
        }
        (Some(percent), None) => Some(Fraction {
            numerator: u32::try_from(percent.int()).unwrap_or_default(),
            denominator: 100,
        }),
        (None, Some(mut fraction)) => {
            let place = fraction.at.place();
            let mut number = |name, otherwise| {
                fraction
                    .take(name)
                    .map_or(otherwise, |at| u32::try_from(at.int()).unwrap_or(otherwise))
            };
            let (numerator, denominator) = (number("numerator", 0), number("denominator", 100));
            if numerator > denominator {
                report.error(
                    codes::INVALID_VALUE,
                    place,
                    "the numerator is larger than the denominator",
                    "",
                );
            }
            fraction.finish(report);
            Some(Fraction { numerator, denominator })
        }
        (None, None) => None,
    };
    let mut target = f.object("backendRef");
    let backend = target.as_mut().map(|target| backend_ref(target, context.namespace, report));
    if let Some(target) = target {
        target.finish(report);
    }
    f.finish(report);
    match backend {
        Some(backend) => Filter::Mirror { backend, fraction },
        // The schema requires it.
        None => Filter::Unsupported { kind: "RequestMirror".into(), pointer: "".into() },
    }
}

fn cors(mut f: Fields<'_>, report: &mut Report) -> Cors {
    for name in ["allowOrigins", "allowMethods", "allowHeaders"] {
        let items = f.items(name);
        if let (true, Some(star)) = (items.len() > 1, items.iter().find(|at| at.text() == "*")) {
            let text = format!(
                "`*` stands for all {} and can only stand alone",
                &name[5..].to_lowercase()
            );
            report.error(codes::INVALID_VALUE, star.value(), text, "remove the others, or `*`");
        }
    }
    let cors = Cors {
        allow_origins: f.texts("allowOrigins"),
        allow_methods: f.texts("allowMethods"),
        allow_headers: f.texts("allowHeaders"),
        expose_headers: f.texts("exposeHeaders"),
        allow_credentials: f.take("allowCredentials").is_some_and(|at| at.is_true()),
        max_age: f.take("maxAge").and_then(|at| u32::try_from(at.int()).ok()),
    };
    f.finish(report);
    cors
}
