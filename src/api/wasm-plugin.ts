/**
 * WasmPlugin: a WebAssembly filter for selected workloads.
 * The spec is the proto3 JSON form as schema-decode.ts normalises it: lowerCamel names, enum names, durations as "1.5s".
 */
import type { Diagnostic } from '#base/diagnostic.ts';
import type {
  VmConfigJson,
  WasmPluginJson,
  WasmPlugin_TrafficSelectorJson,
} from '#proto/istio/extensions/v1alpha1/wasm_pb.ts';
import { checkPolicyTarget, checkPort } from './field-rules.ts';
import { Findings, show } from './findings.ts';
import type { MeshObject } from './mesh-object.ts';

/** spec of a WasmPlugin. */
export type WasmPluginSpec = WasmPluginJson;
/** Environment of the virtual machine. */
export type WasmVmConfig = VmConfigJson;
/** Ports and direction that the plugin is for. */
export type WasmTrafficSelector = WasmPlugin_TrafficSelectorJson;

const MAX_NAME = 256;
const MAX_SECRET_NAME = 253;
const SCHEMES: ReadonlySet<string> = new Set(['file', 'http', 'https', 'oci']);

/** Findings about a WasmPlugin beyond its schema. Source: istio pkg/config/validation ValidateWasmPlugin. */
export function validateWasmPlugin(object: MeshObject<WasmPluginSpec>): Diagnostic[] {
  const findings = new Findings(object);
  checkPolicyTarget(object.spec, findings);
  checkWasmModule(object.spec, 'spec', findings);
  checkSelectorPorts(object.spec.match, 'spec.match', findings);
  return findings.all;
}

/** What names a WebAssembly module in WasmPlugin and TrafficExtension alike. */
export interface WasmModule {
  readonly url?: string;
  readonly sha256?: string;
  readonly imagePullSecret?: string;
  readonly pluginName?: string;
  readonly vmConfig?: WasmVmConfig;
}

/** Checks where the module comes from and what its machine gets. */
export function checkWasmModule(module: WasmModule, path: string, findings: Findings): void {
  const { url = '', sha256 = '', imagePullSecret = '', pluginName = '' } = module;
  if (url === '') findings.missing(path, 'url', 'url: oci://registry.example.com/filter:1.0');
  else checkUrl(url, `${path}.url`, findings);
  if (sha256 !== '' && !/^[a-f0-9]{64}$/.test(sha256)) {
    const args = {
      value: show(sha256),
      problem: 'it is not a SHA-256 sum',
      cure: 'Write 64 lower-case hex digits.',
    };
    findings.add('LTN2034', `${path}.sha256`, args);
  }
  const limits = [
    ['imagePullSecret', imagePullSecret, MAX_SECRET_NAME],
    ['pluginName', pluginName, MAX_NAME],
  ] as const;
  for (const [field, value, limit] of limits) {
    const isEmpty = value === '' && module[field] !== undefined;
    if (!isEmpty && value.length <= limit) continue;
    findings.add('LTN2034', `${path}.${field}`, {
      value: show(value),
      problem: isEmpty ? 'it is empty' : 'it is too long',
      cure: isEmpty ? 'Leave the field out.' : `Use at most ${limit} characters.`,
    });
  }
  checkEnvironment(module.vmConfig, `${path}.vmConfig`, findings);
}

function checkUrl(url: string, path: string, findings: Findings): void {
  const scheme = /^([a-zA-Z][a-zA-Z0-9+.-]*):\/\//.exec(url)?.[1]?.toLowerCase();
  const badEscape = /%(?![0-9a-fA-F]{2})/.test(url);
  // biome-ignore lint/suspicious/noControlCharactersInRegex: control characters are what a URL may not have
  const badCharacter = /[\u0000-\u0020\u007f]/.test(url);
  if (!badEscape && !badCharacter && (scheme === undefined || SCHEMES.has(scheme))) return;
  const problem =
    scheme === undefined || SCHEMES.has(scheme) ? 'it is not a URL' : `unknown scheme ${scheme}`;
  findings.add('LTN2034', path, {
    value: show(url),
    problem,
    cure: 'Write file://…, http://…, https://… or oci://….',
  });
}

function checkEnvironment(vm: WasmVmConfig | undefined, path: string, findings: Findings): void {
  const names = new Set<string>();
  for (const [index, { name = '', value = '', valueFrom = 'INLINE' }] of (vm?.env ?? []).entries()) {
    const at = `${path}.env[${index}]`;
    if (name === '') findings.missing(at, 'name');
    else if (name.length > MAX_NAME) {
      findings.add('LTN2034', `${at}.name`, {
        value: show(name),
        problem: 'it is too long',
        cure: `Use at most ${MAX_NAME} characters.`,
      });
    } else if (names.has(name)) findings.add('LTN2014', at, { what: 'the variable', value: show(name) });
    names.add(name);
    if (valueFrom !== 'INLINE' && value !== '') {
      findings.add('LTN2037', `${at}.value`, { field: 'value', when: 'unless valueFrom is INLINE' });
    }
  }
}

/** Ports of traffic selectors. */
export function checkSelectorPorts(
  selectors: readonly { readonly ports?: readonly { readonly number?: number }[] }[] | undefined,
  path: string,
  findings: Findings,
): void {
  for (const [i, selector] of (selectors ?? []).entries()) {
    for (const [j, port] of (selector.ports ?? []).entries()) {
      checkPort(port.number, `${path}[${i}].ports[${j}].number`, findings);
    }
  }
}
