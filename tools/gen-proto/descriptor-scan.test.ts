// Tests that descriptors are found among foreign bytes, and that look-alikes are not taken for them.
import assert from 'node:assert/strict';
import { it } from 'node:test';
import { create, toBinary } from '@bufbuild/protobuf';
import { FileDescriptorProtoSchema } from '@bufbuild/protobuf/wkt';
import { scanDescriptors } from './descriptor-scan.ts';

function record(name: string, messageNames: readonly string[]): Uint8Array {
  const messageType = messageNames.map((message) => ({ name: message }));
  const file = create(FileDescriptorProtoSchema, { name, package: 'p', messageType, syntax: 'proto3' });
  return toBinary(FileDescriptorProtoSchema, file);
}

it('finds adjacent and padded records and ends each where the next begins', () => {
  const program = Buffer.concat([
    Buffer.from([0x7f, 0x45, 0x0a, 0x07]),
    record('a/one.proto', ['One']),
    record('b/two.proto', ['Two', 'Three']),
    Buffer.alloc(7),
    record('c.proto', []),
  ]);
  const found = [...scanDescriptors(program)].map(([name, file]) => [
    name,
    file.messageType.map((m) => m.name),
  ]);
  assert.deepStrictEqual(found, [
    ['a/one.proto', ['One']],
    ['b/two.proto', ['Two', 'Three']],
    ['c.proto', []],
  ]);
});

it('takes the fuller one of several records of a name', () => {
  const program = Buffer.concat([
    record('a.proto', ['One']),
    record('a.proto', ['One', 'Two']),
    record('a.proto', []),
  ]);
  assert.equal(scanDescriptors(program).get('a.proto')?.messageType.length, 2);
});

it('passes over names without a record head', () => {
  const program = Buffer.from('see a/one.proto and \x0a\x03two.proto or .proto');
  assert.equal(scanDescriptors(program).size, 0);
});
