//! Policies of access at a gateway. Each edit counts on a connection that stays open, and no listener changes by one.

use std::time::Duration;

use crate::testbed::{Ask, Bed, Connection, Echo, LIMIT};
use crate::testbed::{free_port, get, loopback, route, service, skipped, until};

const RULES: &str = "\
- matches: [{path: {type: PathPrefix, value: /orders}}]
  name: orders
  backendRefs: [{group: isthmus.dev, kind: MeshService, name: shop}]
- backendRefs: [{group: isthmus.dev, kind: MeshService, name: shop}]
";

/// A gateway, a back end, and a client that keeps its connection.
struct World {
    bed: Bed,
    client: Connection,
    shop: Echo,
    listeners: u64,
}

impl World {
    async fn start(files: &[(&str, String)]) -> Self {
        let shop = Echo::start("shop").await;
        let mut all = vec![
            ("shop.yaml", service("shop", &[shop.address])),
            ("route.yaml", route("shop", "shop.example", RULES)),
        ];
        all.extend(files.iter().map(|(name, text)| (*name, text.clone())));
        let bed = Bed::start(&all).await;
        bed.wait_service(&get("shop.example", "/"), "shop").await;
        let client = Connection::plain(bed.web).await.unwrap();
        let listeners = changes(&bed).await;
        Self { bed, client, shop, listeners }
    }

    /// Puts a policy in the place of the last one.
    fn policy(&self, spec: &str) {
        let spec: String = spec.lines().map(|line| format!("  {line}\n")).collect();
        let text = format!(
            "apiVersion: isthmus.dev/v1alpha1\nkind: AccessPolicy\n\
             metadata: {{name: p, namespace: shop}}\nspec:\n{spec}"
        );
        self.bed.folder.write("policy.yaml", &text);
    }

    async fn status(&mut self, ask: &Ask) -> u16 {
        self.client.ask(ask, Duration::from_secs(5)).await.unwrap().status
    }

    /// Until the open connection gets this status.
    async fn wait(&mut self, ask: &Ask, status: u16) {
        let client = &mut self.client;
        until(&format!("{ask} gets {status} on the open connection"), LIMIT, async || {
            let answer = client.ask(ask, Duration::from_secs(5)).await.unwrap();
            if answer.status == status { Ok(()) } else { Err(answer.status.to_string()) }
        })
        .await;
    }

    async fn end(self) {
        assert!(!self.client.is_closed());
        assert_eq!(changes(&self.bed).await, self.listeners, "a listener was changed");
        let nacks = self.bed.envoy.stats(r"update_rejected$").await;
        assert!(nacks.iter().all(|(_, count)| *count == 0), "{nacks:?}");
    }
}

/// How often listeners came or changed.
async fn changes(bed: &Bed) -> u64 {
    let stats = r"^listener_manager\.listener_(added|modified|in_place_updated|removed)$";
    bed.envoy.stats(stats).await.iter().map(|(_, count)| count).sum()
}

const GATEWAY: &str =
    "targetRefs: [{group: gateway.networking.k8s.io, kind: Gateway, name: edge}]\n";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn access_by_requests_on_an_open_connection() {
    if skipped() {
        return;
    }
    let mut world = World::start(&[]).await;
    let (admin, orders) = (get("shop.example", "/admin/x"), get("shop.example", "/orders"));
    assert_eq!(world.status(&admin).await, 200);

    let deny = format!("{GATEWAY}action: Deny\nrules: [{{to: [{{paths: [/admin/*]}}]}}]\n");
    world.policy(&deny);
    world.wait(&admin, 403).await;
    assert_eq!(world.status(&orders).await, 200);
    // A path is what it comes to.
    for path in ["/orders/../admin/x", "//admin/x", "/%2Fadmin/x", "/%61dmin/x"] {
        assert_eq!(world.status(&get("shop.example", path)).await, 403, "{path}");
    }

    // On trial it is counted.
    world.policy(&format!("{deny}mode: Shadow\n"));
    world.wait(&admin, 200).await;
    world.status(&orders).await;
    let counted = world.bed.envoy.stats(r"rbac\.policy\.shop/p/0\.shadow_denied$").await;
    assert!(counted.iter().any(|(_, count)| *count > 0), "{counted:?}");

    world.policy(&format!("{deny}mode: 'Off'\n"));
    // It takes nothing from anybody, as before: only the absence of the counter's route tells it apart.
    let allow = format!(
        "{GATEWAY}action: Allow\nrules:\n\
         - to: [{{methods: [GET], hosts: [SHOP.example]}}]\n  \
           when: [{{key: 'request.headers[x-who]', values: [staff*]}}]\n\
         - from: [{{ipBlocks: [192.0.2.0/24]}}]\n"
    );
    world.policy(&allow);
    world.wait(&orders, 403).await;
    assert_eq!(world.status(&orders.clone().header("x-who", "staff-7")).await, 200);
    assert_eq!(world.status(&orders.clone().header("x-who", "guest")).await, 403);
    let post = orders.clone().method("POST").header("x-who", "staff-7");
    assert_eq!(world.status(&post).await, 403);
    // An address that somebody only writes down is not the client's.
    assert_eq!(world.status(&orders.clone().header("x-forwarded-for", "192.0.2.1")).await, 403);

    // A rule of a route has its own, beside the Gateway's: there is none of those now.
    world.policy(
        "targetRefs: [{group: gateway.networking.k8s.io, kind: HTTPRoute, name: shop, sectionName: orders}]\n\
         action: Allow\nrules: [{from: [{ipBlocks: [127.0.0.1/32]}], to: [{methods: [PUT]}]}]\n",
    );
    world.wait(&admin, 200).await;
    assert_eq!(world.status(&orders).await, 403);
    assert_eq!(world.status(&orders.clone().method("PUT")).await, 200);

    world.bed.folder.remove("policy.yaml");
    world.wait(&orders, 200).await;
    world.end().await;
}

