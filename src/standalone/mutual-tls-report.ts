/** `lateen mtls readiness`: what the model says of each workload, and what its proxies have counted, put together. Pure. */
import { printObjectRef } from '#base/object-ref.ts';
import type { MutualTlsReadiness, PlaintextCaller } from '#doors/control-protocol.ts';
import type { WorkloadMutualTls } from '#explain/mutual-tls-readiness.ts';

/** One entry per workload, in the order of the model. */
export function mutualTlsReport(
  workloads: readonly WorkloadMutualTls[],
  callersOf: (workload: string) => readonly PlaintextCaller[],
): readonly MutualTlsReadiness[] {
  return workloads.map((one) => {
    const { workload, namespace, hasSidecar, mode, ports, policies } = one;
    const plaintextCallers = callersOf(`${namespace}/${workload}`);
    const plaintextRules = one.plainClients.map(({ rule, ...at }) => ({ ...rule, ...at }));
    const isStrict = mode === 'STRICT' && ports.every((port) => port.mode === 'STRICT');
    const hasPlainClients = plaintextCallers.length > 0 || plaintextRules.length > 0;
    return {
      workload,
      namespace,
      sidecar: hasSidecar,
      mode,
      ports,
      policies,
      plaintextCallers,
      plaintextRules,
      wouldBreak: hasSidecar && !isStrict && hasPlainClients,
      reasons: reasonsOf(one, plaintextCallers, isStrict),
    };
  });
}

function reasonsOf(
  { hasSidecar, plainClients }: WorkloadMutualTls,
  callers: readonly PlaintextCaller[],
  isStrict: boolean,
): readonly string[] {
  if (!hasSidecar)
    return ['has no sidecar: STRICT does not protect it, and what it calls is called in plain text'];
  const called = callers.map(({ source, namespace, requests, lastSeen, protocol }) => {
    const who = source === 'unknown' ? 'a client outside of the mesh' : `${source}.${namespace}`;
    const what = protocol === 'tcp' ? 'TCP connections' : 'requests';
    return `${who} called in plain text until ${lastSeen} (${requests} ${what})`;
  });
  const told = plainClients.map(({ rule, host, port, mode }) => {
    const effect = isStrict ? 'calls fail' : 'calls would fail';
    return `${printObjectRef(rule)} has clients call ${host}:${port} with tls mode ${mode}: ${effect}`;
  });
  return [...called, ...told];
}
