/**
 * LocalWorkload (lateen.dev/v1alpha1): replicas of a program on this machine, each beside its own Envoy; or a gateway.
 */
import { isIpv4 } from '#base/cidr.ts';
import type { Diagnostic } from '#base/diagnostic.ts';
import { Findings, show } from './findings.ts';
import { parseDurationNanos } from './duration.ts';
import type { JsonObject } from './json-scalar.ts';
import type { MeshObject } from './mesh-object.ts';
import { isDnsLabel, isLowerDnsLabel, labelKeyProblem, labelValueProblem } from './name-rules.ts';
import { fieldPath } from './field-path.ts';
import {
  field,
  integer,
  list,
  object,
  oneOf,
  optional,
  port,
  type Read,
  text,
  textMap,
} from './shape-decode.ts';

/** One port that the workload offers to the mesh. */
export interface LocalWorkloadPort {
  /** DNS label, '' when unnamed; Services may use it as targetPort. */
  readonly name: string;
  /** The port that the mesh shows. */
  readonly port: number;
  /** The port that the application listens on; defaults to `port`. */
  readonly appPort: number;
  readonly protocol: 'TCP' | 'UDP';
}

/** One environment variable of the program. */
export interface LocalWorkloadEnv {
  readonly name: string;
  readonly value: string;
}

/** When the application counts as ready: one of http and tcp is set. Ports are application ports. */
export interface LocalWorkloadReadiness {
  readonly http?: { readonly path: string; readonly port: number };
  readonly tcp?: { readonly port: number };
  /** Time between two probes; written as periodMs: 1000 or period: 1s. Default 1000. */
  readonly periodMs: number;
  /** Written as timeoutMs or timeout. Default 1000. */
  readonly timeoutMs: number;
  /** Failures in a row until an application that was ready counts as not ready. Default 3. */
  readonly failureThreshold: number;
}

/** spec of a LocalWorkload with defaults filled in. */
export interface LocalWorkloadSpec {
  /** `app` runs `command`; `gateway` is an Envoy alone, for Gateway objects to select by labels. */
  readonly type: 'app' | 'gateway';
  /** Labels of the replicas: spec.labels, or metadata.labels when spec.labels is absent. */
  readonly labels: Readonly<Record<string, string>>;
  /** Annotations of the replicas (proxy.istio.io/config …): spec.annotations, or metadata.annotations when absent. */
  readonly annotations: Readonly<Record<string, string>>;
  readonly serviceAccount: string;
  /** Program and first arguments; empty for a gateway. $(NAME) is substituted by the runner. */
  readonly command: readonly string[];
  readonly args: readonly string[];
  readonly env: readonly LocalWorkloadEnv[];
  /** Relative to the folder of the object's file; '' stands for that folder. */
  readonly workingDir: string;
  readonly ports: readonly LocalWorkloadPort[];
  /** 0 to 50. */
  readonly replicas: number;
  readonly readiness?: LocalWorkloadReadiness;
  /** Address that a gateway's listeners bind; '127.0.0.1' unless set. '' for type app. */
  readonly bind: string;
}

const MAX_REPLICAS = 50;
const MAX_PERIOD_MS = 3_600_000;
const DEFAULT_PROBE_MS = 1000;
const DEFAULT_FAILURES = 3;
const DEFAULT_BIND = '127.0.0.1';
const STRICT = { unknown: 'refuse' } as const;
const ENV_NAME = /^[A-Za-z_][A-Za-z0-9_]*$/;
/** Fields that belong to a program and have no meaning for a gateway. */
const APP_FIELDS = ['command', 'args', 'env', 'workingDir', 'ports', 'readiness'] as const;

interface RawPort {
  readonly name: string;
  readonly port?: number;
  readonly appPort?: number;
  readonly protocol: LocalWorkloadPort['protocol'];
}

interface RawReadiness {
  readonly http?: { readonly path: string; readonly port?: number };
  readonly tcp?: { readonly port?: number };
  readonly period?: number;
  readonly periodMs?: number;
  readonly timeout?: number;
  readonly timeoutMs?: number;
  readonly failureThreshold: number;
}

