/**
 * @file From YAML text to a checked {@link Recipe}: inheritance (`extends`), `--set key=value`, and complaints that name file,
 * line and column. Pure: whoever calls reads the files.
 */
import { dirname, isAbsolute, join } from 'node:path';
import { isMap, isScalar, parse as parseYaml } from 'yaml';
import { InputError, showText } from '../base/index.ts';
import {
  type Complaint,
  complaints,
  dotted,
  inputSchema,
  type JsonSchemaNode,
  keysAt,
  nearest,
  schemasAt,
} from './explain.ts';
import { type Recipe, recipeSchema } from './recipe.ts';
import { RecipeError, type RecipeIssue } from './recipe-error.ts';
import { fitToPools } from './recipe-pools.ts';
import { type RecipeSource, readYaml, type Yaml } from './recipe-yaml.ts';

/** A recipe as given (inherited keys and overrides applied, defaults not) and as resolved. */
export interface ParsedRecipe {
  readonly given: Record<string, unknown>;
  readonly recipe: Recipe;
}

/** What `source` says under `extends`, if anything. Throws {@link RecipeError} when the text is no YAML mapping. */
export function recipeExtends(source: RecipeSource): string | undefined {
  const { doc, value } = readYaml(source);
  const parent = value.extends;
  if (parent === undefined || (typeof parent === 'string' && parent !== '')) return parent;
  throw new RecipeError([
    locate({ doc, source, at: [] }, ['extends'], 'extends: wanted the name or path of a recipe'),
  ]);
}

/** What says something of one file alone, and the targets of a fleet. */
const NOT_INHERITED = ['extends', 'name', 'description', 'targets'];

const A_FLEET = 'this is a fleet, one source and many targets: run it with `crosspatch fleet`';

/** What a file, or a part of one, says of an experiment. */
export interface RecipeLayer {
  readonly source: RecipeSource;
  readonly doc: Yaml;
  /** Where in the file it stands; empty for the whole of it. */
  readonly at: readonly string[];
  readonly value: Readonly<Record<string, unknown>>;
}

/** The whole of a file. Throws {@link RecipeError} when it is no YAML mapping. */
export function layerOf(source: RecipeSource): RecipeLayer {
  const { doc, value } = readYaml(source);
  return partOf({ source, doc }, [], value);
}

/** What stands at `at` of a file. */
export function partOf(
  { source, doc }: Pick<RecipeLayer, 'source' | 'doc'>,
  at: readonly string[],
  value: Record<string, unknown>,
): RecipeLayer {
  return { source, doc, at, value: besideFile(value, dirname(source.file)) };
}

/**
 * Check an experiment. `sources`: the file, then what it extends, nearest first. Objects merge key by key, lists and scalars
 * replace; files of `behaviours` and the paths of `capabilities` are relative to the file they stand in (in `overrides`: to the current folder); `name` and `description` are the file's own. `overrides`: `a.b=c` strings, typed through the schema (`behaviours=locked` makes a list). Throws {@link RecipeError}.
 */
export function parseRecipe(
  sources: readonly RecipeSource[],
  overrides: readonly string[] = [],
): ParsedRecipe {
  const layers = sources.map(layerOf);
  const [first] = layers;
  if (first && Object.hasOwn(first.value, 'targets'))
    throw new RecipeError([locate(first, ['targets'], A_FLEET)]);
  return parseLayers(layers, overrides);
}

