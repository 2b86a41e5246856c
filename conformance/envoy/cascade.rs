//! Blue-green by cascade: an edge gateway before a blue and a green one, each with Envoys, routes and back ends of its own.
//! All traffic moves from one to the other and back, twice, and not one request fails.

use crate::testbed::{
    Bed, Echo, Envoy, Folder, LIMIT, Listener, Load, Run, Target, free_port, gateway, gateway_of,
    get, loopback, route, route_of, say, service, skipped, until,
};

const RATE: u32 = 300;
/// Answers of the colour that shall have all, one after another, before the next flip.
const ENOUGH: usize = 300;

const MESH: &str = "group: isthmus.dev, kind: MeshService";

/// The edge's route with all traffic on one colour.
fn edge(blue: u32) -> String {
    let green = 100 - blue;
    let to = |name: &str, weight: u32| {
        format!("  - {{{MESH}, name: {name}, port: 80, weight: {weight}}}\n")
    };
    let rules = format!("- backendRefs:\n{}{}", to("blue", blue), to("green", green));
    route("shop", "shop.test", &rules)
}

/// A gateway that stands behind the edge: it, its route, its back end, and the service by which the edge knows it.
fn behind(colour: &str, port: u16, echo: &Echo) -> String {
    let back = format!("{colour}-shop");
    [
        gateway_of(colour, &[Listener::http("web", port)]),
        route_of(
            colour,
            &back,
            "shop.test",
            &format!("- backendRefs: [{{{MESH}, name: {back}, port: 80}}]\n"),
        ),
        service(&back, &[echo.address]),
        service(colour, &[loopback(port)]),
    ]
    .join("---\n")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn blue_green_by_cascade() {
    if skipped() {
        return;
    }
    let (blue, green) = (Echo::start("shop-blue").await, Echo::start("shop-green").await);
    let [web, blue_port, green_port] = [free_port(), free_port(), free_port()];
    let folder = Folder::new();
    folder.write("gateway.yaml", &gateway(&[Listener::http("web", web)]));
    folder.write("blue.yaml", &behind("blue", blue_port, &blue));
    folder.write("green.yaml", &behind("green", green_port, &green));
    folder.write("edge.yaml", &edge(100));
    let run = Run::new(folder.path());
    let bed = Bed::run(folder, run, loopback(web)).await;
    let mut gateways = ["blue", "green"]
        .map(|colour| Envoy::of(bed.run.xds, &format!("shop/{colour}"), &format!("{colour}-1")));
    for envoy in &mut gateways {
        envoy.wait_ready().await;
    }
    let ask = get("shop.test", "/");
    bed.wait_service(&ask, "shop-blue").await;

    let target = Target { address: bed.web, sni: None, ask, service: "shop".into() };
    let load = Load::start(RATE, vec![target]).await;
    for (blue_share, (gains, loses)) in
        [(0, (&green, &blue)), (100, (&blue, &green)), (0, (&green, &blue)), (100, (&blue, &green))]
    {
        load.during(&format!("blue {blue_share} %"));
        bed.folder.write("edge.yaml", &edge(blue_share));
        // The other one has had its last request once this one has had all of so many.
        until(&format!("all goes to one side, blue {blue_share} %"), LIMIT, async || {
            let (before, left) = (gains.count(), loses.count());
            let more = async || {
                let now = gains.count();
                if now >= before + ENOUGH { Ok(()) } else { Err(format!("{now} of {before}")) }
            };
            until("it has got more", LIMIT, more).await;
            let late = loses.count() - left;
            if late == 0 { Ok(()) } else { Err(format!("{late} to the other")) }
        })
        .await;
    }
    let report = load.stop().await;
    say(&format!("blue_green_by_cascade: four flips at {RATE}/s: {report}"));
    assert!(report.failures.is_empty(), "{report}\n{}", report.reasons());
    assert_eq!(report.ended_by_server, 0, "no flip ends a connection: {report}");
    assert!(report.sent >= 4 * ENOUGH, "{report}");
}
