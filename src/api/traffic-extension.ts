/**
 * TrafficExtension: a WebAssembly or Lua filter for selected workloads.
 * The spec is the proto3 JSON form as schema-decode.ts normalises it: lowerCamel names, enum names, durations as "1.5s".
 */
import type { Diagnostic } from '#base/diagnostic.ts';
import type {
  TrafficExtensionJson,
  TrafficSelectorJson,
} from '#proto/istio/extensions/v1alpha1/traffic_extension_pb.ts';
import { checkPolicyTarget } from './field-rules.ts';
import { Findings } from './findings.ts';
import type { MeshObject } from './mesh-object.ts';
import { checkSelectorPorts, checkWasmModule } from './wasm-plugin.ts';

/** spec of a TrafficExtension. */
export type TrafficExtensionSpec = TrafficExtensionJson;
/** Ports and direction that the extension is for. */
export type TrafficExtensionSelector = TrafficSelectorJson;

const MAX_LUA_BYTES = 65_536;

/** Findings about a TrafficExtension beyond its schema. Source: istio pkg/config/validation ValidateTrafficExtension. */
export function validateTrafficExtension(object: MeshObject<TrafficExtensionSpec>): Diagnostic[] {
  const findings = new Findings(object);
  const { wasm, lua, match, ...target } = object.spec;
  checkPolicyTarget(target, findings);
  if (wasm === undefined && lua === undefined) findings.add('LTN2039', 'spec', { fields: 'wasm and lua' });
  if (wasm !== undefined && lua !== undefined)
    findings.add('LTN2038', 'spec', { field: 'wasm', other: 'lua' });
  if (lua !== undefined) {
    const code = lua.inlineCode ?? '';
    if (code === '') findings.missing('spec.lua', 'inlineCode');
    if (Buffer.byteLength(code) > MAX_LUA_BYTES) {
      const args = {
        value: 'the code',
        problem: 'it has more than 64 KiB',
        cure: 'Use a WebAssembly module.',
      };
      findings.add('LTN2034', 'spec.lua.inlineCode', args);
    }
  }
  if (wasm !== undefined) checkWasmModule(wasm, 'spec.wasm', findings);
  checkSelectorPorts(match, 'spec.match', findings);
  return findings.all;
}
