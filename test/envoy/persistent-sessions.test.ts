/** Sessions that stay with an endpoint (labels of Istio's persistent sessions) by traffic through a real Envoy. */
import { after, before, test } from 'node:test';
import { deepStrictEqual, match, ok } from 'node:assert';
import { DEFAULT_MESH_FLAGS } from '#model/mesh-flags.ts';
import { entryFor, type LiveEndpoint, startEndpoint } from './live-endpoints.ts';
import { LiveSidecar } from './live-sidecar.ts';

let sidecar: LiveSidecar;
let endpoints: readonly LiveEndpoint[];

before(async () => {
  endpoints = await Promise.all(['a', 'b', 'c'].map((name) => startEndpoint(name)));
  sidecar = await LiveSidecar.start({ flags: { ...DEFAULT_MESH_FLAGS, persistentSessions: true } });
});

after(async () => {
  await sidecar[Symbol.asyncDispose]();
  await Promise.all(endpoints.map((endpoint) => endpoint.close()));
});

/** A service with the endpoints and a label. */
async function serve(host: string, label: string, chosen = endpoints): Promise<void> {
  const entry = entryFor(host, chosen, () => '');
  await sidecar.apply(entry.replace('metadata: {', `metadata: {labels: {${label}}, `));
}

test('a cookie keeps a client with its endpoint; without it calls are spread', async () => {
  await serve('cookie.test', 'istio.io/persistent-session: sid');
  const first = await sidecar.call('cookie.test');
  const cookie = String(first.headers['set-cookie']?.[0]);
  match(cookie, /^sid="?[A-Za-z0-9+/=]+"?;/);
  const headers = { cookie: cookie.split(';', 1)[0] ?? '' };
  deepStrictEqual([...(await sidecar.count('cookie.test', 12, () => ({ headers })))], [[first.body, 12]]);
  ok((await sidecar.count('cookie.test', 12)).size > 1);
});

test('a header keeps a client with its endpoint', async () => {
  await serve('header.test', 'istio.io/persistent-session-header: x-session');
  const first = await sidecar.call('header.test');
  const session = String(first.headers['x-session']);
  deepStrictEqual(
    [...(await sidecar.count('header.test', 12, () => ({ headers: { 'x-session': session } })))],
    [[first.body, 12]],
  );
});

test('when its endpoint is gone the client goes to another', async () => {
  await serve('gone.test', 'istio.io/persistent-session-header: x-session');
  const first = await sidecar.call('gone.test');
  const headers = { 'x-session': String(first.headers['x-session']) };
  await serve(
    'gone.test',
    'istio.io/persistent-session-header: x-session',
    endpoints.filter(({ name }) => name !== first.body),
  );
  const next = await sidecar.call('gone.test', { headers });
  deepStrictEqual([next.status, next.body === first.body], [200, false]);
});
