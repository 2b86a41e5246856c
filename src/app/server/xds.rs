//! The xDS port as settings have it, and the files that may change under it.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use crate::auth::{Auth, Reviews};
use crate::expiry;
use crate::groups::Groups;
use crate::reload::{Contents, Watched};
use crate::settings::Settings;

pub(super) fn options(settings: &Settings) -> serve::Options {
    let mut options = serve::Options::new(serve::Listen::Address(settings.xds_listen));
    options.settings.ack_limit = settings.ack_timeout;
    options.settings.order_limit = options.settings.order_limit.max(settings.ack_timeout);
    options.settings.legacy_wildcard = settings.xds_legacy_wildcard;
    options.settings.resource_errors = settings.xds_resource_errors;
    options.admission = settings.xds_admission;
    options.stall_limit = unless_zero(settings.xds_stall_limit);
    options.max_connection_age = unless_zero(settings.xds_max_connection_age);
    options.max_connection_age_jitter = settings.xds_max_connection_age_jitter.fraction();
    options.keepalive_interval = settings.xds_keepalive_interval;
    options.keepalive_timeout = settings.xds_keepalive_timeout;
    options.drain = settings.drain_window;
    options.control_plane.clone_from(&settings.replica);
    options.descriptors = Some(proto::descriptor_set().into());
    options
}

pub(super) fn tls_files(settings: &Settings) -> impl Iterator<Item = &Path> {
    let all = [&settings.xds_tls_cert, &settings.xds_tls_key, &settings.xds_tls_client_ca];
    all.into_iter().filter_map(Option::as_deref)
}

pub(super) fn tls(settings: &Settings, files: &Contents) -> Option<serve::Tls> {
    let of = |path: &PathBuf| files.bytes(path).to_vec();
    let (cert, key) = settings.xds_tls_cert.as_ref().zip(settings.xds_tls_key.as_ref())?;
    let client_ca = settings.xds_tls_client_ca.as_ref().map(of);
    Some(serve::Tls { certificate: of(cert), key: of(key), client_ca })
}

pub(super) fn watch_credentials(
    settings: &Settings,
    groups: &Arc<Groups>,
    reviews: Option<Arc<Reviews>>,
    all: bool,
    first: &Contents,
) -> Watched {
    let (settings, groups) = (settings.clone(), groups.clone());
    Watched::new("credentials", first, move |files| {
        groups.set_auth(Auth::new(&settings, files)?.with_reviews(reviews.clone(), all));
        Ok(())
    })
}

pub(super) fn watch_certificates(
    settings: &Settings,
    xds: &serve::Handle,
    first: &Contents,
) -> Watched {
    let (settings, xds) = (settings.clone(), xds.clone());
    if let Some(tls) = tls(&settings, first) {
        expiry::note(&tls.certificate);
    }
    Watched::new("certificates", first, move |files| {
        let Some(tls) = tls(&settings, files) else { return Ok(()) };
        xds.set_tls(&tls)?;
        expiry::note(&tls.certificate);
        Ok(())
    })
}

/// In settings, no time at all stands for "never".
fn unless_zero(time: Duration) -> Option<Duration> {
    (!time.is_zero()).then_some(time)
}

#[cfg(test)]
mod tests {
    use std::net::SocketAddr;

    use super::*;
    use crate::settings::{Inputs, Machine, Profile, load};

    fn settings(flags: &[(&'static str, &str)]) -> Settings {
        let flags: Vec<_> =
            flags.iter().map(|(name, value)| (*name, (*value).to_owned())).collect();
        let machine = Machine::current(Profile::Serve);
        let inputs = Inputs { machine, file: None, environment: &|_| None, flags: &flags };
        load(&inputs).unwrap().settings
    }

    /// The part of the options that settings are for.
    fn shown(options: &serve::Options) -> String {
        format!(
            "{:?}",
            (
                options.settings.legacy_wildcard,
                options.settings.resource_errors,
                options.admission,
                (options.stall_limit, options.max_connection_age),
                options.max_connection_age_jitter,
                (options.keepalive_interval, options.keepalive_timeout),
                options.drain,
            )
        )
    }

    #[test]
    fn defaults_are_those_of_the_library() {
        let listen = serve::Listen::Address(SocketAddr::from(([127, 0, 0, 1], 0)));
        let library = shown(&serve::Options::new(listen));
        assert_eq!(shown(&super::options(&settings(&[]))), library);
    }

    #[test]
    fn settings_of_the_xds_port_reach_it() {
        let options = super::options(&settings(&[
            ("xds-legacy-wildcard", "false"),
            ("xds-resource-errors", "true"),
            ("xds-admission", "7"),
            ("xds-stall-limit", "0s"),
            ("xds-max-connection-age", "1h"),
            ("xds-max-connection-age-jitter", "25%"),
            ("xds-keepalive-interval", "2s"),
            ("xds-keepalive-timeout", "3s"),
            ("drain-window", "4s"),
        ]));
        assert_eq!(shown(&options), "(false, true, 7, (None, Some(3600s)), 0.25, (2s, 3s), 4s)");
    }

    #[test]
    fn credentials_are_replaced_under_a_running_server_and_stay_when_the_new_ones_are_bad() {
        use crate::reload::Look;
        use serve::{Client, Form, Node, Snapshots, Token};
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("tokens");
        let write = |tokens: &[&str]| {
            let digest =
                |token: &&str| ring::digest::digest(&ring::digest::SHA256, token.as_bytes());
            let hex = |token| {
                digest(token).as_ref().iter().map(|b| format!("{b:02x}")).collect::<String>()
            };
            let line = |token| format!("sha256:{} admin\n", hex(token));
            std::fs::write(&file, tokens.iter().map(line).collect::<String>()).unwrap();
        };
        write(&["old"]);
        let settings = settings(&[("xds-tokens-file", file.to_str().unwrap())]);
        let first = Contents::read(Auth::files(&settings)).unwrap();
        let groups = Arc::new(Groups::new(
            Auth::new(&settings, &first).unwrap(),
            Arc::default(),
            Arc::default(),
            Arc::default(),
        ));
        let mut watched = watch_credentials(&settings, &groups, None, false, &first);
        let admits = |token: &str| {
            let client = Client {
                stream: 1,
                form: Form::Delta,
                only: None,
                node: Node::default(),
                peer: None,
                token: Some(Token::new(token)),
                certificates: Arc::new([]),
                opened: std::time::Instant::now(),
            };
            groups.inspect(&client).is_ok()
        };
        assert_eq!((admits("old"), admits("new")), (true, false));
        write(&["old", "new"]);
        assert_eq!(watched.look(), Look::Replaced);
        assert_eq!((admits("old"), admits("new")), (true, true));
        std::fs::write(&file, "no grant").unwrap();
        assert_eq!(watched.look(), Look::Refused);
        assert_eq!((admits("old"), admits("new")), (true, true));
        write(&["new"]);
        assert_eq!(watched.look(), Look::Replaced);
        assert_eq!((admits("old"), admits("new")), (false, true));
    }
}
