/**
 * Suite validation: is a resource or a mesh config accepted, refused, or accepted with a warning? The verdict is that of
 * decodeObject, the function behind apply, validate and the webhook. Nothing is ignored.
 */
import { readdirSync, readFileSync } from 'node:fs';
import { basename, join } from 'node:path';
import { decodeObject } from '#api/decode-object.ts';
import { validateMeshConfig } from '#api/mesh-config.ts';
import { parseMeshNetworks } from '#api/mesh-networks.ts';
import type { Diagnostic } from '#base/diagnostic.ts';
import { printDiagnostic } from '#base/diagnostic-catalog.ts';
import { isAccepted } from './scalar-check.ts';
import type { ConformanceCase, Suite } from './suite.ts';

interface ValidationCase {
  readonly name?: string;
  readonly test?: string;
  readonly resource?: unknown;
  readonly meshConfig?: unknown;
  readonly meshNetworks?: unknown;
  readonly fn?: string;
  readonly value?: unknown;
  readonly valid: boolean;
  readonly warns?: boolean;
  readonly error?: string;
  readonly warning?: string;
}

export const VALIDATION: Suite = {
  name: 'validation',
  missing: [],
  cases(dir) {
    const folder = join(dir, 'validation');
    return readdirSync(folder)
      .filter((file) => file.endsWith('.json'))
      .sort()
      .flatMap((file) => {
        const cases = JSON.parse(readFileSync(join(folder, file), 'utf8')) as readonly ValidationCase[];
        return cases.map((item, index) => caseOf(basename(file, '.json'), index, item));
      });
  },
};

function caseOf(file: string, index: number, item: ValidationCase): ConformanceCase {
  return {
    name: `${file}-${index}${item.name === undefined ? '' : ` ${item.name}`}`,
    tags: [file],
    needs: [],
    run: () => (item.fn === undefined ? judge(item, file === 'crd-schema') : judgeScalar(item, item.fn)),
  };
}

/** The verdict of an API server on a CRD's schema says nothing about warnings. */
function judge(item: ValidationCase, isSchemaOnly: boolean): readonly string[] {
  const diagnostics = findingsOf(item);
  const valid = !diagnostics.some(({ severity }) => severity === 'error');
  const warns = diagnostics.some(({ severity }) => severity === 'warning');
  const said = diagnostics.map((found) => printDiagnostic(found).split('\n')[0]).join(' | ');
  const found: string[] = [];
  if (valid !== item.valid)
    found.push(`want ${item.valid ? 'accepted' : `refused (${item.error})`}, got ${said || 'accepted'}`);
  else if (!isSchemaOnly && item.warns !== undefined && warns !== item.warns) {
    found.push(`want ${item.warns ? `a warning (${item.warning})` : 'no warning'}, got ${said || 'none'}`);
  }
  return found;
}

function findingsOf({ resource, meshConfig, meshNetworks }: ValidationCase): readonly Diagnostic[] {
  if (meshConfig !== undefined) return validateMeshConfig(meshConfig);
  if (meshNetworks !== undefined) return parseMeshNetworks(meshNetworks).diagnostics;
  return decodeObject(resource, { defaultNamespace: 'default' }).diagnostics;
}

function judgeScalar({ value, valid, error }: ValidationCase, check: string): readonly string[] {
  const accepted = isAccepted(check, value);
  if (accepted === undefined) return [`there is no check ${check} here`];
  if (accepted === valid) return [];
  return [`${JSON.stringify(value)}: want ${valid ? 'accepted' : `refused (${error})`}`];
}
