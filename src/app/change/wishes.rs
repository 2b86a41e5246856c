//! From what was sent to single objects that are to be others, and whether they may.

use std::collections::BTreeSet;
use std::sync::Arc;

use api::change::{Change, Edit, ObjectChange, Ownership, Precondition};
use api::problem::{FORBIDDEN, INVALID_DOCUMENTS, STALE};
use api::{Caller, FindingView, Problem, Role};
use catalog::Catalog;
use model::{Finding, Kind, Location, Object, ObjectKey, ObjectRef, Severity, codes};
use serde_json::Value;

use super::{etag, object_change};

/// Whose label says that an object goes when its owner does not send it any more.
const OWNER: &str = "isthmus.dev/owner";
/// How findings name what was sent without a file.
const SENT: &str = "request";
/// What [`kinds::redact`] puts in the place of a secret.
const REDACTED: &str = "<redacted>";

/// One object that is to be another, or to go.
pub(crate) struct Wish {
    pub(crate) key: ObjectKey,
    /// As it is used now.
    pub(crate) before: Option<Object>,
    pub(crate) after: Option<Object>,
    /// What was sent, without what is read into it.
    pub(crate) value: Value,
    /// Likewise, as its author wrote it.
    pub(crate) text: String,
    pub(crate) file: Option<String>,
    pub(super) precondition: Precondition,
    /// Whether an API server is to be told, or a file written.
    pub(crate) in_cluster: bool,
}

pub(super) struct Wishes {
    pub(super) wishes: Vec<Wish>,
    /// What there is to say of the text, no errors among it.
    pub(super) findings: Vec<Finding>,
}

impl Wish {
    pub(crate) fn document(&self) -> Option<Arc<str>> {
        self.after.as_ref().map(|object| object.meta().document.clone())
    }

    pub(crate) fn differs(&self) -> bool {
        let before = self.before.as_ref().map(|object| &object.meta().document);
        before != self.after.as_ref().map(|object| &object.meta().document)
    }

    pub(super) fn report(&self) -> ObjectChange {
        let document = |object: &Option<Object>| object.as_ref().map(|o| o.meta().document.clone());
        object_change(&self.key, document(&self.before).as_deref(), self.document().as_deref())
    }
}

pub(super) fn read(
    change: &Change,
    catalog: &Catalog,
    limits: &kinds::Limits,
    ownership: impl Fn(&ObjectKey) -> Ownership,
) -> Result<Wishes, Problem> {
    let mut out = Wishes { wishes: Vec::new(), findings: Vec::new() };
    let mut errors = Vec::new();
    for edit in &change.edits {
        match edit {
            Edit::Put { text, file, before } => {
                let sent = Sent { text, file: file.as_deref(), lenient: change.lenient };
                let found = sent.read(limits);
                let (bad, fine): (Vec<_>, Vec<_>) =
                    found.findings.into_iter().partition(|f| f.severity == Severity::Error);
                errors.extend(bad);
                out.findings.extend(fine);
                for (object, value, text) in found.documents {
                    let (file, precondition) = (file.clone(), before.clone());
                    let key = object.key().clone();
                    let wish = Wish {
                        before: present(catalog, &key),
                        key,
                        after: Some(object),
                        value,
                        text,
                        file,
                        precondition,
                        in_cluster: false,
                    };
                    out.wishes.push(wish);
                }
            }
            Edit::Delete { kind, name, before } => {
                let key = ObjectKey { kind: *kind, name: name.clone() };
                out.wishes.push(gone(catalog, key, before.clone()));
            }
        }
    }
    if let Some(owner) = &change.prune {
        let kept: BTreeSet<ObjectKey> = out.wishes.iter().map(|wish| wish.key.clone()).collect();
        let owned = |object: &&Object| {
            object.meta().label(OWNER) == Some(owner) && !kept.contains(object.key())
        };
        let all = Kind::ALL.into_iter().flat_map(|kind| catalog.list(kind));
        let left: Vec<ObjectKey> = all.filter(owned).map(|o| o.key().clone()).collect();
        out.wishes.extend(left.into_iter().map(|key| gone(catalog, key, Precondition::None)));
    }
    let mut seen = BTreeSet::new();
    for wish in &mut out.wishes {
        if !seen.insert(wish.key.clone()) {
            let text = format!("{} stands in what was sent twice", wish.key);
            errors.push(say(&wish.key, codes::DUPLICATE_OBJECT, text));
        }
        if wish.key.kind == Kind::Secret && is_redacted(&wish.value) {
            let text = "a value of this Secret is what is shown in the place of one";
            errors.push(say(&wish.key, codes::INVALID_VALUE, text.into()));
        }
        wish.in_cluster = match &wish.before {
            Some(object) => *object.meta().source == *sources::kubernetes::NAME,
            None => {
                let place = ownership(&wish.key).place;
                place == sources::kubernetes::NAME && wish.file.is_none()
            }
        };
        // It is told where it stands, as if it had been read from there.
        if let (true, Some(object)) = (wish.in_cluster, &mut wish.after) {
            object.meta_mut().source = sources::kubernetes::NAME.into();
        }
    }
    if errors.is_empty() {
        return Ok(out);
    }
    let text = match errors.len() {
        1 => errors[0].text.clone(),
        more => format!("{more} mistakes"),
    };
    let views = errors.iter().map(FindingView::from).collect();
    Err(Problem::new(INVALID_DOCUMENTS, text).errors(views))
}

