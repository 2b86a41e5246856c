#!/usr/bin/env bash
# The inside of the bed, started by bed.sh as process 1 of namespaces of its own: whatever it started ends with it.
#
#   127.0.0.1          etcd
#   10.244.0.1         the bridge, where pods reach the API server (:6443), the cluster's DNS and what runs beside them
#   10.244.0.2 - 254   pods; fd00:10:244::2 and so on as well
#   10.244.1.0/24      load balancers of Services, played by the kubelet
#   10.96.0.0/16       Services, likewise; fd00:10:96::/112 as well, for those that ask for both families
set -euo pipefail

# As the world outside counts, for `bed.sh --enter`: /proc is still the outside's.
read -r pid _ </proc/self/stat
mount -t proc proc /proc
# Named network namespaces live here, for all of a machine, even when mounts are private.
mkdir -p /run/netns
mount -t tmpfs tmpfs /run/netns

work=$BED_WORK bin=$BED_KUBERNETES
pki=$work/pki logs=$work/logs
address=10.244.0.1 address_v6=fd00:10:244::1
limit=120
# A bed starts empty, also in a folder that another one left.
rm -rf "$work/etcd" "$pki" "$logs"
mkdir -p "$pki" "$logs/pods"
cd "$work"

die() {
  printf 'bed: %s\n' "$*" >&2
  exit 1
}

# until_true WHAT LOG COMMAND...: asks again until COMMAND succeeds.
until_true() {
  local what=$1 log=$2 end=$((SECONDS + limit))
  shift 2
  until "$@" >/dev/null 2>&1; do
    if ((SECONDS >= end)); then
      tail -n 20 "$log" >&2 || true
      die "$what: not within $limit s ($log)"
    fi
    sleep 0.1
  done
}

network() {
  ip link set lo up
  # Each Envoy watches its token and its CA with instances of its own, and dies where there is none left: the usual limit of 128
  # for a user is that of a few dozen Envoys. It is one number for the machine, and only ever raised.
  instances=/proc/sys/fs/inotify/max_user_instances
  if (($(<"$instances") < 8192)); then echo 8192 >"$instances"; fi
  # An address of its own: else it is that of one of its cables, and another when that pod goes, and who knows the old one is not
  # heard for half a minute.
  ip link add pods0 address 02:00:0a:f4:00:01 type bridge
  ip address add "$address/24" dev pods0
  ip address add "$address_v6/64" dev pods0 nodad
  ip link set pods0 up
  # Load balancers and Services have no machine: the kubelet's rules send what goes there on to pods, or refuse it.
  ip route add 10.244.1.0/24 dev pods0 src "$address"
  ip route add 10.96.0.0/16 dev pods0 src "$address"
  ip route add fd00:10:96::/112 dev pods0 src "$address_v6"
  echo 1 >/proc/sys/net/ipv4/ip_forward
  echo 1 >/proc/sys/net/ipv6/conf/all/forwarding
  # What is sent to a Service is sent on by this machine, not by the bridge, which returns nothing to where it came from.
  for calls in /proc/sys/net/bridge/bridge-nf-call-ip{,6}tables; do
    if [[ -e "$calls" ]]; then echo 0 >"$calls"; fi
  done
  # A pod that reaches its neighbour by a load balancer must not be told of a shorter way.
  echo 0 >/proc/sys/net/ipv4/conf/all/send_redirects
  echo 0 >/proc/sys/net/ipv4/conf/pods0/send_redirects
}

# leaf NAME SUBJECT [EXTENSION]
leaf() {
  openssl req -new -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout "$pki/$1.key" -subj "$2" 2>/dev/null |
    openssl x509 -req -CA "$pki/ca.crt" -CAkey "$pki/ca.key" -days 30 -out "$pki/$1.crt" -extfile <(printf '%s\n' "$3") 2>/dev/null
}

# kubeconfig FILE USER TOKEN
kubeconfig() {
  (
    umask 077
    cat >"$1" <<YAML
apiVersion: v1
kind: Config
clusters:
  - name: bed
    cluster:
      server: https://$address:6443
      certificate-authority-data: $(base64 -w0 "$pki/ca.crt")
users:
  - name: $2
    user:
      token: $3
contexts:
  - name: bed
    context: {cluster: bed, user: $2, namespace: ${4:-default}}
current-context: bed
YAML
  )
}

certificates() {
  openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout "$pki/ca.key" -out "$pki/ca.crt" -days 30 \
    -subj "/CN=bed" -addext "keyUsage=critical,keyCertSign,cRLSign" 2>/dev/null
  leaf apiserver /CN=kube-apiserver \
    "subjectAltName=IP:$address,IP:127.0.0.1,IP:10.96.0.1,DNS:kubernetes,DNS:kubernetes.default,DNS:kubernetes.default.svc"
  # What the replicas of Isthmus show their proxies: beside the API server, and at the address of a Service in front of them.
  leaf isthmus-xds /CN=isthmus-xds "subjectAltName=IP:$address,IP:10.244.1.240"
  openssl genrsa -out "$pki/accounts.key" 2048 2>/dev/null
  local token
  token=$(openssl rand -hex 16)
  (umask 077 && printf '%s,admin,admin,system:masters\n' "$token" >"$pki/tokens.csv")
  kubeconfig "$work/admin.kubeconfig" admin "$token"
}

