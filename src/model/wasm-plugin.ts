/**
 * WasmPlugin as the TrafficExtension that it means. Its name gets a mark that no object of a user can have, so that both
 * kinds may use one name; configuration dumps show it, as with Istio.
 * Source: istio pilot/pkg/config/kube/extensions/translate.go.
 */
import type { MeshObject } from '#api/mesh-object.ts';
import type { TrafficExtensionSpec } from '#api/traffic-extension.ts';
import type { WasmPluginSpec } from '#api/wasm-plugin.ts';

const MARK = '~istio-translated-wasmplugin';

/** The TrafficExtension in place of a plugin. */
export function asTrafficExtension(plugin: MeshObject<WasmPluginSpec>): MeshObject<TrafficExtensionSpec> {
  const { selector, targetRef, targetRefs, phase, priority, match, ...wasm } = plugin.spec;
  const targets = targetRefs === undefined || targetRefs.length === 0 ? oneOrNone(targetRef) : targetRefs;
  const isPhased = phase !== undefined && phase !== 'UNSPECIFIED_PHASE';
  return {
    ...plugin,
    name: `${plugin.name}${MARK}`,
    spec: {
      ...(selector === undefined ? {} : { selector }),
      ...(targets.length === 0 ? {} : { targetRefs: targets }),
      ...(isPhased ? { phase } : {}),
      ...(priority === undefined ? {} : { priority }),
      ...(match === undefined ? {} : { match }),
      wasm,
    },
  };
}

function oneOrNone<T>(value: T | undefined): T[] {
  return value === undefined ? [] : [value];
}
