/** Which running mesh a command means: the one it names, the one it stands in, or the only one there is. Pure. */
import { sep } from 'node:path';
import { fail, ok, type Result } from '#base/result.ts';
import type { MeshEntry } from './user-folder.ts';

/** Chooses among the running meshes. `dir` is what was asked for, '' for nothing; both folders are absolute. */
export function chooseMesh(
  meshes: readonly MeshEntry[],
  dir: string,
  cwd: string,
): Result<MeshEntry, string> {
  if (dir !== '') {
    const named = meshes.find((mesh) => mesh.dir === dir);
    return named === undefined
      ? fail(`no mesh is running from ${dir}; start one with: lateen up ${dir}`)
      : ok(named);
  }
  const around = meshes.filter((mesh) => cwd === mesh.dir || cwd.startsWith(mesh.dir + sep));
  const [only, ...others] = around.length > 0 ? longestFirst(around).slice(0, 1) : meshes;
  if (only === undefined) return fail('no mesh is running; start one with: lateen demo, or lateen up DIR');
  if (others.length === 0) return ok(only);
  const list = meshes.map((mesh) => `  --dir ${mesh.dir}`).join('\n');
  return fail(`several meshes are running; say which one is meant:\n${list}`);
}

function longestFirst(meshes: readonly MeshEntry[]): MeshEntry[] {
  return [...meshes].sort((a, b) => b.dir.length - a.dir.length);
}
