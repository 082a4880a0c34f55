/** Identity and mutual TLS of Bookinfo as an operator can see them from outside: plain callers, certificates, metrics. */
import { deepStrictEqual, match, ok, strictEqual } from 'node:assert/strict';
import { X509Certificate } from 'node:crypto';
import { writeFileSync } from 'node:fs';
import { get } from 'node:http';
import { connect as connectPlain } from 'node:net';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { connect as connectTls, type PeerCertificate, type TLSSocket } from 'node:tls';
import { type BookinfoMesh, runCommand, startBookinfo } from './bookinfo-fixture.ts';
import { fetchWorkloadSecret, type WorkloadSecret } from './workload-secret.ts';

const REVIEWS = 'spiffe://cluster.local/ns/default/sa/bookinfo-reviews';
const PRODUCTPAGE = 'spiffe://cluster.local/ns/default/sa/bookinfo-productpage';
const STATUS_PORT = 15020;
const LIMIT_MS = 15_000;

let mesh: BookinfoMesh;
let address: string;
let secret: WorkloadSecret;

before(async () => {
  mesh = await startBookinfo();
  ({ address } = await mesh.replica('reviews-v1'));
  secret = await fetchWorkloadSecret(mesh, 'default/productpage-v1-0');
});

// Undefined when it did not start.
after(async () => deepStrictEqual(await (mesh as BookinfoMesh | undefined)?.stop(), []));

/** Status of a plain HTTP request to a sidecar's inbound port, or how the connection ended. */
function plainRequest(): Promise<number | string> {
  return new Promise((resolve) => {
    const call = get(
      { host: address, port: 9080, path: '/health', agent: false, timeout: LIMIT_MS },
      (answer) => {
        answer.resume().on('end', () => resolve(answer.statusCode ?? 0));
      },
    );
    call.on('timeout', () => call.destroy(new Error('no answer')));
    call.on('error', (error: NodeJS.ErrnoException) => resolve(error.code ?? error.message));
  });
}

/** What came back on a plain TCP connection until the sidecar ended it. */
function plainBytes(): Promise<string> {
  return new Promise((resolve) => {
    const socket = connectPlain(9080, address, () => socket.write('hello\r\n\r\n'));
    let got = '';
    socket.setTimeout(LIMIT_MS, () => socket.destroy());
    socket.on('data', (chunk: Buffer) => {
      got += chunk.toString();
    });
    socket.on('error', () => {});
    socket.on('close', () => resolve(got));
  });
}

describe('mutual TLS', () => {
  test('by default a plain caller from outside the mesh is answered', async () => {
    strictEqual(await plainRequest(), 200);
  });

  test('STRICT: a plain connection is cut off without a byte, callers of the mesh notice nothing', async () => {
    await mesh.apply('policy/peer-authentication-strict.yaml');
    strictEqual(await plainRequest(), 'ECONNRESET');
    strictEqual(await plainBytes(), '');
    // The page's own sidecar is STRICT too: the gateway is a caller of the mesh.
    const { status, body } = await mesh.page();
    strictEqual(status, 200);
    ok(!body.includes('unavailable'));
  });

  test('PERMISSIVE again: the plain caller is answered again', async () => {
    await mesh.run(['delete', '--wait', 'peerauthentication', 'default']);
    strictEqual(await plainRequest(), 200);
    await mesh.apply('policy/peer-authentication-strict.yaml');
  });
});

/** Opens TLS to the sidecar as the product page's proxy does, and reads /health over it. */
async function meshCall(
  own: Partial<WorkloadSecret>,
): Promise<{ certificate: PeerCertificate; answer: string }> {
  const socket = connectTls({
    host: address,
    port: 9080,
    ALPNProtocols: ['istio'],
    servername: 'outbound_.9080_._.reviews.default.svc.cluster.local',
    ca: secret.roots,
    ...(own.key === undefined ? {} : { key: own.key }),
    ...(own.chain === undefined ? {} : { cert: own.chain }),
    // No DNS name stands in the certificate: the SPIFFE id is what counts.
    checkServerIdentity: () => undefined,
  });
  socket.setTimeout(LIMIT_MS, () => socket.destroy(new Error('no answer')));
  const certificate = await handshake(socket);
  socket.write('GET /health HTTP/1.1\r\nhost: reviews:9080\r\nconnection: close\r\n\r\n');
  let answer = '';
  for await (const chunk of socket) answer += String(chunk);
  return { certificate, answer };
}

function handshake(socket: TLSSocket): Promise<PeerCertificate> {
  return new Promise((resolve, reject) => {
    socket.once('error', reject);
    socket.once('secureConnect', () => resolve(socket.getPeerCertificate()));
  });
}

