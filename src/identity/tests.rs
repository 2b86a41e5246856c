use std::sync::Arc;
use std::time::{Duration, SystemTime};

use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair};
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject as _;
use x509_parser::prelude::{FromDer as _, GeneralName, X509Certificate};

use super::*;

const DAY: Duration = Duration::from_secs(86_400);
const SECOND: Duration = Duration::from_secs(1);

fn start() -> SystemTime {
    SystemTime::UNIX_EPOCH + 20_000 * DAY
}

const DOMAIN: &str = "cluster.local";

fn id() -> Arc<str> {
    "spiffe://cluster.local/ns/shop/sa/orders".into()
}

fn authority() -> Authority {
    Authority::make(DOMAIN, &Times::default(), start()).unwrap()
}

fn ders(pem: &str) -> Vec<Vec<u8>> {
    CertificateDer::pem_slice_iter(pem.as_bytes()).map(|der| der.unwrap().to_vec()).collect()
}

/// Whether one of the roots vouches for the leaf, by way of what comes with it.
fn trusts(bundle: &str, leaf: &Leaf) -> bool {
    let chain = ders(&leaf.chain);
    let roots = ders(bundle);
    let parse = |der: &[u8]| X509Certificate::from_der(der).unwrap().1.public_key().raw.to_vec();
    let mut keys: Vec<_> = chain[1..].iter().map(|der| parse(der)).collect();
    keys.push(Vec::new());
    chain.iter().zip(keys).all(|(der, above)| {
        let (_, certificate) = X509Certificate::from_der(der).unwrap();
        let signed = |key: &[u8]| {
            let (_, key) = x509_parser::x509::SubjectPublicKeyInfo::from_der(key).unwrap();
            certificate.verify_signature(Some(&key)).is_ok()
        };
        if above.is_empty() {
            roots.iter().any(|root| signed(&parse(root)))
        } else {
            signed(&above)
        }
    })
}

#[test]
fn a_leaf_says_one_thing_and_for_a_day() {
    let authority = authority();
    let leaf = authority.issue(&id(), DAY, start()).unwrap();
    let der = &ders(&leaf.chain)[0];
    let (_, certificate) = X509Certificate::from_der(der).unwrap();
    let names = certificate.subject_alternative_name().unwrap().unwrap();
    assert_eq!(
        names.value.general_names,
        [GeneralName::URI("spiffe://cluster.local/ns/shop/sa/orders")]
    );
    // With an empty subject, the alternative name must be critical (RFC 5280 §4.2.1.6).
    assert!(names.critical && certificate.subject().iter().next().is_none());
    assert!(!certificate.is_ca());
    let usage = certificate.extended_key_usage().unwrap().unwrap().value;
    assert!(usage.server_auth && usage.client_auth);
    let since = |time: SystemTime| {
        i64::try_from(time.duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs()).unwrap()
    };
    let validity = certificate.validity();
    assert_eq!(validity.not_before.timestamp(), since(start() - 300 * SECOND));
    assert_eq!(validity.not_after.timestamp(), since(start() + DAY));
    assert!(trusts(&authority.bundle(), &leaf));
    assert!(!trusts(&self::authority().bundle(), &leaf), "by another CA");
    assert!(!format!("{leaf:?} {authority:?} {:?}", authority.keep()).contains("PRIVATE"));
}

#[test]
fn the_root_names_its_trust_domain_and_signs_nothing_but_leaves() {
    let der = &ders(&authority().bundle())[0];
    let (_, root) = X509Certificate::from_der(der).unwrap();
    let names = root.subject_alternative_name().unwrap().unwrap();
    assert_eq!(names.value.general_names, [GeneralName::URI("spiffe://cluster.local")]);
    let constraints = root.basic_constraints().unwrap().unwrap().value;
    assert_eq!((constraints.ca, constraints.path_len_constraint), (true, Some(0)));
}

