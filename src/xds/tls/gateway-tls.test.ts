import { deepStrictEqual } from 'node:assert';
import { test } from 'node:test';
import { type JsonObject, toJson } from '@bufbuild/protobuf';
import type { ServerTlsSettings } from '#api/gateway.ts';
import { AGENT_ONLY } from '#model/secret-servers.ts';
import { TransportSocketSchema } from '#proto/envoy/config/core/v3/base_pb.ts';
import { envoyRegistry } from '#proto/registry.gen.ts';
import type { MountedCertificates } from '#model/mounted-certificates.ts';
import { buildGatewayTls, gatewaySecrets } from './gateway-tls.ts';

const NO_DEFAULTS = { minimumVersion: '', cipherSuites: [], ecdhCurves: [] };

interface Outline {
  readonly certificates: readonly string[];
  readonly root?: string;
  readonly demands?: boolean;
  readonly rules?: object;
  readonly parameters?: object;
  readonly alpn?: readonly string[];
}

/** The part of Envoy's DownstreamTlsContext, as JSON, that the outline reads. */
interface ContextJson {
  readonly requireClientCertificate?: boolean;
  readonly commonTlsContext: {
    readonly tlsCertificateSdsSecretConfigs: readonly { readonly name: string }[];
    readonly combinedValidationContext?: {
      readonly validationContextSdsSecretConfig: { readonly name: string };
      readonly defaultValidationContext?: object;
    };
    readonly tlsParams?: object;
    readonly alpnProtocols: readonly string[];
  };
}

/** The parts of the TLS context that cases differ in. */
function outline(
  settings: ServerTlsSettings,
  carries: 'http' | 'tcp' = 'http',
  defaults = NO_DEFAULTS,
  mounted?: MountedCertificates,
): Outline {
  const around = { mounted, secretServers: AGENT_ONLY, compliance: '' } as const;
  const socket = buildGatewayTls({ settings, carries, defaults, ...around });
  const json = toJson(TransportSocketSchema, socket, { registry: envoyRegistry() }) as JsonObject;
  const context = json['typedConfig'] as unknown as ContextJson;
  const common = context.commonTlsContext;
  const combined = common.combinedValidationContext;
  const rules = combined?.defaultValidationContext ?? {};
  return {
    certificates: common.tlsCertificateSdsSecretConfigs.map((secret) => secret.name),
    ...(combined === undefined ? {} : { root: combined.validationContextSdsSecretConfig.name }),
    ...(context.requireClientCertificate ? { demands: true } : {}),
    ...(Object.keys(rules).length === 0 ? {} : { rules }),
    ...(common.tlsParams === undefined ? {} : { parameters: common.tlsParams }),
    ...(common.alpnProtocols.join() === 'h2,http/1.1' ? {} : { alpn: common.alpnProtocols }),
  };
}

