"""All scripts, in the order of the rule list."""

from scenarios import (  # noqa: F401
    sotw_wildcard,
    sotw_names,
    sotw_nonces,
    delta_basics,
    delta_reconnect,
    nack,
    order,
    slow,
    lifetime,
    on_demand,
    proxyless,
    rules_streams,
    rules_content,
    rules_order,
)
