use std::collections::BTreeMap;

use serde::Deserialize;

use crate::registry::loose::{Loose, list, maybe, object};

/// The answer to `/apps` and `/apps/delta`. Nothing in it fails for its type: servers write numbers as text, text as
/// numbers and a list of one as that one, and one odd instance must not cost the others.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Answer {
    /// `None`: whoever answers is no Eureka.
    #[serde(deserialize_with = "maybe")]
    pub(super) applications: Option<Applications>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Applications {
    #[serde(rename = "apps__hashcode")]
    pub(super) hash: Loose,
    #[serde(deserialize_with = "list")]
    pub(super) application: Vec<Application>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Application {
    pub(super) name: Loose,
    #[serde(deserialize_with = "list")]
    pub(super) instance: Vec<Instance>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(super) struct Instance {
    pub(super) instance_id: Loose,
    pub(super) app: Loose,
    pub(super) host_name: Loose,
    pub(super) ip_addr: Loose,
    pub(super) status: Loose,
    pub(super) overridden_status: Loose,
    /// Old servers.
    #[serde(rename = "overriddenstatus")]
    pub(super) old_overridden_status: Loose,
    pub(super) port: Loose,
    pub(super) secure_port: Loose,
    pub(super) vip_address: Loose,
    #[serde(deserialize_with = "object")]
    pub(super) data_center_info: DataCenter,
    #[serde(deserialize_with = "object")]
    pub(super) lease_info: Lease,
    #[serde(deserialize_with = "object")]
    pub(super) metadata: BTreeMap<String, Loose>,
    pub(super) last_updated_timestamp: Loose,
    pub(super) action_type: Loose,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct DataCenter {
    #[serde(deserialize_with = "object")]
    pub(super) metadata: BTreeMap<String, Loose>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(super) struct Lease {
    pub(super) duration_in_secs: Loose,
    pub(super) last_renewal_timestamp: Loose,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn odd_types_cost_only_themselves() {
        let text = r#"{"applications":{"versions__delta":"1","apps__hashcode":"UP_2_","application":{"name":"A","instance":[
            {"instanceId":"a","status":"UP","port":{"$":"80","@enabled":"true"},"securePort":{"$":443,"@enabled":false},
             "metadata":{"@class":"x","n":1,"deep":{"a":[1]}},"vipAddress":null,"lastUpdatedTimestamp":"17"},
            7, "x", null, {"instanceId":8,"port":9,"dataCenterInfo":[],"leaseInfo":"no","metadata":true}]}}}"#;
        let applications = serde_json::from_str::<Answer>(text).unwrap().applications.unwrap();
        assert_eq!(applications.hash.get(), Some("UP_2_"));
        let [app] = &*applications.application else { panic!("{applications:?}") };
        let [a, b] = &*app.instance else { panic!("{app:?}") };
        assert_eq!((a.port.number(), a.port.enabled), (Some(80), Some(true)));
        assert_eq!((a.secure_port.number(), a.secure_port.enabled), (Some(443), Some(false)));
        assert_eq!(a.metadata["n"].get(), Some("1"));
        assert_eq!((a.vip_address.get(), a.last_updated_timestamp.number()), (None, Some(17)));
        assert_eq!((b.instance_id.get(), b.port.number()), (Some("8"), Some(9)));
        for none in ["{}", r#"{"applications":null}"#] {
            assert!(serde_json::from_str::<Answer>(none).unwrap().applications.is_none());
        }
        let empty: Answer = serde_json::from_str(r#"{"applications":{"application":[]}}"#).unwrap();
        assert!(empty.applications.unwrap().application.is_empty());
    }
}
