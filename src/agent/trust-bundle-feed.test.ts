import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { create, fromBinary, toBinary } from '@bufbuild/protobuf';
import { TestClock } from '#base/clock.ts';
import { GrpcFrameReader, grpcFrame } from '#base/grpc-frame.ts';
import { silentLogger } from '#base/logger.ts';
import { WireWriter } from '#base/proto-wire.ts';
import { createIssuer } from '#identity/certificate-rig.ts';
import { ProxyConfigSchema } from '#proto/istio/mesh/v1alpha1/proxy_pb.ts';
import {
  DeltaDiscoveryRequestSchema,
  DeltaDiscoveryResponseSchema,
  type DeltaDiscoveryRequest,
} from '#proto/envoy/service/discovery/v3/discovery_pb.ts';
import { AgentMetrics } from './agent-metrics.ts';
import { type BundleHolder, openTrustBundleFeed, TRUST_BUNDLE_TYPE } from './trust-bundle-feed.ts';
import { decodeTrustBundle, type PushedBundle, takeRevocations } from './trust-bundle-message.ts';

const NOW_MS = Date.now();
const [one, other] = [await createIssuer('one'), await createIssuer('other')];
const leaf = await one.issue({ dns: ['a.test'] });

function encode(caCertificatesPem: readonly string[]): Uint8Array {
  const message = create(ProxyConfigSchema, { caCertificatesPem: [...caCertificatesPem] });
  return toBinary(ProxyConfigSchema, message);
}

function rootsOf(bundle: PushedBundle | undefined): readonly string[] {
  return (bundle?.rootsPem ?? '').split(/(?<=-----END CERTIFICATE-----\n)/).map((pem) => pem.trim());
}

function certificatesIn(pem: string): number {
  return pem.split('-----END CERTIFICATE-----').length - 1;
}

describe('a pushed trust bundle is taken', () => {
  it('as far as it is roots, each once', () => {
    const bundle = decodeTrustBundle(encode([one.root, other.root, one.root]), undefined, NOW_MS);
    assert.deepEqual(bundle.ok && rootsOf(bundle.value), [one.root, other.root]);
  });

  it('with the last ones for peers only, as many as it says', () => {
    const authorities = [0, 1, 2, 3].map((count) => {
      const bytes = new WireWriter()
        .raw(encode([one.root, other.root]))
        .varint(15_035, count)
        .finish();
      const bundle = decodeTrustBundle(bytes, undefined, NOW_MS);
      return bundle.ok && [rootsOf(bundle.value).length, certificatesIn(bundle.value.authorityRootsPem)];
    });
    assert.deepEqual(authorities, [
      [2, 2],
      [2, 1],
      [2, 0],
      [2, 0],
    ]);
  });

  const refusals: readonly (readonly [string, readonly string[]])[] = [
    ['no valid root', []],
    ['no PEM', [one.root, 'root']],
    ['not a certificate', [leaf.key]],
    ['is not that of an authority', [one.root, leaf.chain]],
    ['more than 100 texts', Array.from({ length: 101 }, () => one.root)],
    ['too large', Array.from({ length: 5 }, () => 'x'.repeat(1 << 20))],
  ];
  for (const [reason, pems] of refusals) {
    it(`never when there is: ${reason}`, () => {
      const bundle = decodeTrustBundle(encode(pems), undefined, NOW_MS);
      assert.match(bundle.ok ? '' : bundle.error, new RegExp(reason));
    });
  }

  it('without roots that have ended, and not at all when all have', () => {
    const bundle = decodeTrustBundle(encode([one.root]), undefined, NOW_MS + 40 * 86_400_000);
    assert.equal(bundle.ok, false);
  });
});

describe('revocation lists in a pushed bundle', async () => {
  const [own, later] = [await one.revoke([]), await one.revoke([leaf])];
  const encodeWith = (...lists: readonly string[]): Uint8Array => {
    const writer = new WireWriter().raw(encode([one.root]));
    for (const list of lists) writer.string(15_034, list);
    return writer.finish();
  };
  const held = { rootsPem: one.root, authorityRootsPem: one.root, revocationsPem: own, problem: '' };
  const END_MS = NOW_MS + 40 * 86_400_000;

  it('are taken with it', () => {
    const bundle = decodeTrustBundle(encodeWith(own), undefined, NOW_MS);
    assert.deepEqual(bundle.ok && [bundle.value.revocationsPem.trim(), bundle.value.problem], [
      own.trim(),
      '',
    ]);
  });

  it('refuse it when they cannot be read', () => {
    const bundle = decodeTrustBundle(encodeWith('nonsense'), held, NOW_MS);
    assert.deepEqual(bundle, { ok: false, error: 'revocation lists: no PEM' });
  });

  it('that are over do not take the place of good ones; those that ended in use go on', () => {
    const outcomes = [
      takeRevocations(later, own, END_MS),
      takeRevocations(own, own, END_MS),
      takeRevocations(later, '', END_MS),
      takeRevocations('', own, END_MS),
    ].map((taken) => taken.ok && [taken.value.revocationsPem.trim(), taken.value.problem !== '']);
    assert.deepEqual(outcomes, [
      [own.trim(), true],
      [own.trim(), false],
      [later.trim(), false],
      ['', false],
    ]);
  });
});

