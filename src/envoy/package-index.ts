// Reads a Python package index (PEP 503 and 691) and pip's configuration files, for machines without pip.
// Part of wheel-download.ts. The address always comes from the user's own configuration; none is built in.
// Everything read is bounded in size and time; what is downloaded is trusted only after its hash was checked.
import { createWriteStream } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { Readable, Transform } from 'node:stream';
import { text } from 'node:stream/consumers';
import { pipeline } from 'node:stream/promises';

const PAGE_TYPES =
  'application/vnd.pypi.simple.v1+json, application/vnd.pypi.simple.v1+html;q=0.2, text/html;q=0.1';
const MAX_PAGE_BYTES = 16 * 1024 * 1024;
const MAX_CONFIG_BYTES = 64 * 1024;

interface IndexSetting {
  readonly section: 'global' | 'download';
  readonly value: string;
}

/** Where pip keeps configuration on Linux and macOS, the stronger behind the weaker. */
export function pipConfigFiles(homeDir: string): readonly string[] {
  return [
    '/etc/xdg/pip/pip.conf',
    '/etc/pip.conf',
    join(homeDir, '.pip', 'pip.conf'),
    join(homeDir, '.config', 'pip', 'pip.conf'),
  ];
}

/** The index that pip's configuration names: a later file beats an earlier one, `[download]` beats `[global]`. */
export async function readConfiguredIndex(configFiles: readonly string[]): Promise<string | undefined> {
  const found: { global?: string; download?: string } = {};
  for (const file of configFiles) {
    const settings = await readFile(file, 'utf8').catch(() => '');
    for (const { section, value } of indexSettings(settings.slice(0, MAX_CONFIG_BYTES)))
      found[section] = value;
  }
  return found.download ?? found.global;
}

function indexSettings(config: string): readonly IndexSetting[] {
  const settings: IndexSetting[] = [];
  let section = '';
  for (const line of config.split('\n').map((raw) => raw.trim())) {
    if (line.startsWith('[') && line.endsWith(']')) section = line.slice(1, -1).trim();
    if (section !== 'global' && section !== 'download') continue;
    const separator = line.search(/[=:]/);
    const key = line.slice(0, Math.max(separator, 0)).trim().replaceAll('_', '-');
    const value = line.slice(separator + 1).trim();
    if (key === 'index-url' && value !== '') settings.push({ section, value });
  }
  return settings;
}

/** Downloads `fileName` of a package to `target`; throws an Error with a short text on any failure. */
export async function downloadFromIndex(
  indexUrl: string,
  file: { readonly packageName: string; readonly fileName: string; readonly maxBytes: number },
  target: string,
  timeoutMs: number,
): Promise<void> {
  const signal = AbortSignal.timeout(timeoutMs);
  const { address, headers } = splitCredentials(
    new URL(`${indexUrl.replace(/\/+$/, '')}/${file.packageName}/`),
  );
  const page = await fetch(address, { headers: { ...headers, accept: PAGE_TYPES }, signal });
  if (!page.ok) throw new Error(`the index answered ${page.status} for ${file.packageName}`);
  const link = findLink(await readPage(page), page.headers.get('content-type') ?? '', file.fileName);
  if (link === undefined) throw new Error(`the index has no ${file.fileName}`);
  const wheelUrl = new URL(link, page.url);
  const isSameOrigin = wheelUrl.origin === address.origin;
  const response = await fetch(wheelUrl, { headers: isSameOrigin ? headers : {}, signal });
  if (!response.ok || response.body === null)
    throw new Error(`the index answered ${response.status} for ${file.fileName}`);
  const source = Readable.fromWeb(response.body);
  await pipeline(source, limitBytes(file.maxBytes), createWriteStream(target, { flags: 'wx' }));
}

/** `fetch` refuses addresses with a user name, which are usual for private indexes. */
function splitCredentials(url: URL): {
  readonly address: URL;
  readonly headers: Readonly<Record<string, string>>;
} {
  const address = new URL(url);
  address.username = '';
  address.password = '';
  if (url.username === '') return { address, headers: {} };
  const pair = `${decodeURIComponent(url.username)}:${decodeURIComponent(url.password)}`;
  return { address, headers: { authorization: `Basic ${Buffer.from(pair).toString('base64')}` } };
}

async function readPage(response: Response): Promise<string> {
  if (response.body === null) return '';
  return pipeline(Readable.fromWeb(response.body), limitBytes(MAX_PAGE_BYTES), text);
}

function limitBytes(maxBytes: number): Transform {
  let seenBytes = 0;
  return new Transform({
    transform(chunk: Buffer, _encoding, done) {
      seenBytes += chunk.length;
      if (seenBytes > maxBytes) done(new Error(`the index sent more than ${maxBytes} bytes`));
      else done(null, chunk);
    },
  });
}

function findLink(page: string, contentType: string, fileName: string): string | undefined {
  if (contentType.includes('json')) {
    const { files = [] } = JSON.parse(page) as {
      readonly files?: readonly { filename?: unknown; url?: unknown }[];
    };
    const url = files.find((entry) => entry.filename === fileName)?.url;
    return typeof url === 'string' ? url : undefined;
  }
  for (const [, quoted = ''] of page.matchAll(
    /<a\s[^>]{0,4096}?href\s*=\s*("[^"]{0,4096}"|'[^']{0,4096}')/gi,
  )) {
    const link = quoted.slice(1, -1).replaceAll('&amp;', '&');
    const path = link.split(/[?#]/, 1)[0] ?? '';
    if (path.slice(path.lastIndexOf('/') + 1) === fileName) return link;
  }
  return undefined;
}