/// What makes `now` of an object `then`, each as its document.
pub(crate) fn edits_to(key: &ObjectKey, then: Option<&str>) -> Edit {
    match then {
        Some(document) => {
            Edit::Put { text: document.to_owned(), file: None, before: Precondition::None }
        }
        None => Edit::Delete { kind: key.kind, name: key.name.clone(), before: Precondition::None },
    }
}

fn present(catalog: &Catalog, key: &ObjectKey) -> Option<Object> {
    let refused = || catalog.refused(key).map(|refused| &refused.object);
    catalog.get(key).or_else(refused).cloned()
}

fn gone(catalog: &Catalog, key: ObjectKey, precondition: Precondition) -> Wish {
    Wish {
        before: present(catalog, &key),
        key,
        after: None,
        value: Value::Null,
        text: String::new(),
        file: None,
        precondition,
        in_cluster: false,
    }
}

fn say(key: &ObjectKey, code: model::Code, text: String) -> Finding {
    let at = ObjectRef {
        source: SENT.into(),
        object: Some(key.clone()),
        pointer: "".into(),
        location: None::<Location>,
    };
    Finding { at, code, severity: Severity::Error, text, hint: String::new() }
}

fn is_redacted(value: &Value) -> bool {
    let all = ["data", "stringData"].into_iter().filter_map(|name| value.get(name)?.as_object());
    all.flat_map(serde_json::Map::values).any(|value| value == REDACTED)
}

pub(super) fn permitted(caller: &Caller, key: &ObjectKey) -> Result<(), Problem> {
    let namespace = key.kind.namespaced().then_some(&*key.name.namespace);
    if caller.may(Role::Editor, namespace) {
        return Ok(());
    }
    let text = match namespace {
        Some(namespace) => format!("{key}: the role editor in namespace {namespace} is missing"),
        None => format!("{key}: the role editor in all namespaces is missing"),
    };
    Err(Problem::new(FORBIDDEN, text))
}