/** {@link parseRecipe} of what was read, nearest first. */
export function parseLayers(layers: readonly RecipeLayer[], overrides: readonly string[] = []): ParsedRecipe {
  let given: Record<string, unknown> = {};
  for (const [i, { value }] of [...layers.entries()].toReversed()) {
    given = merge(given, i === 0 ? without(value, ['extends']) : without(value, NOT_INHERITED)) as Record<
      string,
      unknown
    >;
  }
  const schema = inputSchema(recipeSchema);
  const set = overrides.map((text) => {
    const override = readOverride(text, schema);
    given = setIn(given, override.path, override.value) as Record<string, unknown>;
    return override;
  });
  const parsed = recipeSchema.safeParse(given);
  const says = (path: Complaint['path']) => (layer: RecipeLayer) => layer.doc.hasIn([...layer.at, ...path]);
  const fitted = parsed.success
    ? fitToPools(parsed.data, (path) => {
        if (!hasIn(given, path)) return Number.POSITIVE_INFINITY;
        if (set.some((o) => covers(o.path, path))) return -1;
        return layers.findIndex(says(path));
      })
    : undefined;
  if (fitted?.wrong.length === 0) return { given, recipe: fitted.recipe };
  const wrong = fitted?.wrong ?? [];
  const { shown, total } = parsed.success
    ? { shown: wrong, total: wrong.length }
    : complaints(recipeSchema, parsed.error, given);
  throw new RecipeError(
    shown.map((complaint) => {
      const override = set.find((o) => covers(o.path, complaint.path));
      if (override) return { file: `--set ${showText(override.text)}`, ...plain(complaint) };
      const owner = layers.find(says(complaint.path)) ?? layers[0];
      if (!owner) return { file: 'recipe', ...plain(complaint) };
      return locate(owner, complaint.path, complaint.message);
    }),
    total,
  );
}

/** Position of the key at `path` of a layer, or of the nearest thing above it that is written. */
export function locate(
  { doc, source, at }: Pick<RecipeLayer, 'doc' | 'source' | 'at'>,
  path: Complaint['path'],
  message: string,
): RecipeIssue {
  const issue = { file: source.file, path: dotted(path), message };
  const whole = [...at, ...path];
  for (let length = whole.length; length > 0; length--) {
    const offset = offsetOf(doc, whole.slice(0, length));
    if (offset === undefined) continue;
    const { line, col } = doc.lines.linePos(offset);
    return { ...issue, line, column: col };
  }
  return { ...issue, line: 1, column: 1 };
}

function offsetOf(doc: Yaml, path: Complaint['path']): number | undefined {
  const parent = doc.getIn(path.slice(0, -1), true);
  const last = path.at(-1);
  if (isMap(parent)) {
    const pair = parent.items.find((item) => isScalar(item.key) && String(item.key.value) === String(last));
    return pair && isScalar(pair.key) ? pair.key.range?.[0] : undefined;
  }
  const node = doc.getIn(path, true) as { range?: readonly number[] } | undefined;
  return node?.range?.[0];
}

/** Whether what stands at `path` lies within what stands at `outer`. */
function covers(outer: Complaint['path'], path: Complaint['path']): boolean {
  return outer.every((step, i) => String(path[i]) === String(step));
}

/** The files of behaviours and tasks, which are relative to the experiment file that names them, as paths that can be opened. */
function besideFile(value: Record<string, unknown>, folder: string): Record<string, unknown> {
  const beside = (path: unknown): unknown =>
    typeof path !== 'string' || path === '' || isAbsolute(path) ? path : join(folder, path);
  const filesOf = (behaviour: unknown): unknown => {
    if (!isObject(behaviour)) return behaviour;
    const found = { ...behaviour };
    for (const key of FILE_KEYS) if (key in found) found[key] = beside(found[key]);
    const { detector } = found;
    if (isObject(detector) && detector.kind === 'classifier')
      found.detector = { ...detector, model: beside(detector.model) };
    return found;
  };
  const out = { ...value };
  if (Array.isArray(value.behaviours)) out.behaviours = value.behaviours.map(filesOf);
  const { capabilities, fidelity } = value;
  if (isObject(fidelity) && Array.isArray(fidelity.onnx))
    out.fidelity = {
      ...fidelity,
      onnx: fidelity.onnx.map((judge: unknown) =>
        isObject(judge) ? { ...judge, model: beside(judge.model) } : judge,
      ),
    };
  if (isObject(capabilities)) {
    const paths = (['data', 'shots'] as const).flatMap((key) => {
      const tasks = capabilities[key];
      if (!isObject(tasks)) return [];
      return [[key, Object.fromEntries(Object.entries(tasks).map(([task, path]) => [task, beside(path)]))]];
    });
    out.capabilities = { ...capabilities, ...Object.fromEntries(paths) };
  }
  return out;
}

/** Keys of a behaviour that name a file. */
const FILE_KEYS = ['file', 'safe_file'];

