/**
 * The environment of an application beside its proxy: what its YAML says, where it is, and the way into the mesh (capture
 * `proxy`). Of the user's own environment only what programs need to run at all is passed on: a token of the user's shell, or of
 * the mesh, is never in here. Pure.
 */
import type { LocalWorkloadEnv } from '#api/local-workload.ts';
import type { ReplicaAddresses } from './address-block.ts';
import { expandVariables } from './variable-expansion.ts';

/** What an application is told. */
export interface AppPlace {
  readonly namespace: string;
  readonly workload: string;
  readonly replica: number;
  readonly addresses: ReplicaAddresses;
  /** Port of the proxy's HTTP proxy listener. */
  readonly httpProxyPort: number;
}

/** What of the user's environment goes on to applications. LC_* too. */
const PASSED_ON = ['HOME', 'USER', 'LOGNAME', 'SHELL', 'LANG', 'LANGUAGE', 'TZ', 'TMPDIR'];

/** Keeps what applications may have of the user's environment; `nodeFolder` comes first on PATH. */
export function baseEnvironment(
  environment: Readonly<Record<string, string | undefined>>,
  nodeFolder: string,
): ReadonlyMap<string, string> {
  const kept = new Map<string, string>();
  for (const [name, value] of Object.entries(environment)) {
    if (value !== undefined && (PASSED_ON.includes(name) || name.startsWith('LC_'))) kept.set(name, value);
  }
  const path = environment['PATH'];
  return kept.set('PATH', path === undefined || path === '' ? nodeFolder : `${nodeFolder}:${path}`);
}

/** Names that commands and values may use as $(NAME), and the variables that lead into the mesh. */
export function captureEnvironment(place: AppPlace): ReadonlyMap<string, string> {
  const { addresses } = place;
  const proxy = `http://${addresses.proxy}:${place.httpProxyPort}`;
  const direct = ['localhost', '127.0.0.1', '::1', addresses.app, addresses.proxy, addresses.outbound].join(
    ',',
  );
  return new Map([
    ['HTTP_PROXY', proxy],
    ['http_proxy', proxy],
    ['NO_PROXY', direct],
    ['no_proxy', direct],
    ['NODE_USE_ENV_PROXY', '1'],
    ['LATEEN_WORKLOAD', place.workload],
    ['LATEEN_NAMESPACE', place.namespace],
    ['LATEEN_REPLICA', String(place.replica)],
    ['APP_ADDRESS', addresses.app],
    ['WORKLOAD_ADDRESS', addresses.proxy],
    ['OUTBOUND_ADDRESS', addresses.outbound],
  ]);
}

/** The whole environment; later ones win: user's, mesh's, YAML's. A value may use the names before it. */
export function appEnvironment(
  base: ReadonlyMap<string, string>,
  place: AppPlace,
  env: readonly LocalWorkloadEnv[],
): ReadonlyMap<string, string> {
  const all = new Map([...base, ...captureEnvironment(place)]);
  for (const { name, value } of env) all.set(name, expandVariables(value, all));
  return all;
}