interface RawSpec {
  readonly type: LocalWorkloadSpec['type'];
  readonly labels?: Readonly<Record<string, string>>;
  readonly annotations?: Readonly<Record<string, string>>;
  readonly serviceAccount: string;
  readonly command: readonly string[];
  readonly args: readonly string[];
  readonly env: readonly { readonly name: string; readonly value: string }[];
  readonly workingDir: string;
  readonly ports: readonly RawPort[];
  readonly replicas: number;
  readonly readiness?: RawReadiness;
  readonly bind: string;
}

/** A duration as text, in whole milliseconds. */
const readPeriod: Read<number> = (value, path, findings) => {
  const written = text(value, path, findings);
  if (written === undefined) return undefined;
  const nanos = parseDurationNanos(written);
  const ms = nanos === undefined ? Number.NaN : Number(nanos / 1_000_000n);
  if (ms >= 1 && ms <= MAX_PERIOD_MS) return ms;
  if (nanos === undefined) findings.add('LTN1006', path, { value: show(written) });
  else findings.add('LTN2032', path, { value: written, min: '1ms', max: '1h' });
  return undefined;
};

const readReadiness = object<RawReadiness>(
  {
    http: optional(
      object<NonNullable<RawReadiness['http']>>({ path: field(text, '/'), port: optional(port) }, STRICT),
    ),
    tcp: optional(object<NonNullable<RawReadiness['tcp']>>({ port: optional(port) }, STRICT)),
    period: optional(readPeriod),
    periodMs: optional(integer(1, MAX_PERIOD_MS)),
    timeout: optional(readPeriod),
    timeoutMs: optional(integer(1, MAX_PERIOD_MS)),
    failureThreshold: field(integer(1, 1000), DEFAULT_FAILURES),
  },
  STRICT,
);

const readSpec = object<RawSpec>(
  {
    type: field(oneOf('app', 'gateway'), 'app'),
    labels: optional(textMap),
    annotations: optional(textMap),
    serviceAccount: field(text, 'default'),
    command: field(list(text), []),
    args: field(list(text), []),
    env: field(
      list(object<RawSpec['env'][number]>({ name: field(text, ''), value: field(text, '') }, STRICT)),
      [],
    ),
    workingDir: field(text, ''),
    ports: field(
      list(
        object<RawPort>(
          {
            name: field(text, ''),
            port: optional(port),
            appPort: optional(port),
            protocol: field(oneOf('TCP', 'UDP'), 'TCP'),
          },
          STRICT,
        ),
      ),
      [],
    ),
    replicas: field(integer(0, MAX_REPLICAS), 1),
    readiness: optional(readReadiness),
    bind: field(text, ''),
  },
  STRICT,
);

/** Reads the spec of a LocalWorkload and fills in defaults; labels and annotations come from metadata when absent. */
export function decodeLocalWorkloadSpec(
  root: JsonObject,
  findings: Findings,
  metadata: Pick<MeshObject, 'labels' | 'annotations'>,
): LocalWorkloadSpec | undefined {
  const raw = readSpec(root['spec'] ?? {}, 'spec', findings);
  if (raw === undefined) return undefined;
  const { readiness, labels, annotations, ports, bind, ...rest } = raw;
  const isGateway = raw.type === 'gateway';
  return {
    ...rest,
    labels: labels ?? metadata.labels,
    annotations: annotations ?? metadata.annotations,
    bind: bind === '' && isGateway ? DEFAULT_BIND : bind,
    ports: ports.map((item, index) => completePort(item, `spec.ports[${index}]`, findings)),
    ...(readiness === undefined ? {} : { readiness: completeReadiness(readiness, findings) }),
  };
}

function completePort(raw: RawPort, path: string, findings: Findings): LocalWorkloadPort {
  if (raw.port === undefined) findings.missing(path, 'port', 'port: 8080');
  const number = raw.port ?? 0;
  return { name: raw.name, port: number, appPort: raw.appPort ?? number, protocol: raw.protocol };
}