#[test]
fn renewal_is_at_half_of_the_life_by_each_a_little_apart() {
    let authority = authority();
    let mut seen = std::collections::BTreeSet::new();
    for n in 0..50 {
        let id = format!("spiffe://cluster.local/ns/shop/sa/a{n}").into();
        let leaf = authority.issue(&id, DAY, start()).unwrap();
        let wait = leaf.renew_at.duration_since(start()).unwrap();
        assert!((DAY / 2).mul_f64(0.99) <= wait && wait <= (DAY / 2).mul_f64(1.01), "{wait:?}");
        assert!(!authority.is_due(&leaf, leaf.renew_at - SECOND));
        assert!(authority.is_due(&leaf, leaf.renew_at));
        seen.insert(wait);
    }
    assert!(seen.len() > 40, "{}", seen.len());
}

#[test]
fn at_every_step_of_a_change_each_trusts_what_each_other_shows() {
    let times = Times::default();
    let settled = authority();
    assert_eq!(settled.phase(), Phase::Settled);
    assert!(settled.next(Taken::All, &times, start() + 1000 * DAY).is_none());
    let bundled = settled.rotate(DOMAIN, &times, start()).unwrap().unwrap();
    assert_eq!(bundled.phase(), Phase::Bundled);
    assert!(bundled.rotate(DOMAIN, &times, start()).unwrap().is_none(), "one at a time");
    let late = start() + 10 * SECOND;
    assert!(bundled.next(Taken::All, &times, late - SECOND).is_none(), "too early");
    assert!(bundled.next(Taken::NotYet, &times, late + 1000 * DAY).is_none(), "somebody lacks it");
    let signing = bundled.next(Taken::All, &times, late).unwrap();
    assert_eq!(signing.phase(), Phase::Signing);
    assert!(signing.rotate(DOMAIN, &times, late).unwrap().is_none());
    assert!(signing.next(Taken::NotYet, &times, late + DAY - SECOND).is_none());
    assert!(signing.next(Taken::NotYet, &times, late + DAY).is_some(), "no old leaf is good");
    let done = signing.next(Taken::All, &times, late + times.settle).unwrap();
    assert_eq!(done.phase(), Phase::Settled);

    let steps = [settled, bundled, signing, done];
    let leaves: Vec<_> =
        steps.iter().map(|step| step.issue(&id(), DAY, start()).unwrap()).collect();
    // By step: whose leaves are trusted. Two proxies are one step apart at most.
    let trusted = steps.each_ref().map(|step| {
        let all = leaves.iter().enumerate();
        all.filter(|(_, leaf)| trusts(&step.bundle(), leaf)).map(|(n, _)| n).collect::<Vec<_>>()
    });
    assert_eq!(trusted, [vec![0, 1], vec![0, 1, 2, 3], vec![0, 1, 2, 3], vec![2, 3]]);
    // Only what the old one has signed is replaced, and from the third step on.
    let due = |step: &Authority, leaf: &Leaf| step.is_due(leaf, start());
    assert!(!due(&steps[1], &leaves[0]) && due(&steps[2], &leaves[0]));
    assert!(!due(&steps[3], &leaves[2]));
    let marks: std::collections::BTreeSet<_> = steps.iter().map(Authority::mark).collect();
    assert_eq!(marks.len(), 4);
    // The key of the old one is not kept longer than it is needed.
    let entries = |step: &Authority| step.keep().0.into_keys().collect::<Vec<_>>().join(" ");
    assert_eq!(
        steps.each_ref().map(entries),
        [
            "ca.crt ca.key since",
            "ca.crt ca.key next.crt next.key since",
            "ca.crt ca.key old.crt since",
            "ca.crt ca.key since",
        ]
    );
    for step in &steps {
        let again = Authority::restore(&step.keep()).unwrap();
        assert_eq!((again.mark(), again.phase()), (step.mark(), step.phase()));
        assert_eq!(again.keep(), step.keep());
        assert!(trusts(&step.bundle(), &again.issue(&id(), DAY, start()).unwrap()));
    }
}

