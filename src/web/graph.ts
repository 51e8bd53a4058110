/** @file Where the stages of a run stand in its picture: columns by what they wait for, rows so that few lines cross. Pure. */

/** A stage before it is placed. */
export interface GraphNode {
  readonly id: string;
  readonly needs: readonly string[];
}

/** Column (0 = waits for nothing) and row of every stage. */
export interface Placed<N extends GraphNode> {
  readonly node: N;
  readonly column: number;
  readonly row: number;
}

export interface GraphLayout<N extends GraphNode> {
  readonly placed: readonly Placed<N>[];
  readonly columns: number;
  readonly rows: number;
}

/** What a picture needs to draw: needs that another need waits for already are left out. */
export function nearNeeds<N extends GraphNode>(nodes: readonly N[]): Map<string, string[]> {
  const byId = new Map(nodes.map((node) => [node.id, node]));
  const behind = (id: string, seen = new Set<string>()): Set<string> => {
    for (const need of byId.get(id)?.needs ?? [])
      if (byId.has(need) && !seen.has(need)) behind(need, seen.add(need));
    return seen;
  };
  return new Map(
    nodes.map(({ id, needs }) => {
      const there = needs.filter((need) => byId.has(need) && need !== id);
      return [id, there.filter((need) => !there.some((other) => other !== need && behind(other).has(need)))];
    }),
  );
}

/** Place nodes; needs that are not among them count as met. Cycles (a damaged manifest) are cut where they are met. */
export function layout<N extends GraphNode>(nodes: readonly N[]): GraphLayout<N> {
  const byId = new Map(nodes.map((node) => [node.id, node]));
  const depths = new Map<string, number>();
  const depth = (id: string, path: ReadonlySet<string>): number => {
    const known = depths.get(id);
    if (known !== undefined) return known;
    const inner = new Set(path).add(id);
    const needs = (byId.get(id)?.needs ?? []).filter((need) => byId.has(need) && !inner.has(need));
    const own = needs.length === 0 ? 0 : 1 + Math.max(...needs.map((need) => depth(need, inner)));
    depths.set(id, own);
    return own;
  };
  const columns: N[][] = [];
  for (const node of nodes) (columns[depth(node.id, new Set())] ??= []).push(node);
  const rows = new Map<string, number>();
  const placed: Placed<N>[] = [];
  for (const [column, members] of columns.entries()) {
    const wish = (node: N) => {
      const above = node.needs.flatMap((need) => rows.get(need) ?? []);
      return above.length === 0 ? Number.MAX_SAFE_INTEGER : above.reduce((a, b) => a + b, 0) / above.length;
    };
    // Stable, so stages without a wish keep the order of the plan.
    const order = column === 0 ? members : [...members].sort((a, b) => wish(a) - wish(b));
    for (const [row, node] of order.entries()) {
      rows.set(node.id, row);
      placed.push({ node, column, row });
    }
  }
  return { placed, columns: columns.length, rows: Math.max(0, ...columns.map((members) => members.length)) };
}
