use std::collections::HashMap;

use super::{Flaw, Parsed};

/// Envoy: "Only unique values for domains are permitted"; one double domain rejects the whole table. Host names are
/// compared without regard to case.
pub(super) fn check(parsed: &Parsed) -> Vec<Flaw> {
    let mut flaws = Vec::new();
    for table in &parsed.routes {
        let mut owners: HashMap<String, &str> = HashMap::new();
        for host in &table.inner.virtual_hosts {
            for domain in &host.domains {
                if let Some(first) = owners.insert(domain.to_ascii_lowercase(), &host.name) {
                    let text = format!(
                        "virtual hosts `{first}` and `{}` both claim domain `{domain}`",
                        host.name
                    );
                    flaws.push(Flaw { at: table.key.clone(), text });
                }
            }
            if host.domains.is_empty() {
                let text = format!("virtual host `{}` has no domains", host.name);
                flaws.push(Flaw { at: table.key.clone(), text });
            }
        }
    }
    flaws
}
