# `make help` lists what is here. Each target is a few lines of what it runs, so that it can be run by hand as well.

SHELL := bash
.SHELLFLAGS := -euo pipefail -c
CARGO ?= cargo

# A recipe that needs Envoy starts with this. The path comes from the script, which fetches Envoy on first use.
WITH_ENVOY = envoy=$$(conformance/lib/envoy.sh) && export ISTHMUS_ENVOY="$$envoy" &&

.DEFAULT_GOAL := help
.PHONY: help dev test console conformance conformance-api conformance-envoy conformance-xds conformance-registries conformance-kubernetes conformance-gateway-api conformance-gateway-mesh conformance-capture conformance-console conformance-fleet conformance-inject conformance-install conformance-identity conformance-outage conformance-mesh conformance-writes bench bench-gate bench-kubernetes bench-mesh fuzz fmt lint manifests manifests-check envoy

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  %-24s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

dev: ## build, fetch a real Envoy, run control plane + gateway + three echo services
	$(CARGO) build --release --locked --package isthmus
	$(WITH_ENVOY) exec target/release/isthmus dev

test: ## all tests, real Envoy included
	$(WITH_ENVOY) $(CARGO) test --workspace --locked

console: ## build the web console into console/dist, which the next cargo build puts into the program (needs Node 20)
	npm --prefix console ci --no-audit --no-fund
	npm --prefix console run build
	touch src/api/build.rs

conformance: conformance-envoy conformance-xds conformance-api conformance-registries conformance-inject conformance-install conformance-capture conformance-fleet conformance-writes conformance-gateway-api conformance-gateway-mesh ## all outside judges: real Envoy, the xDS protocol on the wire, real registries, the Gateway API suite

conformance-envoy: ## real Envoy: routing, edits under load, restarts, mistakes
	$(WITH_ENVOY) $(CARGO) test --locked --package isthmus --test envoy

conformance-xds: ## the protocol's scenarios, five releases of Envoy in eight variants; writes conformance/xds/REPORT.md
	conformance/xds/run.sh

conformance-api: ## the HTTP API by its own document (schemathesis), and 10,000 services in a list
	conformance/api/run.sh

conformance-registries: ## real Nacos, Eureka, ZooKeeper and Consul behind a real Envoy; writes conformance/registries/REPORT.md
	conformance/registries/run.sh

conformance-kubernetes: ## the test bed itself: a real API server, pods as processes, load balancers
	conformance/kubernetes/check.sh

conformance-console: ## the web console in Debian's Chromium, with the real program and a real Envoy
	conformance/console/run.sh

conformance-gateway-api: ## the upstream Gateway API suite, all profiles, real Envoys run by the fleet; writes conformance/gateway-api/REPORT.md
	conformance/gateway-api/run.sh

conformance-gateway-mesh: ## the same suite's mesh profiles, with injected sidecars; writes conformance/gateway-api/REPORT-MESH.md
	conformance/gateway-api/run.sh --mesh

conformance-capture: ## what `isthmus capture` redirects, with real sockets in network namespaces, by nftables and by iptables
	conformance/capture/run.sh

conformance-fleet: ## the fleets of Gateways before a real Kubernetes API server: edits by hand, rolling updates, credentials, permissions
	conformance/fleet/run.sh

conformance-inject: ## which pods get a sidecar before a real Kubernetes API server, outages and new certificates of the webhook
	conformance/kubernetes/inject.sh

conformance-install: ## CRDs, chart, permissions and plain manifests before a real Kubernetes API server
	conformance/install/run.sh

conformance-identity: ## certificates of the mesh before a real Kubernetes API server: credentials, two replicas, a new root
	conformance/kubernetes/identity.sh

conformance-writes: ## writes by API and command line to a real Kubernetes API server: rights, dry runs, undo, the way back, other owners
	conformance/writes/run.sh

conformance-outage: ## outages of leader, API server, namespaces and permissions while requests go through; writes conformance/outage/REPORT.md
	conformance/outage/run.sh

conformance-mesh: ## sidecars in network namespaces: a chain of three services, mutual TLS, rotation, lanes, refused bootstraps; writes conformance/mesh/REPORT.md
	conformance/mesh/run.sh

# What the load benchmarks start.
BENCH_PROGRAMS = $(CARGO) build --release --locked --package isthmus --example judge --example floor --example load

bench: ## situations with numbers, about an hour (benches/REPORT.md)
	$(CARGO) bench --locked --package isthmus
	$(BENCH_PROGRAMS) --bin isthmus
	PYTHONDONTWRITEBYTECODE=1 python3 benches/load/bench.py

bench-kubernetes: ## 1,000 routes and services in a real API server, until a real Envoy has each change; writes benches/kubernetes/REPORT.md
	benches/kubernetes/run.sh

bench-mesh: ## 10,000 services, 1,000 sidecars in 50 namespaces; writes benches/mesh/REPORT.md
	benches/mesh/run.sh

bench-gate: ## N=100 simulated Envoys: a change costs at most three times what HTTP/2 alone costs
	$(BENCH_PROGRAMS)
	PYTHONDONTWRITEBYTECODE=1 python3 benches/load/bench.py gate

fuzz: ## hostile documents, nodes and conversations, FUZZ_SECONDS (600) for each
	CARGO="$(CARGO)" fuzz/run.sh

fmt: ## format the code
	$(CARGO) fmt --all

lint: ## rustfmt, clippy with warnings as errors, cargo-deny where it is installed
	@for part in fmt clippy; do $(CARGO) $$part --version >/dev/null 2>&1 || \
	{ echo "lint: cargo $$part is missing: rustup component add rustfmt clippy" >&2; exit 1; }; done
	$(CARGO) fmt --all --check
	$(CARGO) clippy --workspace --all-targets --locked -- --deny warnings
	@if $(CARGO) deny --version >/dev/null 2>&1; then $(CARGO) deny --offline check bans licenses sources; \
	else echo "lint: cargo-deny is not installed: licences and bans NOT checked" >&2; fi

manifests: ## make the CRDs, the plain manifests and the chart's README anew (deploy/)
	deploy/manifests.sh

manifests-check: ## fail where one of those is stale; check the documents under deploy/ as the server would
	deploy/manifests.sh --check
	$(WITH_ENVOY) $(CARGO) run --locked --package isthmus -- validate -f deploy/quickstart --envoy "$$envoy" --fail-on warn

envoy: ## fetch a real Envoy into the cache and print where it is
	@conformance/lib/envoy.sh
