/**
 * The demo's folder: a copy of Bookinfo's mesh that `apply` may change, gone again at the end. The programs stay where they
 * are; only the YAML is copied.
 */
import {
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  realpathSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { type Document, isMap, isSeq, parseAllDocuments } from 'yaml';

const SAMPLE_PORT = 8080;

/** A folder that removes itself. */
export interface DemoFolder extends Disposable {
  readonly dir: string;
}

/** Copies the sample; its gateway listens on `port`. */
export function makeDemoFolder(samplesFolder: string, tempFolder: string, port: number): DemoFolder {
  const sample = join(samplesFolder, 'bookinfo', 'mesh');
  const top = realpathSync(mkdtempSync(join(tempFolder, 'lateen-demo-')));
  const dir = join(top, 'bookinfo');
  mkdirSync(dir);
  for (const name of readdirSync(sample).filter((file) => file.endsWith('.yaml'))) {
    writeFileSync(join(dir, name), adapt(readFileSync(join(sample, name), 'utf8'), sample, port));
  }
  return { dir, [Symbol.dispose]: () => rmSync(top, { recursive: true, force: true }) };
}

/** Lets programs run where the sample lies, and puts the gateway on another port when asked to. */
function adapt(text: string, sample: string, port: number): string {
  const documents = parseAllDocuments(text);
  if (!Array.isArray(documents)) return text;
  for (const document of documents) {
    const kind = document.get('kind');
    const isApp = kind === 'LocalWorkload' && document.getIn(['spec', 'type']) !== 'gateway';
    if (isApp && !document.hasIn(['spec', 'workingDir'])) document.setIn(['spec', 'workingDir'], sample);
    if (port !== SAMPLE_PORT && kind === 'Gateway')
      movePorts(document, ['spec', 'servers'], ['port', 'number'], port);
    if (port !== SAMPLE_PORT && kind === 'Service')
      movePorts(document, ['spec', 'ports'], ['targetPort'], port);
  }
  return documents.map(String).join('');
}

function movePorts(
  document: Document,
  list: readonly string[],
  field: readonly string[],
  port: number,
): void {
  const items = document.getIn(list);
  if (!isSeq(items)) return;
  for (const item of items.items) {
    if (isMap(item) && item.getIn(field) === SAMPLE_PORT) item.setIn(field, port);
  }
}
