/** @file The main keys of an experiment file as fields of a form, from the recipe's own schema, and one key changed in the YAML text. */
import { isMap } from 'yaml';
import { InputError, showText } from '../base/index.ts';
import { inputSchema, type JsonSchemaNode, schemasAt } from './explain.ts';
import { recipeSchema } from './recipe.ts';
import { type RecipeSource, readYaml } from './recipe-yaml.ts';

/** A field of the form. */
export interface RecipeField {
  /** `finetune.steps` */
  readonly path: string;
  readonly kind: 'text' | 'number' | 'choice' | 'choices';
  /** Of `choice` and `choices`. */
  readonly options?: readonly string[];
  readonly min?: number;
  readonly description?: string;
}

/** Keys that most experiments change, in the order of the form. */
const MAIN = [
  'name',
  'models.source',
  'models.target',
  'behaviours',
  'placement',
  'template',
  'seed',
  'data.train',
  'data.validation',
  'data.test',
  'finetune.method',
  'finetune.steps',
  'finetune.learning_rate',
  'blocks.source',
  'blocks.target',
  'sweep.prompts',
  'capture.prompts',
  'transfer.prompts',
  'fidelity.prompts',
  'evaluation.max_tokens',
] as const;

/** The form. */
export function recipeFields(): RecipeField[] {
  const root = inputSchema(recipeSchema);
  return MAIN.map((path) => ({ path, ...fieldOf(schemasAt(root, path.split('.')), root, path) }));
}

function fieldOf(
  nodes: readonly JsonSchemaNode[],
  root: JsonSchemaNode,
  path: string,
): Omit<RecipeField, 'path'> {
  const described = [...nodes, ...parentsOf(root, path)].find((node) => node.description !== undefined);
  const description = described?.description;
  const list = nodes.find((node) => node.type === 'array');
  if (list?.items) return { kind: 'choices', options: words(schemasAt(list.items, [])), description };
  const number = nodes.find((node) => node.type === 'integer' || node.type === 'number');
  const named = words(nodes);
  // A number, or a word instead of it (`auto`): typed as text.
  if (number && named.length > 0) return { kind: 'text', description };
  if (number) return { kind: 'number', min: number.minimum ?? number.exclusiveMinimum, description };
  return named.length > 0 ? { kind: 'choice', options: named, description } : { kind: 'text', description };
}

/** The node before its alternatives were taken apart: it has the description. */
function parentsOf(root: JsonSchemaNode, path: string): JsonSchemaNode[] {
  const steps = path.split('.');
  const last = steps.at(-1) ?? '';
  return schemasAt(root, steps.slice(0, -1)).flatMap((node) => node.properties?.[last] ?? []);
}

function words(nodes: readonly JsonSchemaNode[]): string[] {
  return nodes.flatMap((node) => [...(node.enum ?? []), node.const]).filter((v) => typeof v === 'string');
}

/** What the form writes at a key: undefined takes the key away, so that its default holds. */
export type FieldValue = string | number | readonly string[] | undefined;

/**
 * The text with one key changed; comments and the order of the others stay.
 *
 * @throws RecipeError when the text is not a YAML mapping; InputError when what is above the key is not one
 */
export function setRecipeKey(source: RecipeSource, path: string, value: FieldValue): string {
  const { doc } = readYaml(source.text.trim() === '' ? { ...source, text: '{}' } : source);
  const steps = path.split('.');
  for (let i = 1; i < steps.length; i++) {
    const above = doc.getIn(steps.slice(0, i), true);
    if (above !== undefined && above !== null && !isMap(above))
      throw new InputError(
        `${path}: ${steps.slice(0, i).join('.')} is ${showText(String(above))} in the text, wanted keys below it; change it there`,
        { id: 'setting-invalid' },
      );
  }
  if (value === undefined) {
    if (doc.hasIn(steps)) doc.deleteIn(steps);
  } else doc.setIn(steps, doc.createNode(value, { flow: true }));
  if (isMap(doc.contents)) doc.contents.flow = false;
  return doc.contents === null || (isMap(doc.contents) && doc.contents.items.length === 0)
    ? ''
    : doc.toString({ lineWidth: 0 });
}

/** What is written in the text itself at the main keys; nothing where it is not a YAML mapping. */
export function writtenKeys(source: RecipeSource): Record<string, FieldValue> {
  try {
    return recipeKeys(readYaml(source).value);
  } catch {
    return {};
  }
}

/** The main keys of an experiment as a form shows them; a behaviour with settings of its own is shown by its name. */
export function recipeKeys(given: Readonly<Record<string, unknown>>): Record<string, FieldValue> {
  return Object.fromEntries(MAIN.map((path) => [path, shown(valueAt(given, path))]));
}

function shown(value: unknown): FieldValue {
  if (typeof value === 'string' || typeof value === 'number') return value;
  if (!Array.isArray(value)) return undefined;
  return value.flatMap((item: unknown) => {
    if (typeof item === 'string') return [item];
    const name = item !== null && typeof item === 'object' && (item as { name?: unknown }).name;
    return typeof name === 'string' ? [name] : [];
  });
}

function valueAt(given: unknown, path: string): unknown {
  let value = given;
  for (const step of path.split('.')) {
    if (value === null || typeof value !== 'object' || Array.isArray(value)) return undefined;
    value = (value as Record<string, unknown>)[step];
  }
  return value;
}