/// Whether the object is still what the caller has read.
pub(super) fn in_time(wish: &Wish) -> Result<(), Problem> {
    let current = wish.before.as_ref().map(etag);
    let fits = match &wish.precondition {
        Precondition::None => true,
        Precondition::Absent => current.is_none(),
        Precondition::Match(tags) => current
            .as_ref()
            .is_some_and(|current| tags.iter().any(|tag| tag == current || tag == "*")),
    };
    if fits {
        return Ok(());
    }
    let document = wish.before.as_ref().and_then(|object| {
        let mut document = serde_json::from_str(&object.meta().document).ok()?;
        kinds::redact(wish.key.kind, &mut document);
        Some(document)
    });
    let text = match (&wish.precondition, &current) {
        (Precondition::Absent, _) => format!("{} is there already", wish.key),
        (_, None) => format!("{} is not there any more", wish.key),
        _ => format!("{} is another than the one that was read", wish.key),
    };
    Err(Problem::new(STALE, text)
        .with("current", document.unwrap_or(Value::Null))
        .with("currentEtag", current.into()))
}

struct Sent<'a> {
    text: &'a str,
    file: Option<&'a str>,
    lenient: bool,
}

struct Found {
    /// Each with what was sent: as a value, and in its author's words.
    documents: Vec<(Object, Value, String)>,
    findings: Vec<Finding>,
}

impl Sent<'_> {
    fn read(&self, limits: &kinds::Limits) -> Found {
        let file: Arc<str> = self.file.unwrap_or(SENT).into();
        let source: Arc<str> = "file".into();
        let mut parsed = kinds::parse(&source, &file, self.text.as_bytes(), *limits);
        let written = kinds::edit::documents(self.text, limits).unwrap_or_default();
        let mut out = Found { documents: Vec::new(), findings: Vec::new() };
        if parsed.complete && written.is_empty() && parsed.findings.is_empty() {
            let text = "there is no document in what was sent".to_owned();
            out.findings.push(nowhere(&source, &file, text));
        }
        for document in written {
            let Some(key) = &document.key else { continue };
            let place = parsed.objects.iter().position(|object| object.key() == key);
            if let Some(place) = place {
                let object = parsed.objects.swap_remove(place);
                out.documents.push((object, document.value, document.text));
            } else if self.lenient {
                out.documents.extend(without_unknown(
                    document.value,
                    key,
                    &mut parsed.findings,
                    limits,
                ));
            }
        }
        for finding in &mut parsed.findings {
            // A kind that is not ours is nothing to a folder, which holds other programs' manifests too.
            if finding.code == codes::UNKNOWN_KIND {
                finding.severity = Severity::Error;
            }
        }
        out.findings.append(&mut parsed.findings);
        out
    }
}

fn nowhere(source: &Arc<str>, file: &Arc<str>, text: String) -> Finding {
    let location = Some(Location { file: file.clone(), line: 1, column: 1 });
    let at = ObjectRef { source: source.clone(), object: None, pointer: "".into(), location };
    Finding { at, code: codes::NOT_AN_OBJECT, severity: Severity::Error, text, hint: String::new() }
}

/// The document without fields that its kind does not have, if that makes it good; these are only worth a warning then.
fn without_unknown(
    mut value: Value,
    key: &ObjectKey,
    findings: &mut [Finding],
    limits: &kinds::Limits,
) -> Option<(Object, Value, String)> {
    let unknown = |finding: &Finding| {
        finding.code == codes::UNKNOWN_FIELD && finding.at.object.as_ref() == Some(key)
    };
    let pointers: Vec<Arc<str>> =
        findings.iter().filter(|f| unknown(f)).map(|f| f.at.pointer.clone()).collect();
    for pointer in &pointers {
        let (parent, name) = pointer.rsplit_once('/')?;
        let name = name.replace("~1", "/").replace("~0", "~");
        value.pointer_mut(parent)?.as_object_mut()?.remove(&name);
    }
    let text = kinds::edit::yaml(&value);
    let parsed = kinds::parse(&"file".into(), &SENT.into(), text.as_bytes(), *limits);
    let object = parsed.objects.into_iter().next()?;
    for finding in findings.iter_mut().filter(|finding| unknown(finding)) {
        finding.severity = Severity::Warning;
        finding.hint = "the field is left out".into();
    }
    Some((object, value, text))
}
