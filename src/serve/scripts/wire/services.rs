//! The services beside discovery.

use envoy_types::pb::envoy::admin::v3::ClientResourceStatus;
use envoy_types::pb::envoy::service::status::v3::client_status_discovery_service_client::ClientStatusDiscoveryServiceClient;
use envoy_types::pb::envoy::service::status::v3::{
    ClientConfig, ClientStatusRequest, ConfigStatus, client_config::GenericXdsConfig,
};
use envoy_types::pb::envoy::r#type::matcher::v3::string_matcher::MatchPattern;
use envoy_types::pb::envoy::r#type::matcher::v3::{NodeMatcher, StringMatcher};
use tokio_stream::StreamExt;
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_client::HealthClient;
use tonic_reflection::pb::v1::server_reflection_client::ServerReflectionClient;
use tonic_reflection::pb::v1::server_reflection_request::MessageRequest;
use tonic_reflection::pb::v1::server_reflection_response::MessageResponse;
use tonic_reflection::pb::v1::{ServerReflectionRequest, ServerReflectionResponse};

use super::*;

type Csds = ClientStatusDiscoveryServiceClient<Channel>;

async fn csds(running: &Running) -> Csds {
    Csds::new(channel(running.address).await)
}

fn of(id: &str) -> ClientStatusRequest {
    let pattern = Some(MatchPattern::Exact(id.into()));
    let node_id = Some(StringMatcher { match_pattern: pattern, ignore_case: false });
    let matcher = NodeMatcher { node_id, node_metadatas: vec![] };
    ClientStatusRequest { node_matchers: vec![matcher], ..Default::default() }
}

/// `CDS a ACKED SYNCED`, and in brackets what the client refused.
fn line(config: &GenericXdsConfig) -> String {
    let kind = ResourceType::from_url(&config.type_url).unwrap();
    let client = ClientResourceStatus::try_from(config.client_status).unwrap().as_str_name();
    let server = ConfigStatus::try_from(config.config_status).unwrap().as_str_name();
    let has = if config.version_info.is_empty() { "" } else { " has one" };
    let error = config.error_state.as_ref().map(|e| {
        assert!(e.last_update_attempt.is_some() && !e.version_info.is_empty());
        assert_ne!(e.version_info, config.version_info);
        format!(" [{}]", e.details)
    });
    format!("{kind} {} {client} {server}{has}{}", config.name, error.unwrap_or_default())
}

fn lines(config: &ClientConfig) -> Vec<String> {
    config.generic_xds_configs.iter().map(line).collect()
}

async fn status_of(csds: &mut Csds, id: &str) -> Vec<String> {
    let answer = within(csds.fetch_client_status(of(id))).await.unwrap().into_inner();
    assert_eq!(answer.config.len(), 1);
    assert_eq!(answer.config[0].node.as_ref().unwrap().id, id);
    lines(&answer.config[0])
}

#[tokio::test]
async fn rule_42_client_status_tells_what_was_sent_accepted_and_refused() {
    let running = start(|_| {}).await;
    let mut csds = csds(&running).await;
    let mut delta = Delta::open(running.address).await;
    delta.ask("n", CDS, &[]).await;
    running.world.wrote("opened n all certificates=0").await;
    assert_eq!(status_of(&mut csds, "n").await, <[&str; 0]>::default());

    let mut snapshot = world(&[("a", 1), ("b", 2)]);
    running.world.publish(&snapshot);
    let first = delta.next().await.unwrap();
    let sent = ["CDS a REQUESTED STALE", "CDS b REQUESTED STALE"];
    assert_eq!(status_of(&mut csds, "n").await, sent);
    delta.ack(&first).await;
    running.world.wrote("acked CDS").await;
    let acked = ["CDS a ACKED SYNCED has one", "CDS b ACKED SYNCED has one"];
    assert_eq!(status_of(&mut csds, "n").await, acked);

    snapshot.insert(resource(CDS, "a", "bad", &[]));
    running.world.publish(&snapshot);
    let second = delta.next().await.unwrap();
    let sent = ["CDS a ACKED STALE has one", "CDS b ACKED SYNCED has one"];
    assert_eq!(status_of(&mut csds, "n").await, sent);
    delta.nack(second, "no such thing").await;
    running.world.wrote("nacked CDS [\"a\"] no such thing").await;
    let refused = ["CDS a NACKED ERROR has one [no such thing]", "CDS b ACKED SYNCED has one"];
    assert_eq!(status_of(&mut csds, "n").await, refused);

    // Mended, and then gone.
    snapshot.insert(resource(CDS, "a", "good", &[]));
    running.world.publish(&snapshot);
    assert_eq!(delta.names().await, ["a"]);
    running.world.wrote("settled CDS 2").await;
    assert_eq!(status_of(&mut csds, "n").await, acked);
    snapshot.set_mut(CDS).remove("a");
    running.world.publish(&snapshot);
    assert_eq!(delta.next().await.unwrap().removed_resources, ["a"]);
    let going = ["CDS a ACKED STALE has one", "CDS b ACKED SYNCED has one"];
    assert_eq!(status_of(&mut csds, "n").await, going);

    // A name that does not exist.
    delta.ask("n", EDS, &["x"]).await;
    let missing = delta.next().await.unwrap();
    assert_eq!(missing.removed_resources, ["x"]);
    delta.ack(&missing).await;
    running.world.wrote("acked EDS").await;
    assert_eq!(status_of(&mut csds, "n").await[2], "EDS x DOES_NOT_EXIST SYNCED");
}

