/** @file Counts that look at one file at a time. */
import { isNode, type Node, nodes, place, type Source, tree } from './sources.ts';

/** Every `x!`. */
export function nonNull(source: Source): string[] {
  return [...nodes(tree(source))]
    .filter((node) => node.type === 'TSNonNullExpression')
    .map((node) => place(source, node));
}

const functions = new Set(['FunctionDeclaration', 'FunctionExpression', 'ArrowFunctionExpression']);

/** Functions with a body and five or more positional parameters. */
export function longFunctions(source: Source): string[] {
  return [...nodes(tree(source))]
    .filter((node) => functions.has(node.type) && isNode(node.body) && parameters(node).length >= 5)
    .map((node) => `${place(source, node)} (${parameters(node).join(', ')})`);
}

function parameters({ params }: Node): string[] {
  return (params as readonly Node[]).map((param) => {
    const inner = [param.parameter, param.left, param.argument].find(isNode) ?? param;
    return typeof inner.name === 'string' ? inner.name : '{ … }';
  });
}

/** `...(condition ? { … } : {})` and `...(condition && { … })` in object literals. */
export function conditionalSpreads(source: Source): string[] {
  return [...nodes(tree(source))]
    .filter((node) => node.type === 'ObjectExpression')
    .flatMap(({ properties }) => properties as readonly Node[])
    .filter((node) => node.type === 'SpreadElement' && isConditional(bare(node.argument as Node)))
    .map((node) => place(source, node));
}

function isConditional(node: Node): boolean {
  if (node.type === 'LogicalExpression') return node.operator === '&&';
  if (node.type !== 'ConditionalExpression') return false;
  return [node.consequent, node.alternate].some((branch) => {
    const value = bare(branch as Node);
    return value.type === 'ObjectExpression' && (value.properties as readonly Node[]).length === 0;
  });
}

function bare(node: Node): Node {
  return node.type === 'ParenthesizedExpression' ? bare(node.expression as Node) : node;
}
