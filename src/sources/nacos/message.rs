use std::collections::{BTreeMap, HashMap};

use serde::{Deserialize, Deserializer, Serialize};
use serde_json::{Value, json};

/// The words of Nacos' JSON messages, as far as they are used here.
pub(super) mod kind {
    pub(in super::super) const SERVER_CHECK: &str = "ServerCheckRequest";
    pub(in super::super) const SETUP: &str = "ConnectionSetupRequest";
    pub(in super::super) const SETUP_ACK: &str = "SetupAckRequest";
    pub(in super::super) const HEALTH_CHECK: &str = "HealthCheckRequest";
    pub(in super::super) const CONNECT_RESET: &str = "ConnectResetRequest";
    pub(in super::super) const SERVICE_LIST: &str = "ServiceListRequest";
    pub(in super::super) const SERVICE_QUERY: &str = "ServiceQueryRequest";
    pub(in super::super) const SUBSCRIBE: &str = "SubscribeServiceRequest";
    pub(in super::super) const NOTIFY_SUBSCRIBER: &str = "NotifySubscriberRequest";
    pub(in super::super) const FUZZY_WATCH: &str = "NamingFuzzyWatchRequest";
    pub(in super::super) const FUZZY_SYNC: &str = "NamingFuzzyWatchSyncRequest";
    pub(in super::super) const FUZZY_CHANGE: &str = "NamingFuzzyWatchChangeNotifyRequest";
    pub(in super::super) const CONFIG_QUERY: &str = "ConfigQueryRequest";
    pub(in super::super) const INSTANCE: &str = "InstanceRequest";
    pub(in super::super) const BATCH_INSTANCE: &str = "BatchInstanceRequest";
}

/// Codes of `errorCode`.
pub(super) const CODE_UNREGISTERED: i64 = 301;
pub(super) const CODE_STARTING: i64 = 300;
pub(super) const CODE_NO_RIGHT: i64 = 403;
pub(super) const CODE_CONFIG_NOT_FOUND: i64 = 300;

/// What every answer has.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct Answer {
    pub(super) result_code: i64,
    pub(super) error_code: i64,
    #[serde(deserialize_with = "text")]
    pub(super) message: String,
}

impl Answer {
    pub(super) fn is_ok(&self) -> bool {
        self.result_code == 200
    }
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct ServerCheck {
    pub(super) connection_id: Option<String>,
    pub(super) support_ability_negotiation: bool,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct RequestId {
    #[serde(deserialize_with = "text")]
    pub(super) request_id: String,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct SetupAck {
    pub(super) ability_table: Option<HashMap<String, bool>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct ConnectReset {
    pub(super) server_ip: Option<String>,
    pub(super) server_port: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct ServiceList {
    pub(super) count: Option<i64>,
    pub(super) service_names: Option<Vec<String>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct WithService {
    pub(super) service_info: Option<ServiceInfo>,
}

/// Config contents, for Dubbo's metadata centre.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct ConfigAnswer {
    pub(super) content: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct FuzzySync {
    pub(super) contexts: Vec<FuzzyContext>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct FuzzyContext {
    #[serde(deserialize_with = "text")]
    pub(super) service_key: String,
}

/// The state of one service, without its namespace: Nacos supposes a connection for each. Instances stay JSON until each is looked at, so that one of a wrong shape costs itself only.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct ServiceInfo {
    #[serde(deserialize_with = "text")]
    pub(super) name: String,
    #[serde(deserialize_with = "text")]
    pub(super) group_name: String,
    #[serde(deserialize_with = "hosts")]
    pub(super) hosts: Vec<HostEntry>,
}

#[derive(Clone, Debug)]
pub(super) enum HostEntry {
    Good(NacosInstance),
    /// Of a wrong shape: what is said of it.
    Bad(String),
}

#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct NacosInstance {
    pub(super) ip: String,
    pub(super) port: i64,
    pub(super) weight: f64,
    pub(super) healthy: bool,
    pub(super) enabled: bool,
    pub(super) ephemeral: bool,
    pub(super) cluster_name: Option<String>,
    #[serde(deserialize_with = "metadata")]
    pub(super) metadata: BTreeMap<String, String>,
}

impl Default for NacosInstance {
    fn default() -> Self {
        Self {
            ip: String::new(),
            port: 0,
            weight: 1.0,
            healthy: true,
            enabled: true,
            ephemeral: true,
            cluster_name: None,
            metadata: BTreeMap::new(),
        }
    }
}

fn hosts<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<HostEntry>, D::Error> {
    /// Both shapes without a second pass where all is well.
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Either {
        Good(NacosInstance),
        Bad(Value),
    }
    let hosts = Option::<Vec<Either>>::deserialize(from)?.unwrap_or_default();
    let entry = |either| match either {
        Either::Good(instance) => HostEntry::Good(instance),
        Either::Bad(value) => HostEntry::Bad(value.to_string().chars().take(200).collect()),
    };
    Ok(hosts.into_iter().map(entry).collect())
}

/// Values that are no text are left out: a label of an object or `null` means nothing.
fn metadata<'de, D: Deserializer<'de>>(from: D) -> Result<BTreeMap<String, String>, D::Error> {
    let map = Option::<BTreeMap<String, Value>>::deserialize(from)?.unwrap_or_default();
    let text = |value| match value {
        Value::String(text) => Some(text),
        Value::Number(number) => Some(number.to_string()),
        Value::Bool(bool) => Some(bool.to_string()),
        _ => None,
    };
    Ok(map.into_iter().filter_map(|(key, value)| Some((key, text(value)?))).collect())
}

/// `null` is what Java writes for "not set".
fn text<'de, D: Deserializer<'de>>(from: D) -> Result<String, D::Error> {
    Ok(Option::deserialize(from)?.unwrap_or_default())
}

/// `ConnectionSetupRequest`. The abilities are those that Nacos 3 knows for clients.
pub(super) fn setup(namespace: &str) -> Value {
    json!({
        "module": "internal",
        "clientVersion": concat!("Isthmus:v", env!("CARGO_PKG_VERSION")),
        "tenant": namespace,
        "labels": {"source": "sdk", "module": "naming"},
        "abilityTable": {"fuzzyWatch": true, "lock": false, "mcp": false},
    })
}

pub(super) fn of_service(namespace: &str, group: &str, name: &str) -> Value {
    json!({"module": "naming", "namespace": namespace, "groupName": group, "serviceName": name})
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Acknowledge<'a> {
    pub(super) result_code: i64,
    pub(super) error_code: i64,
    pub(super) request_id: &'a str,
}
