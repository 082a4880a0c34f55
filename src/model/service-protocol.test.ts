import { strictEqual } from 'node:assert';
import { test } from 'node:test';
import { kubernetesProtocol, parseProtocol } from './service-protocol.ts';
import { port } from './service-model-rig.ts';
import type { Protocol } from './service.ts';

const BY_NAME: readonly (readonly [string, Protocol])[] = [
  ['http', 'HTTP'],
  ['http-web', 'HTTP'],
  ['HTTP2-x', 'HTTP2'],
  ['grpc', 'GRPC'],
  ['grpc-web', 'GRPCWeb'],
  ['grpc-web-x', 'GRPCWeb'],
  ['https', 'HTTPS'],
  ['tls-a', 'TLS'],
  ['tcp', 'TCP'],
  ['mongo', 'Mongo'],
  ['redis-1', 'Redis'],
  ['mysql', 'MySQL'],
  ['web-http', 'Unsupported'],
  ['', 'Unsupported'],
];

for (const [name, protocol] of BY_NAME) {
  test(`a port named ${JSON.stringify(name)} speaks ${protocol}`, () => {
    strictEqual(kubernetesProtocol(port(name)), protocol);
  });
}

const BY_APP_PROTOCOL: readonly (readonly [string, Protocol])[] = [
  ['http', 'HTTP'],
  ['kubernetes.io/h2c', 'HTTP2'],
  ['kubernetes.io/ws', 'HTTP'],
  ['kubernetes.io/wss', 'HTTPS'],
  ['example.com/own', 'Unsupported'],
];

for (const [appProtocol, protocol] of BY_APP_PROTOCOL) {
  test(`appProtocol ${appProtocol} wins over the name and means ${protocol}`, () => {
    strictEqual(kubernetesProtocol(port('tcp', { appProtocol })), protocol);
  });
}

test('UDP stays UDP whatever the name says', () => {
  strictEqual(kubernetesProtocol(port('http', { protocol: 'UDP' })), 'UDP');
});

for (const number of [25, 53, 3306, 27017]) {
  test(`unnamed port ${number} is never sniffed`, () => {
    strictEqual(kubernetesProtocol(port('', { port: number })), 'TCP');
  });
}

test('names in ServiceEntries are read without regard to case', () => {
  strictEqual(parseProtocol('Http2'), 'HTTP2');
  strictEqual(parseProtocol('nonsense'), 'Unsupported');
});
