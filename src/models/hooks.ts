/**
 * @file Hook points: TransformerLens names, the aliases other tools use, and what a hook is given.
 *
 * `hook_embed` is what enters block 0 (Gemma's √d scale is in it). On sandwich-norm families `hook_attn_out` and
 * `hook_mlp_out` are what is added to the residual, after the post-norm; `attn.hook_out` and `mlp.hook_out` are before it.
 * `ln_final.hook_normalized` is without the norm's gain.
 */
import { InputError } from '../base/index.ts';
import { shapeText, type Tensor } from '../engine/index.ts';
import { Activation } from './activation.ts';

/** Where a hook sits; `layer` is the 0-based block, −1 outside the blocks. */
interface HookPoint {
  readonly site:
    | 'embed'
    | 'resid_pre'
    | 'resid_mid'
    | 'resid_post'
    | 'attn_out'
    | 'attn_inner'
    | 'mlp_out'
    | 'mlp_inner'
    | 'normalized';
  readonly layer: number;
}

/** What a hook is told about the activation [B,T,D] it gets. */
export interface HookContext {
  /** Canonical name. */
  readonly name: string;
  readonly layer: number;
  /** Absolute position of column 0, a row. */
  readonly starts: readonly number[];
  /** Real columns, a row; what follows is padding. */
  readonly counts: readonly number[];
  /** Index of each row in the call's input (rows leave a batch when they end). */
  readonly rows: readonly number[];
  /** `prompt` at prefill and in teacher-forced passes, `generation` for decoded tokens. */
  readonly phase: 'prompt' | 'generation';
}

/**
 * Reads, changes in place, or returns a replacement of the same shape. The activation's buffer is used again after the hook has
 * returned: copy what you keep.
 */
// biome-ignore lint/suspicious/noConfusingVoidType: a hook that returns nothing is the common one
export type HookFn = (activation: Activation, context: HookContext) => Tensor<'f32'> | void;

const readers = new WeakSet<HookFn>();

/**
 * A hook that only reads. What it gets is its own: it may keep it without copying, and what it does to it has no effect. Costs less
 * than a hook that might have changed something, which is checked for it afterwards.
 */
export function reading(fn: (activation: Activation, context: HookContext) => void): HookFn {
  const hook: HookFn = (activation, context) => fn(activation, context);
  readers.add(hook);
  return hook;
}

/** A hook and where it goes. */
export type FwdHook = readonly [name: string, fn: HookFn];

const canonical: Readonly<Record<HookPoint['site'], (layer: number) => string>> = {
  embed: () => 'hook_embed',
  resid_pre: (i) => `blocks.${i}.hook_resid_pre`,
  resid_mid: (i) => `blocks.${i}.hook_resid_mid`,
  resid_post: (i) => `blocks.${i}.hook_resid_post`,
  attn_out: (i) => `blocks.${i}.hook_attn_out`,
  attn_inner: (i) => `blocks.${i}.attn.hook_out`,
  mlp_out: (i) => `blocks.${i}.hook_mlp_out`,
  mlp_inner: (i) => `blocks.${i}.mlp.hook_out`,
  normalized: () => 'ln_final.hook_normalized',
};

/** Name of what enters block `layer` (0-based): `blocks.3.hook_resid_pre`, as TransformerLens calls it. */
export const residPre = canonical.resid_pre;
/** Name of the residual stream between attention and MLP of block `layer`: `blocks.3.hook_resid_mid`. */
export const residMid = canonical.resid_mid;
/** Name of what leaves block `layer`: `blocks.3.hook_resid_post`. */
export const residPost = canonical.resid_post;
/** Name of what leaves block `layer`, where −1 is what enters block 0: `hook_embed`. */
export const residAfter = (layer: number): string => (layer < 0 ? canonical.embed(-1) : residPost(layer));
/** Name of what attention adds to the residual stream in block `layer`: `blocks.3.hook_attn_out`. */
export const attnOut = canonical.attn_out;
/** Name of what the MLP adds to the residual stream in block `layer`: `blocks.3.hook_mlp_out`. */
export const mlpOut = canonical.mlp_out;

/** Spellings of TransformerLens 2 and 3, interp-engine, nnterp and Hugging Face modules. */
const spellings: readonly (readonly [RegExp, HookPoint['site']])[] = [
  [/^(?:hook_embed|embed\.hook_out|embeddings|token_embeddings)$/, 'embed'],
  [
    /^(?:blocks\.(\d+)\.hook_resid_pre|blocks\.(\d+)\.hook_in|resid_pre\.(\d+)|layers_input\[(\d+)\])$/,
    'resid_pre',
  ],
  [/^(?:blocks\.(\d+)\.hook_resid_mid|blocks\.(\d+)\.ln2\.hook_in|resid_mid\.(\d+))$/, 'resid_mid'],
  [
    /^(?:blocks\.(\d+)\.hook_resid_post|blocks\.(\d+)\.hook_out|resid_post\.(\d+)|layers_output\[(\d+)\]|model\.layers\.(\d+))$/,
    'resid_post',
  ],
  [/^(?:blocks\.(\d+)\.hook_attn_out|attn_out_post\.(\d+))$/, 'attn_out'],
  [
    /^(?:blocks\.(\d+)\.attn\.hook_out|attn_out\.(\d+)|attentions_output\[(\d+)\]|model\.layers\.(\d+)\.self_attn)$/,
    'attn_inner',
  ],
  [/^(?:blocks\.(\d+)\.hook_mlp_out|mlp_out_post\.(\d+))$/, 'mlp_out'],
  [
    /^(?:blocks\.(\d+)\.mlp\.hook_out|mlp_out\.(\d+)|mlps_output\[(\d+)\]|model\.layers\.(\d+)\.mlp)$/,
    'mlp_inner',
  ],
  [/^(?:ln_final\.hook_normalized|final_norm)$/, 'normalized'],
];

