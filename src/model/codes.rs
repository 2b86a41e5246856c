//! Every finding code with its one-paragraph page. Append-only: a number is never given a second meaning.

use crate::Code;

macro_rules! codes {
    ($($(#[doc = $page:literal])+ $name:ident = $number:literal, $title:literal;)+) => {
        $($(#[doc = $page])+ pub const $name: Code = Code($number);)+

        /// All codes: number, title, page.
        pub const ALL: &[(Code, &str, &str)] = &[$(($name, $title, concat!($($page),+))),+];
    };
}

codes! {
    /// The file could not be read. Its last good documents stay in use.
    UNREADABLE_FILE = 1001, "file cannot be read";
    /// The text is not YAML. Nothing of the file can be trusted, so all its last good documents stay in use.
    YAML_SYNTAX = 1002, "YAML syntax error";
    /// The file is larger than the limit (`--max-file-size`). It was not read; its last good documents stay in use.
    FILE_TOO_LARGE = 1003, "file too large";
    /// The file is not UTF-8 text. Its last good documents stay in use.
    NOT_UTF8 = 1004, "not UTF-8";
    /// The document nests deeper than the limit, or its aliases expand to more parts than the limit.
    DOCUMENT_TOO_COMPLEX = 1005, "document too deep or too large";
    /// A mapping has the same key twice, so one of the two values would be lost.
    DUPLICATE_KEY = 1006, "duplicate key";
    /// The folder has no document any more. The last good documents stay in use until there is at least one.
    FOLDER_EMPTY = 1007, "folder is empty or missing";
    /// The file has so many mistakes that only the first are told. The rest shows once those are mended.
    MORE_FINDINGS = 1008, "more findings left out";

    /// The document is not an object with apiVersion, kind and metadata.name.
    NOT_AN_OBJECT = 1101, "not an object";
    /// No kind of this apiVersion is known.
    UNKNOWN_KIND = 1102, "unknown kind";
    /// The kind has no such field. The object is not used, because a field that is spelled wrong and ignored changes
    /// what the rest means; its last good version stays.
    UNKNOWN_FIELD = 1103, "unknown field";
    /// The value has another type than the field.
    WRONG_TYPE = 1104, "wrong type";
    /// A required field is missing.
    MISSING_FIELD = 1105, "missing field";
    /// The value is outside of what the field allows: range, length, pattern or list of values.
    INVALID_VALUE = 1106, "invalid value";
    /// Another document has the same kind, namespace and name. The first by path and position counts.
    DUPLICATE_OBJECT = 1107, "duplicate object";
    /// The certificate or key of a TLS secret cannot be used. Listeners that name it do not come up with it.
    INVALID_CERTIFICATE = 1108, "invalid certificate";
    /// The kind has this field and Isthmus does not act on it. The object is used as if the field were not there.
    UNSUPPORTED_FIELD = 1109, "field without effect";

    /// The object that a reference names does not exist. The reference is kept and heals when the object appears.
    REFERENCE_NOT_FOUND = 1201, "referenced object not found";
    /// The reference crosses namespaces and no ReferenceGrant in the target's namespace permits it.
    REFERENCE_NOT_PERMITTED = 1202, "reference not permitted";
    /// The reference's group and kind are not something that can be referred to here.
    REFERENCE_KIND = 1203, "reference to an unsupported kind";
    /// The referenced service exists and has no such port.
    PORT_NOT_FOUND = 1204, "port not found";
    /// A route names a parent, or a section or port of it, that does not exist.
    PARENT_NOT_FOUND = 1205, "parent not found";
    /// The parent's listeners do not admit this route: by namespace or by kind.
    NOT_ALLOWED_BY_LISTENER = 1206, "not allowed by listener";
    /// No hostname of the route overlaps with the listener's hostname.
    NO_MATCHING_HOSTNAME = 1207, "no matching hostname";
    /// The port that a reference names speaks something that the route cannot forward: an HTTPRoute and a UDP port, say.
    REFERENCE_PROTOCOL = 1208, "port of another protocol";

    /// Two listeners of a Gateway share port and hostname, or a port with protocols that do not go together.
    LISTENER_CONFLICT = 1301, "listener conflict";
    /// The Gateway or listener asks for something that Isthmus does not do.
    UNSUPPORTED_LISTENER = 1302, "unsupported listener";
    /// A route rule asks for something that Isthmus does not do; requests to it are answered 500.
    UNSUPPORTED_FILTER = 1303, "unsupported filter";
    /// A regular expression that Envoy's RE2 does not accept.
    INVALID_REGEX = 1304, "invalid regular expression";
    /// Two filters of one rule exclude each other.
    CONFLICTING_FILTERS = 1305, "conflicting filters";
    /// Two Gateways want the same address and port for the same proxy.
    PORT_TAKEN = 1306, "port taken";
    /// The host of a MeshService is also a name of another service, which gets the clients that dial it, or it is a name
    /// that only another namespace may give out.
    HOST_TAKEN = 1307, "host taken";
    /// Another route of whole connections is attached to the same listener, for the same server name where it has one, and
    /// goes first: the older one, then by namespace and name. This one gets nothing there until the other is gone. The same
    /// goes for an HTTPRoute and a GRPCRoute that share a hostname of a listener.
    ROUTE_OUTRANKED = 1308, "another route goes first";
    /// Another policy for the same target has precedence: the older one, else the first by namespace and name.
    POLICY_CONFLICT = 1309, "policy stands behind another";


    /// An instance in a registry has no host that can be dialled: neither an IP address nor a DNS name. It gets no traffic.
    REGISTRY_HOST = 1401, "unusable host of an instance";
    /// An instance in a registry has a port outside of 1 to 65535. It gets no traffic.
    REGISTRY_PORT = 1402, "unusable port of an instance";
    /// An instance in a registry has a weight that is no number, negative or far too large. It is taken as 1.
    REGISTRY_WEIGHT = 1403, "unusable weight of an instance";
    /// Two instances of one service in a registry have the same address and port and differ in the rest.
    REGISTRY_DUPLICATE = 1404, "instance registered twice";
    /// Part of what a registry holds cannot be read in the form that its kind has. That part is left out.
    REGISTRY_DATA = 1405, "unreadable data in a registry";
    /// A service in a registry has more data than the limit. It keeps its last good state.
    REGISTRY_TOO_LARGE = 1406, "too much data in a registry";
    /// Two services of registries would be imported under one name. The first by registry, group and name has it; the others
    /// can be used through a MeshService of another name.
    REGISTRY_IMPORT = 1407, "two services want one name";
    /// Instances of a registry say that their port wants TLS. Isthmus calls them without TLS, which they may refuse.
    REGISTRY_SECURE = 1408, "instance wants TLS";
    /// A service is to be registered in a registry and cannot be: the registry's type is not written, another document has
    /// the name there, or there are no endpoints of our own. Who looks for it there does not find it.
    REGISTRY_WRITE = 1409, "service is not registered";
    /// A registry does not take what is written into it. It is tried again; who looks for the services there may find what
    /// was written last, until the registry forgets it.
    REGISTRY_WRITING = 1410, "registry does not take a service";
    /// The address of a registry does not answer, or not as a registry of this kind. The last good view stays.
    REGISTRY_UNREACHABLE = 1411, "registry does not answer";
    /// A registry refused the login, or what it answers shows that the login has no rights. The last good view stays.
    REGISTRY_LOGIN = 1412, "registry refused the login";
    /// The file with a password, token or key of a registry cannot be read.
    REGISTRY_SECRET = 1413, "secret of a registry cannot be read";

    /// The API server has no such kind, because its CustomResourceDefinition is not installed or has none of the versions
    /// that are read. The kind is off, and comes alive when it appears.
    KUBERNETES_KIND_OFF = 1501, "kind is not served";
    /// The API server does not permit to read a kind. Its last known objects stay in use, and it is tried again each 10 s at
    /// the latest.
    KUBERNETES_FORBIDDEN = 1502, "not permitted by the API server";
    /// The API server answers a list or a watch with an error. The last known objects stay in use.
    KUBERNETES_REFUSED = 1503, "API server does not list a kind";
    /// The API server cannot be reached. Everything that is known of it stays in use.
    KUBERNETES_UNREACHABLE = 1504, "API server cannot be reached";
    /// The API server does not take a document: its schema, a rule of it, or an admission policy is against it. The text is the
    /// API server's own.
    KUBERNETES_INVALID = 1505, "refused by the API server";
    /// The API server does not take a status that was computed. What is served does not depend on it.
    STATUS_REFUSED = 1521, "status refused by the API server";
    /// Somebody else writes the same fields of an object's status again and again. It is left alone for longer and longer,
    /// so its status may be that of the other one.
    STATUS_CONTESTED = 1522, "status written by two";
    /// Another replica of the same installation has served something else for over a minute, while nothing changed at
    /// either. The same input gives the same bytes on every replica: one does not see what the other sees, or is of
    /// another version.
    REPLICAS_DIFFER = 1523, "replicas serve different configuration";

    /// The API server does not take an object of a Gateway's fleet. What was written before stays; it is tried again.
    FLEET_WRITING = 1601, "object of a fleet cannot be written";
    /// The control plane's ServiceAccount may not do what the fleet of a Gateway needs. It is tried again; everything else
    /// goes on.
    FLEET_FORBIDDEN = 1602, "permission for a fleet is missing";
    /// An object has the name that a Gateway's fleet needs, and was not made for it. It is left alone, and the fleet is not
    /// complete without it.
    FLEET_FOREIGN = 1603, "object belongs to somebody else";
    /// Somebody has set fields of a fleet's object that Isthmus would set otherwise. They stay as they are.
    FLEET_KEPT = 1604, "fields kept as somebody set them";
    /// The API server cannot be asked whether tokens of ServiceAccounts are good, or does not permit it. Proxies that it has
    /// been asked about before are let in. While it does not answer, so are those whose token its own keys have signed; the
    /// others are to try again.
    TOKEN_REVIEW = 1605, "tokens cannot be checked";

    /// There is one MeshConfig, called `default`. This one has another name and says nothing to anybody.
    MESH_CONFIG_UNUSED = 1701, "MeshConfig of another name";
    /// The policy denies, or asks an authorization service, and has no rules that say which requests: it is for none.
    POLICY_WITHOUT_RULES = 1702, "policy without rules";

    /// The CA of the mesh cannot be read: its Secret or file is not what was written there, or cannot be reached. Proxies keep
    /// the certificates that they have; those that come new get none until it can be read.
    CA_UNREADABLE = 1901, "CA of the mesh cannot be read";
    /// The CA of the mesh cannot be written where it is kept. One that is not kept is not used: after a restart nobody would
    /// trust what it has signed.
    CA_WRITING = 1902, "CA of the mesh cannot be written";
    /// The CA of the mesh ends soon, and with it every certificate that it has signed. One that Isthmus has made itself is
    /// replaced in time; one that is given must be replaced by who gives it.
    CA_ENDS = 1903, "CA of the mesh ends soon";
    /// A new root of the mesh does not sign anything yet, because proxies have not acknowledged it for a long time. They would
    /// trust nobody who shows a certificate of it.
    ROOT_WAITS = 1904, "new root waits for proxies";

    /// A policy names a part of its target that is not there: a port of a service, a rule of a route. It has no effect there. Of
    /// a Gateway it cannot name a part at all, and is for the whole.
    POLICY_SECTION = 2001, "part of a target not found";
    /// No pod has the labels that a policy selects.
    POLICY_REACHES_NOTHING = 2002, "policy reaches nothing";
    /// A rule speaks of requests (hosts, methods, paths, headers, claims), and the policy reaches ports where only whole
    /// connections are seen. Where it allows, it lets nobody in there; where it denies, what else it says is refused there.
    ACCESS_NEEDS_HTTP = 2003, "rule needs HTTP";
    /// A rule speaks of identities of the mesh, and clients of a Gateway have none. It holds for nobody there.
    ACCESS_IDENTITY = 2004, "no identities here";
    /// A rule speaks of a service of which nobody is known to be it: there is no such service, or its endpoints have no
    /// identities.
    ACCESS_SERVICE = 2005, "nobody is this service";
    /// Keys by which JWTs are judged are not there, or cannot be used. No JWT that is signed with them is good.
    JWT_KEYS = 2006, "keys of JWTs cannot be used";
    /// An authorization service is not asked where a policy wants it: on trial (mode Shadow), or about whole connections.
    ACCESS_NOT_ASKED = 2007, "authorization service is not asked";

    /// A workload in a namespace that wants sidecars, or that `isthmus inject` was given, gets none. The text says why; the
    /// pod has it as its annotation `isthmus.dev/not-injected`. Nothing else is changed of it.
    INJECT_SKIPPED = 2201, "workload gets no sidecar";
    /// An annotation that a sidecar is set with cannot be used. The pod is not created: with a sidecar that does something
    /// else, or without one, it would not be what was asked for.
    INJECT_SETTING = 2202, "setting of a sidecar cannot be used";
    /// A probe of the kubelet cannot go by the sidecar and stays as it is. From outside of the mesh it fails where only the
    /// mesh is let in.
    INJECT_PROBE = 2203, "probe does not go by the sidecar";
    /// The workload has what only its sidecar may have: the user 1337, whose connections are not redirected, or one of the
    /// sidecar's ports.
    INJECT_CONFLICT = 2204, "workload is in its sidecar's way";
    /// The webhook cannot be kept in step: its Secret, its certificate in the MutatingWebhookConfiguration, or the
    /// ConfigMap of a namespace. Where its certificate has ended, namespaces that opted in get no new pods.
    INJECT_WEBHOOK = 2205, "injection cannot be kept in step";

    /// A proxy refused what it was sent. The text is the proxy's own.
    PROXY_REJECTED = 3101, "proxy rejected the configuration";

    /// Proxies refused what was made of this document. They are served its last good form, or everything but it where they have
    /// never had one, and all else as it is. Once it is another, they are served it as it is.
    PROXY_REFUSED = 2401, "proxies refused this";
    /// Proxies refused something, and their words do not say what. Everything that was new to them is held back and let in again
    /// by halves; this has not been found innocent yet.
    PROXY_HELD_BACK = 2402, "held back while the refused part is sought";
    /// A proxy refused something, and it is not known of what that was made. It keeps what it had of this type.
    PROXY_REFUSED_UNKNOWN = 2403, "a proxy refused something";
    /// The file in which a restart finds what proxies refused and how far changes have been rolled out could not be used. All
    /// proxies are served the newest: what they refuse is found again, and a change that was held back reaches everybody.
    EDITIONS_LOST = 2404, "refusals and rollouts from before lost";
    /// What replicas know of people, in the Secret CLUSTER-NAME-access, cannot be read or written. A session or a token that is
    /// made at one replica is not known at the others, and tokens are kept in the state folder. What was shared before stays
    /// good.
    ACCESS_APART = 2405, "replicas do not know the same people";

    /// Another replica renews its Lease and has not answered for over a minute. What it said last of its proxies is still
    /// shown, with its age.
    REPLICA_SILENT = 2410, "another replica does not answer";
    /// A ConfigRollout names a Gateway that is not there.
    ROLLOUT_TARGET = 2411, "Gateway of a rollout not found";
    /// A change did not get past the gates of its rollout, or a person has stopped it. Until the documents are edited or the
    /// rollout is steered, proxies are served what the text says.
    ROLLOUT_STOPPED = 2412, "rollout stopped";

    /// A service of a LaneGroup has no endpoint in a lane that runs. Its requests go to the base there, or fail with
    /// `onMissing: Fail`; further on they are in their lane again, if the apps on the way carry the lane's header or
    /// `baggage` from the call that they take to those that they make. No proxy can do that for them.
    LANE_MEMBER_MISSING = 2101, "nobody in a lane";
    /// All endpoints of a service of a LaneGroup are in lanes, so that requests without a lane fail there.
    LANE_BASE_MISSING = 2102, "nobody outside of lanes";
    /// Endpoints have the label of a lane that no LaneGroup of their service knows. They get no requests: as part of the
    /// base they would get those of everybody.
    LANE_UNKNOWN = 2103, "label of an unknown lane";
}
