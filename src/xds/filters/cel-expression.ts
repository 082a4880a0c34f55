/**
 * Expressions of the Common Expression Language as Envoy's matchers take them: parsed already, each node with a number of its own. Only
 * what our own filters ask for: names, fields, texts, and calls of operators.
 * Source: cel.expr.ParsedExpr; names of operators from the language's definition.
 */
import { create } from '@bufbuild/protobuf';
import { type Expr, ExprSchema, type ParsedExpr, ParsedExprSchema } from '#proto/cel/expr/syntax_pb.ts';

/** A node before it has its number. */
export type CelNode =
  | { readonly kind: 'name'; readonly name: string }
  | { readonly kind: 'text'; readonly text: string }
  | { readonly kind: 'field'; readonly of: CelNode; readonly field: string }
  | { readonly kind: 'call'; readonly operator: string; readonly args: readonly CelNode[] };

/** `a.b.c` */
export function celPath(path: string): CelNode {
  const [name = '', ...fields] = path.split('.');
  return fields.reduce<CelNode>((of, field) => ({ kind: 'field', of, field }), { kind: 'name', name });
}

/** `key in map` */
export function celHas(map: CelNode, key: string): CelNode {
  return { kind: 'call', operator: '@in', args: [{ kind: 'text', text: key }, map] };
}

/** `map[key]` */
export function celAt(map: CelNode, key: string): CelNode {
  return { kind: 'call', operator: '_[_]', args: [map, { kind: 'text', text: key }] };
}

/** `!node` */
export function celNot(node: CelNode): CelNode {
  return { kind: 'call', operator: '!_', args: [node] };
}

/** `a || b`, which looks at b only where a is false. */
export function celOr(a: CelNode, b: CelNode): CelNode {
  return { kind: 'call', operator: '_||_', args: [a, b] };
}

/** The expression as a message. */
export function parsedCel(root: CelNode): ParsedExpr {
  let last = 0n;
  const build = (node: CelNode): Expr => create(ExprSchema, { id: ++last, exprKind: kindOf(node, build) });
  return create(ParsedExprSchema, { expr: build(root) });
}

function kindOf(node: CelNode, build: (node: CelNode) => Expr): NonNullable<Expr['exprKind']> {
  switch (node.kind) {
    case 'name':
      return create(ExprSchema, { exprKind: { case: 'identExpr', value: { name: node.name } } }).exprKind;
    case 'text':
      return create(ExprSchema, {
        exprKind: { case: 'constExpr', value: { constantKind: { case: 'stringValue', value: node.text } } },
      }).exprKind;
    case 'field':
      return create(ExprSchema, {
        exprKind: { case: 'selectExpr', value: { operand: build(node.of), field: node.field } },
      }).exprKind;
    case 'call':
      return create(ExprSchema, {
        exprKind: { case: 'callExpr', value: { function: node.operator, args: node.args.map(build) } },
      }).exprKind;
  }
}
