/**
 * The environment variables of Istio's pilot-agent, one by one: what this agent makes of each. Names and defaults are those of Istio
 * 1.32-dev (pilot/cmd/pilot-agent, pkg/bootstrap, pkg/envoy); docs/flags.md is generated from here (tools/gen-flags.ts).
 * Variables ISTIO_META_* and ISTIO_METAJSON_* are free names of node metadata and stand in no table.
 */
import { parseVariableTable, type VariableEntry } from '#base/variable-table.ts';

/** Names that look like one of these variables. */
export const AGENT_PREFIXES: readonly string[] = [
  'CREDENTIAL_',
  'DNS_',
  'ECC_',
  'ENVOY_',
  'SECRET_',
  'WASM_',
  'XDS_',
];

/** name | default | yes: honoured, no: without effect, never: another value is refused | about it */
const TABLE = `
BLOCKED_CIDRS_IN_WASM_FETCH | | yes | addresses from which no Wasm module is fetched
CA_ADDR | | yes | address of the certificate authority; the control plane's where absent
CA_PROVIDER | Citadel | yes | Citadel: whoever answers at CA_ADDR; GkeWorkloadCertificate: files of the pod; others end the start
CA_ROOT_CA | | yes | file of the roots by which the authority is known
CLOUD_PLATFORM | | no | the node does not describe its platform
COMPLIANCE_POLICY | | yes | fips-140-2, fips-140-3 or pqc: limits of TLS to the control plane
CREDENTIAL_FETCHER_TYPE | JWT | never | the identity is proven by a token in a file only
CREDENTIAL_IDENTITY_PROVIDER | GoogleComputeEngine | no | only other kinds of proof need it
DISABLE_ENVOY | false | yes | no Envoy is started: the agent serves a gRPC library
DNS_FORWARD_PARALLEL | false | yes | all name servers are asked at once
DNS_FORWARD_TIMEOUT | 5s | yes | how long a name server may take
DNS_PROXY_ADDR | localhost:15053 | yes | where captured DNS is answered
DRY_RUN_FILE_PATH | | no | of Istio's iptables program
ECC_CURVE | P256 | yes | the curve of elliptic keys, P256 or P384
ECC_SIGNATURE_ALGORITHM | | yes | ECDSA: an elliptic key also where a size for RSA is given; without either, keys are elliptic (Istio: RSA)
ENABLE_PROBE_KEEPALIVE_CONNECTIONS | false | no | probes are not rewritten yet
ENVOY_PATH | | yes | ours: the Envoy to start
ENVOY_PROMETHEUS_PORT | 15090 | yes | where metrics of the proxy alone are
ENVOY_SECURE_MERGED_METRICS_PORT | 0 | no | metrics have no TLS port yet
ENVOY_SECURE_METRICS_PORT | 0 | no | metrics have no TLS port yet
ENVOY_SKIP_DEPRECATED_LOGS | true | yes | Envoy says nothing about deprecated settings
ENVOY_STATUS_PORT | 15021 | yes | where readiness is answered
ENVOY_STATUS_PORT_ENABLE_PROXY_PROTOCOL | false | yes | a load balancer may tell by PROXY protocol who asks for readiness
ENVOY_USER | istio-proxy | no | of Istio's iptables program
EXIT_ON_ZERO_ACTIVE_CONNECTIONS | false | yes | the end waits for the last client
FILE_DEBOUNCE_DURATION | 100ms | no | files are followed at once
FILE_MOUNTED_CERTS | false | yes | the certificate lies in ./etc/certs and no CA is asked; ISTIO_META_TLS_CLIENT_* name what the control plane is shown
GCP_METADATA | | no | the node does not describe its platform
GCP_QUOTA_PROJECT | | no | the node does not describe its platform
GCP_ZONE | | no | the node does not describe its platform
GRPC_XDS_BOOTSTRAP | etc/istio/proxy/grpc-bootstrap.json | yes | file that leads gRPC libraries to the agent
HOST_IP | | yes | what $(HOST_IP) stands for in addresses of services and in ISTIO_BOOTSTRAP_OVERRIDE
HTTP_STRIP_FRAGMENT_FROM_PATH_UNSAFE_IF_DISABLED | true | never | fragments never reach a route unseen
INBOUND_INTERCEPTION_MODE | | no | of Istio's iptables program
INBOUND_TPROXY_MARK | | no | of Istio's iptables program
INSTANCE_IP | | yes | the workload's address
ISTIOD_SAN | | yes | the name that the control plane's certificate must show
ISTIO_AGENT_ENABLE_WASM_REMOTE_LOAD_CONVERSION | true | yes | the agent fetches Wasm modules for Envoy
ISTIO_BOOTSTRAP | | never | Envoy's bootstrap is built, not made from templates; ISTIO_BOOTSTRAP_OVERRIDE and customConfigFile are there
ISTIO_BOOTSTRAP_OVERRIDE | | yes | a file, YAML or JSON, that Envoy lays over its bootstrap
ISTIO_CPU_LIMIT | 0 | yes | worker threads where ProxyConfig sets no concurrency
ISTIO_ENABLE_HTTP2_PROBING | true | no | probes are not rewritten yet
ISTIO_ENVOY_ENABLE_CORE_DUMP | false | yes | Envoy writes a core dump when it crashes
ISTIO_KUBE_APP_PROBERS | | no | probes are not rewritten yet
ISTIO_OUTBOUND_IPV4_LOOPBACK_CIDR | 127.0.0.1/32 | no | of Istio's iptables program
ISTIO_OUTBOUND_OWNER_GROUPS | * | no | of Istio's iptables program
ISTIO_OUTBOUND_OWNER_GROUPS_EXCLUDE | | no | of Istio's iptables program
ISTIO_PROMETHEUS_ANNOTATIONS | | yes | where the application's own metrics are
ISTIO_WASM_MAX_BINARY_SIZE_BYTES | 268435456 | yes | the largest Wasm module
JWT_POLICY | third-party-jwt | never | tokens are bound to their audience
METRICS_LOCALHOST_ACCESS_ONLY | false | yes | metrics are shown to this machine only; proxyMetadata may say it too
MINIMUM_DRAIN_DURATION | 5s | yes | how long that end waits at least
OUTPUT_CERTS | | yes | folder in which gRPC libraries, or the agent's next start, find key and certificate
PEER_METADATA_DISCOVERY | false | no | who calls is known by certificate and headers
PILOT_AGENT_MERGE_ENVOY_STATS | true | yes | merged metrics have Envoy's in them
PKCS8_KEY | false | no | keys never leave the agent's memory
POD_NAME | | yes | the workload's instance
POD_NAMESPACE | | yes | the workload's namespace
PROV_CERT | | yes | folder of certificates that prove the identity in place of a token
PROXY_CONFIG | | yes | the ProxyConfig that the proxy is started with
PROXY_CONFIG_XDS_AGENT | false | no | pushed trust bundles are followed, always; the rest of the ProxyConfig is the one that the agent was started with
REWRITE_PROBE_LEGACY_LOCALHOST_DESTINATION | false | yes | readinessProbe of the proxy's config asks localhost instead of the workload's address
SECRET_GRACE_PERIOD_RATIO | 0.5 | yes | what part of its life is left when a certificate is renewed
SECRET_GRACE_PERIOD_RATIO_JITTER | 0.01 | yes | by how much that part differs from time to time; 0.05 unless one of the two is set
SECRET_TTL | 24h | yes | life of the certificate that is asked for
SERVICE_ACCOUNT | | yes | the workload's service account
TRUST_DOMAIN | cluster.local | yes | the workload's trust domain
WASM_HTTP_REQUEST_MAX_RETRIES | 5 | yes | how often a failed fetch of a Wasm module is tried again
WASM_HTTP_REQUEST_TIMEOUT | 15s | yes | how long the fetch of a Wasm module may take
WASM_INSECURE_REGISTRIES | | yes | registries of Wasm modules that are asked without checking their certificates
WASM_MODULE_EXPIRY | 24h | yes | how long an unused Wasm module is kept
WASM_PURGE_INTERVAL | 1h | yes | how often unused Wasm modules are looked for
WORKLOAD_IDENTITY_SOCKET_FILE | socket | yes | name of the socket on which another agent (SPIRE) has the certificate; another name than the default must be there
WORKLOAD_RSA_KEY_SIZE | 2048 | yes | an RSA key of 2048, 3072 or 4096 bits instead of an elliptic one
XDS_AUTH_PROVIDER | | no | the token of the workload proves who it is
XDS_ROOT_CA | | yes | file of the roots by which the control plane is known
`;

/** All of them, by name. */
export const AGENT_VARIABLES: readonly VariableEntry[] = parseVariableTable(TABLE);
