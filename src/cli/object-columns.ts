/** Columns of `get` by kind: what kubectl shows of Istio's kinds, and what is useful of the others. */
import type { PrintedObject } from '#doors/control-protocol.ts';

/** A column and how it is read from an object. */
export interface Column {
  readonly head: string;
  readonly isWide?: boolean;
  readonly read: (object: PrintedObject) => string;
}

/** Reads a path of an object as text; lists as `[a, b]` in kubectl's way. */
function at(path: string): Column['read'] {
  const names = path.split('.');
  return (object) => show(names.reduce<unknown>((value, name) => field(value, name), object));
}

function field(value: unknown, name: string): unknown {
  if (typeof value !== 'object' || value === null || !Object.hasOwn(value, name)) return undefined;
  return (value as Readonly<Record<string, unknown>>)[name];
}

function show(value: unknown): string {
  if (value === undefined || value === null) return '';
  return typeof value === 'string' ? value : JSON.stringify(value);
}

function ports(object: PrintedObject): string {
  const list = field(object['spec'], 'ports');
  if (!Array.isArray(list)) return '';
  return list
    .map((port) => `${show(field(port, 'port'))}/${show(field(port, 'protocol')) || 'TCP'}`)
    .join(',');
}

function pairs(value: unknown): string {
  if (typeof value !== 'object' || value === null) return '';
  return Object.entries(value)
    .map(([key, text]) => `${key}=${show(text)}`)
    .join(',');
}

function withDefault(path: string, fallback: string): Column['read'] {
  const read = at(path);
  return (object) => read(object) || fallback;
}

function command(object: PrintedObject): string {
  const words = [field(object['spec'], 'command'), field(object['spec'], 'args')].filter(Array.isArray);
  return words.flat().map(String).join(' ');
}

const LABELS: Column = { head: 'LABELS', isWide: true, read: (object) => pairs(object.metadata['labels']) };

const COLUMNS: ReadonlyMap<string, readonly Column[]> = new Map([
  [
    'VirtualService',
    [
      { head: 'GATEWAYS', read: at('spec.gateways') },
      { head: 'HOSTS', read: at('spec.hosts') },
    ],
  ],
  ['DestinationRule', [{ head: 'HOST', read: at('spec.host') }]],
  ['Gateway', [{ head: 'SELECTOR', read: (object) => pairs(field(object['spec'], 'selector')) }]],
  [
    'ServiceEntry',
    [
      { head: 'HOSTS', read: at('spec.hosts') },
      { head: 'LOCATION', read: at('spec.location') },
      { head: 'RESOLUTION', read: at('spec.resolution') },
    ],
  ],
  ['WorkloadEntry', [{ head: 'ADDRESS', read: at('spec.address') }]],
  ['AuthorizationPolicy', [{ head: 'ACTION', read: withDefault('spec.action', 'ALLOW') }]],
  ['PeerAuthentication', [{ head: 'MODE', read: withDefault('spec.mtls.mode', 'UNSET') }]],
  [
    'Service',
    [
      { head: 'TYPE', read: withDefault('spec.type', 'ClusterIP') },
      { head: 'PORT(S)', read: ports },
      { head: 'SELECTOR', isWide: true, read: (object) => pairs(field(object['spec'], 'selector')) },
    ],
  ],
  [
    'LocalWorkload',
    [
      { head: 'TYPE', read: withDefault('spec.type', 'app') },
      { head: 'REPLICAS', read: withDefault('spec.replicas', '1') },
      { head: 'PORT(S)', read: ports },
      { head: 'SERVICE-ACCOUNT', isWide: true, read: withDefault('spec.serviceAccount', 'default') },
      { head: 'COMMAND', isWide: true, read: command },
    ],
  ],
]);

/** The columns of a kind behind NAME. */
export function columnsOf(kind: string, isWide: boolean): readonly Column[] {
  return [...(COLUMNS.get(kind) ?? []), LABELS].filter((column) => isWide || column.isWide !== true);
}
