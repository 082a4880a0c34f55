import { deepStrictEqual } from 'node:assert/strict';
import { once } from 'node:events';
import type { AddressInfo } from 'node:net';
import { test } from 'node:test';
import { connect, createServer, type TlsOptions } from 'node:tls';
import { createIssuer } from './certificate-rig.ts';
import { type CompliancePolicy, readCompliancePolicy, tlsLimits } from '#base/compliance.ts';

const issuer = await createIssuer('compliance');
const { key, chain } = await issuer.issue({ dns: ['localhost'] });

/** What a client of one policy agrees on with a server of another: version, and group of the key exchange. */
async function agreed(client: CompliancePolicy, server: CompliancePolicy): Promise<string> {
  const options: TlsOptions = { key, cert: chain, ...tlsLimits(server) };
  const listening = createServer(options, (socket) => socket.end()).listen(0, '127.0.0.1');
  listening.on('tlsClientError', () => {});
  await once(listening, 'listening');
  const { port } = listening.address() as AddressInfo;
  const socket = connect({
    port,
    host: '127.0.0.1',
    ca: issuer.root,
    servername: 'localhost',
    ...tlsLimits(client),
  });
  try {
    await once(socket, 'secureConnect');
    const { name } = socket.getEphemeralKeyInfo() as { readonly name?: string };
    return `${socket.getProtocol()} ${name ?? ''}`.trim();
  } catch {
    return 'refused';
  } finally {
    socket.destroy();
    listening.close();
  }
}

const CASES: readonly (readonly [CompliancePolicy, CompliancePolicy, RegExp])[] = [
  ['', '', /^TLSv1\.3/],
  ['', 'fips-140-2', /^TLSv1\.2 prime256v1$/],
  ['fips-140-3', '', /^TLSv1\.3 (prime256v1|P-256|secp384r1)?$/],
  ['', 'pqc', /^TLSv1\.3/],
  ['fips-140-2', 'pqc', /^refused$/],
];

for (const [client, server, expected] of CASES) {
  test(`a client under "${client}" and a server under "${server}"`, async () => {
    const answer = await agreed(client, server);
    deepStrictEqual([expected.test(answer), answer], [true, answer]);
  });
}

test('only known policies are read', () => {
  deepStrictEqual(['', 'pqc', 'fips'].map(readCompliancePolicy), ['', 'pqc', undefined]);
});
