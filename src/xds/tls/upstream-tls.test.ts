import { deepStrictEqual, strictEqual } from 'node:assert';
import { test } from 'node:test';
import { fromBinary, type JsonValue, toJson } from '@bufbuild/protobuf';
import type { ClientTlsSettings } from '#api/destination-rule.ts';
import { AGENT_ONLY } from '#model/secret-servers.ts';
import type { TransportSocket } from '#proto/envoy/config/core/v3/base_pb.ts';
import { UpstreamTlsContextSchema } from '#proto/envoy/extensions/transport_sockets/tls/v3/tls_pb.ts';
import { envoyRegistry } from '#proto/registry.gen.ts';
import { type TlsQuestion, upstreamTls } from './upstream-settings.ts';
import { behindProxyProtocol, buildUpstreamTls, plainSocket } from './upstream-tls.ts';

const QUESTION: TlsQuestion = {
  settings: undefined,
  autoMtls: true,
  meshExternal: false,
  serverMode: 'PERMISSIVE',
  sni: 'auto.sni',
  identities: ['spiffe://td/ns/a/sa/b'],
  defaultSubjectAltNames: ['www.example.com'],
  mounted: undefined,
  prefersRule: false,
  mayUseCredentials: false,
  secretServers: AGENT_ONLY,
};

const MESH = {
  kind: 'mesh',
  sni: 'auto.sni',
  subjectAltNames: ['spiffe://td/ns/a/sa/b'],
  skipsVerification: false,
};

const ANSWERS: readonly (readonly [string, Partial<TlsQuestion>, unknown])[] = [
  ['auto mTLS applies by itself', {}, { ...MESH, isAuto: true }],
  ['auto mTLS may be switched off', { autoMtls: false }, undefined],
  ['services outside of the mesh are called in plain text', { meshExternal: true }, undefined],
  ['servers that refuse mTLS are called in plain text', { serverMode: 'DISABLE' }, undefined],
  ['strict servers are called by mTLS', { serverMode: 'STRICT' }, { ...MESH, isAuto: true }],
  ['a rule may demand plain text', { settings: { mode: 'DISABLE' } }, undefined],
  ['TLS settings without a mode mean plain text', { settings: {} }, undefined],
  [
    'a rule may demand mesh mTLS',
    { settings: { mode: 'ISTIO_MUTUAL' }, autoMtls: false },
    { ...MESH, isAuto: false },
  ],
  [
    'names in the rule win',
    { settings: { mode: 'ISTIO_MUTUAL', sni: 's', subjectAltNames: ['n'] } },
    { ...MESH, sni: 's', subjectAltNames: ['n'], isAuto: false },
  ],
  [
    'MUTUAL without a client certificate is no TLS at all',
    { settings: { mode: 'MUTUAL', clientCertificate: '/c' } },
    undefined,
  ],
  [
    'a sidecar may not use the Secret of a rule for all',
    { settings: { mode: 'SIMPLE', credentialName: 'c' } },
    undefined,
  ],
];

const MOUNTED = { certificateChain: '/m/chain', privateKey: '/m/key', rootCertificates: '/m/root' };
const WITH_FILES = {
  mode: 'MUTUAL',
  clientCertificate: '/m/chain',
  privateKey: '/m/key',
  caCertificates: '/m/root',
} as const;
const BY_FILES: readonly (readonly [string, Partial<TlsQuestion>, unknown])[] = [
  [
    'files of the proxy stand in for mesh mTLS, towards all endpoints',
    {},
    {
      kind: 'user',
      settings: { ...WITH_FILES, sni: 'auto.sni' },
      subjectAltNames: ['spiffe://td/ns/a/sa/b'],
      secretServers: AGENT_ONLY,
      isMesh: true,
    },
  ],
  [
    'a rule for mesh mTLS gives names only',
    { settings: { mode: 'ISTIO_MUTUAL', sni: 's', subjectAltNames: ['n'] } },
    {
      kind: 'user',
      settings: { ...WITH_FILES, sni: 's', subjectAltNames: ['n'] },
      subjectAltNames: ['n'],
      secretServers: AGENT_ONLY,
      isMesh: true,
    },
  ],
  [
    "they stand in for a rule's own files too",
    { settings: { mode: 'MUTUAL', clientCertificate: '/c', privateKey: '/k', sni: 's' } },
    {
      kind: 'user',
      settings: { ...WITH_FILES, sni: 's' },
      subjectAltNames: ['www.example.com'],
      secretServers: AGENT_ONLY,
      isMesh: false,
    },
  ],
  [
    'but not where the rule is for a service outside of the mesh',
    { settings: { mode: 'MUTUAL', clientCertificate: '/c', privateKey: '/k' }, prefersRule: true },
    {
      kind: 'user',
      settings: { mode: 'MUTUAL', clientCertificate: '/c', privateKey: '/k' },
      subjectAltNames: ['www.example.com'],
      secretServers: AGENT_ONLY,
      isMesh: false,
    },
  ],
  [
    'and not for TLS that shows no certificate',
    { settings: { mode: 'SIMPLE' } },
    {
      kind: 'user',
      settings: { mode: 'SIMPLE' },
      subjectAltNames: ['www.example.com'],
      secretServers: AGENT_ONLY,
      isMesh: false,
    },
  ],
  ['a certificate without its key is none', { mounted: { ...MOUNTED, privateKey: '' } }, undefined],
];

