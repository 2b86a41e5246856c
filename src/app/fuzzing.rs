//! The way in for the fuzzer (`../../fuzz`), which sees only what is public. No other build has it.

use std::sync::Arc;

use serve::Snapshots;

use crate::auth::Auth;
use crate::groups::Groups;
use crate::reload::Contents;
use crate::settings::{Inputs, Machine, Profile, load};

/// The door of the xDS port, as it stands with these files.
///
/// # Errors
/// When they have a mistake in them.
pub fn door(grants: &str, jwks: Option<&str>) -> anyhow::Result<Arc<dyn Snapshots>> {
    let mut flags = vec![("xds-tokens-file", "grants".to_owned())];
    let mut files = vec![("grants".into(), grants.into())];
    if let Some(jwks) = jwks {
        flags.push(("xds-jwks-file", "keys".to_owned()));
        flags.push(("xds-jwt-audience", "isthmus".to_owned()));
        files.push(("keys".into(), jwks.into()));
    }
    let machine = Machine {
        profile: Profile::Serve,
        root: false,
        home: None,
        xdg_state_home: None,
        host_name: None,
    };
    let inputs = Inputs { machine, file: None, environment: &|_| None, flags: &flags };
    let settings = load(&inputs).map_err(|_| anyhow::anyhow!("the settings are wrong"))?.settings;
    Ok(Arc::new(Groups::new(Auth::new(&settings, &Contents(files))?)))
}
