import { deepStrictEqual, throws } from 'node:assert/strict';
import { test } from 'node:test';
import { judgeVariables, parseVariableTable } from './variable-table.ts';

const TABLE = parseVariableTable(`
PILOT_A | true | yes | does a
PILOT_B | 5s   | no  | nothing here
PILOT_C |      | never | not possible
`);

test('a table is read row by row', () => {
  deepStrictEqual(TABLE[1], { name: 'PILOT_B', fallback: '5s', status: 'no effect', note: 'nothing here' });
  throws(() => parseVariableTable('PILOT_D | 1 | perhaps | x'), /no row/);
});

test('unknown names, changes without effect and refused values are told; defaults and links of services are not', () => {
  const environment = {
    PILOT_A: 'false',
    PILOT_B: '6s',
    PILOT_C: 'x',
    PILOT_CC: '1',
    PILOT_SERVICE_HOST: '10.0.0.1',
    PILOT_PORT_80_TCP_ADDR: '10.0.0.1',
    HOME: '/',
  };
  const { unknown, withoutEffect, refused } = judgeVariables(environment, TABLE, ['PILOT_']);
  deepStrictEqual(
    [unknown, withoutEffect.map(({ name }) => name), refused.map(({ name }) => name)],
    [['PILOT_CC'], ['PILOT_B'], ['PILOT_C']],
  );
  deepStrictEqual(judgeVariables({ PILOT_B: '5s', PILOT_C: '' }, TABLE, ['PILOT_']), {
    unknown: [],
    withoutEffect: [],
    refused: [],
  });
});
