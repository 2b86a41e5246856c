use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use model::{
    ConsulOptions, EurekaOptions, GuardRules, Import, ImportNamespace, Login, Meta, NacosOptions,
    Registry, RegistryKind, RegistryTls, ServiceGuard, Severity, ZooKeeperOptions, codes,
};

use crate::at::{At, Fields};
use crate::report::Report;
use crate::values;

pub(crate) fn registry(meta: Meta, root: At<'_>, report: &mut Report) -> Registry {
    let mut registry = Registry {
        meta,
        kind: RegistryKind::Nacos(NacosOptions::default()),
        addresses: Vec::new(),
        login: Login::default(),
        tls: None,
        labels: Vec::new(),
        import: Import::default(),
        guard: GuardRules::default(),
    };
    let Some(mut spec) = root.fields().object("spec") else { return registry };
    registry.kind = kind(&mut spec, report);
    for at in spec.items("addresses") {
        registry.addresses.extend(address(&at, report));
    }
    if let Some(fields) = spec.object("login") {
        registry.login = login(fields, report);
    }
    if let Some(fields) = spec.object("tls") {
        registry.tls = Some(tls(fields, report));
    }
    registry.labels = spec.texts("labels");
    if let Some(fields) = spec.object("import") {
        registry.import = import(fields, report);
    }
    if let Some(fields) = spec.object("guard") {
        registry.guard = guard(fields, report);
    }
    for other in ["nacos", "eureka", "zookeeper", "consul"] {
        if let Some(at) = spec.take(other)
            && !other.eq_ignore_ascii_case(registry.kind.as_str())
        {
            let text = format!("these options are not for {}", registry.kind.as_str());
            let hint = "they have no effect";
            report.say(Severity::Warning, codes::UNSUPPORTED_FIELD, at.place(), text, hint);
        }
    }
    spec.finish(report);
    registry
}

/// The kind with its own options.
fn kind(spec: &mut Fields<'_>, report: &mut Report) -> RegistryKind {
    match spec.text("type") {
        Some("Eureka") => {
            let mut options = EurekaOptions::default();
            let Some(mut f) = spec.object("eureka") else { return RegistryKind::Eureka(options) };
            set(&mut options.context_path, f.shared("contextPath"));
            set(&mut options.poll_min, duration(&mut f, "pollMin", report));
            set(&mut options.poll_max, duration(&mut f, "pollMax", report));
            set(&mut options.prefer_secure, flag(&mut f, "preferSecure"));
            if options.poll_min > options.poll_max || options.poll_min.is_zero() {
                let text = "pollMin is 0 or more than pollMax";
                report.error(codes::INVALID_VALUE, f.at.place(), text, "");
            }
            f.finish(report);
            RegistryKind::Eureka(options)
        }
        Some("ZooKeeper") => {
            let mut options = ZooKeeperOptions::default();
            let Some(mut f) = spec.object("zookeeper") else {
                return RegistryKind::ZooKeeper(options);
            };
            set(&mut options.chroot, path(&mut f, "chroot"));
            set(&mut options.dubbo_root, path(&mut f, "dubboRoot").map(unless_empty));
            set(&mut options.services_root, path(&mut f, "servicesRoot").map(unless_empty));
            set(&mut options.session_timeout, duration(&mut f, "sessionTimeout", report));
            set(&mut options.metadata_service, flag(&mut f, "metadataService"));
            f.finish(report);
            RegistryKind::ZooKeeper(options)
        }
        Some("Consul") => {
            let mut options = ConsulOptions::default();
            let Some(mut f) = spec.object("consul") else { return RegistryKind::Consul(options) };
            set(&mut options.datacenter, f.shared("datacenter"));
            set(&mut options.namespace, f.shared("namespace"));
            set(&mut options.partition, f.shared("partition"));
            set(&mut options.warning_passes, flag(&mut f, "warningPasses"));
            f.finish(report);
            RegistryKind::Consul(options)
        }
        _ => {
            let mut options = NacosOptions::default();
            let Some(mut f) = spec.object("nacos") else { return RegistryKind::Nacos(options) };
            options.namespaces = f.texts("namespaces");
            options.groups = f.texts("groups");
            set(&mut options.metadata_service, flag(&mut f, "metadataService"));
            f.finish(report);
            RegistryKind::Nacos(options)
        }
    }
}

