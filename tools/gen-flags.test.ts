import { deepStrictEqual, strictEqual } from 'node:assert/strict';
import { globSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { AGENT_VARIABLES } from '#agent/agent-variables.ts';
import { DISCOVERY_VARIABLES, OLDER_DISCOVERY_VARIABLES } from '#main/discovery-variables.ts';
import { MeshConfigSchema } from '#proto/istio/mesh/v1alpha1/config_pb.ts';
import { ProxyConfigSchema } from '#proto/istio/mesh/v1alpha1/proxy_pb.ts';
import { FLAGS_PAGE, flagsPage, parseFields } from './gen-flags.ts';
import { MESH_CONFIG_FIELDS, PROXY_CONFIG_FIELDS } from './mesh-config-fields.ts';

const ROOT = join(import.meta.dirname, '..');

test('docs/flags.md is current (node tools/gen-flags.ts)', () => {
  strictEqual(readFileSync(FLAGS_PAGE, 'utf8'), flagsPage());
});

/** The text of the files of a program that read variables. */
function codeOf(...patterns: readonly string[]): string {
  const files = globSync([...patterns], { cwd: ROOT }).filter(
    (file) => !/\.test\.ts$|-variables\.ts$/.test(file),
  );
  return files.map((file) => readFileSync(join(ROOT, file), 'utf8')).join('\n');
}

const PROGRAMS = [
  {
    program: 'pilot-discovery',
    table: [...DISCOVERY_VARIABLES, ...OLDER_DISCOVERY_VARIABLES],
    code: codeOf('src/{model,ca,doors,kube}/*.ts', 'src/main/{discovery,kube,key,serving}*.ts'),
  },
  { program: 'pilot-agent', table: AGENT_VARIABLES, code: codeOf('src/agent/*.ts') },
];

for (const { program, table, code } of PROGRAMS) {
  test(`no variable of ${program} stands in its table twice`, () => {
    const names = table.map(({ name }) => name);
    deepStrictEqual(
      names.filter((name, i) => names.indexOf(name) < i),
      [],
    );
  });

  test(`the variables of ${program} that its code reads are those that are said to be honoured`, () => {
    const isRead = (name: string): boolean => new RegExp(`'${name}'|\\b${name}: \\w+ = ''`).test(code);
    const wrong = table.filter(({ name, status }) => (status === 'honoured') !== isRead(name));
    deepStrictEqual(
      wrong.map(({ name, status }) => `${name}: ${status}`),
      [],
    );
  });
}

const SCHEMAS = [
  { fields: MESH_CONFIG_FIELDS, schema: MeshConfigSchema },
  { fields: PROXY_CONFIG_FIELDS, schema: ProxyConfigSchema },
];

for (const { fields, schema } of SCHEMAS) {
  test(`every field of ${schema.typeName} has its row`, () => {
    deepStrictEqual(
      parseFields(fields).map(({ name }) => name),
      schema.fields.map(({ jsonName }) => jsonName),
    );
  });
}