#[tokio::test]
async fn rule_68_client_status_knows_a_resource_by_the_name_that_was_asked() {
    const A: &str = "xdstp://x/envoy.config.cluster.v3.Cluster/a";
    let running = start(|_| {}).await;
    let mut csds = csds(&running).await;
    running.world.publish(&world(&[(&format!("{A}?k=1&l=2"), 1)]));
    let mut delta = Delta::open(running.address).await;
    let asked = [format!("{A}?l=2&k=1"), format!("{A}?k=3")];
    delta.ask("n", CDS, &[&asked[0], &asked[1]]).await;
    let response = delta.next().await.unwrap();
    assert_eq!(response.resources[0].name, asked[0]);
    delta.ack(&response).await;
    running.world.wrote("acked CDS").await;
    let want = [
        format!("CDS {} DOES_NOT_EXIST SYNCED", asked[1]),
        format!("CDS {} ACKED SYNCED has one", asked[0]),
    ];
    assert_eq!(status_of(&mut csds, "n").await, want);
}

#[tokio::test]
async fn client_status_of_a_client_that_does_not_read_says_not_sent() {
    let running = start(|_| {}).await;
    let mut csds = csds(&running).await;
    let mut snapshot = world(&[("a", 1)]);
    running.world.publish(&snapshot);
    let mut slow = Delta::open(running.address).await;
    slow.ask("slow", CDS, &[]).await;
    assert_eq!(slow.names().await, ["a"]);
    running.world.wrote("acked CDS").await;
    for i in 0..4 {
        snapshot.insert(resource(CDS, "a", &format!("{i} {}", "x".repeat(5_000_000)), &[]));
        running.world.publish(&snapshot);
    }
    within(async {
        while status_of(&mut csds, "slow").await != ["CDS a ACKED STALE has one"] {
            tokio::task::yield_now().await;
        }
    })
    .await;
    // Nobody has taken what is under way; another cluster is not even looked at.
    snapshot.insert(resource(CDS, "b", "b", &[]));
    running.world.publish(&snapshot);
    let status = status_of(&mut csds, "slow").await;
    assert_eq!(status.len(), 2, "{status:?}");
    assert!(status[1].ends_with("NOT_SENT"), "{status:?}");
}

#[tokio::test]
async fn client_status_goes_by_stream_and_by_node() {
    let running = start(|_| {}).await;
    running.world.publish(&world(&[("a", 1)]));
    let mut streams = Vec::new();
    for id in ["edge-1", "edge-1", "edge-2"] {
        let mut delta = Delta::open(running.address).await;
        delta.ask(id, CDS, &[]).await;
        assert_eq!(delta.names().await, ["a"]);
        streams.push(delta);
    }
    let mut csds = csds(&running).await;
    let everyone = tokio_stream::iter([ClientStatusRequest::default(), of("edge-1"), of("edge-3")]);
    let mut answers = within(csds.stream_client_status(everyone)).await.unwrap().into_inner();
    let mut counts = Vec::new();
    while let Some(answer) = within(answers.message()).await.unwrap() {
        counts.push(answer.config.len());
        let scopes: std::collections::BTreeSet<_> =
            answer.config.iter().map(|c| &c.client_scope).collect();
        assert_eq!(scopes.len(), answer.config.len(), "{scopes:?}");
    }
    assert_eq!(counts, [3, 2, 0]);
}

