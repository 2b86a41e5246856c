use model::{
    AppProtocol, Endpoint, EndpointHealth, Locality, MeshService, MeshServicePort, Meta, codes,
};

use crate::at::At;
use crate::report::Report;
use crate::values;

pub(crate) fn mesh_service(meta: Meta, root: At<'_>, report: &mut Report) -> MeshService {
    let mut service =
        MeshService { meta, hosts: Vec::new(), ports: Vec::new(), endpoints: Vec::new() };
    let Some(mut spec) = root.fields().object("spec") else { return service };
    for host in spec.items("hosts") {
        service.hosts.extend(values::hostname(&host, report));
    }
    for item in spec.items("ports") {
        let mut f = item.fields();
        let port = f.take("port").map_or(0, |at| at.port());
        let named = f.take("name");
        if let Some(at) =
            named.as_ref().filter(|at| service.ports.iter().any(|p| p.name.as_ref() == at.text()))
        {
            let text = format!("another port has the name {}", report.quote(at.text()));
            report.error(codes::INVALID_VALUE, at.value(), text, "names of ports must differ");
        }
        service.ports.push(MeshServicePort {
            name: named.map(|at| at.shared()).unwrap_or_default(),
            port,
            target: f.take("targetPort").map_or(port, |at| at.port()),
            protocol: match f.text("protocol") {
                Some("H2" | "GRPC") => AppProtocol::H2c,
                Some("TCP") => AppProtocol::Tcp,
                _ => AppProtocol::Http1,
            },
        });
        f.finish(report);
    }
    for source in spec.items("sources") {
        let mut source = source.fields();
        if let Some(mut fixed) = source.object("static") {
            for item in fixed.items("endpoints") {
                service.endpoints.extend(endpoint(item, report));
            }
            fixed.finish(report);
        }
        source.finish(report);
    }
    spec.finish(report);
    service
}

fn endpoint(item: At<'_>, report: &mut Report) -> Option<Endpoint> {
    let mut f = item.fields();
    let address = f.take("address").and_then(|at| values::address(&at, report));
    let port = f.take("port").map(|at| at.port());
    let weight = f.take("weight").map_or(1.0, |at| at.number());
    let locality = Locality {
        region: f.shared("region").unwrap_or_default(),
        zone: f.shared("zone").unwrap_or_default(),
    };
    f.finish(report);
    Some(Endpoint { address: address?, port, weight, health: EndpointHealth::Healthy, locality })
}
