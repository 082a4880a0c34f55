/**
 * The environment variables of Istio's istiod, one by one: what this control plane makes of each. Names and defaults are those of
 * Istio 1.32-dev (pilot/pkg/features, pilot/pkg/bootstrap, pkg/…); docs/flags.md is generated from here (tools/gen-flags.ts).
 */
import { parseVariableTable, type VariableEntry } from '#base/variable-table.ts';

/** Names that look like one of these variables. */
export const DISCOVERY_PREFIXES: readonly string[] = [
  'PILOT_',
  'ENABLE_',
  'DISABLE_',
  'CITADEL_',
  'AMBIENT_',
  'UNSAFE_',
  'MCS_',
  'ISTIO_GPRC_',
];

/** name | default | yes: honoured, no: without effect, never: another value is refused | about it */
const TABLE = `
AMBIENT_ENABLE_BAGGAGE | false | no | ambient is not built yet
AMBIENT_ENABLE_DRY_RUN_AUTHORIZATION_POLICY | false | no | ambient is not built yet
AMBIENT_ENABLE_MULTI_NETWORK | false | no | ambient is not built yet
AMBIENT_ENABLE_MULTI_NETWORK_INGRESS | false | no | ambient is not built yet
AMBIENT_ENABLE_MULTI_NETWORK_WAYPOINT | true | no | ambient is not built yet
AMBIENT_ENABLE_STATUS | false | no | ambient is not built yet
AMBIENT_SCOPED_ADDRESS_PUSHES | true | no | ambient is not built yet
AUDIENCE | | yes | audience of the tokens of TOKEN_ISSUER
BLOCKED_CIDRS_IN_JWKS_URIS | | yes | addresses from which no key set of a token issuer is fetched
BLOCKED_CIDRS_IN_WASM_FETCH | | no | decided by the agent
CA_TRUSTED_NODE_ACCOUNTS | | yes | node proxies that may ask for certificates of workloads on their own node
CERT_SIGNER_DOMAIN | | yes | with EXTERNAL_CA: what stands before the names of signers that agents ask for
CITADEL_ENABLE_JITTER_FOR_ROOT_CERT_ROTATOR | true | no | one control plane, the leader, replaces the root
CITADEL_SELF_SIGNED_CA_CERT_TTL | 87600h | no | the root lives for ten years
CITADEL_SELF_SIGNED_CA_RSA_KEY_SIZE | 2048 | no | the root's key is ECDSA P-256
CITADEL_SELF_SIGNED_ROOT_CERT_CHECK_INTERVAL | 1h | no | the root is looked at every few seconds
CITADEL_SELF_SIGNED_ROOT_CERT_GRACE_PERIOD_PERCENTILE | 20 | no | the root is replaced in the last fifth of its life
CLUSTER_ID | Kubernetes | yes | name of the cluster, where --clusterID does not say it
COMPLIANCE_POLICY | | yes | fips-140-2, fips-140-3 or pqc: limits of all TLS; another word ends the start. Validated modules are the operator's part
DEBUG_ENDPOINT_AUTH_ALLOWED_NAMESPACES | | yes | namespaces whose identities see all debug pages, besides the system namespace
DEFAULT_WORKLOAD_CERT_TTL | 24h | yes | life of certificates whose caller asks for none
DISABLE_SHADOW_HOST_SUFFIX | true | yes | mirrored requests keep their host name
DISABLE_TRACK_REMAINING_CB_METRICS | true | yes | Envoy's gauges of what circuit breakers have left are off
ENABLE_100_CONTINUE_HEADERS | true | yes | 100 Continue of an application is passed on
ENABLE_CA_SERVER | true | yes | without it there is no certificate authority and no TLS port
ENABLE_CLUSTER_TRUST_BUNDLE_API | false | no | ClusterTrustBundles are not read yet
ENABLE_DEBUG_ENDPOINT_AUTH | true | yes | identities of other namespaces see the dumps of their own proxies only
ENABLE_DEBUG_ON_HTTP | true | yes | whether there are debug pages
ENABLE_ENHANCED_DESTINATIONRULE_MERGE | true | yes | DestinationRules merge with regard to exportTo
ENABLE_GATEWAY_API_INFERENCE_EXTENSION | false | no | Gateway API is not built yet
ENABLE_GATEWAY_API_MANUAL_DEPLOYMENT | true | no | Gateway API is not built yet
ENABLE_HCM_INTERNAL_NETWORKS | false | yes | all connection managers count the mesh's networks as internal callers; without it those of gateways do
ENABLE_INGRESS_WAYPOINT_ROUTING | true | no | ambient is not built yet
ENABLE_LAYERED_WAYPOINT_AUTHORIZATION_POLICIES | false | no | ambient is not built yet
ENABLE_LAZY_SIDECAR_EVALUATION | true | no | scopes are made for connected proxies only, always
ENABLE_LEADER_ELECTION | true | yes | without it each control plane writes to the cluster
ENABLE_LOCALITY_WEIGHTED_LB_CONFIG | false | yes | localities are weighted in every cluster
ENABLE_MCS_AUTO_EXPORT | false | no | multi-cluster services are not built
ENABLE_MCS_CLUSTER_LOCAL | false | no | multi-cluster services are not built
ENABLE_MCS_HOST | false | no | multi-cluster services are not built
ENABLE_MCS_SERVICE_DISCOVERY | false | no | multi-cluster services are not built
ENABLE_MULTICLUSTER_HEADLESS | true | no | several clusters are not built yet
ENABLE_NATIVE_SIDECARS | auto | no | nothing is injected yet
ENABLE_PROXY_FIND_POD_BY_IP | false | no | proxies are known by their pod's name, as their identity proves it
ENABLE_SELECTOR_BASED_K8S_GATEWAY_POLICY | true | no | Gateway API is not built yet
ENABLE_TLS_ON_SIDECAR_INGRESS | false | yes | TLS of a Sidecar's ingress listener counts
ENABLE_VTPROTOBUF | true | no | a library of Go
ENABLE_WILDCARD_HOST_SERVICE_ENTRIES_FOR_TLS | false | no | ambient is not built yet
ENABLE_XDS_API_GENERATOR_AUTH | true | no | configuration is not served over xDS
ENVOY_STATUS_PORT_ENABLE_PROXY_PROTOCOL | false | no | decided by the agent
EXTERNAL_CA | | yes | ISTIOD_RA_KUBERNETES_API: workload certificates are signed by signers of the cluster; other values end the start
EXTERNAL_ISTIOD | false | no | several clusters are not built yet
GRPC_KEEPALIVE_INTERVAL | 30s | yes | how often a quiet connection is asked whether it is there, where --keepaliveInterval does not say it
GRPC_KEEPALIVE_TIMEOUT | 10s | yes | how long the answer may take, where --keepaliveTimeout does not say it; 20s unless set
INJECTION_WEBHOOK_CONFIG_NAME | istio-sidecar-injector | no | nothing is injected yet
INJECT_ENABLED | true | no | nothing is injected yet
ISTIOD_CUSTOM_HOST | | yes | more names for the control plane's certificate
ISTIO_AGENT_ENABLE_WASM_REMOTE_LOAD_CONVERSION | true | no | decided by the agent
ISTIO_DELTA_XDS | true | no | clients choose between delta and state of the world
ISTIO_DUAL_STACK | false | yes | proxies with addresses of both families use both
ISTIO_ENABLE_CONTROLLER_QUEUE_METRICS | false | no | there are no such queues
ISTIO_ENABLE_IPV4_OUTBOUND_LISTENER_FOR_IPV6_CLUSTERS | false | no | one family per proxy
ISTIO_GPRC_MAXRECVMSGSIZE | 4194304 | yes | longest request; 16 MiB over TLS unless set
ISTIO_GPRC_MAXSTREAMS | 100000 | yes | streams of one connection; 100 unless set
ISTIO_KUBE_CLIENT_CONTENT_TYPE | protobuf | no | the API server is read as JSON
ISTIO_MULTIROOT_MESH | false | no | trust bundles are pushed to agents that ask for them, and all their roots are trusted, always
ISTIO_WASM_MAX_BINARY_SIZE_BYTES | 268435456 | no | decided by the agent
ISTIO_WATCH_NAMESPACE | | yes | the one namespace whose objects are read
ISTIO_WORKLOAD_ENTRY_VALIDATE_IDENTITY | true | yes | a WorkloadEntry is registered by an identity of its namespace and service account only
JWKS_RESOLVER_INSECURE_SKIP_VERIFY | false | never | certificates of token issuers are always verified
JWT_RULE | | yes | another issuer whose tokens are taken for service accounts: a JWTRule in JSON (issuer, jwksUri or jwks, audiences)
K8S_INGRESS_NS | istio-system | no | Ingress is not built yet
K8S_SIGNER | | yes | with EXTERNAL_CA: the signer for requests that name none
KUBERNETES_SERVICE_HOST | | yes | where the API server is, in a pod
K_REVISION | | no | a name that one platform sets
LABEL_CANONICAL_SERVICES_FOR_MESH_EXTERNAL_SERVICE_ENTRIES | false | no | Telemetry is not built yet
LOCAL_CLUSTER_SECRET_WATCHER | false | no | several clusters are not built yet
MAX_CONNECTIONS_PER_SOCKET_EVENT_LOOP | 1 | yes | connections that a listener takes at once; 0: as many as there are
MAX_WORKLOAD_CERT_TTL | 2160h | yes | longest life of a certificate
MCS_API_GROUP | multicluster.x-k8s.io | no | multi-cluster services are not built
MCS_API_VERSION | v1alpha1 | no | multi-cluster services are not built
METRICS_LOCALHOST_ACCESS_ONLY | false | yes | metrics are shown to this machine only, and to identities of the system namespace
MUTEX_PROFILE_FRACTION | 1000 | no | Go's profiler
PILOT_AGENT_MERGE_ENVOY_STATS | true | no | decided by the agent
PILOT_ALLOW_ANY_DYNAMIC_DNS_MAX_HOSTS | 1024 | yes | names in the cache of outbound policy ALLOW_ANY_DYNAMIC_DNS
PILOT_ALLOW_SIDECAR_SERVICE_INBOUND_LISTENER_MERGE | false | yes | ports of services are served beside a Sidecar's ingress listeners
PILOT_ANALYSIS_INTERVAL | 10s | no | nothing is analysed in the background
PILOT_AUTO_ALLOW_WAYPOINT_POLICY | false | no | ambient is not built yet
PILOT_AUTO_SEND_UNHEALTHY_ENDPOINTS | true | yes | endpoints that are not ready are sent, unless panic might use them
PILOT_CA_CERT_CONFIGMAP | istio-ca-root-cert | yes | name of the ConfigMaps with the mesh's roots
PILOT_CERT_PROVIDER | istiod | no | the control plane's own certificate comes from its own authority only
PILOT_CONVERT_SIDECAR_SCOPE_CONCURRENCY | 1 | no | a matter of speed in Go
PILOT_CRL_CONFIGMAP | istio-ca-crl | yes | name of the ConfigMaps with the revocation lists of a plugged-in authority
PILOT_DEBOUNCE_AFTER | 100ms | no | pushes wait as long as the work behind them takes, not for a fixed time
PILOT_DEBOUNCE_MAX | 10s | no | pushes wait as long as the work behind them takes, not for a fixed time
PILOT_DISABLE_MX_ALPN | false | no | istio-peer-exchange is never offered
PILOT_DNS_CARES_UDP_MAX_QUERIES | 100 | no | Envoy's own setting holds
PILOT_DNS_JITTER_DURATION | 100ms | yes | look-ups of many proxies are spread over this time
PILOT_DRAINING_LABEL | istio.io/draining | yes | the label of endpoints that take no new sessions
PILOT_ENABLE_ABSOLUTE_FQDN_VHOST_DOMAIN | true | yes | names with a dot at their end are routed too
PILOT_ENABLE_AGENTGATEWAY | false | no | another data plane
PILOT_ENABLE_ALPHA_GATEWAY_API | false | no | Gateway API is not built yet
PILOT_ENABLE_ALPN_FILTER | true | no | the names of protocols are always offered
PILOT_ENABLE_AMBIENT | false | no | ambient is not built yet
PILOT_ENABLE_AMBIENT_WAYPOINTS | false | no | ambient is not built yet
PILOT_ENABLE_ANALYSIS | false | no | nothing is analysed in the background
PILOT_ENABLE_CA_CRL | true | yes | revocation lists of a plugged-in authority are read, and handed to proxies
PILOT_ENABLE_CDS_CACHE | true | no | everything generated is shared, always
PILOT_ENABLE_CROSS_CLUSTER_WORKLOAD_ENTRY | true | no | several clusters are not built yet
PILOT_ENABLE_EDS_DEBOUNCE | true | no | pushes wait as long as the work behind them takes
PILOT_ENABLE_EDS_FOR_HEADLESS_SERVICES | false | yes | headless services are balanced like others
PILOT_ENABLE_GATEWAY_API | true | no | Gateway API is not built yet
PILOT_ENABLE_GATEWAY_API_COPY_LABELS_ANNOTATIONS | true | no | Gateway API is not built yet
PILOT_ENABLE_GATEWAY_API_DEPLOYMENT_CONTROLLER | true | no | Gateway API is not built yet
PILOT_ENABLE_GATEWAY_API_GATEWAYCLASS_CONTROLLER | true | no | Gateway API is not built yet
PILOT_ENABLE_GATEWAY_API_STATUS | true | no | Gateway API is not built yet
PILOT_ENABLE_HEADLESS_FILTER_CHAIN_LISTENER | false | no | TCP of headless services has a listener per endpoint
PILOT_ENABLE_IP_AUTOALLOCATE | true | yes | hosts of ServiceEntries without addresses get some
PILOT_ENABLE_K8S_SELECT_WORKLOAD_ENTRIES | true | yes | selectors of Services select WorkloadEntries too
PILOT_ENABLE_METADATA_EXCHANGE | true | no | who calls is known by certificate and headers (decision 003)
PILOT_ENABLE_MONGO_FILTER | true | yes | ports of protocol Mongo are understood, for statistics
PILOT_ENABLE_MULTIPLE_CUSTOM_AUTHZ_PROVIDERS | false | yes | policies of one workload may ask several external authorizers
PILOT_ENABLE_MYSQL_FILTER | false | no | stock Envoy has no such filter
PILOT_ENABLE_NODE_UNTAINT_CONTROLLERS | false | no | nodes are not written to
PILOT_ENABLE_PERSISTENT_SESSION_FILTER | false | yes | sessions stay with an endpoint where labels of a Service ask for it
PILOT_ENABLE_QUIC_LISTENERS | false | yes | HTTPS servers of gateways speak HTTP/3 too, where the Service has the UDP port
PILOT_ENABLE_RDS_CACHE | true | no | everything generated is shared, always
PILOT_ENABLE_REDIS_FILTER | false | yes | ports of protocol Redis are understood, and requests are sent one by one
PILOT_ENABLE_REMOTE_CREDENTIALS_CONTROLLER | true | no | several clusters are not built yet
PILOT_ENABLE_ROUTE_COLLAPSE_OPTIMIZATION | true | no | virtual hosts are shared between tables instead
PILOT_ENABLE_SENDING_HBONE | false | no | ambient is not built yet
PILOT_ENABLE_SERVICEENTRY_SELECT_PODS | true | yes | selectors of ServiceEntries select pods too
PILOT_ENABLE_SIDECAR_LISTENING_HBONE | false | no | ambient is not built yet
PILOT_ENABLE_STRICT_GATEWAY_MERGING | true | no | Gateway API is not built yet
PILOT_ENABLE_TELEMETRY_LABEL | true | no | metrics need the labels
PILOT_ENABLE_WORKLOAD_ENTRY_AUTOREGISTRATION | true | yes | proxies of a WorkloadGroup get a WorkloadEntry
PILOT_ENABLE_WORKLOAD_ENTRY_HEALTHCHECKS | true | yes | what proxies report of their applications decides whether a WorkloadEntry is an endpoint
PILOT_ENABLE_XDS_CACHE | true | no | everything generated is shared, always
PILOT_ENABLE_XDS_IDENTITY_CHECK | true | never | callers never act for other namespaces than their own
PILOT_ENDPOINT_TELEMETRY_LABEL | true | no | metrics need the labels
PILOT_ENVOY_FILTER_STATS | false | no | there are no such metrics
PILOT_FILTER_GATEWAY_CLUSTER_CONFIG | false | yes | gateways get the clusters only that they route to, and those of extension providers and of services that EnvoyFilters name
PILOT_GATEWAY_API_CONTROLLER_NAME | istio.io/gateway-controller | no | Gateway API is not built yet
PILOT_GATEWAY_API_DEFAULT_GATEWAYCLASS_NAME | istio | no | Gateway API is not built yet
PILOT_GATEWAY_TRANSPORT_SOCKET_CONNECT_TIMEOUT | 15s | yes | how long a TLS handshake at a gateway may take
PILOT_HBONE_INITIAL_CONNECTION_WINDOW_SIZE | | no | ambient is not built yet
PILOT_HBONE_INITIAL_STREAM_WINDOW_SIZE | | no | ambient is not built yet
PILOT_HTTP10 | false | yes | HTTP/1.0 is served, not only to proxies that ask for it
PILOT_IGNORE_RESOURCES | | yes | names of custom resources that are not read; *.NAME for all that end so
PILOT_INCLUDE_RESOURCES | | yes | those that are read all the same
PILOT_INSECURE_MULTICLUSTER_KUBECONFIG_OPTIONS | | no | several clusters are not built yet
PILOT_IP_AUTOALLOCATE_IPV4_PREFIX | 240.240.0.0/16 | yes | the range of such addresses
PILOT_IP_AUTOALLOCATE_IPV6_PREFIX | 2001:2::/48 | yes | the range of such addresses
PILOT_JWT_ENABLE_REMOTE_JWKS | false | no | the control plane fetches key sets
PILOT_JWT_PUB_KEY_REFRESH_INTERVAL | 20m | yes | how often key sets of token issuers are fetched
PILOT_MAX_REQUESTS_PER_SECOND | 0 | no | streams are limited by the server itself, connections and streams in number
PILOT_MULTICLUSTER_KUBECONFIG_PATH | | no | several clusters are not built yet
PILOT_MULTI_NETWORK_DISCOVER_GATEWAY_API | true | no | Gateway API is not built yet
PILOT_MX_ADDITIONAL_LABELS | | no | Telemetry is not built yet
PILOT_NODE_UNTAINT_CONTROLLERS_TAINT_NAME | cni.istio.io/not-ready | no | nodes are not written to
PILOT_PERSISTENT_SESSION_HEADER_LABEL | istio.io/persistent-session-header | yes | the label that asks for sessions by header
PILOT_PERSISTENT_SESSION_LABEL | istio.io/persistent-session | yes | the label that asks for sessions by cookie
PILOT_PREFER_SENDING_HBONE | false | no | ambient is not built yet
PILOT_PUSH_THROTTLE | 0 | no | what is pushed is shared; nothing needs throttling
PILOT_REMOTE_CLUSTER_TIMEOUT | 30s | no | several clusters are not built yet
PILOT_SCOPE_GATEWAY_TO_NAMESPACE | false | yes | Gateways select workloads of their own namespace only
PILOT_SEND_UNHEALTHY_ENDPOINTS | false | yes | endpoints that are not ready are always sent, and panic is off
PILOT_SIDECAR_PICK_BEST_SERVICE_NAMESPACE | true | no | always so
PILOT_SIDECAR_USE_REMOTE_ADDRESS | false | yes | outbound listeners take the peer's address for the client's
PILOT_SKIP_VALIDATE_TRUST_DOMAIN | false | yes | peers of any trust domain are let in that the roots vouch for
PILOT_STATUS_MAX_WORKERS | 100 | no | no pool of workers writes status
PILOT_TRACE_SAMPLING | 1 | yes | percent of the requests, where the proxies' config does not say
PILOT_UNIFIED_SIDECAR_SCOPE | true | no | always so
PILOT_WORKLOAD_ENTRY_GRACE_PERIOD | 10s | yes | how long a registered WorkloadEntry outlives its proxy's connection
PILOT_XDS_CACHE_INDEX_CLEAR_INTERVAL | 5s | no | there is no such cache
PILOT_XDS_CACHE_SIZE | 60000 | no | there is no such cache
PILOT_XDS_CACHE_STATS | false | no | there is no such cache
PLATFORM | | no | nothing depends on the platform yet
POD_NAME | | yes | name of this control plane in the Lease of the leader
POD_NAMESPACE | istio-system | yes | the control plane's own namespace, where --namespace does not say it
PREFER_DESTINATIONRULE_TLS_FOR_EXTERNAL_SERVICES | true | yes | certificates that a proxy's node names (TLS_CLIENT_*) do not stand in for those of rules for services outside of the mesh
RESOLVE_HOSTNAME_GATEWAYS | true | yes | gateways of networks that are named by host are looked up; else they are left out
REVISION | | yes | which objects and which ConfigMap are this control plane's
ROOT_CA_DIR | ./etc/cacerts | yes | folder of an authority that is plugged in
SHARED_MESH_CONFIG | | yes | a ConfigMap under the mesh's own config
TOKEN_AUDIENCES | istio-ca | yes | audiences of the tokens of service accounts that are taken
TOKEN_ISSUER | | yes | outside of clusters: an issuer whose tokens for AUDIENCE are taken for service accounts
TRUSTED_GATEWAY_CIDR | | never | would trust headers for identities; not built
UNSAFE_ENABLE_ADMIN_ENDPOINTS | false | no | there are no such pages
UNSAFE_PILOT_ENABLE_RUNTIME_ASSERTIONS | false | no | tests check the same
USE_CACERTS_FOR_SELF_SIGNED_CA | false | no | a root of our own is in istio-ca-secret
USE_REMOTE_CERTS | false | no | cacerts is read from the API server wherever it is not mounted
VALIDATION_WEBHOOK_CONFIG_NAME | istio-istio-system | no | no webhook configuration is written yet
XDS_AUTH | true | never | callers of the TLS port are always authenticated
XDS_AUTH_PLAINTEXT | false | no | the plain port has no identities, and shows no secrets
`;

