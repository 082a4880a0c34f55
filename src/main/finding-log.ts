/** Tells operators of a control plane without a command line what is wrong with objects among others: each finding when it comes. */
import { deepEqual } from '#base/deep-equal.ts';
import { printDiagnostic } from '#base/diagnostic-catalog.ts';
import type { Logger } from '#base/logger.ts';
import type { Mesh } from './mesh.ts';

/** Logs new findings until disposed of. */
export function logFindings({ engine, graph }: Pick<Mesh, 'engine' | 'graph'>, log: Logger): Disposable {
  return engine.watch(graph.findings, (changes) => {
    for (const { old = [], now = [] } of changes) {
      const fresh = now.filter((finding) => !old.some((known) => deepEqual(known, finding)));
      for (const finding of fresh) log.warn(printDiagnostic(finding));
    }
  });
}
