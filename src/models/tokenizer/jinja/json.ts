/** @file `tojson` as transformers defines it: `json.dumps` without ASCII escapes. */
import { bind, wantInteger, wantText } from './arguments.ts';
import type { Budget } from './budget.ts';
import { TemplateError } from './error.ts';
import { itemsOf, orderText, truth } from './operators.ts';
import { floatText } from './print.ts';
import { Dict, Float, type Given, isList, Tuple, typeName, type Value } from './values.ts';

interface Style {
  /** One level of indentation; undefined writes one line. */
  readonly indent: string | undefined;
  readonly item: string;
  readonly key: string;
  readonly ascii: boolean;
  readonly sort: boolean;
}

/** The filter `tojson(ensure_ascii=False, indent=None, separators=None, sort_keys=False)`. */
export function toJson(value: Value, given: Given, budget: Budget): string {
  const [ascii = false, indent = null, separators = null, sort = false] = bind(given, 'tojson', [
    'ensure_ascii',
    'indent',
    'separators',
    'sort_keys',
  ]);
  const [item, key] = separators === null ? [] : itemsOf(separators, budget);
  const step =
    indent === null
      ? undefined
      : typeof indent === 'string'
        ? indent
        : ' '.repeat(Math.min(1000, Math.max(0, wantInteger(indent, 'tojson indent'))));
  const style: Style = {
    indent: step,
    item: item === undefined ? (step === undefined ? ', ' : ',') : wantText(item, 'tojson separators'),
    key: key === undefined ? ': ' : wantText(key, 'tojson separators'),
    ascii: truth(ascii),
    sort: truth(sort),
  };
  return dump(value, style, 0, budget);
}

function dump(value: Value, style: Style, level: number, budget: Budget): string {
  const text = budget.nested(() => dumpOf(value, style, level, budget));
  budget.make(text.length);
  return text;
}

function dumpOf(value: Value, style: Style, level: number, budget: Budget): string {
  if (value === null) return 'null';
  if (typeof value === 'boolean' || typeof value === 'number') return String(value);
  if (typeof value === 'string') return quoted(value, style);
  if (value instanceof Float) return jsonFloat(value.value);
  const items = isList(value) ? value : value instanceof Tuple ? value.items : undefined;
  if (items !== undefined) {
    const parts = items.map((item) => dump(item, style, level + 1, budget));
    return wrapped(['[', ']'], parts, { style, level }, budget);
  }
  if (value instanceof Dict) {
    const entries = style.sort
      ? value.entries().toSorted(([a], [b]) => orderText(keyText(a), keyText(b)))
      : value.entries();
    const parts = entries.map(
      ([key, item]) => `${quoted(keyText(key), style)}${style.key}${dump(item, style, level + 1, budget)}`,
    );
    return wrapped(['{', '}'], parts, { style, level }, budget);
  }
  throw new TemplateError(`Object of type ${typeName(value)} is not JSON serializable`);
}

function wrapped(
  [open, close]: readonly [open: string, close: string],
  parts: readonly string[],
  { style, level }: { readonly style: Style; readonly level: number },
  budget: Budget,
): string {
  if (parts.length === 0) return open + close;
  if (style.indent === undefined) return open + parts.join(style.item) + close;
  budget.make(style.indent.length * (level + 1) * (parts.length + 1));
  const line = `\n${style.indent.repeat(level + 1)}`;
  return `${open}${line}${parts.join(style.item + line)}\n${style.indent.repeat(level)}${close}`;
}

function keyText(key: Value): string {
  if (typeof key === 'string') return key;
  if (key === null) return 'null';
  if (typeof key === 'boolean' || typeof key === 'number') return String(key);
  if (key instanceof Float) return jsonFloat(key.value);
  throw new TemplateError(`keys must be str, int, float, bool or None, not ${typeName(key)}`);
}

function jsonFloat(value: number): string {
  if (Number.isNaN(value)) return 'NaN';
  if (!Number.isFinite(value)) return value > 0 ? 'Infinity' : '-Infinity';
  return floatText(value);
}

function quoted(text: string, { ascii }: Style): string {
  const json = JSON.stringify(text);
  if (!ascii) return json;
  return json.replace(/[\u007f-\uffff]/g, (c) =>
    c === '\u007f' ? c : `\\u${c.charCodeAt(0).toString(16).padStart(4, '0')}`,
  );
}
