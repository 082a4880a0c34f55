/** What this mesh makes of every field of Istio's MeshConfig and ProxyConfig; docs/flags.md shows it. A test holds it against the schemas. */

/** field | yes: honoured, no: without effect, never: refused | how, or why not */
export const MESH_CONFIG_FIELDS = `
proxyListenPort | yes |
proxyInboundListenPort | yes |
proxyHttpPort | yes | on one machine 15080 unless set
connectTimeout | yes |
hboneIdleTimeout | no | ambient is not built yet
protocolDetectionTimeout | yes |
tcpKeepalive | yes |
ingressClass | no | Ingress is not built yet
ingressService | no | Ingress is not built yet
ingressControllerMode | no | Ingress is not built yet
ingressSelector | no | Ingress is not built yet
enableTracing | yes |
accessLogFile | yes | on one machine /dev/stdout unless set
accessLogFormat | yes |
accessLogEncoding | yes |
enableEnvoyAccessLogService | yes | for proxies whose ProxyConfig names the service
disableEnvoyListenerLog | yes |
defaultConfig | yes | see below; what proxies are started with changes with their next start, on one machine by a rolling restart
outboundTrafficPolicy | yes | with tls for ALLOW_ANY_DYNAMIC_DNS
inboundTrafficPolicy | yes |
configSources | no | objects come from a cluster, from --configDir, or from the folder
enableAutoMtls | yes |
trustDomain | yes | the certificate authority takes a change at its next start
trustDomainAliases | yes |
caCertificates | yes | trustDomains, pem, spiffeBundleUrl; with certSigners and EXTERNAL_CA the roots of signers elsewhere
defaultServiceExportTo | yes |
defaultVirtualServiceExportTo | yes |
defaultDestinationRuleExportTo | yes |
rootNamespace | yes |
localityLbSetting | yes |
zoneAwareLbSetting | yes |
dnsRefreshRate | yes |
h2UpgradePolicy | yes |
inboundClusterStatName | yes |
outboundClusterStatName | yes |
certificates | no | deprecated in Istio too
serviceSettings | yes |
serviceScopeConfigs | no | ambient is not built yet
enablePrometheusMerge | yes | on one machine; on Kubernetes injection will heed it
verifyCertificateAtClient | no | always so, as in newer versions of Istio: without CA certificates in a rule, those of the machine count
ca | no | certificates come from the built-in authority only
extensionProviders | yes | external authorizers; servers of secrets; tracers: zipkin, datadog, skywalking, opentelemetry; the other kinds need Telemetry
defaultProviders | yes | tracing; metrics and accessLogging need Telemetry
discoverySelectors | yes | for clusters and folders, live
pathNormalization | yes |
defaultHttpRetryPolicy | yes |
defaultInboundHttpRetryPolicy | yes |
meshMTLS | yes | minProtocolVersion, cipherSuites
tlsDefaults | yes | minProtocolVersion (gateways), cipherSuites, ecdhCurves
defaultTrafficPolicy | yes |
serviceEntryVisibility | yes |
`;

export const PROXY_CONFIG_FIELDS = `
configPath | yes |
binaryPath | yes | on one machine the Envoy that was found
serviceCluster | yes |
tracingServiceName | yes |
drainDuration | yes |
discoveryAddress | yes | on one machine the control plane in this process
discoveryRefreshDelay | no | deprecated in Istio too
zipkinAddress | no | deprecated in Istio too
statsdUdpAddress | yes | a host name is resolved once, at the start
envoyMetricsServiceAddress | no | deprecated in Istio too
proxyAdminPort | yes |
availabilityZone | no | deprecated in Istio too
controlPlaneAuthPolicy | yes |
customConfigFile | yes | Envoy is started with this file alone
statNameLength | no | Envoy has no such limit any more
concurrency | yes | where unset: ISTIO_CPU_LIMIT, else 2 (Istio: one per core)
proxyBootstrapTemplatePath | no | Envoy's bootstrap is built, not made from templates
interceptionMode | no | the node metadata INTERCEPTION_MODE says it, as in Istio; injection will set that
tracing | yes | tracers zipkin and datadog; stock Envoy has no lightstep, stackdriver and openCensusAgent
sds | no | deprecated in Istio too; secrets always come over SDS
envoyAccessLogService | yes |
envoyMetricsService | yes |
proxyMetadata | yes | node metadata, and variables of the agent
runtimeValues | yes |
statusPort | yes |
extraStatTags | yes |
gatewayTopology | yes |
terminationDrainDuration | yes |
meshId | no | several meshes are not built yet; the node metadata MESH_ID says it, as in Istio
readinessProbe | yes | the agent asks the application, and the control plane writes the answer into its WorkloadEntry
proxyStatsMatcher | yes |
holdApplicationUntilProxyStarts | no | on one machine it is always so; injection will heed it
caCertificatesPem | no | as in Istio: the field in which roots are pushed; caCertificates of mesh config names them
image | no | on one machine there are no images; injection will heed it
privateKeyProvider | no | keys stay in the agent's memory; stock Envoy has no such hardware support
proxyHeaders | yes |
fileFlushInterval | yes |
fileFlushMinSizeKb | yes |
statsCompression | yes | gzip, on 15090
connectionSettings | yes |
`;