control_plane() {
  "$bin/etcd" --data-dir "$work/etcd" --unsafe-no-fsync --listen-client-urls http://127.0.0.1:2379 \
    --advertise-client-urls http://127.0.0.1:2379 --listen-peer-urls http://127.0.0.1:2380 \
    --initial-advertise-peer-urls http://127.0.0.1:2380 --initial-cluster default=http://127.0.0.1:2380 \
    >"$logs/etcd.log" 2>&1 &
  "$work/apiserver.sh" >"$logs/kube-apiserver.log" 2>&1 &
  echo $! >"$work/apiserver.pid"
  until_true "the API server is ready" "$logs/kube-apiserver.log" kubectl get --raw /readyz
  "$bin/kube-controller-manager" --kubeconfig "$work/admin.kubeconfig" --leader-elect=false --bind-address=127.0.0.1 \
    --service-account-private-key-file="$pki/accounts.key" --root-ca-file="$pki/ca.crt" \
    --controllers="$(paste -sd, <<'LIST'
daemonset-controller
deployment-controller
endpointslice-controller
endpointslice-mirroring-controller
garbage-collector-controller
namespace-controller
replicaset-controller
root-ca-certificate-publisher-controller
serviceaccount-controller
LIST
)" >"$logs/kube-controller-manager.log" 2>&1 &
}

# A script of its own, so that a judge of outages can end the API server and start it again.
apiserver_script() {
  cat >"$work/apiserver.sh" <<SH
#!/bin/sh
exec "$bin/kube-apiserver" --etcd-servers=http://127.0.0.1:2379 --bind-address=0.0.0.0 --advertise-address=$address \\
  --service-cluster-ip-range=10.96.0.0/16,fd00:10:96::/112 --client-ca-file="$pki/ca.crt" \\
  --tls-cert-file="$pki/apiserver.crt" --tls-private-key-file="$pki/apiserver.key" \\
  --service-account-issuer=https://kubernetes.default.svc --service-account-key-file="$pki/accounts.key" \\
  --service-account-signing-key-file="$pki/accounts.key" --token-auth-file="$pki/tokens.csv" \\
  --authorization-mode=RBAC --kubelet-preferred-address-types=InternalIP
SH
  chmod 755 "$work/apiserver.sh"
}

definitions() {
  # Not client-side: HTTPRoute is larger than what an annotation may hold.
  # Large ones, and the server has its limit of time: on a busy machine it is met now and then.
  until_true "the Gateway API's CRDs are there" "$logs/kube-apiserver.log" kubectl apply --server-side -f "$bin/crds/$BED_CHANNEL"
  kubectl apply --server-side -f "$BED_ROOT/deploy/kubernetes/crds" >"$logs/crds.log" || die "the CRDs of Isthmus: see $logs/crds.log"
  kubectl wait --for condition=established --timeout "${limit}s" crd --all >>"$logs/crds.log"
}

# Isthmus with what its installation grants it, never more: a permission that is missing must show.
account() {
  kubectl get namespace isthmus-system >/dev/null 2>&1 || kubectl create namespace isthmus-system >/dev/null
  kubectl apply --server-side -f "$BED_ROOT/deploy/kubernetes/rbac.yaml" >"$logs/rbac.log" || die "the permissions of Isthmus: see $logs/rbac.log"
  kubeconfig "$work/isthmus.kubeconfig" isthmus "$(kubectl create token isthmus --namespace isthmus-system --duration 24h)" isthmus-system
}

kubelet() {
  local arguments=()
  mapfile -t arguments < <(grep . <<<"$BED_KUBELET_ARGUMENTS")
  RUST_LOG=${BED_KUBELET_LOG:-info} "$BED_KUBELET" --work "$work/pods" --logs "$logs/pods" --nft "$bin/nft" --exec "$BED_KUBELET_EXEC" --api "$address:6443" \
    "${arguments[@]}" >"$logs/kubelet.log" 2>&1 &
  until_true "a node is ready" "$logs/kubelet.log" kubectl wait --for condition=Ready --timeout 1s node --all
}

export PATH=$bin:$PATH KUBECONFIG=$work/admin.kubeconfig ISTHMUS_KUBECONFIG=$work/isthmus.kubeconfig
network
certificates
apiserver_script
control_plane
definitions
account
if [[ -n "${BED_KUBELET:-}" ]]; then kubelet; fi
until_true "the controllers made the default ServiceAccount" "$logs/kube-controller-manager.log" \
  kubectl get serviceaccount default
{
  declare -px PATH KUBECONFIG ISTHMUS_KUBECONFIG BED_WORK BED_KUBERNETES
} >"$work/environment"
echo "$pid" >"$work/pid"

cd "$OLDPWD"
status=0
"$@" || status=$?
exit "$status"
