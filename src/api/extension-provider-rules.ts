/**
 * Rules for extensionProviders of mesh config. A provider that cannot be used is told, and stops nothing: only what refers to it
 * is concerned. Source: istio pkg/config/validation/agent/extensionprovider.go, whose findings istiod logs.
 */
import { isIp } from '#base/cidr.ts';
import { type Findings, show } from './findings.ts';
import { hostProblem, wildcardHostProblem } from './host-rules.ts';
import type { MeshConfigPart } from './mesh-config.ts';
import { isDnsLabel } from './name-rules.ts';

type ExtensionProvider = NonNullable<MeshConfigPart['extensionProviders']>[number];

/** The kinds of provider, with `service` and `port` where they call somebody. */
const CALLING_KINDS = [
  'envoyExtAuthzHttp',
  'envoyExtAuthzGrpc',
  'zipkin',
  'lightstep',
  'datadog',
  'opencensus',
  'skywalking',
  'opentelemetry',
  'envoyHttpAls',
  'envoyTcpAls',
  'envoyOtelAls',
  'sds',
] as const;
const OTHER_KINDS = ['prometheus', 'stackdriver', 'envoyFileAccessLog'] as const;

/** HTTP statuses that Envoy has a name for. Source: envoy.type.v3.StatusCode. */
const ENVOY_STATUSES: readonly (readonly [number, number])[] = [
  [0, 0],
  [100, 100],
  [102, 104],
  [200, 208],
  [226, 226],
  [300, 305],
  [307, 308],
  [400, 417],
  [421, 424],
  [426, 426],
  [428, 429],
  [431, 431],
  [500, 508],
  [510, 511],
];

/** Checks every provider; problems are notes under `path`. */
export function checkExtensionProviders(
  providers: readonly ExtensionProvider[] | undefined,
  path: string,
  findings: Findings,
): void {
  const names = new Set<string>();
  for (const [index, provider] of (providers ?? []).entries()) {
    const name = provider.name ?? '';
    const at = `${path}[${index}]`;
    const note = (where: string, problem: string): void => {
      if (problem !== '') findings.add('LTN4001', `${at}${where}`, { name: show(name), problem });
    };
    if (name === '') note('.name', 'it has no name');
    if (names.has(name)) note('.name', 'another provider has this name');
    names.add(name);
    checkKind(provider, note);
  }
}

type Note = (where: string, problem: string) => void;

function checkKind(provider: ExtensionProvider, note: Note): void {
  const kind = CALLING_KINDS.find((one) => provider[one] !== undefined);
  if (kind === undefined) {
    if (!OTHER_KINDS.some((one) => provider[one] !== undefined))
      note('', 'its kind is missing or not supported');
    return;
  }
  const { port = 0, service = '' } = provider[kind] ?? {};
  if (port < 1 || port > 65535) note(`.${kind}.port`, `the port ${port} is not within 1..65535`);
  note(`.${kind}.service`, providerServiceProblem(service));
  const { lightstep, opentelemetry, envoyExtAuthzHttp, envoyExtAuthzGrpc } = provider;
  if (lightstep !== undefined && (lightstep.accessToken ?? '') === '') {
    note('.lightstep.accessToken', 'accessToken is required');
  }
  if (opentelemetry?.grpc !== undefined && opentelemetry.http !== undefined) {
    note('.opentelemetry', 'grpc and http cannot be set together');
  }
  note(
    `.${kind}.statusOnError`,
    statusProblem((envoyExtAuthzHttp ?? envoyExtAuthzGrpc)?.statusOnError ?? ''),
  );
  const prefix = envoyExtAuthzHttp?.pathPrefix ?? '';
  if (prefix !== '' && !prefix.startsWith('/')) {
    note('.envoyExtAuthzHttp.pathPrefix', 'pathPrefix should begin with /');
  }
}

/** Why the text names no service: an address, a host, or namespace/host; '' when it does. Source: validateExtensionProviderService. */
export function providerServiceProblem(service: string): string {
  if (service === '') return 'the service is missing';
  const slash = service.indexOf('/');
  if (slash < 0) return isIp(service) ? '' : hostProblem(service);
  const [namespace, host] = [service.slice(0, slash), service.slice(slash + 1)];
  const isNamespace = namespace === '*' || namespace === '.' || isDnsLabel(namespace.replace(/^~/, ''));
  return isNamespace ? wildcardHostProblem(host) : `${show(namespace)} is not a namespace`;
}

function statusProblem(status: string): string {
  if (status === '') return '';
  const number = /^\d{1,3}$/.test(status) ? Number(status) : -1;
  const isKnown = ENVOY_STATUSES.some(([first, last]) => number >= first && number <= last);
  return isKnown ? '' : `statusOnError ${show(status)} is not an HTTP status`;
}