function hasIn(value: unknown, path: readonly string[]): boolean {
  const [step, ...rest] = path;
  return step === undefined || (isObject(value) && Object.hasOwn(value, step) && hasIn(value[step], rest));
}

function without(value: Record<string, unknown>, keys: readonly string[]): Record<string, unknown> {
  return Object.fromEntries(Object.entries(value).filter(([key]) => !keys.includes(key)));
}

function plain(complaint: Complaint): { path: string; message: string } {
  return { path: dotted(complaint.path), message: complaint.message };
}

function merge(base: unknown, over: unknown): unknown {
  if (!isObject(base) || !isObject(over)) return over;
  const out: Record<string, unknown> = { ...base };
  for (const [key, value] of Object.entries(over))
    out[key] = Object.hasOwn(base, key) ? merge(base[key], value) : value;
  return out;
}

function setIn(target: unknown, path: readonly (string | number)[], value: unknown): unknown {
  const [step, ...rest] = path;
  if (step === undefined) return value;
  if (Array.isArray(target)) {
    if (typeof step !== 'number' || step > target.length)
      throw new InputError(
        `--set: ${showText(String(step))}: the list has ${target.length} element(s); wanted an index from 0 to ${target.length}`,
        { id: 'setting-invalid' },
      );
    const copy = target.slice();
    copy[step] = setIn(copy[step], rest, value);
    return copy;
  }
  if (typeof step === 'number')
    throw new InputError(
      `--set: there is no list to take element ${step} of; write the list in the file first`,
      { id: 'setting-invalid' },
    );
  const object = isObject(target) ? target : {};
  return { ...object, [step]: setIn(Object.hasOwn(object, step) ? object[step] : undefined, rest, value) };
}

interface Override {
  readonly text: string;
  readonly path: readonly (string | number)[];
  readonly value: unknown;
}

function readOverride(text: string, schema: JsonSchemaNode): Override {
  const equals = text.indexOf('=');
  if (equals < 1)
    throw new InputError(`--set ${showText(text)}: wanted key=value, e.g. --set sweep.prompts=20`, {
      id: 'setting-invalid',
    });
  const path = text
    .slice(0, equals)
    .trim()
    .split('.')
    .map((step) => (/^\d+$/.test(step) ? Number(step) : step));
  path.forEach((step, i) => {
    if (schemasAt(schema, path.slice(0, i + 1)).length > 0) return;
    const known = keysAt(schema, path.slice(0, i));
    const near = nearest(String(step), known);
    const where = i === 0 ? '' : ` in ${dotted(path.slice(0, i))}`;
    const hint = near
      ? `did you mean "${near}"?`
      : known.length > 0
        ? `known keys: ${known.join(', ')}`
        : 'it takes none';
    throw new InputError(
      `--set ${showText(text)}: unknown key "${showText(String(step))}"${where}; ${hint}`,
      { id: 'setting-invalid' },
    );
  });
  return { text, path, value: coerce(text.slice(equals + 1).trim(), schemasAt(schema, path)) };
}

/** The value a person means by `raw` where one of `nodes` is wanted; one that fits none is left for the schema to refuse. */
function coerce(raw: string, nodes: readonly JsonSchemaNode[]): unknown {
  let value: unknown;
  try {
    value = parseYaml(raw, { logLevel: 'error', maxAliasCount: 0 });
  } catch {
    value = raw;
  }
  if (nodes.some((node) => fits(value, node))) return value;
  if (nodes.some((node) => fits(raw, node))) return raw;
  const list = nodes.find((node) => node.type === 'array');
  if (!list || Array.isArray(value)) return value;
  const items = list.items ? schemasAt(list.items, []) : [];
  return raw.split(',').map((item) => coerce(item.trim(), items));
}

function fits(value: unknown, node: JsonSchemaNode): boolean {
  if (node.const !== undefined) return node.const === value;
  if (node.enum) return node.enum.includes(value);
  if (node.type === 'integer' || node.type === 'number') return typeof value === 'number';
  if (node.type === 'array') return Array.isArray(value);
  if (node.type === 'object') return isObject(value);
  return node.type === typeof value;
}

function isObject(value: unknown): value is Record<string, unknown> {
  return value !== null && typeof value === 'object' && !Array.isArray(value);
}