fn address(at: &At<'_>, report: &mut Report) -> Option<Arc<str>> {
    let text = at.text();
    let parts = text.rsplit_once(':').filter(|(host, port)| {
        let bracketed = host.starts_with('[') && host.ends_with(']');
        let host_fits = !host.is_empty()
            && (bracketed || !host.contains(':'))
            && !host.contains(|c: char| c.is_whitespace() || c.is_control() || "/@?#".contains(c));
        host_fits && port.parse::<u16>().is_ok_and(|port| port > 0)
    });
    if parts.is_none() {
        let text = format!("{} is not an address", report.quote(text));
        let hint = "write host:port, without http:// and without a user";
        report.error(codes::INVALID_VALUE, at.value(), text, hint);
    }
    parts.map(|_| text.into())
}

fn login(mut f: Fields<'_>, report: &mut Report) -> Login {
    let login = Login {
        username: f.shared("username"),
        password_file: file(&mut f, "passwordFile"),
        token_file: file(&mut f, "tokenFile"),
        access_key_file: file(&mut f, "accessKeyFile"),
        secret_key_file: file(&mut f, "secretKeyFile"),
    };
    let halves = [
        (login.username.is_some(), login.password_file.is_some(), "username and passwordFile"),
        (
            login.access_key_file.is_some(),
            login.secret_key_file.is_some(),
            "accessKeyFile and secretKeyFile",
        ),
    ];
    for (one, other, both) in halves {
        if one != other {
            let text = format!("{both} belong together");
            report.error(codes::MISSING_FIELD, f.at.place(), text, "give both or none");
        }
    }
    f.finish(report);
    login
}

fn tls(mut f: Fields<'_>, report: &mut Report) -> RegistryTls {
    let tls = RegistryTls {
        ca_file: file(&mut f, "caFile"),
        certificate_file: file(&mut f, "certificateFile"),
        key_file: file(&mut f, "keyFile"),
        server_name: f.shared("serverName"),
    };
    if tls.certificate_file.is_some() != tls.key_file.is_some() {
        let text = "certificateFile and keyFile belong together";
        report.error(codes::MISSING_FIELD, f.at.place(), text, "give both or none");
    }
    f.finish(report);
    tls
}

fn import(mut f: Fields<'_>, report: &mut Report) -> Import {
    let mut import = Import::default();
    set(&mut import.enabled, flag(&mut f, "enabled"));
    set(&mut import.namespace, f.shared("namespace"));
    for item in f.items("namespaces") {
        let mut item = item.fields();
        import.namespaces.push(ImportNamespace {
            group: item.shared("group").unwrap_or_default(),
            namespace: item.shared("namespace").unwrap_or_default(),
        });
        item.finish(report);
    }
    import.include = f.texts("include");
    import.exclude = f.texts("exclude");
    set(&mut import.prefix, f.shared("prefix"));
    set(&mut import.port, f.take("port").map(|at| at.port()));
    f.finish(report);
    import
}

fn guard(mut f: Fields<'_>, report: &mut Report) -> GuardRules {
    let mut guard = GuardRules::default();
    set(&mut guard.service_drop, share(&mut f, "serviceDrop"));
    set(&mut guard.source_drop, share(&mut f, "sourceDrop"));
    set(&mut guard.window, duration(&mut f, "window", report));
    set(&mut guard.hold, duration(&mut f, "hold", report));
    guard.settle = duration(&mut f, "settle", report);
    for item in f.items("services") {
        let mut item = item.fields();
        guard.services.push(ServiceGuard {
            name: item.shared("name").unwrap_or_default(),
            service_drop: share(&mut item, "serviceDrop"),
            window: duration(&mut item, "window", report),
            hold: duration(&mut item, "hold", report),
        });
        item.finish(report);
    }
    f.finish(report);
    guard
}

fn set<T>(field: &mut T, given: Option<T>) {
    if let Some(value) = given {
        *field = value;
    }
}

fn flag(f: &mut Fields<'_>, name: &'static str) -> Option<bool> {
    f.take(name).map(|at| at.is_true())
}

fn file(f: &mut Fields<'_>, name: &'static str) -> Option<PathBuf> {
    f.text(name).map(PathBuf::from)
}

/// Percent in the document, a share of 1 in the model.
fn share(f: &mut Fields<'_>, name: &'static str) -> Option<f64> {
    f.take(name).map(|at| at.number() / 100.0)
}

fn duration(f: &mut Fields<'_>, name: &'static str, report: &mut Report) -> Option<Duration> {
    f.take(name).and_then(|at| values::duration(&at, report))
}

/// Without the slash at the end.
fn path(f: &mut Fields<'_>, name: &'static str) -> Option<Arc<str>> {
    f.text(name).map(|text| text.trim_end_matches('/').into())
}

fn unless_empty(text: Arc<str>) -> Option<Arc<str>> {
    (!text.is_empty()).then_some(text)
}
