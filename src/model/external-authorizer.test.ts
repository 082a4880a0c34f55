import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { createEngine } from '#collections/engine.ts';
import type {
  MeshConfig_ExtensionProviderJson as Provider,
  MeshConfigJson,
} from '#proto/istio/mesh/v1alpha1/config_pb.ts';
import { createExternalAuthorizers } from './external-authorizer.ts';
import { MESH_KEY } from './mesh-facts.ts';
import type { Service } from './service.ts';

const HOST = 'authorizer.app.svc.cluster.local';

function start(providers: Provider[], namespaces: readonly string[] = ['app']) {
  const engine = createEngine();
  const config = engine.source<MeshConfigJson>('meshConfig');
  const services = engine.source<Service>('services');
  const byHostname = engine.index('servicesByHostname', services, ({ hostname }) => [hostname]);
  const authorizers = createExternalAuthorizers(engine, config, byHostname);
  config.set(MESH_KEY, { extensionProviders: providers });
  for (const namespace of namespaces)
    services.set(`${namespace}/${HOST}`, { namespace, hostname: HOST } as Service);
  engine.settle();
  return { engine, services, authorizers };
}

const grpc = (more: object = {}, name = 'opa'): Provider => ({
  name,
  envoyExtAuthzGrpc: { service: HOST, port: 9000, ...more },
});
const http = (more: object): Provider => ({
  name: 'opa',
  envoyExtAuthzHttp: { service: HOST, port: 8000, ...more },
});

describe('external authorizers', () => {
  const faults: readonly (readonly [string, Provider[], readonly string[] | undefined, RegExp])[] = [
    [
      'of a service that is not there',
      [grpc({ service: 'nowhere.example' })],
      undefined,
      /no service nowhere/,
    ],
    ['of a host in two namespaces', [grpc()], ['app', 'other'], /several namespaces/],
    ['of a namespace that lacks the host', [grpc({ service: `else/${HOST}` })], undefined, /no service else/],
    ['named twice', [grpc(), grpc()], undefined, /twice/],
    ['without port', [grpc({ port: 0 })], undefined, /port 0/],
    ['with a status that is none', [grpc({ statusOnError: '999' })], undefined, /999/],
    ['with words for a status', [grpc({ statusOnError: 'no' })], undefined, /statusOnError no/],
    ['with a relative path', [http({ pathPrefix: 'check' })], undefined, /pathPrefix check/],
    ['with a lone star', [http({ headersToUpstreamOnAllow: ['*'] })], undefined, /lone \*/],
  ];
  for (const [name, providers, namespaces, words] of faults) {
    it(`${name} say why they cannot be asked`, () => {
      const found = start(providers, namespaces).authorizers.get('opa');
      assert.match(found !== undefined && 'fault' in found ? found.fault : '', words);
    });
  }

  it('with a name that would break names of rules cannot be asked', () => {
    const { authorizers } = start([grpc({}, 'Opa[x]')]);
    assert.deepEqual(Object.keys(authorizers.get('Opa[x]') ?? {}), ['fault']);
  });

  it('take the service of the namespace that they name', () => {
    const { authorizers } = start([grpc({ service: `other/${HOST}`, timeout: '2s' })], ['app', 'other']);
    assert.deepEqual(authorizers.get('opa'), {
      authorizer: {
        name: 'opa',
        hostname: HOST,
        port: 9000,
        timeoutMs: 2000,
        failOpen: false,
        statusOnError: 0,
      },
    });
  });

  it('follow their service as it comes and goes', () => {
    const { engine, services, authorizers } = start([grpc()], []);
    assert.deepEqual(Object.keys(authorizers.get('opa') ?? {}), ['fault']);
    services.set(`app/${HOST}`, { namespace: 'app', hostname: HOST } as Service);
    engine.settle();
    assert.deepEqual(Object.keys(authorizers.get('opa') ?? {}), ['authorizer']);
  });
});
