/**
 * @file `adapter_config.json` of PEFT: what of it is applied, what changes nothing, and everything else refused by name. An adapter
 * that was trained as something other than plain LoRA must not be merged as if it were.
 */
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { InputError, isPlainObject, patternRisk, showValue } from '../base/index.ts';
import { parseStrictJsonObject } from '../models/index.ts';

export const CONFIG = 'adapter_config.json';

/** Largest rank of an adapter: no matrix of a model we run is near it. */
const MAX_RANK = 65_536;

/** What an adapter's config says of the matrices of a model. */
interface PeftConfig {
  /** How the module `path` (`model.layers.0.self_attn.q_proj`) of block `layer` is adapted; undefined where it is not. */
  siteOf(path: string, layer: number): SiteSettings | undefined;
  readonly baseModel?: string;
}

/** W gets (alpha / rank)·B·A, with A [rank, in] and B [out, rank]. */
interface SiteSettings {
  readonly rank: number;
  readonly alpha: number;
}

/** Keys that are applied. */
const APPLIED = new Set([
  'peft_type',
  'r',
  'lora_alpha',
  'use_rslora',
  'rank_pattern',
  'alpha_pattern',
  'target_modules',
  'exclude_modules',
  'layers_to_transform',
  'layers_pattern',
  'base_model_name_or_path',
]);

/** Keys that say how the adapter was trained or is stored, not what it computes. */
const HARMLESS = new Set([
  'auto_mapping',
  'ensure_weight_tying',
  'eva_config',
  'inference_mode',
  'loftq_config',
  'lora_dropout',
  'megatron_core',
  'merge_weights',
  'peft_version',
  'qalora_group_size',
  'revision',
  'runtime_config',
]);

/** Keys that may have these values and no other (beside null and what is empty): the rest would compute something else. */
const FIXED: Readonly<Record<string, readonly unknown[]>> = {
  bias: ['none'],
  fan_in_fan_out: [false],
  lora_bias: [false],
  task_type: ['CAUSAL_LM'],
  use_bdlora: [false],
  use_dora: [false],
  use_qalora: [false],
  // the others (pissa, olora, corda, loftq, lora_ga, …) change the weights of the base when the adapter is loaded
  init_lora_weights: [true, false, 'gaussian', 'eva', 'orthogonal'],
};

/** Read and check the config of an adapter folder. Throws {@link InputError}. */
export async function readPeftConfig(folder: string): Promise<PeftConfig> {
  const path = join(folder, CONFIG);
  const bytes = await readFile(path).catch((cause: unknown) => {
    throw new InputError(`${folder}: wanted a PEFT adapter with ${CONFIG}, found none`, {
      id: 'file-unreadable',
      cause,
    });
  });
  return parsePeftConfig(parseStrictJsonObject(bytes, path), path);
}

/** {@link readPeftConfig} of what the file holds; `where` begins the messages. */
function parsePeftConfig(json: Readonly<Record<string, unknown>>, where: string): PeftConfig {
  const refuse = (key: string, wanted: string): never => {
    throw new InputError(`${where}: ${key}: wanted ${wanted}, got ${showValue(json[key])}`, {
      id: 'adapter-mismatch',
    });
  };
  if (json.peft_type !== 'LORA') refuse('peft_type', '"LORA"');
  for (const [key, value] of Object.entries(json)) {
    if (APPLIED.has(key) || HARMLESS.has(key) || isOff(value)) continue;
    const allowed = Object.hasOwn(FIXED, key) ? FIXED[key] : undefined;
    if (allowed === undefined)
      refuse(key, 'nothing: it is not applied, and without it the adapter would be another one');
    else if (!allowed.includes(value)) refuse(key, allowed.map((v) => showValue(v)).join(' or '));
  }
  if (json.alora_invocation_tokens !== undefined && json.alora_invocation_tokens !== null)
    refuse('alora_invocation_tokens', 'null: an activated LoRA is not applied');

  const rank = rankOf(json.r ?? 8, () => refuse('r', `an integer from 1 to ${MAX_RANK}`));
  const alpha = alphaOf(json.lora_alpha ?? 8, () => refuse('lora_alpha', 'a number ≥ 0'));
  const stabilised = json.use_rslora === true;
  if (typeof (json.use_rslora ?? false) !== 'boolean') refuse('use_rslora', 'true or false');
  const ranks = patterns(json.rank_pattern, (v) =>
    rankOf(v, () => refuse('rank_pattern', `names with integers from 1 to ${MAX_RANK}`)),
  );
  const alphas = patterns(json.alpha_pattern, (v) =>
    alphaOf(v, () => refuse('alpha_pattern', 'names with numbers ≥ 0')),
  );
  if (ranks === undefined) refuse('rank_pattern', 'an object of names with numbers');
  if (alphas === undefined) refuse('alpha_pattern', 'an object of names with numbers');

  const targeted = selector(json, 'target_modules', refuse);
  if (targeted === undefined) return refuse('target_modules', 'names, or a pattern');
  const excluded = selector(json, 'exclude_modules', refuse);
  const chosen = chosenLayers(json, refuse);
  if (chosen !== undefined && typeof json.target_modules === 'string')
    refuse('layers_to_transform', 'null where target_modules is a pattern');

  // rank-stabilised LoRA scales by alpha/√rank (arXiv 2312.03732); the same factor written as alpha'/rank
  const settings = (r: number, a: number): SiteSettings => ({
    rank: r,
    alpha: stabilised ? a * Math.sqrt(r) : a,
  });
  return {
    siteOf(path, layer) {
      if (excluded?.(path) === true || !targeted(path) || chosen?.(path, layer) === false) return undefined;
      return settings(matching(ranks, path) ?? rank, matching(alphas, path) ?? alpha);
    },
    baseModel: typeof json.base_model_name_or_path === 'string' ? json.base_model_name_or_path : undefined,
  };
}