for (const [sentence, overrides, expected] of BY_FILES) {
  test(sentence, () =>
    deepStrictEqual(upstreamTls({ ...QUESTION, mounted: MOUNTED, ...overrides }), expected),
  );
}

for (const [sentence, overrides, expected] of ANSWERS) {
  test(sentence, () => deepStrictEqual(upstreamTls({ ...QUESTION, ...overrides }), expected));
}

test('a sidecar may use a ConfigMap, and a gateway any credential', () => {
  const fromConfigMap = { mode: 'SIMPLE', credentialName: 'configmap://ns/c' } as const;
  strictEqual(upstreamTls({ ...QUESTION, settings: fromConfigMap })?.kind, 'user');
  const fromSecret = { mode: 'MUTUAL', credentialName: 'c' } as const;
  strictEqual(upstreamTls({ ...QUESTION, settings: fromSecret, mayUseCredentials: true })?.kind, 'user');
});

type Json = Readonly<Record<string, JsonValue>>;

function contextOf(socket: TransportSocket): Json {
  if (socket.configType.case !== 'typedConfig') throw new Error('no configuration');
  const message = fromBinary(UpstreamTlsContextSchema, socket.configType.value.value);
  return toJson(UpstreamTlsContextSchema, message, { registry: envoyRegistry() }) as Json;
}

function built(settings: ClientTlsSettings, isHttp2 = false): Json {
  const tls = upstreamTls({ ...QUESTION, settings, mayUseCredentials: true });
  if (tls === undefined) throw new Error('plain text');
  const context = contextOf(
    buildUpstreamTls({ tls, isHttp2, cipherSuites: ['A'], ecdhCurves: ['B'], compliance: '' }),
  );
  const { commonTlsContext, ...rest } = context;
  return { ...rest, ...(commonTlsContext as Json) };
}

const AGENT = {
  apiConfigSource: {
    apiType: 'GRPC',
    transportApiVersion: 'V3',
    grpcServices: [{ envoyGrpc: { clusterName: 'sds-grpc' } }],
    setNodeOnFirstMessageOnly: true,
  },
  resourceApiVersion: 'V3',
};
const USER_PARAMS = {
  tlsMinimumProtocolVersion: 'TLSv1_2',
  tlsMaximumProtocolVersion: 'TLSv1_3',
  cipherSuites: ['A'],
  ecdhCurves: ['B'],
};

test('SIMPLE checks the server against the CAs of the machine', () => {
  deepStrictEqual(built({ mode: 'SIMPLE', sni: 'x.com' }), {
    sni: 'x.com',
    tlsParams: USER_PARAMS,
    combinedValidationContext: {
      defaultValidationContext: { matchSubjectAltNames: [{ exact: 'www.example.com' }] },
      validationContextSdsSecretConfig: { name: 'file-root:system', sdsConfig: AGENT },
    },
  });
});

test('MUTUAL takes certificates from files through the agent', () => {
  const context = built(
    { mode: 'MUTUAL', clientCertificate: '/c', privateKey: '/k', caCertificates: '/ca' },
    true,
  );
  deepStrictEqual(context, {
    tlsParams: USER_PARAMS,
    alpnProtocols: ['h2'],
    tlsCertificateSdsSecretConfigs: [{ name: 'file-cert:/c~/k', sdsConfig: AGENT }],
    combinedValidationContext: {
      defaultValidationContext: { matchSubjectAltNames: [{ exact: 'www.example.com' }] },
      validationContextSdsSecretConfig: { name: 'file-root:/ca', sdsConfig: AGENT },
    },
  });
});

test('credentials come over ADS, the CA under a name of its own', () => {
  const ads = { ads: {}, resourceApiVersion: 'V3' };
  const context = built({ mode: 'MUTUAL', credentialName: 'c', subjectAltNames: ['n'] });
  deepStrictEqual(
    [context['tlsCertificateSdsSecretConfigs'], context['combinedValidationContext']],
    [
      [{ name: 'kubernetes://c', sdsConfig: ads }],
      {
        defaultValidationContext: { matchSubjectAltNames: [{ exact: 'n' }] },
        validationContextSdsSecretConfig: { name: 'kubernetes://c-cacert', sdsConfig: ads },
      },
    ],
  );
});

test('who skips verification gets none, from files or credentials', () => {
  deepStrictEqual(built({ mode: 'SIMPLE', insecureSkipVerify: true })['validationContext'], {});
  const context = built({ mode: 'SIMPLE', insecureSkipVerify: true, credentialName: 'c' });
  deepStrictEqual(
    [context['validationContext'], context['combinedValidationContext']],
    [undefined, undefined],
  );
});

test('mesh mTLS never offers istio-peer-exchange', () => {
  deepStrictEqual(built({ mode: 'ISTIO_MUTUAL' })['alpnProtocols'], ['istio']);
  deepStrictEqual(built({ mode: 'ISTIO_MUTUAL' }, true)['alpnProtocols'], ['istio', 'h2']);
});

test('PROXY protocol goes around whatever socket there is', () => {
  strictEqual(
    behindProxyProtocol(plainSocket(), 'V2').name,
    'envoy.transport_sockets.upstream_proxy_protocol',
  );
});