#[test]
fn a_root_is_replaced_by_age() {
    let authority = authority();
    assert!(!authority.is_old(start() + 2400 * DAY));
    assert!(authority.is_old(start() + 2434 * DAY));
}

/// A root, an intermediate of it, and the intermediate's key.
fn corporate(name: &str) -> (String, String, String) {
    let ca = |name: &str| {
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.not_after = (start() + 100 * DAY).into();
        params
    };
    let root_key = KeyPair::generate().unwrap();
    let root = ca(name).self_signed(&root_key).unwrap().pem();
    let key = KeyPair::generate().unwrap();
    let issuer = Issuer::new(ca(name), root_key);
    let middle = ca(&format!("{name} mesh")).signed_by(&key, &issuer).unwrap().pem();
    (root, middle, key.serialize_pem())
}

#[test]
fn a_given_intermediate_signs_and_its_chain_goes_with_each_leaf() {
    let (root, middle, key) = corporate("corp");
    let signer = given(&format!("{middle}{root}"), &key).unwrap();
    let authority = Authority::of(signer, start());
    let leaf = authority.issue(&id(), DAY, start()).unwrap();
    assert_eq!((ders(&leaf.chain).len(), ders(&authority.bundle()).len()), (2, 1));
    assert!(trusts(&authority.bundle(), &leaf));
    assert_eq!(ders(&authority.bundle()), ders(&root));
    // Nobody believes a leaf longer than who signed it.
    let late = authority.issue(&id(), DAY, start() + 99 * DAY + DAY / 2).unwrap();
    assert_eq!(late.until, start() + 100 * DAY);
}

#[test]
fn a_given_ca_that_is_replaced_is_made_known_first() {
    let times = Times::default();
    let (root, middle, key) = corporate("corp");
    let authority = Authority::of(given(&format!("{middle}{root}"), &key).unwrap(), start());
    let (other_root, other, other_key) = corporate("other");
    let bundled =
        authority.replace(given(&format!("{other}{other_root}"), &other_key).unwrap(), start());
    assert_eq!((bundled.phase(), bundled.roots().len()), (Phase::Bundled, 2));
    let signing = bundled.next(Taken::All, &times, start() + DAY).unwrap();
    assert_eq!((signing.phase(), signing.roots().len()), (Phase::Signing, 2));
    // Where the operator names the other root beforehand, the change needs no step of its own.
    let known = given(&format!("{middle}{root}{other_root}"), &key).unwrap();
    let both = Authority::of(known, start());
    assert_eq!(both.roots().len(), 2);
    let swapped =
        both.replace(given(&format!("{other}{other_root}"), &other_key).unwrap(), start());
    assert_eq!((swapped.phase(), swapped.roots().len()), (Phase::Signing, 2));
    let done = swapped.next(Taken::All, &times, start() + DAY).unwrap();
    assert_eq!((done.phase(), done.roots().len()), (Phase::Settled, 1));
}

#[test]
fn what_is_no_ca_is_refused_with_the_reason() {
    let (root, middle, key) = corporate("corp");
    let (other_root, ..) = corporate("other");
    let says = |chain: &str, key: &str| given(chain, key).err().map(|e| e.to_string());
    let wrong = |what: &str| Some(format!("the certificates of the CA cannot be read: {what}"));
    let key_wrong = "the key of the CA cannot be read, or is not that of its certificate";
    assert_eq!(says("", &key), wrong("there is none"));
    assert_eq!(says(&middle, &key), wrong("none of them is a root (signed by itself)"));
    assert_eq!(says(&root, &key).as_deref(), Some(key_wrong));
    assert_eq!(says(&middle, "no key").as_deref(), Some(key_wrong));
    let no_chain = wrong("they are no chain: each must be signed by the next");
    assert_eq!(says(&format!("{middle}{other_root}"), &key), no_chain);
    let leaf = authority().issue(&id(), DAY, start()).unwrap();
    assert_eq!(says(&leaf.chain, leaf.key()), wrong("the first one is not that of a CA"));
}
