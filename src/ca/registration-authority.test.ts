/** Certificates by signers elsewhere: what is asked of whom, and each way in which an answer may be wrong (T25). */
import { deepStrictEqual } from 'node:assert';
import { before, test } from 'node:test';
import { TestClock } from '#base/clock.ts';
import { fail, ok } from '#base/result.ts';
import { parseCertificates } from '#identity/certificate.ts';
import { type CertificateRequest, parseCertificateRequest } from '#identity/certificate-request.ts';
import { makeCsr } from '#identity/csr.ts';
import { generateKeyPair } from '#identity/key-pair.ts';
import { createOutsideSigner, type OutsideSigner, type SigningWish } from './outside-signer.ts';
import {
  type AskSigner,
  RegistrationAuthority,
  type RegistrationFault,
  type RegistrationOptions,
  type RegistrationOrder,
} from './registration-authority.ts';
import { SignerRoots } from './signer-roots.ts';

const NOW_MS = Date.UTC(2026, 5, 1);
const HOUR_MS = 3_600_000;
const URI = 'spiffe://cluster.local/ns/shop/sa/cart';

let signer: OutsideSigner;
let other: OutsideSigner;
let csrPem = '';
let request: CertificateRequest;

before(async () => {
  [signer, other] = await Promise.all([
    createOutsideSigner('outside', NOW_MS),
    createOutsideSigner('other', NOW_MS),
  ]);
  csrPem = makeCsr(await generateKeyPair(), URI);
  const parsed = parseCertificateRequest(csrPem);
  if (!parsed.ok) throw new Error(parsed.error);
  request = parsed.value;
});

interface Rig {
  readonly authority: RegistrationAuthority;
  readonly roots: SignerRoots;
  readonly asked: string[];
}

function start(ask: AskSigner, more: Partial<RegistrationOptions> = {}): Rig {
  const roots = new SignerRoots();
  const asked: string[] = [];
  const authority = new RegistrationAuthority({
    ask: (order) => {
      asked.push(`${order.signerName} ${order.ttlMs / HOUR_MS}h`);
      return ask(order);
    },
    defaultSigner: 'example.com/default',
    signerDomain: 'issuers.example.com',
    roots,
    defaultTtlMs: 24 * HOUR_MS,
    maxTtlMs: 90 * 24 * HOUR_MS,
    clock: new TestClock(NOW_MS),
    onFault: () => {},
    ...more,
  });
  return { authority, roots, asked };
}

const order = (change: Partial<RegistrationOrder> = {}): RegistrationOrder => ({
  csrPem,
  request,
  spiffeId: URI,
  ttlMs: 0,
  certSigner: '',
  ...change,
});
const signing =
  (wish: Partial<SigningWish> = {}): AskSigner =>
  async () =>
    ok(await signer.sign(csrPem, { uri: URI, ...wish }));

test('the chain comes without the root in it, and the roots of the signer behind it', async () => {
  const { authority, roots, asked } = start(signing());
  roots.setSigners([
    { pem: other.rootPem, signers: ['issuers.example.com/other'] },
    { pem: signer.rootPem, signers: ['issuers.example.com/shop', 'example.com/default'] },
  ]);
  const chains = [
    await authority.issue(order()),
    await authority.issue(order({ certSigner: 'shop', ttlMs: HOUR_MS * 24 })),
  ];
  for (const chain of chains) {
    if (!chain.ok) throw new Error(chain.error);
    const parsed = parseCertificates(chain.value.join('\n'));
    const subjects = parsed.ok ? parsed.value.map((one) => one.uris[0] ?? one.subject) : [];
    deepStrictEqual(subjects, [URI, 'CN=outside intermediate', 'CN=outside']);
  }
  deepStrictEqual(asked, ['example.com/default 24h', 'issuers.example.com/shop 24h']);
});

