/**
 * The status of objects of a mesh on one machine, as conditions (IstioStatus): held back or not, and what is wrong with them among
 * others. Made when they are shown; nothing of it is in the files.
 */
import { kindInfo } from '#api/kind-registry.ts';
import type { MeshObject } from '#api/mesh-object.ts';
import { toKubernetesForm } from '#api/print-object.ts';
import type { Diagnostic } from '#base/diagnostic.ts';
import { diagnosticText } from '#base/diagnostic-catalog.ts';
import { objectKey } from '#base/object-ref.ts';
import type { PrintedObject } from '#doors/control-protocol.ts';
import type { ControlPlane } from './control-plane.ts';

/** Made with its keys in byte order, as everything is printed. */
interface Condition {
  readonly message: string;
  readonly reason: string;
  readonly status: 'True' | 'False';
  readonly type: string;
}

/** Objects as Kubernetes prints them; Istio's kinds with a status where there is something to say. */
export function printWithStatus(
  objects: readonly MeshObject[],
  controlPlane: Pick<ControlPlane, 'findings' | 'heldBack'>,
): readonly PrintedObject[] {
  const conditions = conditionsByObject(controlPlane);
  return objects.map((object) => {
    const printed = toKubernetesForm(object) as PrintedObject;
    const own = conditions.get(objectKey(object));
    const hasStatus = kindInfo(object.kind)?.group.endsWith('istio.io') === true;
    return own === undefined || !hasStatus ? printed : { ...printed, status: { conditions: own } };
  });
}

function conditionsByObject({
  findings,
  heldBack,
}: Pick<ControlPlane, 'findings' | 'heldBack'>): ReadonlyMap<string, readonly Condition[]> {
  const found = new Map<string, Condition[]>();
  const add = (key: string, condition: Condition): void => {
    found.set(key, [...(found.get(key) ?? []), condition]);
  };
  for (const held of heldBack()) {
    const message = held.lastGood ? `${held.reason}; the form before it stays in force` : held.reason;
    add(objectKey(held), { message, reason: 'HeldBack', status: 'False', type: 'InForce' });
  }
  for (const finding of findings()) {
    if (finding.resource !== undefined) add(objectKey(finding.resource), conditionOf(finding));
  }
  return found;
}

function conditionOf(finding: Diagnostic): Condition {
  const { code, path = '' } = finding;
  const place = path === '' ? '' : ` (${path})`;
  const message = `${diagnosticText(finding)}${place}`;
  return { message, reason: code, status: 'True', type: 'HasFindings' };
}