/** Variables that earlier versions of Istio had; what they switched is now always as newer versions have it. */
const OLDER = `
ENABLE_AUTO_SNI | true | no | always so
ENABLE_DEFERRED_CLUSTER_CREATION | true | no | Envoy's own setting holds
ENABLE_DELIMITED_STATS_TAG_REGEX | true | no | names in statistics are delimited, always
ENABLE_INBOUND_RETRY_POLICY | true | no | always so
ENABLE_LEGACY_FSGROUP_INJECTION | false | no | nothing is injected yet
ENABLE_LEGACY_LB_ALGORITHM_DEFAULT | false | no | least requests, always
ENABLE_OPTIMIZED_CONFIG_REBUILD | true | no | only what changed is made anew, always
ENABLE_OPTIMIZED_SERVICE_PUSH | true | no | only what changed is made anew, always
ENABLE_PROBE_KEEPALIVE_CONNECTIONS | false | no | decided by the agent
ENABLE_RESOLUTION_NONE_TARGET_PORT | true | no | always so
PILOT_ENABLE_CONFIG_DISTRIBUTION_TRACKING | false | no | apply --wait tells who has what
PILOT_ENABLE_HBONE | false | no | ambient is not built yet
PILOT_ENABLE_INBOUND_PASSTHROUGH | true | no | inboundTrafficPolicy of mesh config decides
PILOT_ENABLE_LEGACY_AUTO_PASSTHROUGH | false | no | always as newer versions
PILOT_ENABLE_LEGACY_ISTIO_MUTUAL_CREDENTIAL_NAME | false | no | always as newer versions
PILOT_ENABLE_PROTOCOL_SNIFFING_FOR_INBOUND | true | no | protocols that are not named are detected, always
PILOT_ENABLE_PROTOCOL_SNIFFING_FOR_OUTBOUND | true | no | protocols that are not named are detected, always
PILOT_ENABLE_STATUS | false | no | how configuration spread is not written into statuses
PILOT_ENABLE_VIRTUAL_SERVICE_DELEGATE | true | no | always so
PILOT_UNIFY_INBOUND | true | no | always so
VERIFY_CERTIFICATE_AT_CLIENT | true | no | always so
`;

/** All of them, by name. */
export const DISCOVERY_VARIABLES: readonly VariableEntry[] = parseVariableTable(TABLE);
export const OLDER_DISCOVERY_VARIABLES: readonly VariableEntry[] = parseVariableTable(OLDER);
