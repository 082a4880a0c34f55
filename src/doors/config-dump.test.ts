/** What a dump shows, and what it must not. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { create, fromBinary, toBinary } from '@bufbuild/protobuf';
import { ListenerSchema } from '#proto/envoy/config/listener/v3/listener_pb.ts';
import { BasicAuthSchema } from '#proto/envoy/extensions/filters/http/basic_auth/v3/basic_auth_pb.ts';
import { DownstreamTlsContextSchema } from '#proto/envoy/extensions/transport_sockets/tls/v3/tls_pb.ts';
import { loadEnvoyRegistry } from '#proto/registry-later.gen.ts';
import { packAny } from '#xds/encode.ts';
import { redact } from './redaction.ts';

const KEY = '-----BEGIN PRIVATE KEY-----';

function listenerWithKeys() {
  const context = create(DownstreamTlsContextSchema, {
    commonTlsContext: {
      tlsCertificates: [
        {
          certificateChain: { specifier: { case: 'inlineString', value: 'chain' } },
          privateKey: { specifier: { case: 'inlineBytes', value: Buffer.from(KEY) } },
          password: { specifier: { case: 'inlineString', value: 'password' } },
        },
      ],
    },
  });
  const users = create(BasicAuthSchema, {
    users: { specifier: { case: 'inlineString', value: 'bob:{SHA}secret' } },
  });
  return create(ListenerSchema, {
    name: 'l',
    filterChains: [
      {
        transportSocket: {
          name: 'tls',
          configType: { case: 'typedConfig', value: packAny(DownstreamTlsContextSchema, context) },
        },
        filters: [
          {
            name: 'users',
            configType: { case: 'typedConfig', value: packAny(BasicAuthSchema, users) },
          },
        ],
      },
    ],
  });
}

test('T29: private keys and passwords that somebody has put into a listener are not shown', () => {
  const listener = listenerWithKeys();
  redact(ListenerSchema, listener, loadEnvoyRegistry());
  const text = Buffer.from(toBinary(ListenerSchema, listener)).toString('latin1');
  for (const secret of [KEY, 'password', 'bob:']) assert.ok(!text.includes(secret), secret);
  assert.ok(text.includes('chain') && text.includes('[redacted]'));
  const [chain] = fromBinary(ListenerSchema, toBinary(ListenerSchema, listener)).filterChains;
  assert.equal(chain?.transportSocket?.name, 'tls');
});