/** Null and what is empty ask for nothing. */
function isOff(value: unknown): boolean {
  if (value === null) return true;
  return Array.isArray(value)
    ? value.length === 0
    : isPlainObject(value)
      ? Object.keys(value).length === 0
      : value === '';
}

function rankOf(value: unknown, refuse: () => never): number {
  return Number.isInteger(value) && (value as number) >= 1 && (value as number) <= MAX_RANK
    ? (value as number)
    : refuse();
}

function alphaOf(value: unknown, refuse: () => never): number {
  return typeof value === 'number' && Number.isFinite(value) && value >= 0 ? value : refuse();
}

type Pattern<T> = readonly [matches: (path: string) => boolean, value: T];

/** A pattern's entries in the order of the file; undefined where it is not an object. A key names a module by the end of its path. */
function patterns<T>(value: unknown, read: (v: unknown) => T): readonly Pattern<T>[] | undefined {
  if (value === undefined || value === null) return [];
  if (!isPlainObject(value)) return undefined;
  return Object.entries(value).map(([key, v]) => {
    const pattern = compile(`(?:.*\\.)?(?:${key})`, key);
    return [(path) => pattern.test(path), read(v)];
  });
}

function matching<T>(entries: readonly Pattern<T>[] | undefined, path: string): T | undefined {
  return entries?.find(([matches]) => matches(path))?.[1];
}

/** Which modules `key` names: a pattern over the whole path, `all-linear`, or names: whole paths or their last parts. */
function selector(
  json: Readonly<Record<string, unknown>>,
  key: 'target_modules' | 'exclude_modules',
  refuse: (key: string, wanted: string) => never,
): ((path: string) => boolean) | undefined {
  const value = json[key];
  if (value === undefined || value === null || isOff(value)) return undefined;
  if (typeof value === 'string') {
    if (key === 'target_modules' && value.toLowerCase() === 'all-linear') return () => true;
    const pattern = compile(value, value);
    return (path) => pattern.test(path);
  }
  if (!Array.isArray(value) || !value.every((v): v is string => typeof v === 'string'))
    return refuse(key, 'names, or a pattern');
  const names = new Set(value);
  return (path) => {
    for (let at = 0; at >= 0; at = path.indexOf('.', at) + 1 || -1)
      if (names.has(path.slice(at))) return true;
    return false;
  };
}

/** The blocks that `layers_to_transform` names; `layers_pattern` is what stands before their number in a path. */
function chosenLayers(
  json: Readonly<Record<string, unknown>>,
  refuse: (key: string, wanted: string) => never,
): ((path: string, layer: number) => boolean) | undefined {
  const { layers_to_transform: layers, layers_pattern: list } = json;
  if (layers === undefined || layers === null || isOff(layers)) return undefined;
  const wanted: unknown[] = Array.isArray(layers) ? layers : [layers];
  if (!wanted.every(Number.isInteger)) refuse('layers_to_transform', 'block numbers');
  const indices = new Set(wanted);
  if (list === undefined || list === null || isOff(list)) return (_, layer) => indices.has(layer);
  const lists = Array.isArray(list) ? list : [list];
  if (!lists.every((v): v is string => typeof v === 'string')) return refuse('layers_pattern', 'names');
  const numbered = lists.map((name) => compile(`(?:.*?\\.)?(?:${name})\\.(\\d+)\\..*`, name));
  return (path) => {
    const found = numbered.map((pattern) => pattern.exec(path)?.[1]).find((index) => index !== undefined);
    return found !== undefined && indices.has(Number(found));
  };
}

/** A pattern as Python's `re.fullmatch` reads it, as far as both languages agree. */
function compile(source: string, shown: string): RegExp {
  const fail = (what: string, cause?: unknown): never => {
    throw new InputError(
      `adapter pattern ${showValue(shown)}: ${what}; write the modules' names out instead`,
      { id: 'adapter-mismatch', cause },
    );
  };
  const translated = source.replaceAll('(?P<', '(?<').replaceAll('\\Z', '$').replaceAll('\\A', '^');
  const risk = patternRisk(translated, { unbounded: 5 });
  if (risk !== undefined) fail(risk);
  try {
    return new RegExp(`^(?:${translated})$`, 's');
  } catch (cause) {
    return fail('not a pattern we can read', cause);
  }
}
