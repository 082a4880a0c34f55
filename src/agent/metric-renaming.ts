/**
 * Gives Istio's metrics their names back while a scrape passes by: stock Envoy prints ours as
 * `envoy_wasmcustom_istio_…` (see bootstrap-stats.ts), or already as `istio_…` where a Wasm plugin is loaded; both leave as `istio_…`.
 * Works on bytes and only at the start of lines, so that a label's value that looks like a name stays as it is.
 * Cost: one native search per chunk; memory is one chunk and one unfinished line.
 */
const needle = Buffer.from('envoy_wasmcustom_istio_');
const dropped = Buffer.byteLength('envoy_wasmcustom_');
const comments = ['# TYPE ', '# HELP '].map((text) => Buffer.from(text));
const newline = 0x0a;
/** A line longer than this passes through in pieces; Envoy's lines are a few hundred bytes. */
const maxLineBytes = 1024 * 1024;

/** Renames metrics of a text exposition that arrives in chunks. */
export class MetricRenamer {
  /** The unfinished last line. */
  #rest: Buffer = Buffer.alloc(0);

  /** Takes a chunk, gives all finished lines, renamed: views on the chunk where nothing had to change. */
  push(chunk: Buffer): readonly Buffer[] {
    const end = chunk.lastIndexOf(newline) + 1;
    if (end === 0) return this.#extendLine(chunk);
    const firstEnd = this.#rest.length === 0 ? 0 : chunk.indexOf(newline) + 1;
    const first = Buffer.concat([this.#rest, chunk.subarray(0, firstEnd)]);
    this.#rest = Buffer.from(chunk.subarray(end));
    return [first, chunk.subarray(firstEnd, end)].filter((lines) => lines.length > 0).map(renameLines);
  }

  /** Gives what is left: a last line without a newline gets one. */
  finish(): readonly Buffer[] {
    if (this.#rest.length === 0) return [];
    const last = renameLines(Buffer.concat([this.#rest, Buffer.of(newline)]));
    this.#rest = Buffer.alloc(0);
    return [last];
  }

  #extendLine(chunk: Buffer): readonly Buffer[] {
    const line = Buffer.concat([this.#rest, chunk]);
    const isTooLong = line.length > maxLineBytes;
    this.#rest = isTooLong ? Buffer.alloc(0) : line;
    return isTooLong ? [line] : [];
  }
}

function renameLines(lines: Buffer): Buffer {
  const kept: Buffer[] = [];
  let from = 0;
  for (let at = lines.indexOf(needle); at >= 0; at = lines.indexOf(needle, at + needle.length)) {
    if (!startsName(lines, at)) continue;
    kept.push(lines.subarray(from, at));
    from = at + dropped;
  }
  if (kept.length === 0) return lines;
  kept.push(lines.subarray(from));
  return Buffer.concat(kept);
}

/** A name begins a line, or follows `# TYPE ` or `# HELP ` at the beginning of one. */
function startsName(lines: Buffer, at: number): boolean {
  if (at === 0 || lines[at - 1] === newline) return true;
  return comments.some((comment) => {
    const start = at - comment.length;
    if (start < 0 || (start > 0 && lines[start - 1] !== newline)) return false;
    return lines.compare(comment, 0, comment.length, start, at) === 0;
  });
}