describe('identity', () => {
  test('a sidecar shows its SPIFFE id, signed by the root, and takes a caller with one', async () => {
    const { certificate, answer } = await meshCall(secret);
    strictEqual(certificate.subjectaltname, `URI:${REVIEWS}`);
    match(answer, /^HTTP\/1\.1 200 OK/);
    ok(new X509Certificate(certificate.raw).verify(new X509Certificate(secret.roots).publicKey));
  });

  test('a caller without a certificate is refused', async () => {
    const refused = await meshCall({}).then(({ answer }) => answer, String);
    match(refused, /certificate required|handshake failure|ECONNRESET/);
  });

  test('openssl s_client says the same: critical URI SAN, verified to the root', async (context) => {
    const file = (name: string, text: string): string => {
      const path = join(mesh.scratch, name);
      writeFileSync(path, text, { mode: 0o600 });
      return path;
    };
    const [key, chain, roots] = [
      file('key.pem', secret.key),
      file('chain.pem', secret.chain),
      file('roots.pem', secret.roots),
    ];
    const openssl = (args: readonly string[], input = '') => runCommand('openssl', args, process.env, input);
    const found = await openssl(['version']).catch(() => undefined);
    if (found === undefined) return context.skip('there is no openssl on this machine');
    const client = ['-connect', `${address}:9080`, '-alpn', 'istio', '-showcerts', '-verify_return_error'];
    const session = await openssl(['s_client', ...client, '-key', key, '-cert', chain, '-CAfile', roots]);
    match(session.stdout, /Verify return code: 0 \(ok\)/);
    const leaf = /-----BEGIN CERTIFICATE-----[^]+?-----END CERTIFICATE-----/.exec(session.stdout)?.[0] ?? '';
    const printed = await openssl(['x509', '-noout', '-ext', 'subjectAltName'], leaf);
    match(printed.stdout, /Subject Alternative Name: critical\s+URI:/);
    ok(printed.stdout.includes(`URI:${REVIEWS}`), printed.stdout);
  });
});

/** Labels of the sample of a metric in which these labels stand. */
async function sample(
  workload: string,
  metric: string,
  wanted: Readonly<Record<string, string>>,
): Promise<Readonly<Record<string, string>>> {
  const { address: host } = await mesh.replica(workload);
  const response = await fetch(`http://${host}:${STATUS_PORT}/stats/prometheus`);
  const lines = (await response.text()).split('\n').filter((line) => line.startsWith(`${metric}{`));
  const samples = lines.map((line) =>
    Object.fromEntries(
      Array.from(line.matchAll(/([a-z_]+)="((?:[^"\\]|\\.)*)"/g), ([, name, value]) => [name, value]),
    ),
  );
  const isWanted = (labels: Record<string, string>): boolean =>
    Object.entries(wanted).every(([name, value]) => labels[name] === value);
  const found = samples.filter(isWanted);
  strictEqual(found.length, 1, `${metric} at ${workload}:\n${lines.join('\n')}`);
  return found[0] ?? {};
}

/** The edge from the product page to reviews v1, as both ends must tell it. */
const EDGE = {
  source_workload: 'productpage-v1',
  source_workload_namespace: 'default',
  source_app: 'productpage',
  source_version: 'v1',
  source_canonical_service: 'productpage',
  source_canonical_revision: 'v1',
  source_cluster: 'Kubernetes',
  source_principal: PRODUCTPAGE,
  destination_workload: 'reviews-v1',
  destination_workload_namespace: 'default',
  destination_app: 'reviews',
  destination_version: 'v1',
  destination_canonical_service: 'reviews',
  destination_canonical_revision: 'v1',
  destination_cluster: 'Kubernetes',
  destination_principal: REVIEWS,
  destination_service: 'reviews.default.svc.cluster.local',
  destination_service_name: 'reviews',
  destination_service_namespace: 'default',
  request_protocol: 'http',
  response_code: '200',
  response_flags: '-',
  grpc_response_status: '',
};

describe('metrics', () => {
  before(async () => {
    await mesh.apply('networking/destination-rule-all.yaml', 'networking/virtual-service-all-v1.yaml');
    strictEqual((await mesh.page()).status, 200);
  });

  test('istio_requests_total of an edge has the labels of Istio, told by the called', async () => {
    const labels = await sample('reviews-v1', 'istio_requests_total', {
      source_workload: 'productpage-v1',
      // The calls of the tests above, made with its certificate alone, are told apart by what a certificate does not say.
      source_version: 'v1',
    });
    deepStrictEqual(
      { ...labels },
      { ...EDGE, reporter: 'destination', connection_security_policy: 'mutual_tls' },
    );
  });

  test('istio_requests_total of an edge has the labels of Istio, told by the caller', async () => {
    const labels = await sample('productpage-v1', 'istio_requests_total', {
      destination_workload: 'reviews-v1',
    });
    deepStrictEqual({ ...labels }, { ...EDGE, reporter: 'source', connection_security_policy: 'unknown' });
  });
});
