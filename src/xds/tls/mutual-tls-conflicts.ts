/**
 * Where DestinationRules and PeerAuthentications contradict each other: clients told to send plain text (or TLS without
 * the mesh's certificate) to workloads that take mutual TLS only, and clients told to speak mutual TLS to workloads that take none.
 * Costs nothing for rules without TLS settings; for others a look at the services of their host and these services' endpoints.
 * Rules for wildcards wider than a namespace are held against the mesh's mode only, so that no service is everybody's business.
 */
import type { ClientTlsSettings, TrafficPolicy } from '#api/destination-rule.ts';
import type { Cause } from '#base/cause.ts';
import type { Diagnostic } from '#base/diagnostic.ts';
import { makeDiagnostic } from '#base/diagnostic-catalog.ts';
import { printObjectRef } from '#base/object-ref.ts';
import type { Collection, Engine, Fetch } from '#collections/collection.ts';
import type { DestinationRuleModel, HostRules, MergedRule } from '#model/destination-rule.ts';
import type { Endpoint } from '#model/endpoint.ts';
import { MESH_KEY } from '#model/mesh-facts.ts';
import { mutualTlsFor, type PeerAuthenticationModel, portMode } from '#model/peer-authentication.ts';
import type { Service } from '#model/service.ts';
import { isSubsetHost, isWildcardHost, serviceKey } from '#model/service-hostname.ts';
import type { ServiceModel } from '#model/service-model.ts';
import { matchesLabels } from '#model/workload-labels.ts';
import type { ListenerFacts } from '#scope/listener-facts.ts';
import { servicePolicy, subsetPolicy } from '#xds/clusters/traffic-policy.ts';

/** What the questions are answered from. */
export interface TlsConflictSources {
  readonly serviceModel: Pick<
    ServiceModel,
    'services' | 'servicesByHostname' | 'servicesByNamespace' | 'endpoints' | 'clusterDomain'
  >;
  readonly destinationRules: DestinationRuleModel;
  readonly peerAuthentication: PeerAuthenticationModel;
  readonly facts: Collection<ListenerFacts>;
}

/** A TLS setting of a rule, and an endpoint with a sidecar that it holds for. */
export interface ClientTlsAtServer {
  /** The rule, and the field that decides. */
  readonly cause: Cause;
  readonly host: string;
  readonly port: number;
  readonly mode: NonNullable<ClientTlsSettings['mode']>;
  readonly endpoint: Endpoint;
}

/** The findings, keyed like the rules, `namespace|host`. */
export function createTlsConflicts(
  engine: Engine,
  sources: TlsConflictSources,
): Collection<readonly Diagnostic[]> {
  return engine.derive('xds.tlsConflicts', sources.destinationRules.hostRules, (fetch, rules) => {
    const whole = rulesOf(rules).flatMap((rule) => meshConflict(fetch, sources, rule));
    const found = [...whole, ...conflictsAtServers(fetch, sources, rules)];
    return found.length === 0 ? undefined : found;
  });
}

/** The TLS settings of rules for one host, at each endpoint with a sidecar that they hold for. */
export function clientTlsAtServers(
  fetch: Fetch,
  sources: TlsConflictSources,
  rules: HostRules,
  services: readonly Service[] = servicesOf(fetch, sources, rules.host),
): readonly ClientTlsAtServer[] {
  const withTls = rulesOf(rules).filter(hasTls);
  if (withTls.length === 0) return [];
  return services
    .filter((service) => !isOverruled(fetch, sources, rules, service.hostname))
    .flatMap((service) => {
      const { namespace, hostname } = service;
      const endpoints =
        fetch.get(sources.serviceModel.endpoints, serviceKey(namespace, hostname))?.endpoints ?? [];
      const meshed = endpoints.filter(({ tlsMode }) => tlsMode === 'istio');
      return meshed.flatMap((endpoint) => withTls.flatMap((rule) => settingsAt(rule, hostname, endpoint)));
    });
}

function rulesOf({ local, exported }: HostRules): readonly MergedRule[] {
  return [...new Set([...local, ...exported])];
}

function hasTls({ trafficPolicy, subsets }: MergedRule): boolean {
  const says = (policy: TrafficPolicy | undefined): boolean =>
    policy?.tls !== undefined || (policy?.portLevelSettings ?? []).some(({ tls }) => tls !== undefined);
  return says(trafficPolicy) || subsets.some((subset) => says(subset.trafficPolicy));
}

function servicesOf(fetch: Fetch, { serviceModel }: TlsConflictSources, host: string): readonly Service[] {
  if (!isWildcardHost(host)) return [...fetch.bucket(serviceModel.servicesByHostname, host).values()];
  const [, namespace] = /^\*\.([^.]+)\.svc\./.exec(host) ?? [];
  if (namespace === undefined || host !== `*.${namespace}.svc.${serviceModel.clusterDomain}`) return [];
  const services = [...fetch.bucket(serviceModel.servicesByNamespace, namespace).values()];
  return services.filter(({ hostname }) => isSubsetHost(hostname, host));
}

