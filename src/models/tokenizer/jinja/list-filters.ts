/** @file Filters of lists and dicts. */
import { path } from './access.ts';
import { bind, wantInteger, wantText } from './arguments.ts';
import type { Budget } from './budget.ts';
import { TemplateError } from './error.ts';
import type { Filter } from './filter.ts';
import { pairsOf } from './methods.ts';
import { binary, equal, itemsOf, order, truth } from './operators.ts';
import { str } from './print.ts';
import { charsOf } from './python-text.ts';
import { Dict, type Given, present, Stream, Tuple, typeName, Undefined, type Value } from './values.ts';

/** Filters by name. */
export const listFilters: Readonly<Record<string, Filter>> = {
  batch: (value, given, budget) => {
    const [size, fill = null] = bind(given, 'batch', ['linecount', 'fill_with'], 1);
    const step = wantInteger(size as Value, 'batch');
    const items = itemsOf(value, budget);
    const rows: Value[] = [];
    for (let i = 0; i < items.length; i += Math.max(1, step)) {
      const row = items.slice(i, i + Math.max(1, step));
      budget.make(fill === null ? row.length : step);
      const missing = fill === null ? 0 : Math.max(0, step - row.length);
      rows.push([...row, ...Array<Value>(missing).fill(fill)]);
    }
    return new Stream(rows);
  },
  dictsort: (value, given, budget) => {
    const [sensitive = false, by = 'key', reverse = false] = bind(given, 'dictsort', [
      'case_sensitive',
      'by',
      'reverse',
    ]);
    if (!(value instanceof Dict))
      throw new TemplateError(`'${typeName(value)} object' has no attribute 'items'`);
    if (by !== 'key' && by !== 'value')
      throw new TemplateError('You can only sort by either "key" or "value"');
    const key = (pair: Value): Value =>
      foldCase((pair as Tuple).items[by === 'key' ? 0 : 1] as Value, truth(sensitive));
    return sorted(pairsOf(value), key, truth(reverse), budget);
  },
  first: (value, _, budget) => {
    const first =
      value instanceof Stream && value.type === 'generator' ? value.next() : itemsOf(value, budget)[0];
    return present(first, () => 'No first item, sequence was empty.');
  },
  groupby: (value, given, budget) => {
    const [by, fallback = null, sensitive = false] = bind(
      given,
      'groupby',
      ['attribute', 'default', 'case_sensitive'],
      1,
    );
    const raw = (item: Value): Value => pathOr(item, by as Value, fallback);
    const key = (item: Value): Value => foldCase(raw(item), truth(sensitive));
    const groups: { key: Value; items: Value[] }[] = [];
    for (const item of sorted(itemsOf(value, budget), key, false, budget)) {
      const last = groups.at(-1);
      if (last !== undefined && equal(key(last.items[0] as Value), key(item), budget)) last.items.push(item);
      else groups.push({ key: raw(item), items: [item] });
    }
    return groups.map((group) => new Tuple([group.key, group.items], ['grouper', 'list']));
  },
  items: (value) => {
    if (value instanceof Undefined) return new Stream([]);
    if (!(value instanceof Dict)) throw new TemplateError('Can only get item pairs from a mapping.');
    return new Stream(pairsOf(value));
  },
  join: (value, given, budget) => {
    const [separator = '', by = null] = bind(given, 'join', ['d', 'attribute']);
    const parts = itemsOf(value, budget).map((item) => str(by === null ? item : path(item, by), budget));
    const glue = str(separator, budget);
    budget.make(parts.reduce((n, part) => n + part.length + glue.length, 0));
    return parts.join(glue);
  },
  last: (value, _, budget) => {
    if (value instanceof Stream && value.type === 'generator')
      throw new TemplateError("'generator' object is not reversible");
    return present(itemsOf(value, budget).at(-1), () => 'No last item, sequence was empty.');
  },
  list: (value, _, budget) => [...itemsOf(value, budget)],
  map: (value, given, budget, apply) => {
    const items = itemsOf(value, budget);
    const by = given.named.get('attribute');
    if (given.positional.length === 0 && by !== undefined) {
      const [, fallback = null] = bind(given, 'map', ['attribute', 'default'], 1);
      return new Stream(items.map((item) => pathOr(item, by, fallback)));
    }
    const [name, ...rest] = given.positional;
    if (name === undefined) throw new TemplateError('map requires a filter argument');
    const filter = wantText(name, 'map');
    return new Stream(
      items.map((item) => apply.filter(filter, item, { positional: rest, named: given.named })),
    );
  },
  max: (value, given, budget) => extreme(value, given, budget, 1),
  min: (value, given, budget) => extreme(value, given, budget, -1),
  reject: choosing({ byAttribute: false, wanted: false }),
  rejectattr: choosing({ byAttribute: true, wanted: false }),
  select: choosing({ byAttribute: false, wanted: true }),
  selectattr: choosing({ byAttribute: true, wanted: true }),
  reverse: (value, _, budget) => {
    if (typeof value === 'string') return charsOf(value).reverse().join('');
    return new Stream([...itemsOf(value, budget)].reverse());
  },
  slice: (value, given, budget) => {
    const [count, fill = null] = bind(given, 'slice', ['slices', 'fill_with'], 1);
    const slices = wantInteger(count as Value, 'slice');
    if (slices <= 0) throw new TemplateError('slice: wanted a number of slices above 0');
    budget.make(slices);
    const items = itemsOf(value, budget);
    const size = Math.floor(items.length / slices);
    const longer = items.length % slices;
    let at = 0;
    const rows = Array.from({ length: slices }, (_, i): Value => {
      const row = items.slice(at, (at += size + (i < longer ? 1 : 0)));
      return fill !== null && i >= longer && longer > 0 ? [...row, fill] : row;
    });
    return new Stream(rows);
  },
  sort: (value, given, budget) => {
    const [reverse = false, sensitive = false, by = null] = bind(given, 'sort', [
      'reverse',
      'case_sensitive',
      'attribute',
    ]);
    const paths: readonly Value[] = typeof by === 'string' ? by.split(',') : [by];
    const key = (item: Value): Value => {
      const values = paths.map((p) => foldCase(p === null ? item : path(item, p), truth(sensitive)));
      return values.length === 1 ? (values[0] as Value) : new Tuple(values);
    };
    return sorted(itemsOf(value, budget), key, truth(reverse), budget);
  },
  sum: (value, given, budget) => {
    const [by = null, start = 0] = bind(given, 'sum', ['attribute', 'start']);
    return itemsOf(value, budget).reduce<Value>(
      (total, item) => binary('+', total, by === null ? item : path(item, by), budget),
      start,
    );
  },
  unique: (value, given, budget) => {
    const [sensitive = false, by = null] = bind(given, 'unique', ['case_sensitive', 'attribute']);
    const seen = new Dict();
    const kept = itemsOf(value, budget).filter((item) => {
      const key = foldCase(by === null ? item : path(item, by), truth(sensitive));
      if (seen.has(key)) return false;
      seen.set(key, true);
      return true;
    });
    return new Stream(kept);
  },
};

