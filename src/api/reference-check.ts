/**
 * Warns where an object names another one that is not there: gateways, hosts and subsets of VirtualServices, hosts of
 * DestinationRules. Only warnings: the other object may come later. Pure, over plain objects, so that `apply`,
 * `validate` of a folder and the dashboard can use it without the engine.
 * Source: istio pkg/config/analysis/analyzers/{virtualservice,destinationrule}, same codes and argument words.
 * Cost: linear in the objects and their destinations.
 */
import { isIp } from '#base/cidr.ts';
import { isSubsetOf } from '#base/hostname.ts';
import type { Diagnostic } from '#base/diagnostic.ts';
import { type DiagnosticCode, makeDiagnostic } from '#base/diagnostic-catalog.ts';
import type { DestinationRuleSpec } from './destination-rule.ts';

import type { MeshObject } from './mesh-object.ts';
import type { ServiceEntrySpec } from './service-entry.ts';
import { suggest } from './suggestion.ts';
import { type Destination, MESH_GATEWAY, type VirtualServiceSpec } from './virtual-service.ts';

const CLUSTER_DOMAIN = 'cluster.local';

/** What the objects offer to be named. */
interface Names {
  /** Fully qualified hosts of Services and ServiceEntries without wildcard. */
  readonly hosts: Set<string>;
  /** Wildcard hosts of ServiceEntries. */
  readonly wildcards: string[];
  readonly gateways: Set<string>;
  /** `host|subset` of all DestinationRules. */
  readonly subsets: Set<string>;
}

/** Warnings about names that lead nowhere among the given objects; `clusterDomain` ends the hosts of Services. */
export function referenceWarnings(
  objects: Iterable<MeshObject>,
  clusterDomain: string = CLUSTER_DOMAIN,
): readonly Diagnostic[] {
  const all = [...objects];
  const names = collectNames(all, clusterDomain);
  const warnings: Diagnostic[] = [];
  for (const object of all) {
    const report = (code: DiagnosticCode, path: string, args: Readonly<Record<string, string>>): void => {
      const diagnostic = makeDiagnostic(code, { resource: refOf(object), path }, args);
      warnings.push({ ...diagnostic, severity: 'warning' });
    };
    if (object.kind === 'VirtualService') {
      checkVirtualService(object as MeshObject<VirtualServiceSpec>, names, clusterDomain, report);
    } else if (object.kind === 'DestinationRule') {
      const host = (object.spec as DestinationRuleSpec).host ?? '';
      if (isKnown(resolveHost(host, object.namespace, clusterDomain), names)) continue;
      report('IST0174', 'spec.host', {
        host,
        suggestion: suggestHost(host, object.namespace, names, clusterDomain),
      });
    }
  }
  return warnings;
}

/** The full name that a host in an object of `namespace` stands for: short names are completed as Kubernetes does. */
export function resolveHost(host: string, namespace: string, clusterDomain: string = CLUSTER_DOMAIN): string {
  if (host.startsWith('*') || isIp(host) || host.includes('.')) return host.replace(/\.$/, '');
  return `${host}.${namespace}.svc.${clusterDomain}`;
}

function refOf({ kind, namespace, name }: MeshObject): { kind: string; namespace: string; name: string } {
  return { kind, namespace, name };
}

function collectNames(objects: readonly MeshObject[], clusterDomain: string): Names {
  const names: Names = { hosts: new Set(), wildcards: [], gateways: new Set(), subsets: new Set() };
  for (const object of objects) {
    const { kind, namespace, name } = object;
    if (kind === 'Service') names.hosts.add(`${name}.${namespace}.svc.${clusterDomain}`);
    else if (kind === 'Gateway') names.gateways.add(`${namespace}/${name}`);
    else if (kind === 'ServiceEntry') {
      for (const host of (object.spec as ServiceEntrySpec).hosts ?? []) {
        if (host.startsWith('*')) names.wildcards.push(host);
        else names.hosts.add(host);
      }
    } else if (kind === 'DestinationRule') {
      const spec = object.spec as DestinationRuleSpec;
      const host = resolveHost(spec.host ?? '', namespace, clusterDomain);
      for (const subset of spec.subsets ?? []) names.subsets.add(`${host}|${subset.name ?? ''}`);
    }
  }
  return names;
}

function isKnown(host: string, names: Names): boolean {
  if (names.hosts.has(host) || names.wildcards.some((wildcard) => isSubsetOf(host, wildcard))) return true;
  if (!host.startsWith('*')) return false;
  return [...names.hosts].some((known) => isSubsetOf(known, host));
}

type Report = (code: DiagnosticCode, path: string, args: Readonly<Record<string, string>>) => void;

function checkVirtualService(
  object: MeshObject<VirtualServiceSpec>,
  names: Names,
  clusterDomain: string,
  report: Report,
): void {
  const { spec, namespace } = object;
  for (const [index, gateway] of (spec.gateways ?? []).entries()) {
    if (gateway === MESH_GATEWAY) continue;
    const [first = '', second = ''] = gateway.split('.');
    const full = gateway.includes('/') ? gateway : `${second === '' ? namespace : second}/${first}`;
    if (names.gateways.has(full)) continue;
    const args = { reftype: 'gateway', refval: full, suggestion: suggest(full, names.gateways) ?? '' };
    report('IST0101', `spec.gateways[${index}]`, args);
  }
  for (const { destination, path } of destinationsOf(spec)) {
    const { host = '', subset = '' } = destination;
    const full = resolveHost(host, namespace, clusterDomain);
    if (!isKnown(full, names)) {
      const suggestion = suggestHost(host, namespace, names, clusterDomain);
      report('IST0101', `${path}.host`, { reftype: 'host', refval: host, suggestion });
    } else if (subset !== '' && !names.subsets.has(`${full}|${subset}`)) {
      const known = [...names.subsets]
        .filter((key) => key.startsWith(`${full}|`))
        .map((key) => key.slice(full.length + 1));
      const suggestion = suggest(subset, known) ?? '';
      const args = { reftype: 'host+subset in destinationrule', refval: `${host}+${subset}`, suggestion };
      report('IST0101', `${path}.subset`, args);
    }
  }
}

function* destinationsOf(spec: VirtualServiceSpec): Iterable<{ destination: Destination; path: string }> {
  for (const part of ['http', 'tls', 'tcp'] as const) {
    for (const [i, route] of (spec[part] ?? []).entries()) {
      for (const [j, { destination }] of (route.route ?? []).entries()) {
        if (destination !== undefined)
          yield { destination, path: `spec.${part}[${i}].route[${j}].destination` };
      }
    }
  }
  for (const [i, { mirror, mirrors = [] }] of (spec.http ?? []).entries()) {
    if (mirror !== undefined) yield { destination: mirror, path: `spec.http[${i}].mirror` };
    for (const [j, { destination }] of mirrors.entries()) {
      if (destination !== undefined) yield { destination, path: `spec.http[${i}].mirrors[${j}].destination` };
    }
  }
}

/** A known host near to a misspelled one, in the form that the user wrote. */
function suggestHost(host: string, namespace: string, names: Names, clusterDomain: string): string {
  const suffix = `.${namespace}.svc.${clusterDomain}`;
  if (host.includes('.')) return suggest(host, names.hosts) ?? '';
  const short = [...names.hosts]
    .filter((known) => known.endsWith(suffix))
    .map((known) => known.slice(0, -suffix.length));
  return suggest(host, short) ?? '';
}
