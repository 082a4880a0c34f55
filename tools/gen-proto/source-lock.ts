// Reads proto.lock.json: the exact sources and tools, by version and hash, that generated code comes from.
// To move to a newer Envoy or Istio API: change the lock (and src/envoy/envoy-pin.ts), run the generators,
// commit all of it together.
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { GoModulePin } from './istio-module.ts';

export interface SourceLock {
  readonly envoy: {
    readonly package: string;
    readonly version: string;
    /** One per platform; the descriptors inside are the same. */
    readonly wheels: readonly {
      readonly fileName: string;
      readonly wheelSha256: string;
      readonly binarySha256: string;
    }[];
  };
  readonly istioApi: GoModulePin;
  /** npm packages whose version shows in the output. */
  readonly tools: Readonly<Record<string, string>>;
}

/** Reads the lock of the project at `root`. */
export function readSourceLock(root: string): SourceLock {
  return readJson(join(root, 'proto.lock.json')) as SourceLock;
}

/** Throws when a tool that shows in the output is installed in another version than the lock says. */
export function checkInstalledTools(root: string, lock: SourceLock): void {
  for (const [name, version] of Object.entries(lock.tools)) {
    const installed = readJson(join(root, folderOf(name), name, 'package.json')) as {
      readonly version: string;
    };
    if (installed.version !== version) {
      throw new Error(`${name} ${installed.version} is installed, but proto.lock.json pins ${version}`);
    }
  }
}

/** The runtime is the program's own; compiler and plugin are development tools, installed apart. */
function folderOf(name: string): string {
  return name === '@bufbuild/protobuf' ? 'node_modules' : join('tools', 'check', 'node_modules');
}

function readJson(path: string): unknown {
  return JSON.parse(readFileSync(path, 'utf8'));
}
