"""All scripts, in the order of the rule list."""

from scenarios import (  # noqa: F401
    delta_basics,
    delta_reconnect,
    lifetime,
    nack,
    on_demand,
    order,
    proxyless,
    rules_content,
    rules_order,
    rules_streams,
    slow,
    sotw_names,
    sotw_nonces,
    sotw_wildcard,
)