function completeReadiness(raw: RawReadiness, findings: Findings): LocalWorkloadReadiness {
  const path = 'spec.readiness';
  const { http, tcp } = raw;
  if ((http === undefined) === (tcp === undefined)) findings.add('LTN3103', path);
  if (http !== undefined && http.port === undefined) findings.missing(`${path}.http`, 'port', 'port: 8080');
  if (tcp !== undefined && tcp.port === undefined) findings.missing(`${path}.tcp`, 'port', 'port: 8080');
  for (const name of ['period', 'timeout'] as const) {
    if (raw[name] === undefined || raw[`${name}Ms`] === undefined) continue;
    findings.add('LTN1005', `${path}.${name}`, { fields: `${name} and ${name}Ms` });
  }
  return {
    ...(http === undefined ? {} : { http: { path: http.path, port: http.port ?? 0 } }),
    ...(tcp === undefined ? {} : { tcp: { port: tcp.port ?? 0 } }),
    periodMs: raw.periodMs ?? raw.period ?? DEFAULT_PROBE_MS,
    timeoutMs: raw.timeoutMs ?? raw.timeout ?? DEFAULT_PROBE_MS,
    failureThreshold: raw.failureThreshold,
  };
}

/** Findings about a LocalWorkload beyond its schema. */
export function validateLocalWorkload(workload: MeshObject<LocalWorkloadSpec>): Diagnostic[] {
  const findings = new Findings(workload);
  const { spec } = workload;
  if (spec.type === 'gateway') checkGateway(spec, findings);
  else {
    if (spec.command.length === 0) findings.add('LTN3101', 'spec');
    if (spec.bind !== '')
      findings.add('LTN2037', 'spec.bind', { field: 'bind', when: 'unless type is gateway' });
  }
  if (Object.keys(spec.labels).length === 0) findings.add('LTN3105', 'metadata', { name: workload.name });
  checkLabels(spec.labels, findings);
  if (!isLowerDnsLabel(workload.name)) {
    findings.add('LTN1106', 'metadata.name', { name: show(workload.name), limit: '63', marks: '"-"' });
  }
  if (!isLowerDnsLabel(spec.serviceAccount)) {
    findings.add('LTN1106', 'spec.serviceAccount', {
      name: show(spec.serviceAccount),
      limit: '63',
      marks: '"-"',
    });
  }
  for (const [index, { name }] of spec.env.entries()) {
    if (!ENV_NAME.test(name)) findings.add('LTN3104', `spec.env[${index}].name`, { name: show(name) });
  }
  checkPorts(spec.ports, findings);
  const probe = spec.readiness?.http;
  if (probe !== undefined && !probe.path.startsWith('/')) {
    findings.add('LTN3106', 'spec.readiness.http.path', { path: show(probe.path) });
  }
  return findings.all;
}

function checkGateway(spec: LocalWorkloadSpec, findings: Findings): void {
  for (const name of APP_FIELDS) {
    const value = spec[name];
    const isSet = Array.isArray(value) ? value.length > 0 : value !== undefined && value !== '';
    if (isSet) findings.add('LTN3102', `spec.${name}`, { field: name });
  }
  if (!isIpv4(spec.bind)) findings.add('LTN2007', 'spec.bind', { address: show(spec.bind) });
}

function checkLabels(labels: LocalWorkloadSpec['labels'], findings: Findings): void {
  for (const key of Object.keys(labels)) {
    const problem = labelKeyProblem(key) || labelValueProblem(labels[key] ?? '');
    if (problem !== '') findings.add('LTN1108', fieldPath('spec.labels', key), { label: show(key), problem });
  }
}

function checkPorts(ports: readonly LocalWorkloadPort[], findings: Findings): void {
  const names = new Set<string>();
  const numbers = new Set<number>();
  for (const [index, { name, port: number }] of ports.entries()) {
    const path = `spec.ports[${index}]`;
    if (name !== '' && !isDnsLabel(name)) findings.add('LTN2012', `${path}.name`, { name: show(name) });
    if (name !== '' && names.has(name))
      findings.add('LTN2014', `${path}.name`, { what: 'the port name', value: name });
    if (numbers.has(number))
      findings.add('LTN2014', `${path}.port`, { what: 'the port', value: String(number) });
    names.add(name);
    numbers.add(number);
  }
}