const CASES: readonly (readonly [string, ServerTlsSettings, Outline])[] = [
  ['a certificate by name', { mode: 'SIMPLE', credentialName: 'c' }, { certificates: ['kubernetes://c'] }],
  [
    'several certificates',
    { mode: 'SIMPLE', credentialNames: ['rsa', 'ecdsa'] },
    { certificates: ['kubernetes://rsa', 'kubernetes://ecdsa'] },
  ],
  [
    'a certificate of another namespace keeps its scheme',
    { mode: 'SIMPLE', credentialName: 'kubernetes-gateway://ns/c' },
    { certificates: ['kubernetes-gateway://ns/c'] },
  ],
  [
    'a client certificate by the CA beside it, for certain names',
    { mode: 'MUTUAL', credentialName: 'c', subjectAltNames: ['x.com'] },
    {
      certificates: ['kubernetes://c'],
      root: 'kubernetes://c-cacert',
      demands: true,
      rules: { matchSubjectAltNames: [{ exact: 'x.com' }] },
    },
  ],
  [
    'a client certificate by a CA of its own, if there is one',
    { mode: 'OPTIONAL_MUTUAL', credentialName: 'c', caCertCredentialName: 'ca' },
    { certificates: ['kubernetes://c'], root: 'kubernetes://ca' },
  ],
  [
    'certificates from files',
    {
      mode: 'MUTUAL',
      serverCertificate: '/c.pem',
      privateKey: '/k.pem',
      caCertificates: '/ca.pem',
      caCrl: '/crl.pem',
    },
    {
      certificates: ['file-cert:/c.pem~/k.pem'],
      root: 'file-root:/ca.pem',
      demands: true,
      rules: { crl: { filename: '/crl.pem' } },
    },
  ],
  [
    "the workload's own certificate",
    { mode: 'ISTIO_MUTUAL' },
    { certificates: ['default'], root: 'ROOTCA', demands: true },
  ],
  [
    'versions and cipher suites, without suites that Envoy would refuse',
    {
      mode: 'SIMPLE',
      credentialName: 'c',
      minProtocolVersion: 'TLSV1_2',
      maxProtocolVersion: 'TLSV1_3',
      cipherSuites: ['AES128-SHA', 'NONSENSE', 'AES128-SHA'],
    },
    {
      certificates: ['kubernetes://c'],
      parameters: {
        tlsMinimumProtocolVersion: 'TLSv1_2',
        tlsMaximumProtocolVersion: 'TLSv1_3',
        cipherSuites: ['AES128-SHA'],
      },
    },
  ],
];
for (const [title, settings, expected] of CASES) {
  test(`a gateway shows ${title}`, () => {
    deepStrictEqual(outline(settings), expected);
  });
}

test("files of the proxy stand in for the workload's own certificate, and for nothing else", () => {
  const mounted = { certificateChain: '/m/chain', privateKey: '/m/key', rootCertificates: '/m/root' };
  const own = outline({ mode: 'ISTIO_MUTUAL' }, 'http', NO_DEFAULTS, mounted);
  const files = { mode: 'MUTUAL', serverCertificate: '/c', privateKey: '/k' } as const;
  const ofServer = outline(files, 'http', NO_DEFAULTS, mounted);
  deepStrictEqual(
    [own.certificates, own.root, ofServer.certificates, ofServer.root],
    [['file-cert:/m/chain~/m/key'], 'file-root:/m/root', ['file-cert:/c~/k'], 'ROOTCA'],
  );
});

test('mesh TLS for bytes offers a mesh protocol name', () => {
  deepStrictEqual(outline({ mode: 'ISTIO_MUTUAL' }, 'tcp').alpn, ['istio', 'h2', 'http/1.1']);
});

test("the mesh's defaults count where the server says nothing", () => {
  const defaults = { minimumVersion: 'TLSV1_3', cipherSuites: [], ecdhCurves: ['P-256'] };
  deepStrictEqual(
    [
      outline({ mode: 'SIMPLE', credentialName: 'c' }, 'http', defaults as never).parameters,
      outline(
        { mode: 'SIMPLE', credentialName: 'c', minProtocolVersion: 'TLSV1_2' },
        'http',
        defaults as never,
      ).parameters,
    ],
    [
      { tlsMinimumProtocolVersion: 'TLSv1_3', ecdhCurves: ['P-256'] },
      { tlsMinimumProtocolVersion: 'TLSv1_2', ecdhCurves: ['P-256'] },
    ],
  );
});

const SECRETS: readonly (readonly [ServerTlsSettings, readonly string[]])[] = [
  [{ mode: 'SIMPLE', credentialName: 'c' }, ['kubernetes://c']],
  [{ mode: 'MUTUAL', credentialName: 'c' }, ['kubernetes://c', 'kubernetes://c-cacert']],
  [{ mode: 'ISTIO_MUTUAL' }, []],
  [{ mode: 'SIMPLE', serverCertificate: '/c', privateKey: '/k' }, []],
];
for (const [settings, names] of SECRETS) {
  test(`${JSON.stringify(settings)} needs the secrets ${JSON.stringify(names)}`, () => {
    deepStrictEqual(gatewaySecrets(settings), names);
  });
}
