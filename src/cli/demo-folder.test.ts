import { ok, strictEqual } from 'node:assert/strict';
import { existsSync, readFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join, resolve } from 'node:path';
import { test } from 'node:test';
import { parseAllDocuments } from 'yaml';
import { makeDemoFolder } from './demo-folder.ts';

const samples = resolve(import.meta.dirname, '../../samples');

function documents(dir: string, file: string) {
  return parseAllDocuments(readFileSync(join(dir, file), 'utf8')).map((document) => document.toJS());
}

test("the demo's copy runs the sample's programs on the port that was asked for, and goes again", () => {
  const folder = makeDemoFolder(samples, tmpdir(), 9081);
  const [, details] = documents(folder.dir, 'details.yaml');
  strictEqual(details.spec.workingDir, join(samples, 'bookinfo', 'mesh'));
  const [gateway] = documents(folder.dir, 'bookinfo-gateway.yaml');
  strictEqual(gateway.spec.servers[0].port.number, 9081);
  const [service, workload] = documents(folder.dir, 'ingressgateway.yaml');
  ok(service.spec.ports.some((port: { targetPort?: number }) => port.targetPort === 9081));
  strictEqual(workload.spec.workingDir, undefined);
  folder[Symbol.dispose]();
  ok(!existsSync(dirname(folder.dir)));
});
