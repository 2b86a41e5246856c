//! Words that documents and requests have in common, so that they often meet.

use fastrand::Rng;

pub(super) const HOSTS: [&str; 7] = [
    "a.shop.example",
    "b.shop.example",
    "*.shop.example",
    "*.example",
    "*.a.shop.example",
    "shop.example",
    "other.test",
];
pub(super) const PATHS: [&str; 10] =
    ["/", "/a", "/a/", "/a/b", "/ab", "/a/b/c", "/x", "/x/y.z", "/foo-bar", "/A"];
pub(super) const PATTERNS: [&str; 8] = [
    "/a/[^/]+",
    r"/v\d+/.*",
    "/(a|x)(/.*)?",
    "(?i)/a/B",
    "/a.*b",
    ".*",
    "/[a-z]{1,3}",
    r"/x/\w+\.z",
];
pub(super) const METHODS: [&str; 5] = ["GET", "POST", "PUT", "DELETE", "OPTIONS"];
pub(super) const HEADERS: [&str; 4] = ["x-a", "X-B", "x-c", "x-new"];
pub(super) const VALUES: [&str; 5] = ["1", "2", "one", "1,2", "One"];
pub(super) const VALUE_PATTERNS: [&str; 4] = ["[0-9]+", "1|2", "on.", "(?i)ONE"];
pub(super) const PARAMETERS: [&str; 2] = ["q", "r"];
pub(super) const ORIGINS: [&str; 3] =
    ["https://app.example", "https://x.tenant.example", "http://evil.test"];

pub(super) fn one<'a>(random: &mut Rng, words: &[&'a str]) -> &'a str {
    words[random.usize(..words.len())]
}

/// Once in so many times.
pub(super) fn once(random: &mut Rng, times: usize) -> bool {
    random.usize(..times) == 0
}
