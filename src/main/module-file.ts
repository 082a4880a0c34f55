/**
 * Looks at a WebAssembly module on disk without running any of it: for a mesh on one machine, whose proxies read the same
 * files. What is wrong with it is told in the words of a finding.
 */
import { readFile, stat } from 'node:fs/promises';

/** What we need of it; the compiler's libraries for servers do not have it. */
declare const WebAssembly: {
  compile(bytes: Uint8Array): Promise<object>;
  readonly Module: { exports(module: object): readonly { readonly name: string }[] };
};

/** As large as an agent would fetch. */
const MAX_BYTES = 256 << 20;

/** Why no Envoy would take the module; '' when it may. */
export async function moduleProblem(path: string): Promise<string> {
  try {
    const { size } = await stat(path);
    if (size > MAX_BYTES) return `${path} is larger than ${MAX_BYTES} bytes`;
    const module = await WebAssembly.compile(await readFile(path));
    const isPlugin = WebAssembly.Module.exports(module).some(({ name }) =>
      name.startsWith('proxy_abi_version_'),
    );
    return isPlugin ? '' : `${path} is a WebAssembly module but no Proxy-Wasm plugin`;
  } catch (error) {
    return `${path}: ${error instanceof Error ? error.message : String(error)}`;
  }
}