test('roots: a file counts for every signer, else mesh config, else what the signer sends', async () => {
  const withRoot: AskSigner = async () => ok((await signer.sign(csrPem, { uri: URI })) + signer.rootPem);
  const outcome = async (prepare: (roots: SignerRoots) => void, ask = withRoot): Promise<string> => {
    const { authority, roots } = start(ask);
    prepare(roots);
    const chain = await authority.issue(order());
    return chain.ok ? 'ok' : chain.error;
  };
  const broken = { pem: 'x', signers: ['example.com/default'] };
  deepStrictEqual(
    [
      await outcome(() => {}),
      await outcome(() => {}, signing()),
      await outcome((roots) => void roots.setFile(other.rootPem)),
      await outcome(
        (roots) => void roots.setSigners([{ pem: other.rootPem, signers: ['example.com/default'] }]),
      ),
      await outcome((roots) => deepStrictEqual(roots.setSigners([broken]), [broken])),
    ],
    [
      'ok',
      'no root is known for the signer',
      'the chain does not lead to a root of the signer',
      'the chain does not lead to a root of the signer',
      'ok',
    ],
  );
});

const ANSWERS: readonly (readonly [string, Partial<SigningWish>, RegistrationFault | 'ok'])[] = [
  ['as asked', {}, 'ok'],
  ['shorter than asked', { lifeMs: HOUR_MS }, 'ok'],
  ['longer than asked', { lifeMs: 25 * HOUR_MS }, 'the certificate lives too long'],
  [
    'T25: for another workload',
    { uri: 'spiffe://cluster.local/ns/shop/sa/till' },
    'the signer signed another identity',
  ],
  ['T25: with one more name', { dns: 'istiod.istio-system.svc' }, 'the signer signed another identity'],
  ['another key', { signsOwnKey: true }, 'the signer signed another key'],
  ['an authority', { isAuthority: true }, 'the signer made an authority'],
  ['from tomorrow on', { startsInMs: 2 * HOUR_MS, lifeMs: 3 * HOUR_MS }, 'the certificate is not valid now'],
];
for (const [title, wish, expected] of ANSWERS) {
  test(`a signer's answer: ${title}`, async () => {
    const { authority, roots } = start(signing(wish));
    roots.setFile(signer.rootPem);
    const chain = await authority.issue(order());
    deepStrictEqual(chain.ok ? 'ok' : chain.error, expected);
  });
}

const REFUSED: readonly (readonly [
  string,
  Partial<RegistrationOptions>,
  () => Partial<RegistrationOrder>,
  string,
])[] = [
  ['a life above the maximum', {}, () => ({ ttlMs: 91 * 24 * HOUR_MS }), 'lifetime is above the maximum'],
  [
    'a signer without a domain',
    { signerDomain: '' },
    () => ({ certSigner: 'shop' }),
    'the signer has no domain',
  ],
  ['no signer at all', { defaultSigner: '' }, () => ({}), 'no signer is configured'],
  [
    'more than names',
    {},
    () => ({ request: { ...request, isPlain: false } }),
    'the request asks for more than names',
  ],
  ['no names', {}, () => ({ request: { ...request, names: [] } }), 'the request names no identity'],
];
for (const [title, more, change, expected] of REFUSED) {
  test(`nobody is asked for ${title}`, async () => {
    const { authority, asked } = start(signing(), more);
    const chain = await authority.issue(order(change()));
    deepStrictEqual([chain.ok ? 'ok' : chain.error, asked], [expected, []]);
  });
}

test('an answer that is none, a refusal, and too many at once', async () => {
  const faults: string[] = [];
  const gate = Promise.withResolvers<void>();
  const outcome = async (ask: AskSigner): Promise<string> => {
    const { authority } = start(ask, { onFault: (fault, detail) => faults.push(`${fault}: ${detail}`) });
    const chain = await authority.issue(order());
    return chain.ok ? 'ok' : chain.error;
  };
  deepStrictEqual(
    [await outcome(async () => ok('garbage')), await outcome(async () => fail('denied'))],
    ["the signer's answer cannot be read", 'the signer gave no certificate'],
  );
  deepStrictEqual(faults, [
    "the signer's answer cannot be read: example.com/default",
    'the signer gave no certificate: denied',
  ]);
  const { authority } = start(async () => {
    await gate.promise;
    return fail('late');
  });
  const waiting = Array.from({ length: 200 }, () => authority.issue(order()));
  const one = await authority.issue(order());
  deepStrictEqual(one.ok ? 'ok' : one.error, 'too many requests are under way');
  gate.resolve();
  await Promise.all(waiting);
});
