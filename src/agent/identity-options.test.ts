import { deepStrictEqual } from 'node:assert';
import { test } from 'node:test';
import { type IdentityOptions, readIdentityOptions } from './identity-options.ts';
import { parseProxyConfig } from './proxy-config.ts';

const SPIFFE = './var/run/secrets/workload-spiffe-credentials';

interface Given {
  readonly variables?: Readonly<Record<string, string>>;
  readonly files?: readonly string[];
  readonly proxyMetadata?: object;
}

function read({
  variables = {},
  files = [],
  proxyMetadata = {},
}: Given): ReturnType<typeof readIdentityOptions> {
  const config = parseProxyConfig(JSON.stringify({ discoveryAddress: 'istiod:15012', proxyMetadata }));
  if (!config.ok) throw new Error(config.error);
  return readIdentityOptions({
    proxyConfig: config.value.config,
    text: (name) => variables[name],
    beginning: (prefix) => Object.entries(variables).filter(([name]) => name.startsWith(prefix)),
    isFile: (path) => files.includes(path),
  });
}

/** The server's name, the roots and the client certificate of xDS and CA, whose roots workloads believe, files. */
function outline(options: IdentityOptions): unknown[] {
  const { xds, ca, rootsPath, mounted } = options;
  const way = (to: typeof xds): unknown[] => [
    `${to.security} ${to.host}:${to.port} ${to.serverName ?? ''}`.trim(),
    to.rootCertPath,
    to.clientCertificate?.chainPath ?? '',
  ];
  return [way(xds), way(ca), rootsPath ?? '', mounted?.chainPath ?? ''];
}

const ROOT = './var/run/secrets/istio/root-cert.pem';
const CERTS = ['cert-chain.pem', 'key.pem', 'root-cert.pem'].map((name) => `./etc/certs/${name}`);
const CASES: readonly (readonly [title: string, given: Given, expected: unknown[]])[] = [
  ['nothing said', {}, [['tls istiod:15012', ROOT, ''], ['tls istiod:15012', ROOT, ''], ROOT, '']],
  [
    'a CA elsewhere, with a root of its own and a name of its own',
    { variables: { CA_ADDR: 'istio-csr:443', CA_ROOT_CA: '/csr.pem', ISTIOD_SAN: 'istiod.x' } },
    [['tls istiod:15012 istiod.x', ROOT, ''], ['tls istio-csr:443', '/csr.pem', ''], '', ''],
  ],
  [
    "a CA elsewhere, known by the mesh's root",
    { variables: { CA_ADDR: 'istio-csr:443', XDS_ROOT_CA: '/xds.pem' } },
    [['tls istiod:15012', '/xds.pem', ''], ['tls istio-csr:443', ROOT, ''], ROOT, ''],
  ],
  [
    'the plain port of the control plane',
    { variables: { CA_ADDR: 'istiod:15010' } },
    [['tls istiod:15012', ROOT, ''], ['plaintext istiod:15010', ROOT, ''], ROOT, ''],
  ],
  [
    'a machine with a certificate that it was given',
    { variables: { PROV_CERT: '/etc/certs', OUTPUT_CERTS: '/etc/certs' } },
    [
      ['tls istiod:15012', '/etc/certs/root-cert.pem', '/etc/certs/cert-chain.pem'],
      ['tls istiod:15012', '/etc/certs/root-cert.pem', '/etc/certs/cert-chain.pem'],
      ROOT,
      '',
    ],
  ],
  [
    'files that the agent writes itself',
    { variables: { OUTPUT_CERTS: 'etc/certs' }, files: CERTS },
    [['tls istiod:15012', './etc/certs/root-cert.pem', ''], ['tls istiod:15012', ROOT, ''], ROOT, ''],
  ],
  [
    'files that somebody else renews',
    { files: CERTS },
    [
      ['tls istiod:15012', './etc/certs/root-cert.pem', ''],
      ['tls istiod:15012', ROOT, ''],
      ROOT,
      './etc/certs/cert-chain.pem',
    ],
  ],
  [
    'files that are still to come, and how to reach the control plane until then',
    {
      variables: { FILE_MOUNTED_CERTS: 'true' },
      proxyMetadata: {
        ISTIO_META_TLS_CLIENT_CERT_CHAIN: '/c.pem',
        ISTIO_META_TLS_CLIENT_KEY: '/k.pem',
        ISTIO_META_TLS_CLIENT_ROOT_CERT: '/r.pem',
      },
    },
    [
      ['tls istiod:15012', '/r.pem', '/c.pem'],
      ['tls istiod:15012', ROOT, ''],
      ROOT,
      './etc/certs/cert-chain.pem',
    ],
  ],
  [
    'SPIFFE files',
    { files: ['cert-chain.pem', 'key.pem', 'root-cert.pem'].map((name) => `${SPIFFE}/${name}`) },
    [['tls istiod:15012', ROOT, ''], ['tls istiod:15012', ROOT, ''], ROOT, `${SPIFFE}/cert-chain.pem`],
  ],
];
for (const [title, given, expected] of CASES) {
  test(`identity options: ${title}`, () => {
    const options = read(given);
    deepStrictEqual(options.ok ? outline(options.value) : options.error, expected);
  });
}

const MISTAKES: readonly (readonly [Given['variables'], string])[] = [
  [{ PROV_CERT: '/c', FILE_MOUNTED_CERTS: 'true' }, 'PROV_CERT and FILE_MOUNTED_CERTS exclude each other'],
  [{ CA_PROVIDER: 'GoogleCAS' }, 'CA_PROVIDER GoogleCAS is not known'],
  [
    { CA_PROVIDER: 'GkeWorkloadCertificate' },
    `CA_PROVIDER GkeWorkloadCertificate: no certificate in ${SPIFFE}`,
  ],
  [
    { WORKLOAD_IDENTITY_SOCKET_FILE: '../x' },
    'WORKLOAD_IDENTITY_SOCKET_FILE "../x" is a path, not the name of a file',
  ],
  [{ CA_ADDR: 'https://x' }, '"x" is no host:port of a control plane'],
];
for (const [variables = {}, expected] of MISTAKES) {
  test(`mistake: ${Object.entries(variables).join(' ')}`, () => {
    const options = read({ variables });
    deepStrictEqual(options.ok ? '' : options.error, expected);
  });
}

test('sockets, headers for the CA, and the signer', () => {
  const options = read({
    variables: {
      WORKLOAD_IDENTITY_SOCKET_FILE: 'agent.sock',
      'CA_HEADER_X-Tenant': 'a',
      'CA_HEADER_bad name': 'b',
      CA_HEADER_x: 'line\nbreak',
      ISTIO_META_CERT_SIGNER: 'vault',
    },
  });
  if (!options.ok) throw new Error(options.error);
  const { sockets, ca, certSigner, xds } = options.value;
  deepStrictEqual(
    [sockets, ca.headers, xds.headers, certSigner],
    [
      {
        workload: 'var/run/secrets/workload-spiffe-uds/agent.sock',
        isExpected: true,
        credentials: './var/run/secrets/credential-uds/socket',
        files: './var/run/secrets/credential-uds/files-socket',
      },
      [['x-tenant', 'a']],
      [],
      'vault',
    ],
  );
});
