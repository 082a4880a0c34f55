import assert from 'node:assert/strict';
import { Resolver } from 'node:dns/promises';
import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import { it } from 'node:test';
import * as dnsPacket from 'dns-packet';
import { ok } from '#base/result.ts';
import { lookUp } from './gateway-names.ts';

type Answers = Readonly<Record<string, readonly { readonly type: 'A' | 'AAAA'; readonly data: string }[]>>;

/** A DNS server that knows these names, says of others that they do not exist, and fails for `broken.`. */
async function serve(answers: Answers) {
  const socket = createSocket('udp4').bind(0, '127.0.0.1');
  await once(socket, 'listening');
  socket.on('message', (query, from) => {
    const { id, questions = [] } = dnsPacket.decode(query);
    const { name = '', type = 'A' } = questions[0] ?? {};
    const known = answers[name];
    const rcode = name.startsWith('broken.') ? 2 : known === undefined ? 3 : 0;
    const records = (known ?? []).filter((record) => record.type === type);
    const response = dnsPacket.encode({
      type: 'response',
      id: id ?? 0,
      flags: rcode,
      questions,
      answers: records.map((record, i) => ({ ...record, name, ttl: 300 + i, class: 'IN' })),
    });
    socket.send(response, from.port, from.address);
  });
  const resolver = new Resolver({ timeout: 500, tries: 1 });
  resolver.setServers([`127.0.0.1:${socket.address().port}`]);
  return { resolver, close: () => socket.close() };
}

it('the addresses of a name come from both families, with the shortest time to live', async () => {
  const server = await serve({
    'both.test': [
      { type: 'A', data: '192.0.2.1' },
      { type: 'A', data: '192.0.2.2' },
      { type: 'AAAA', data: '2001:db8::1' },
    ],
    'four.test': [{ type: 'A', data: '192.0.2.1' }],
  });
  try {
    assert.deepEqual(
      await lookUp(server.resolver, 'both.test'),
      ok({ addresses: ['192.0.2.1', '192.0.2.2', '2001:db8::1'], ttlMs: 300_000 }),
    );
    assert.deepEqual(
      await lookUp(server.resolver, 'four.test'),
      ok({ addresses: ['192.0.2.1'], ttlMs: 300_000 }),
    );
    assert.deepEqual(await lookUp(server.resolver, 'none.test'), ok({ addresses: [], ttlMs: 0 }));
    assert.equal((await lookUp(server.resolver, 'broken.test')).ok, false);
  } finally {
    server.close();
  }
});