/** A wildcard gives way to rules for the host itself, and to longer wildcards of its namespace. */
function isOverruled(
  fetch: Fetch,
  { destinationRules }: TlsConflictSources,
  { namespace, host }: HostRules,
  hostname: string,
): boolean {
  if (!isWildcardHost(host)) return false;
  if (fetch.bucket(destinationRules.rulesByHost, hostname).size > 0) return true;
  const wildcards = fetch.bucket(destinationRules.wildcardRulesByNamespace, namespace);
  return [...wildcards.values()].some(
    (other) => other.host.length > host.length && isSubsetHost(hostname, other.host),
  );
}

/** The settings of a rule that hold for connections to one endpoint; a subset's own besides those of the whole host. */
function settingsAt(rule: MergedRule, host: string, endpoint: Endpoint): readonly ClientTlsAtServer[] {
  const port = endpoint.servicePort;
  const whole = servicePolicy(rule, port);
  const [cause] = rule.causes;
  const found: ClientTlsAtServer[] = [];
  const add = (tls: ClientTlsSettings | undefined, at: Cause | undefined, policy?: TrafficPolicy): void => {
    if (tls === undefined || at === undefined) return;
    const path = tlsPath(at.path === '' ? 'spec' : at.path, policy, port);
    found.push({ cause: { ...at, path }, host, port, mode: tls.mode ?? 'DISABLE', endpoint });
  };
  add(whole.tls, cause, rule.trafficPolicy);
  for (const [i, subset] of rule.subsets.entries()) {
    const { tls } = subsetPolicy(whole, subset.trafficPolicy, port);
    const isOwn = tls !== whole.tls && matchesLabels(subset.labels ?? {}, endpoint.labels);
    if (isOwn) add(tls, rule.subsetCauses[i], subset.trafficPolicy);
  }
  return found;
}

function tlsPath(path: string, policy: TrafficPolicy | undefined, port: number): string {
  const at = (policy?.portLevelSettings ?? []).findIndex((one) => one.port?.number === port);
  return at < 0 ? `${path}.trafficPolicy.tls` : `${path}.trafficPolicy.portLevelSettings[${at}].tls`;
}

function conflictsAtServers(fetch: Fetch, sources: TlsConflictSources, rules: HostRules): Diagnostic[] {
  return clientTlsAtServers(fetch, sources, rules).flatMap(({ cause, host, port, mode, endpoint }) => {
    const { settings, causes } = modeOf(fetch, sources, endpoint);
    const server = portMode(settings, endpoint.port);
    return conflict(cause, mode, server, { host: `${host}:${port}`, policy: causes.at(-1) });
  });
}

/** Of a rule for more than a namespace, against what holds for the mesh as a whole. */
function meshConflict(fetch: Fetch, sources: TlsConflictSources, rule: MergedRule): Diagnostic[] {
  const { host, trafficPolicy, causes } = rule;
  const [cause] = causes;
  const tls = trafficPolicy?.tls;
  const coversMesh =
    isWildcardHost(host) && isSubsetHost(`*.svc.${sources.serviceModel.clusterDomain}`, host);
  if (!coversMesh || cause === undefined || tls === undefined) return [];
  const server = modeOf(fetch, sources, { namespace: rootNamespaceOf(fetch, sources), labels: {} });
  const place = { ...cause, path: 'spec.trafficPolicy.tls' };
  return conflict(place, tls.mode ?? 'DISABLE', server.settings.mode, { host, policy: server.causes.at(-1) });
}

function modeOf(
  fetch: Fetch,
  sources: TlsConflictSources,
  subject: Pick<Endpoint, 'namespace' | 'labels'>,
): ReturnType<typeof mutualTlsFor> {
  return mutualTlsFor(fetch, sources.peerAuthentication, rootNamespaceOf(fetch, sources), subject);
}

function rootNamespaceOf(fetch: Fetch, { facts }: TlsConflictSources): string {
  return fetch.get(facts, MESH_KEY)?.rootNamespace ?? 'istio-system';
}

/** The finding, if there is one: MUTUAL says nothing here, since its certificates may be the mesh's. */
function conflict(
  { path, ...resource }: Cause,
  client: string,
  server: string,
  { host, policy }: { readonly host: string; readonly policy: Cause | undefined },
): Diagnostic[] {
  const args = { host, mode: client, policy: policy === undefined ? '' : printObjectRef(policy) };
  if (server === 'STRICT' && (client === 'DISABLE' || client === 'SIMPLE')) {
    return [makeDiagnostic('LTN5030', { resource, path }, args)];
  }
  if (server === 'DISABLE' && client === 'ISTIO_MUTUAL') {
    return [makeDiagnostic('LTN5031', { resource, path }, args)];
  }
  return [];
}