/// HS256, keys `one` and `two`, until 2100.
const EDITOR_ONE: &str = concat!(
    "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCIsImtpZCI6Im9uZSJ9.eyJpc3MiOiJodHRwczovL2lkLmV4YW1wbGUiL",
    "CJzdWIiOiJ4IiwiZXhwIjo0MTAyNDQ0ODAwLCJyb2xlcyI6WyJyZWFkZXIiLCJlZGl0b3IiXX0.fSxFj_2RDHSHDlB",
    "UZMcr65Fa7OavQ1GpKs8EDerZxXM"
);
const READER_ONE: &str = concat!(
    "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCIsImtpZCI6Im9uZSJ9.eyJpc3MiOiJodHRwczovL2lkLmV4YW1wbGUiL",
    "CJzdWIiOiJ4IiwiZXhwIjo0MTAyNDQ0ODAwLCJyb2xlcyI6WyJyZWFkZXIiXX0._DA_nNe4APPcsl_s8YEx0yzy4j6",
    "D5UKPoGx6h2x0mMA"
);
const EDITOR_TWO: &str = concat!(
    "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCIsImtpZCI6InR3byJ9.eyJpc3MiOiJodHRwczovL2lkLmV4YW1wbGUiL",
    "CJzdWIiOiJ4IiwiZXhwIjo0MTAyNDQ0ODAwLCJyb2xlcyI6WyJlZGl0b3IiXX0._oN9iJSe3dyaO-GnEWt6k9xknZk",
    "QpUOtN3ZGxXMg9Mo"
);

fn keys(id: &str, secret: &str) -> String {
    format!(
        "apiVersion: v1\nkind: ConfigMap\nmetadata: {{name: keys, namespace: shop}}\n\
         data:\n  jwks: '{{\"keys\":[{{\"kty\":\"oct\",\"kid\":\"{id}\",\"k\":\"{secret}\"}}]}}'\n"
    )
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn access_by_claims_of_jwts_with_keys_that_change() {
    if skipped() {
        return;
    }
    let one = keys("one", "YSBrZXkgb2YgdGhlIGZpcnN0IGtpbmQsIHRoaXJ0eS0y");
    let two = keys("two", "YSBrZXkgb2YgdGhlIHNlY29uZCBraW5kLCB0aGlydHk");
    let mut world = World::start(&[("keys.yaml", one)]).await;
    let with = |token: &str| {
        get("shop.example", "/orders").header("authorization", &format!("Bearer {token}"))
    };
    world.policy(&format!(
        "{GATEWAY}action: Allow\n\
         jwt: [{{issuer: 'https://id.example', configMapRef: {{name: keys}}}}]\n\
         rules: [{{when: [{{key: 'jwt.claims[roles]', values: [editor]}}]}}]\n"
    ));
    world.wait(&get("shop.example", "/orders"), 403).await;
    world.wait(&with(EDITOR_ONE), 200).await;
    assert_eq!(world.status(&with(READER_ONE)).await, 403);
    assert_eq!(world.status(&with(EDITOR_TWO)).await, 403);
    // Somebody else's signature under the right words.
    let forged = format!(
        "{}.{}",
        EDITOR_ONE.rsplit_once('.').unwrap().0,
        READER_ONE.rsplit_once('.').unwrap().1
    );
    assert_eq!(world.status(&with(&forged)).await, 403);

    world.bed.folder.write("keys.yaml", &two);
    world.wait(&with(EDITOR_TWO), 200).await;
    assert_eq!(world.status(&with(EDITOR_ONE)).await, 403);

    // Keys that no proxy takes: nobody has a good JWT, and everything else goes on.
    world.bed.folder.write("keys.yaml", &keys("two", ""));
    world.wait(&with(EDITOR_TWO), 403).await;
    world.bed.folder.remove("policy.yaml");
    world.wait(&get("shop.example", "/orders"), 200).await;
    world.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn access_as_an_authorization_service_says() {
    if skipped() {
        return;
    }
    let judge = Echo::start("judge").await;
    let files = [
        ("judge.yaml", service("judge", &[judge.address])),
        ("dead.yaml", service("dead", &[loopback(free_port())])),
    ];
    let mut world = World::start(&files).await;
    let (asked, not) = (get("shop.example", "/orders"), get("shop.example", "/public/x"));
    let policy = |service: &str, more: &str| {
        format!(
            "{GATEWAY}action: Custom\nrules: [{{to: [{{notPaths: [/public/*]}}]}}]\n\
             externalAuth:\n  backendRef: {{group: isthmus.dev, kind: MeshService, name: {service}, port: 80}}\n  \
             protocol: HTTP\n{more}"
        )
    };
    // The judge fails as its path says.
    world.policy(&policy("judge", "  pathPrefix: /fail/401/100000\n"));
    world.wait(&asked, 401).await;
    let before = (judge.count(), world.shop.count());
    assert_eq!(world.status(&not).await, 200);
    assert_eq!((judge.count(), world.shop.count()), (before.0, before.1 + 1));
    world.policy(&policy("judge", "  pathPrefix: /fine\n"));
    world.wait(&asked, 200).await;
    let before = judge.count();
    world.status(&asked).await;
    assert_eq!(judge.count(), before + 1);

    world.policy(&policy("dead", ""));
    world.wait(&asked, 403).await;
    assert_eq!(world.status(&not).await, 200);
    world.policy(&policy("dead", "  failOpen: true\n"));
    world.wait(&asked, 200).await;
    // A service that is not there is one that does not answer.
    world.policy(&policy("gone", ""));
    world.wait(&asked, 403).await;
    world.end().await;
}