/** The filter that keeps the items whose test (of themselves or of an attribute) comes out as `wanted`. */
function choosing(rule: { readonly byAttribute: boolean; readonly wanted: boolean }): Filter {
  const { byAttribute, wanted } = rule;
  return (value, given, budget, apply) => {
    const [first, ...rest] = given.positional;
    if (byAttribute && first === undefined) throw new TemplateError('Missing parameter for attribute name');
    const [name, args] = byAttribute ? [rest[0], rest.slice(1)] : [first, rest];
    const subject = (item: Value): Value => (byAttribute ? path(item, first as Value) : item);
    const holds = (item: Value): boolean =>
      name === undefined
        ? truth(subject(item))
        : apply.test(wantText(name, 'select'), subject(item), { positional: args, named: given.named });
    return new Stream(itemsOf(value, budget).filter((item) => holds(item) === wanted));
  };
}

function extreme(value: Value, given: Given, budget: Budget, sign: number): Value {
  const [sensitive = false, by = null] = bind(given, sign > 0 ? 'max' : 'min', [
    'case_sensitive',
    'attribute',
  ]);
  const key = (item: Value): Value => foldCase(by === null ? item : path(item, by), truth(sensitive));
  const [first, ...rest] = itemsOf(value, budget);
  if (first === undefined) return new Undefined('No aggregated item, sequence was empty.');
  return rest.reduce<Value>(
    (best, item) => (order(key(item), key(best), sign > 0 ? '>' : '<', budget) * sign > 0 ? item : best),
    first,
  );
}

/** Stable, as Python's; `reverse` keeps equal items in their order too. */
function sorted(
  items: readonly Value[],
  key: (item: Value) => Value,
  reverse: boolean,
  budget: Budget,
): readonly Value[] {
  budget.make(items.length);
  const keyed = items.map((item) => ({ item, key: key(item) }));
  keyed.sort((a, b) => (reverse ? order(b.key, a.key, '<', budget) : order(a.key, b.key, '<', budget)));
  return keyed.map(({ item }) => item);
}

function foldCase(value: Value, sensitive: boolean): Value {
  return typeof value === 'string' && !sensitive ? value.toLowerCase() : value;
}

function pathOr(value: Value, by: Value, fallback: Value): Value {
  const found = path(value, by);
  return found instanceof Undefined && fallback !== null ? fallback : found;
}