#[tokio::test]
async fn client_status_is_for_those_who_may_see_it() {
    let running = start(|_| {}).await;
    let mut csds = csds(&running).await;
    let mut ask = tonic::Request::new(ClientStatusRequest::default());
    ask.metadata_mut().insert("authorization", "Bearer a proxy's".parse().unwrap());
    let status = within(csds.fetch_client_status(ask)).await.unwrap_err();
    assert_eq!((status.code(), status.message()), (Code::PermissionDenied, "not you"));
    let mut ask = tonic::Request::new(tokio_stream::empty());
    ask.metadata_mut().insert("authorization", "Bearer a proxy's".parse().unwrap());
    let status = within(csds.stream_client_status(ask)).await.unwrap_err();
    assert_eq!(status.code(), Code::PermissionDenied);
}

#[tokio::test]
async fn rule_79_health_is_serving_once_there_is_something_to_serve() {
    const ADS: &str = "envoy.service.discovery.v3.AggregatedDiscoveryService";
    let running = start(|o| o.drain = Duration::from_millis(10)).await;
    let mut health = HealthClient::new(channel(running.address).await);
    let ask = |service: &str| HealthCheckRequest { service: service.into() };
    let status = within(health.check(ask("no.such.Service"))).await.unwrap_err();
    assert_eq!(status.code(), Code::NotFound);
    for service in ["", ADS] {
        let answer = within(health.check(ask(service))).await.unwrap().into_inner();
        assert_eq!(answer.status().as_str_name(), "NOT_SERVING");
    }
    let mut watch = within(health.watch(ask(ADS))).await.unwrap().into_inner();
    let mut next = async || match within(watch.message()).await {
        Ok(answer) => answer.unwrap().status().as_str_name().to_owned(),
        Err(status) => format!("{:?}", status.code()),
    };
    assert_eq!(next().await, "NOT_SERVING");
    // By a client that is given a snapshot, and then as the program says.
    running.world.publish(&world(&[("a", 1)]));
    let delta = Delta::open(running.address).await;
    delta.ask("n", CDS, &[]).await;
    assert_eq!(next().await, "SERVING");
    running.handle.set_serving(false);
    assert_eq!(next().await, "NOT_SERVING");
    running.handle.set_serving(true);
    assert_eq!(next().await, "SERVING");
    // Rule 78: readiness fails first, and a watch does not hold up the end.
    running.stop.send(()).unwrap();
    let mut last = next().await;
    if last == "NOT_SERVING" {
        last = next().await;
    }
    assert_eq!(last, "Unavailable");
    within(running.server).await.unwrap().unwrap();
}

async fn services(running: &Running) -> Result<Vec<String>, Status> {
    let mut client = ServerReflectionClient::new(channel(running.address).await);
    let ask = ServerReflectionRequest {
        message_request: Some(MessageRequest::ListServices(String::new())),
        ..Default::default()
    };
    let mut answers =
        within(client.server_reflection_info(tokio_stream::once(ask))).await?.into_inner();
    let answer: ServerReflectionResponse = within(answers.next()).await.unwrap()?;
    match answer.message_response {
        Some(MessageResponse::ListServicesResponse(list)) => {
            Ok(list.service.into_iter().map(|s| s.name).collect())
        }
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn reflection_names_what_is_served_if_there_are_descriptors() {
    let set = bytes::Bytes::from_static(tonic_health::pb::FILE_DESCRIPTOR_SET);
    let running = start(|o| o.descriptors = Some(set)).await;
    let names = services(&running).await.unwrap();
    for name in
        ["discovery.v3.AggregatedDiscoveryService", "status.v3.ClientStatusDiscoveryService"]
    {
        assert!(names.contains(&format!("envoy.service.{name}")), "{names:?}");
    }
    let running = start(|_| {}).await;
    assert_eq!(services(&running).await.unwrap_err().code(), Code::Unimplemented);

    let mut options = Options::new(Listen::Address(([127, 0, 0, 1], 0).into()));
    options.descriptors = Some(bytes::Bytes::from_static(b"none"));
    let error = options.bind(running.world.clone(), running.world.clone()).await;
    assert!(matches!(error, Err(crate::Error::Descriptors(_))));
}
