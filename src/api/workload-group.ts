/**
 * WorkloadGroup: template for WorkloadEntries that register themselves.
 * The spec is the proto3 JSON form as schema-decode.ts normalises it: lowerCamel names, enum names, durations as "1.5s".
 */
import type { Diagnostic } from '#base/diagnostic.ts';
import type {
  ReadinessProbeJson,
  WorkloadGroupJson,
} from '#proto/istio/networking/v1alpha3/workload_group_pb.ts';
import { checkMatchLabels, checkNotNegative, checkPort } from './field-rules.ts';
import { Findings, show } from './findings.ts';
import { checkProbeHeaderName } from './header-rules.ts';
import type { MeshObject } from './mesh-object.ts';

/** spec of a WorkloadGroup. */
export type WorkloadGroupSpec = WorkloadGroupJson;
/** How a registered workload's readiness is checked. */
export type ReadinessProbe = ReadinessProbeJson;

/** Findings about a WorkloadGroup beyond its schema. Source: istio pkg/config/validation ValidateWorkloadGroup. */
export function validateWorkloadGroup(object: MeshObject<WorkloadGroupSpec>): Diagnostic[] {
  const findings = new Findings(object);
  const { metadata, template, probe } = object.spec;
  if (template === undefined) findings.missing('spec', 'template', 'template: {serviceAccount: default}');
  checkMatchLabels(metadata?.labels, 'spec.metadata.labels', findings);
  if (probe !== undefined) checkProbe(probe, 'spec.probe', findings);
  return findings.all;
}

function checkProbe(probe: ReadinessProbe, path: string, findings: Findings): void {
  for (const field of [
    'periodSeconds',
    'initialDelaySeconds',
    'timeoutSeconds',
    'successThreshold',
    'failureThreshold',
  ] as const) {
    checkNotNegative(probe[field], `${path}.${field}`, findings);
  }
  const { httpGet, tcpSocket, exec } = probe;
  if (httpGet !== undefined) {
    const { scheme = '' } = httpGet;
    checkPort(httpGet.port, `${path}.httpGet.port`, findings);
    if (scheme !== '' && scheme !== 'HTTP' && scheme !== 'HTTPS') {
      findings.add('LTN2034', `${path}.httpGet.scheme`, {
        value: show(scheme),
        problem: 'unknown scheme',
        cure: 'Write HTTP or HTTPS.',
      });
    }
    for (const [index, header] of (httpGet.httpHeaders ?? []).entries()) {
      checkProbeHeaderName(header.name ?? '', `${path}.httpGet.httpHeaders[${index}].name`, findings);
    }
  } else if (tcpSocket !== undefined) checkPort(tcpSocket.port, `${path}.tcpSocket.port`, findings);
  else if (exec !== undefined) {
    if ((exec.command ?? []).length === 0)
      findings.missing(`${path}.exec`, 'command', 'command: [cat, /tmp/ready]');
  } else findings.add('LTN2039', path, { fields: 'httpGet, tcpSocket and exec' });
}