/** Understand a hook name; throws `InputError` for an unknown name or a block the model does not have. */
export function parseHookName(name: string, nLayers: number): HookPoint {
  for (const [pattern, site] of spellings) {
    const match = pattern.exec(name);
    if (match === null) continue;
    const digits = match.slice(1).find((g) => g !== undefined);
    const layer = digits === undefined ? -1 : Number(digits);
    if (layer >= nLayers)
      throw new InputError(`hook ${name}: the model has blocks 0…${nLayers - 1}`, { id: 'block-unknown' });
    return { site, layer };
  }
  throw new InputError(
    `hook ${JSON.stringify(name)} is not known; use for example hook_embed, blocks.3.hook_resid_post, blocks.3.hook_resid_mid, blocks.3.hook_attn_out, ln_final.hook_normalized`,
    { id: 'hook-unknown' },
  );
}

/** The name under which the activation is stored. */
export function hookName({ site, layer }: HookPoint): string {
  return canonical[site](layer);
}

/** All hook names of a model with `nLayers` blocks, in the order in which they fire. */
export function hookNames(nLayers: number): string[] {
  const names = [canonical.embed(-1)];
  for (let i = 0; i < nLayers; i++) {
    for (const site of [
      'resid_pre',
      'attn_inner',
      'attn_out',
      'resid_mid',
      'mlp_inner',
      'mlp_out',
      'resid_post',
    ] as const)
      names.push(canonical[site](i));
  }
  names.push(canonical.normalized(-1));
  return names;
}

/** Hooks by point, ready to fire. */
export class HookTable {
  readonly #byName = new Map<string, HookFn[]>();
  readonly #inside = new Set<number>();

  constructor(hooks: Iterable<FwdHook>, nLayers: number) {
    for (const [name, fn] of hooks) {
      const point = parseHookName(name, nLayers);
      const key = hookName(point);
      this.#byName.set(key, [...(this.#byName.get(key) ?? []), fn]);
      if (!['embed', 'resid_pre', 'resid_post', 'normalized'].includes(point.site))
        this.#inside.add(point.layer);
    }
  }

  /** Whether anything listens at this point. */
  has(site: HookPoint['site'], layer: number): boolean {
    return this.#byName.has(canonical[site](layer));
  }

  /** Whether something that listens at this point may change what it sees. */
  edits(site: HookPoint['site'], layer: number): boolean {
    return this.#byName.get(canonical[site](layer))?.some((fn) => !readers.has(fn)) ?? false;
  }

  /** Whether anything listens inside the block, so that it must run in pieces. */
  inside(layer: number): boolean {
    return this.#inside.has(layer);
  }

  /** Whether anything listens inside one of blocks `from`…`to`−1. */
  insideAny(from: number, to: number): boolean {
    for (const layer of this.#inside) if (layer >= from && layer < to) return true;
    return false;
  }

  /**
   * Run the hooks of a point on `activation`, in the order they were given; changes end up in its buffer. `spare`: nothing needs the
   * buffer afterwards, so the last hook that only reads gets it instead of a copy.
   */
  fire(
    { site, layer }: HookPoint,
    activation: Tensor<'f32'>,
    context: Omit<HookContext, 'name' | 'layer'>,
    spare = false,
  ): void {
    const name = canonical[site](layer);
    const fns = this.#byName.get(name);
    if (fns === undefined) return;
    for (const [i, fn] of fns.entries()) {
      if (readers.has(fn)) {
        const last = i === fns.length - 1;
        const data = spare && last ? activation.data : activation.data.slice();
        fn(new Activation({ ...activation, data }, context.counts), { ...context, name, layer });
        continue;
      }
      const replacement: unknown = fn(new Activation(activation, context.counts), {
        ...context,
        name,
        layer,
      });
      if (replacement === undefined) continue;
      if (!isTensorLike(replacement))
        throw new InputError(
          `hook at ${name}: wanted nothing or a tensor back, got ${replacement instanceof Promise ? 'a promise; hooks are synchronous' : typeof replacement}`,
          { id: 'hook-result' },
        );
      if (replacement.data === activation.data) continue;
      if (shapeText(replacement.shape) !== shapeText(activation.shape)) {
        throw new InputError(
          `hook at ${name}: wanted a replacement of shape ${shapeText(activation.shape)}, got ${shapeText(replacement.shape)}`,
          { id: 'hook-result' },
        );
      }
      activation.data.set(replacement.data);
    }
  }
}

function isTensorLike(value: unknown): value is Tensor<'f32'> {
  return typeof value === 'object' && value !== null && 'data' in value && 'shape' in value;
}
