/** One Secret: told when it comes, changes and goes, and written only in the version that was read. */
import { deepStrictEqual, strictEqual } from 'node:assert';
import { test } from 'node:test';
import { systemClock } from '#base/clock.ts';
import { seededRng } from '#base/rng.ts';
import type { FoundSecret } from '#ca/shared-root.ts';
import type { KubeObject } from '#kube/api-resource.ts';
import { ApiServerFixture } from '#kube/api-server-fixture.ts';
import { KubeClient } from '#kube/kube-client.ts';
import { KubeSecret } from './kube-secret.ts';

const SECRETS = { group: '', plural: 'secrets' };
const KEY = 'istio-system/istio-ca-secret';

test('a Secret is created once, replaced in the version that was read, and told of', async () => {
  await using server = new ApiServerFixture();
  await server.start();
  using client = new KubeClient(server.target, { clock: systemClock(), env: {}, userAgent: 'test' });
  const place = new KubeSecret({
    client,
    namespace: 'istio-system',
    name: 'istio-ca-secret',
    type: 'istio.io/ca-root',
    clock: systemClock(),
    rng: seededRng(1),
  });
  const told: (FoundSecret | undefined)[] = [];
  const texts = (): readonly string[] => told.map((found) => found?.data.get('a')?.reveal() ?? 'none');
  using _watch = place.watch((found) => told.push(found));
  await server.until(() => told.length === 1);
  strictEqual(await place.create(new Map([['a', '1']])), true);
  strictEqual(await place.create(new Map([['a', 'x']])), false);
  await server.until(() => told.length === 2);
  const first = told[1] as FoundSecret;
  strictEqual(await place.replace(first, new Map([['a', '2']])), true);
  strictEqual(await place.replace(first, new Map([['a', 'x']])), false);
  await server.until(() => told.length === 3);
  const { type, data } = server.get(SECRETS, KEY) as KubeObject;
  deepStrictEqual([type, data], ['istio.io/ca-root', { a: Buffer.from('2').toString('base64') }]);
  // Another Secret is none of our business.
  server.put(SECRETS, { metadata: { namespace: 'istio-system', name: 'other' }, data: {} });
  server.remove(SECRETS, KEY);
  await server.until(() => told.length === 4);
  strictEqual(await place.replace(told[2] as FoundSecret, new Map([['a', 'x']])), false);
  deepStrictEqual(texts(), ['none', '1', '2', 'none']);
});
