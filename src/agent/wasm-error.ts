/** Why a WebAssembly module could not be had: a text for people, and the name under which it is counted. */

/** Results of remote fetches as the metric names them. Source: istio pkg/wasm/monitoring.go. */
export type WasmFetchResult =
  | 'success'
  | 'download_failure'
  | 'manifest_failure'
  | 'checksum_mismatched'
  | 'fetch_failure';

/** Thrown within the fetching of one module and turned into its failure policy where the fetch began. */
export class WasmFetchError extends Error {
  override readonly name = 'WasmFetchError';
  readonly result: WasmFetchResult;

  constructor(message: string, result: WasmFetchResult = 'download_failure') {
    super(message);
    this.result = result;
  }
}
