/** The hosts that a VirtualService sends to. Pure. */
import type { HttpRoute } from '#api/virtual-service.ts';
import type { VirtualService } from './virtual-service.ts';

/** Of one HTTP rule, mirrors among them; some may stand there twice. */
export function ruleDestinations({ route = [], mirror, mirrors = [] }: HttpRoute): readonly string[] {
  const hosts = [...route, ...mirrors].map(({ destination }) => destination?.host ?? '');
  return [...hosts, mirror?.host ?? ''].filter((host) => host !== '');
}

/**
 * Of all rules, each host once. With a namespace, HTTP rules that are for clients of other namespaces alone do not count.
 * Source: istio push_context.go virtualServiceDestinations.
 */
export function destinationHosts(
  { http, tcp, tls }: Pick<VirtualService, 'http' | 'tcp' | 'tls'>,
  clientNamespace?: string,
): readonly string[] {
  const ofHttp = http
    .map(({ route }) => route)
    .filter((route) => clientNamespace === undefined || isForNamespace(route, clientNamespace))
    .flatMap(ruleDestinations);
  const streams = [...tcp, ...tls].flatMap(({ route = [] }) => route);
  const ofStreams = streams.map(({ destination }) => destination?.host ?? '');
  return [...new Set([...ofHttp, ...ofStreams])].filter((host) => host !== '');
}

function isForNamespace({ match = [] }: HttpRoute, namespace: string): boolean {
  const isFor = (source = ''): boolean => source === '' || source === namespace;
  return match.length === 0 || match.some(({ sourceNamespace }) => isFor(sourceNamespace));
}
