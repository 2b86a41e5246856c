use std::borrow::Cow;
use std::sync::Arc;

use kube::api::{ApiResource, DynamicObject, GroupVersionKind, ObjectMeta};
use kube::core::DynamicResourceScope;
use kube::{Api, Client, Resource};
use model::{Kind, NamespacedName};
use serde::{Deserialize, Deserializer};
use serde_json::Value;

/// An object as the server sent it. Reading one cannot fail, so that one odd object does not fail a list.
#[derive(Clone)]
pub(super) struct Raw {
    pub(super) json: Value,
    meta: ObjectMeta,
}

impl std::fmt::Debug for Raw {
    /// It may be a Secret.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}", self.name())
    }
}

impl<'de> Deserialize<'de> for Raw {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let json = Value::deserialize(deserializer)?;
        let text = |name: &str| json["metadata"][name].as_str().map(str::to_owned);
        // What a watch needs to go on.
        let meta = ObjectMeta {
            name: text("name"),
            namespace: text("namespace"),
            resource_version: text("resourceVersion"),
            ..ObjectMeta::default()
        };
        Ok(Self { json, meta })
    }
}

impl Raw {
    pub(super) fn name(&self) -> NamespacedName {
        let text = |part: &Option<String>| part.as_deref().unwrap_or_default().into();
        NamespacedName { namespace: text(&self.meta.namespace), name: text(&self.meta.name) }
    }

    pub(super) fn version(&self) -> Arc<str> {
        self.meta.resource_version.as_deref().unwrap_or_default().into()
    }
}

impl Resource for Raw {
    type DynamicType = ApiResource;
    type Scope = DynamicResourceScope;

    fn kind(of: &ApiResource) -> Cow<'_, str> {
        DynamicObject::kind(of)
    }
    fn group(of: &ApiResource) -> Cow<'_, str> {
        DynamicObject::group(of)
    }
    fn version(of: &ApiResource) -> Cow<'_, str> {
        DynamicObject::version(of)
    }
    fn plural(of: &ApiResource) -> Cow<'_, str> {
        DynamicObject::plural(of)
    }
    fn meta(&self) -> &ObjectMeta {
        &self.meta
    }
    fn meta_mut(&mut self) -> &mut ObjectMeta {
        &mut self.meta
    }
}

/// The kind in one of its versions; in one namespace, or in all where that is empty.
pub(super) fn api<K>(client: &Client, kind: Kind, version: &str, namespace: &str) -> Api<K>
where
    K: Resource<DynamicType = ApiResource, Scope = DynamicResourceScope>,
{
    let named = GroupVersionKind::gvk(kind.group(), version, kind.as_str());
    let resource = ApiResource::from_gvk_with_plural(&named, kind.plural());
    if namespace.is_empty() {
        Api::all_with(client.clone(), &resource)
    } else {
        Api::namespaced_with(client.clone(), namespace, &resource)
    }
}
