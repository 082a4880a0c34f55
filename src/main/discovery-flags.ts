/**
 * The flags of `pilot-discovery discovery`, as Istio names them, read into one record. Flags of Istio that have nothing
 * to do here are accepted and said to be without effect, so that existing command lines run unchanged.
 */
import { Command, Option } from 'commander';
import type { GrpcLimits } from '#ads/grpc-limits.ts';
import { parseDurationMs } from '#base/duration.ts';
import type { DiscoveryEnvironment } from './discovery-environment.ts';

/** Where the control plane listens and what it reads. An address is `host:port` or `:port`; '' turns the door off. */
export interface DiscoveryFlags {
  readonly httpAddr: string;
  readonly httpsAddr: string;
  readonly grpcAddr: string;
  readonly secureGRPCAddr: string;
  readonly monitoringAddr: string;
  readonly configDir: string;
  readonly meshConfig: string;
  readonly networksConfig: string;
  readonly registries: readonly string[];
  readonly domain: string;
  readonly clusterID: string;
  readonly kubeconfig: string;
  readonly namespace: string;
  readonly logLevel: string;
  readonly logAsJson: boolean;
  /** Bounds of the xDS server that were given by flags. */
  readonly grpcLimits: Partial<GrpcLimits>;
  /** Given flags that change nothing here, to be told to the user once. */
  readonly withoutEffect: readonly string[];
}

/** Istio's flags that have no meaning for this control plane, with what they take. */
export const FLAGS_WITHOUT_EFFECT: readonly string[] = [
  '--clusterAliases <aliases>',
  '--caCertFile <file>',
  '--tlsCertFile <file>',
  '--tlsKeyFile <file>',
  '--tls-cipher-suites <suites>',
  '--kubernetesApiQPS <number>',
  '--kubernetesApiBurst <number>',
  '--ctrlz_address <address>',
  '--ctrlz_port <port>',
  '--shutdownDuration <duration>',
  '--profile [enabled]',
  '--cniNamespace <namespace>',
  '--resync <duration>',
  '--log_caller <scopes>',
  '--log_stacktrace_level <levels>',
  '--log_target <target>',
  '--log_rotate <file>',
  '--vklog <level>',
];

/** Adds the flags to a command. */
export function withDiscoveryFlags(command: Command): Command {
  command
    .option('--httpAddr <address>', 'health and debug endpoints', ':8080')
    .option('--httpsAddr <address>', 'injection and validation webhooks', ':15017')
    .option('--grpcAddr <address>', 'plaintext xDS', ':15010')
    .option('--secureGRPCAddr <address>', 'xDS over TLS and the certificate authority', ':15012')
    .option('--monitoringAddr <address>', 'Prometheus metrics', ':15014')
    .option('--configDir <folder>', 'folder of YAML files to serve', '')
    .option('--meshConfig <file>', 'mesh config file', './etc/istio/config/mesh')
    .option('--networksConfig <file>', 'mesh networks file', './etc/istio/config/meshNetworks')
    .option('--registries <list>', 'platform service registries', 'Kubernetes')
    .option('--domain <domain>', 'DNS domain of services', 'cluster.local')
    .option('--clusterID <name>', 'name of this cluster (default: CLUSTER_ID, else Kubernetes)')
    .option('--kubeconfig <file>', 'Kubernetes credentials', '')
    .option(
      '-n, --namespace <namespace>',
      "the control plane's own namespace (default: POD_NAMESPACE, else istio-system)",
    )
    .option(
      '--log_output_level <levels>',
      'debug, info, warn or error; scope:level pairs as in Istio',
      'default:info',
    )
    .option('--keepaliveInterval <duration>', 'how often a quiet connection is asked whether it is there')
    .option('--keepaliveTimeout <duration>', 'how long the answer may take')
    .option('--keepaliveMaxServerConnectionAge <duration>', 'how old a connection may get')
    .option('--log_as_json [enabled]', 'log lines as JSON');
  for (const flags of FLAGS_WITHOUT_EFFECT) command.addOption(new Option(flags).hideHelp());
  return command;
}

/** Reads parsed options into the record; what they leave open the environment may say. */
export function discoveryFlags(
  options: Readonly<Record<string, unknown>>,
  environment: Pick<DiscoveryEnvironment, 'clusterId' | 'namespace'>,
): DiscoveryFlags {
  const text = (name: string): string => String(options[name] ?? '');
  const known = new Set(FLAGS_WITHOUT_EFFECT.map((flag) => new Option(flag).attributeName()));
  return {
    httpAddr: text('httpAddr'),
    httpsAddr: text('httpsAddr'),
    grpcAddr: text('grpcAddr'),
    secureGRPCAddr: text('secureGRPCAddr'),
    monitoringAddr: text('monitoringAddr'),
    configDir: text('configDir'),
    meshConfig: text('meshConfig'),
    networksConfig: text('networksConfig'),
    registries: text('registries').split(',').filter(Boolean),
    domain: text('domain'),
    clusterID: text('clusterID') || environment.clusterId || 'Kubernetes',
    kubeconfig: text('kubeconfig'),
    namespace: text('namespace') || environment.namespace || 'istio-system',
    logLevel: text('log_output_level'),
    logAsJson: options['log_as_json'] !== undefined && options['log_as_json'] !== 'false',
    grpcLimits: grpcLimits(options),
    withoutEffect: Object.keys(options).filter((name) => known.has(name)),
  };
}

const DURATION_FLAGS = {
  keepaliveInterval: 'pingIntervalMs',
  keepaliveTimeout: 'pingTimeoutMs',
  keepaliveMaxServerConnectionAge: 'maxAgeMs',
} as const;

/** Why --keepaliveMaxServerConnectionAge cannot be this; '' when it can. Source: istio ValidateMaxServerConnectionAge. */
export function connectionAgeProblem(text: string): string {
  const age = parseDurationMs(text);
  return age.ok && age.value > 0
    ? ''
    : `--keepaliveMaxServerConnectionAge: '${text}' is not a positive duration, such as 30m`;
}

/** Errors: throws a text for people. Source: istio pkg/keepalive/options.go. */
function grpcLimits(options: Readonly<Record<string, unknown>>): Partial<GrpcLimits> {
  const given = Object.entries(DURATION_FLAGS).filter(([flag]) => options[flag] !== undefined);
  return Object.fromEntries(
    given.map(([flag, limit]) => {
      const text = String(options[flag]);
      const read = parseDurationMs(text);
      if (read.ok && read.value > 0) return [limit, read.value];
      throw new Error(`--${flag}: '${text}' is not a positive duration, such as 30m`);
    }),
  );
}

/** `host:port` or `:port` as parts; undefined for '' and for what is neither. */
export function parseAddress(address: string): { readonly host: string; readonly port: number } | undefined {
  const match = /^(?:\[([^\]]*)\]|([^:]*)):(\d{1,5})$/.exec(address);
  if (match === null) return undefined;
  const port = Number(match[3]);
  return port > 65_535 ? undefined : { host: match[1] ?? (match[2] || '0.0.0.0'), port };
}

/** The address of a flag; undefined when the door is to stay shut. Errors: throws a text for people. */
export function addressOf(flag: string): { readonly host: string; readonly port: number } | undefined {
  const address = parseAddress(flag);
  if (address === undefined && flag !== '') throw new Error(`'${flag}' is not host:port`);
  return address;
}
