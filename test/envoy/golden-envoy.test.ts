/**
 * Every golden case is taken by the real Envoy: the whole snapshot of each of its proxies, over live delta ADS. Nothing may
 * be refused, and everything must become active: a resource that warms for ever is a failure too.
 */
import { after, before, test } from 'node:test';
import { EnvoyFeed } from '../support/envoy-feed.ts';
import { goldenCases, goldenFeatures } from '../golden/golden-case.ts';
import { envoyPath } from './agent-fixture.ts';

let feed: EnvoyFeed;

before(async () => {
  feed = await EnvoyFeed.start(await envoyPath());
});

after(() => feed[Symbol.asyncDispose]());

for (const golden of goldenFeatures().flatMap(goldenCases)) {
  test(`Envoy takes ${golden.feature}/${golden.name}`, async () => {
    const fixture = golden.start();
    for (const { name } of golden.header.proxies) await feed.accept(fixture.entries(name));
  });
}