class Holder implements BundleHolder {
  pushed: PushedBundle | undefined;
  readonly believed: (PushedBundle | undefined)[] = [];

  believe(bundle: PushedBundle | undefined): Promise<void> {
    this.pushed = bundle;
    this.believed.push(bundle);
    return Promise.resolve();
  }
}

type Outcome = { readonly isRefused: boolean; readonly problem: string };
const TAKEN: Outcome = { isRefused: false, problem: '' };

/** A feed on a stream whose ends the test holds, and an Envoy that answers when the test says so. */
function openFeed() {
  const holder = new Holder();
  let envoy = Promise.withResolvers<Outcome>();
  const server = { rootsInPlace: () => envoy.promise };
  const metrics = new AgentMetrics('test');
  const parts = { clock: new TestClock(NOW_MS), log: silentLogger(), metrics };
  const tap = openTrustBundleFeed(holder, server, parts).open(true);
  const asked: DeltaDiscoveryRequest[] = [];
  const reader = new GrpcFrameReader(1 << 20);
  tap.requests.on('data', (chunk: Buffer) => {
    for (const bytes of reader.push(chunk)) asked.push(fromBinary(DeltaDiscoveryRequestSchema, bytes));
  });
  tap.responses.resume();
  tap.requests.write(grpcFrame(new Uint8Array()));
  let nonces = 0;
  return {
    holder,
    asked,
    push(...pems: readonly string[]): void {
      const resource = { typeUrl: TRUST_BUNDLE_TYPE, value: encode(pems) };
      const response = create(DeltaDiscoveryResponseSchema, {
        typeUrl: TRUST_BUNDLE_TYPE,
        nonce: String(++nonces),
        resources: [{ name: 'x', resource }],
      });
      tap.responses.write(grpcFrame(toBinary(DeltaDiscoveryResponseSchema, response)));
    },
    answer(outcome: Outcome): void {
      envoy.resolve(outcome);
      envoy = Promise.withResolvers();
    },
    /** Answers that were given: nonce, and the error where there was one. */
    answers: () => asked.slice(2).map((request) => [request.responseNonce, request.errorDetail?.message]),
  };
}

function turn(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}

describe('the feed of trust bundles', () => {
  it('asks for them, and acknowledges one when Envoy has it, not before', async () => {
    const { asked, push, answer, answers, holder } = openFeed();
    await turn();
    assert.deepEqual(
      asked.map(({ typeUrl }) => typeUrl),
      ['', TRUST_BUNDLE_TYPE],
    );
    push(one.root);
    await turn();
    assert.deepEqual([rootsOf(holder.pushed), answers()], [[one.root], []]);
    answer(TAKEN);
    await turn();
    assert.deepEqual(answers(), [['1', undefined]]);
  });

  it('goes back to the last good one when Envoy refuses, and says why', async () => {
    const { push, answer, answers, holder } = openFeed();
    push(one.root);
    await turn();
    answer(TAKEN);
    await turn();
    push(other.root);
    await turn();
    answer({ isRefused: true, problem: 'bad curve' });
    await turn();
    assert.deepEqual(holder.believed.map(rootsOf), [[one.root], [other.root], [one.root]]);
    assert.deepEqual(answers(), [
      ['1', undefined],
      ['2', 'bad curve'],
    ]);
  });

  it('keeps what came when Envoy is slow, but does not say that it is in place', async () => {
    const { push, answer, answers, holder } = openFeed();
    push(one.root);
    await turn();
    answer({ isRefused: false, problem: 'no answer' });
    await turn();
    assert.deepEqual([rootsOf(holder.pushed), answers()], [[one.root], [['1', 'no answer']]]);
  });

  it('refuses what is broken or empty, and nobody hears of it', async () => {
    const { push, answers, holder } = openFeed();
    push('nonsense');
    push();
    await turn();
    assert.deepEqual(holder.believed, []);
    assert.deepEqual(answers(), [
      ['1', 'the trust bundle: no PEM'],
      ['2', 'the trust bundle: no valid root'],
    ]);
  });
});
