import { deepStrictEqual } from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { MeshObject } from '#api/mesh-object.ts';
import { withoutObject } from './held-back.ts';

const SELECTOR = { matchLabels: { app: 'a' } };

/** The table of docs/decisions/004-held-back-objects.md: kind, refused spec, what stands in for it without a good form. */
const EFFECTS: readonly (readonly [name: string, kind: string, spec: object, standIn: object | undefined])[] =
  [
    ['VirtualService falls away', 'VirtualService', { hosts: ['a'] }, undefined],
    ['ServiceEntry falls away', 'ServiceEntry', { hosts: ['a'] }, undefined],
    ['Service falls away', 'Service', { ports: [] }, undefined],
    ['WorkloadEntry falls away', 'WorkloadEntry', { address: '::1' }, undefined],
    ['LocalWorkload falls away', 'LocalWorkload', { ports: [] }, undefined],
    ['Sidecar falls away', 'Sidecar', { egress: [] }, undefined],
    [
      'Gateway falls away: its ports are closed',
      'Gateway',
      { servers: [{ tls: { mode: 'MUTUAL' } }] },
      undefined,
    ],
    [
      'DestinationRule without TLS falls away',
      'DestinationRule',
      { host: 'a', subsets: [{ name: 'v1' }] },
      undefined,
    ],
    [
      'DestinationRule that turns TLS off falls away',
      'DestinationRule',
      { host: 'a', trafficPolicy: { tls: { mode: 'DISABLE' } } },
      undefined,
    ],
    [
      'DestinationRule with TLS demands mutual TLS, for the same clients',
      'DestinationRule',
      {
        host: 'a',
        exportTo: ['.'],
        workloadSelector: SELECTOR,
        subsets: [
          { name: 'v1', trafficPolicy: { portLevelSettings: [{ tls: { mode: 'SIMPLE', sni: 'b' } }] } },
        ],
      },
      {
        host: 'a',
        exportTo: ['.'],
        workloadSelector: SELECTOR,
        trafficPolicy: { tls: { mode: 'ISTIO_MUTUAL' } },
      },
    ],
    [
      'PeerAuthentication demands mutual TLS on all ports',
      'PeerAuthentication',
      { selector: SELECTOR, mtls: { mode: 'DISABLE' }, portLevelMtls: { 80: { mode: 'PERMISSIVE' } } },
      { selector: SELECTOR, mtls: { mode: 'STRICT' } },
    ],
    [
      'RequestAuthentication takes no token',
      'RequestAuthentication',
      {
        selector: SELECTOR,
        jwtRules: [{ issuer: 'i', jwksUri: 'https://keys', fromHeaders: [{ name: 'x' }] }],
      },
      { selector: SELECTOR, jwtRules: [{ issuer: 'i', jwks: '{"keys":[]}' }] },
    ],
    [
      'WasmPlugin keeps place and failure policy, without its module',
      'WasmPlugin',
      {
        selector: SELECTOR,
        phase: 'AUTHZ',
        failStrategy: 'FAIL_OPEN',
        url: 'file:///a.wasm',
        pluginConfig: {},
      },
      { selector: SELECTOR, phase: 'AUTHZ', failStrategy: 'FAIL_OPEN' },
    ],
    [
      'TrafficExtension with a module likewise',
      'TrafficExtension',
      { match: [{ mode: 'CLIENT' }], wasm: { url: 'oci://a', type: 'NETWORK', sha256: 'b' } },
      { match: [{ mode: 'CLIENT' }], wasm: { type: 'NETWORK' } },
    ],
    [
      'TrafficExtension with a script lets nothing pass where it restricts',
      'TrafficExtension',
      { selector: SELECTOR, phase: 'AUTHN', lua: { inlineCode: 'x' } },
      { selector: SELECTOR, phase: 'AUTHN', wasm: {} },
    ],
    [
      'TrafficExtension with a script falls away elsewhere',
      'TrafficExtension',
      { lua: { inlineCode: 'x' } },
      undefined,
    ],
    [
      'AuthorizationPolicy DENY denies all',
      'AuthorizationPolicy',
      { selector: SELECTOR, action: 'DENY', rules: [{ to: [] }] },
      { selector: SELECTOR, action: 'DENY', rules: [{}] },
    ],
    [
      'AuthorizationPolicy CUSTOM denies all',
      'AuthorizationPolicy',
      {
        targetRefs: [{ kind: 'Gateway', name: 'g' }],
        action: 'CUSTOM',
        provider: { name: 'opa' },
        rules: [{}],
      },
      { targetRefs: [{ kind: 'Gateway', name: 'g' }], action: 'DENY', rules: [{}] },
    ],
    [
      'AuthorizationPolicy ALLOW allows nothing',
      'AuthorizationPolicy',
      { selector: SELECTOR, rules: [{ to: [] }] },
      { selector: SELECTOR, action: 'ALLOW' },
    ],
    [
      'AuthorizationPolicy AUDIT falls away',
      'AuthorizationPolicy',
      { action: 'AUDIT', rules: [{}] },
      undefined,
    ],
  ];

function objectOf(
  kind: string,
  spec: object,
  annotations: Readonly<Record<string, string>> = {},
): MeshObject {
  const head = { apiVersion: 'v1', kind, namespace: 'n', name: 'x', labels: {}, createdAtMs: 0 };
  return { ...head, annotations, spec, hash: 'h' };
}

describe('an object held back without a good form', () => {
  for (const [name, kind, spec, standIn] of EFFECTS) {
    it(name, () => deepStrictEqual(withoutObject(objectOf(kind, spec))?.spec, standIn));
  }

  it('falls away when it was a dry run', () => {
    const policy = objectOf(
      'AuthorizationPolicy',
      { action: 'DENY', rules: [{}] },
      { 'istio.io/dry-run': 'true' },
    );
    deepStrictEqual(withoutObject(policy), undefined);
  });

  it('keeps its name, so that a denial names it', () => {
    const { kind, namespace, name } = withoutObject(objectOf('AuthorizationPolicy', { action: 'DENY' }))!;
    deepStrictEqual([kind, namespace, name], ['AuthorizationPolicy', 'n', 'x']);
  });
});
