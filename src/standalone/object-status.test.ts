import { deepStrictEqual } from 'node:assert/strict';
import { test } from 'node:test';
import { decodeObject } from '#api/decode-object.ts';
import type { MeshObject } from '#api/mesh-object.ts';
import type { Diagnostic } from '#base/diagnostic.ts';
import { printWithStatus } from './object-status.ts';

function object(kind: string, apiVersion: string, spec: object): MeshObject {
  const metadata = { name: 'one', namespace: 'ns' };
  const { object: decoded } = decodeObject({ apiVersion, kind, metadata, spec }, { defaultNamespace: '' });
  if (decoded === undefined) throw new Error('refused');
  return decoded;
}

const GATEWAY = object('Gateway', 'networking.istio.io/v1', {
  servers: [{ port: { number: 80, name: 'http', protocol: 'HTTP' }, hosts: ['*'] }],
});
const SERVICE = object('Service', 'v1', { ports: [{ port: 80 }] });
const ref = { kind: 'Gateway', namespace: 'ns', name: 'one' };

test('what is wrong with an object stands in its status, and nothing where nothing is', () => {
  const finding: Diagnostic = {
    code: 'LTN5012',
    severity: 'warning',
    resource: ref,
    path: 'spec.servers[0]',
    args: { host: 'a.com', port: '443' },
  };
  const held = { ...ref, reason: 'no', since: '', lastGood: true };
  const status = (findings: readonly Diagnostic[], heldBack: readonly (typeof held)[]): unknown[] =>
    printWithStatus([GATEWAY, SERVICE], { findings: () => findings, heldBack: () => heldBack }).map(
      (printed) => printed['status'],
    );
  deepStrictEqual(status([], []), [undefined, undefined]);
  deepStrictEqual(status([finding], [held]), [
    {
      conditions: [
        {
          type: 'InForce',
          status: 'False',
          reason: 'HeldBack',
          message: 'no; the form before it stays in force',
        },
        {
          type: 'HasFindings',
          status: 'True',
          reason: 'LTN5012',
          message:
            'the TLS host a.com is already taken on port 443; this server is left out (spec.servers[0])',
        },
      ],
    },
    undefined,
  ]);
});
