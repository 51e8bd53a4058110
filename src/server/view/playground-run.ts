/**
 * @file One prompt, many ways of changing the run, side by side in one batch (docs/concepts/method.md#patch): the residual stream x after a block
 * is changed at the trigger's tokens ({@link PLAYGROUND_OPS}), t being the donor's activations (native), the mapped ones, or a control's.
 */

import { pairText } from '../../activations/index.ts';
import { InputError, Rng } from '../../base/index.ts';
import { placeTag, renderPrompt } from '../../behaviours/index.ts';
import { captureResiduals, klDivergence, norm, type Patch, patchHooks } from '../../interventions/index.ts';
import { loadMap } from '../../maps/index.ts';
import {
  type Encoding,
  HookTable,
  type LanguageModel,
  nextLogits,
  pairSpans,
  spanOfChars,
} from '../../models/index.ts';
import type { ChildCall } from './model-process.ts';
import type {
  PlaygroundArm,
  PlaygroundEvent,
  PlaygroundOp,
  PlaygroundProof,
  PlaygroundCall as PlaygroundRequest,
} from './playground-request.ts';

/** What a run needs from the thread it is in. */
export interface Opened {
  readonly model: (path: string) => Promise<LanguageModel>;
  readonly stopped: () => boolean;
}

/** Seed of the random arm: the same question gives the same answer. */
const SEED = 17;

/** Carry out a request. Throws {@link InputError} when it does not fit the model. */
export async function* runArms(
  call: Extract<ChildCall, { kind: 'run' }>,
  { model: openModel, stopped }: Opened,
): AsyncGenerator<PlaygroundEvent, void, undefined> {
  const { request } = call;
  const began = performance.now();
  yield { type: 'status', message: 'opening the model' };
  const model = await openModel(call.model);
  if (request.block >= model.nLayers)
    throw new InputError(`block ${request.block}: the model has blocks 0…${model.nLayers - 1}`, {
      id: 'block-unknown',
    });
  const own = readPrompt(model, request, request.trigger);
  const donor =
    request.trigger === 'none'
      ? undefined
      : readPrompt(model, request, request.trigger === 'bad' ? 'safe' : 'bad');
  yield { type: 'status', message: 'reading activations' };
  const { patches, missing } = await makePatches(call, model, own, donor, openModel);
  const arms = request.arms.filter((arm) => missing[arm] === undefined);
  yield {
    type: 'prompt',
    blocks: model.nLayers,
    tokens: own.texts,
    donorTokens: donor?.texts ?? [],
    arms,
    missing,
  };
  if (arms.length === 0 || stopped()) return;
  const ids = arms.map((arm) => (arm === 'donor' && donor ? donor : own).encoding.ids);
  const plan = arms.map((arm) => patches.get(arm)?.patch);
  for (const proof of await prove(model, own, patches)) yield { type: 'proof', ...proof };

  yield { type: 'status', message: 'writing' };
  let tokens = 0;
  for await (const token of model.generateStream(ids, {
    fwdHooks: patchHooks(plan, model),
    maxNewTokens: request.maxTokens,
  })) {
    if (stopped()) return;
    const arm = arms[token.row] as PlaygroundArm;
    if (token.id >= 0) tokens++;
    if (token.text !== '') yield { type: 'token', arm, text: token.text };
    if (token.finish !== undefined) yield { type: 'end', arm, finish: token.finish };
  }
  yield { type: 'done', seconds: (performance.now() - began) / 1000, tokens };
}

interface Prompt {
  readonly text: string;
  readonly encoding: Encoding;
  /** Text of every token. */
  readonly texts: readonly string[];
  /** Token positions of the trigger and what follows; undefined without a trigger. */
  readonly span: { readonly start: number; readonly end: number } | undefined;
}

function readPrompt(
  model: LanguageModel,
  request: PlaygroundRequest,
  trigger: 'bad' | 'safe' | 'none',
): Prompt {
  const { template, placement, after } = request;
  const tagged = trigger === 'none' ? undefined : placeTag(request.text, request[trigger], placement);
  const { prompt, offset } = renderPrompt(template, tagged?.text ?? request.text, (user) =>
    model.applyChatTemplate([{ role: 'user', content: user }]),
  );
  const encoding = model.tokenizer.encode(prompt, { addSpecialTokens: 'auto' });
  const tokens = tagged && spanOfChars(encoding, tagged.span.start + offset, tagged.span.end + offset);
  return {
    text: prompt,
    encoding,
    texts: tokenTexts(prompt, encoding),
    span: tokens && { start: tokens.start, end: Math.min(tokens.end + after, encoding.ids.length) },
  };
}

/** The prompt cut at its tokens' ends: joined they are the prompt again, but for special tokens, which show their names. */
function tokenTexts(text: string, { offsets, tokens }: Encoding): string[] {
  let from = 0;
  return offsets.map(([start, end], i) => {
    if (start === end) return tokens[i] as string;
    const piece = text.slice(from, end);
    from = Math.max(from, end);
    return piece;
  });
}

interface ArmPatch {
  readonly patch: Patch;
  readonly relative_change: number;
}

async function makePatches(
  call: Extract<ChildCall, { kind: 'run' }>,
  model: LanguageModel,
  own: Prompt,
  donor: Prompt | undefined,
  openModel: Opened['model'],
): Promise<{ patches: Map<PlaygroundArm, ArmPatch>; missing: Partial<Record<PlaygroundArm, string>> }> {
  const { request } = call;
  const { block, strength, op = 'set' } = request;
  const d = model.config.dModel;
  const wanted = new Set(request.arms);
  const missing: Partial<Record<PlaygroundArm, string>> = {};
  const patches = new Map<PlaygroundArm, ArmPatch>();
  const put = (
    arm: PlaygroundArm,
    at: number,
    positions: readonly number[],
    x: Float32Array,
    values: Float32Array,
  ) => patches.set(arm, { patch: { block: at, positions, values }, relative_change: change(x, values, d) });
  const moved = (x: Float32Array, t: Float32Array, v: Float32Array) => OPS[op](x, t, v, strength, d);
  const { ids } = own.encoding;
  if (wanted.has('mean_ablated')) {
    const positions = ids.map((_, i) => i).slice(1);
    if (positions.length === 0) missing.mean_ablated = 'the prompt is one token long';
    else {
      const x = await residuals(model, ids, positions, block);
      const mean = repeat(meanRow(x, d), positions.length);
      put('mean_ablated', block, positions, x, OPS.set(x, mean, mean, strength));
    }
  }
  if (!donor || !own.span || !donor.span) {
    for (const arm of ['donor', 'native', 'mapped', 'random'] as const)
      if (wanted.has(arm))
        missing[arm] = 'the prompt carries no trigger, so there is nothing to put in its place';
    return { patches, missing };
  }
  const { pairs } = pairSpans(own.span, donor.span);
  const positions = pairs.map((p) => p.recipient);
  const donorPositions = pairs.map((p) => p.donor);
  const [x, safe] = await Promise.all([
    residuals(model, ids, positions, block),
    residuals(model, donor.encoding.ids, donorPositions, block),
  ]);
  const v = minus(safe, x);
  if (wanted.has('native')) put('native', block, positions, x, moved(x, safe, v));
  if (wanted.has('random'))
    put('random', block, positions, x, moved(x, randomRows(safe, d), randomRows(v, d)));
  if (wanted.has('mapped')) {
    if (call.map === undefined || call.source === undefined)
      missing.mapped = 'choose a map and the model it starts from';
    else {
      const map = await loadMap(call.map);
      const source = await openModel(call.source);
      const target = await openModel(call.model);
      const end = async (m: LanguageModel, { block: b, hook }: { block: number; hook: string }) => ({
        model: await m.checkpoint.contentHash(),
        block: b,
        hook,
        width: m.config.dModel,
      });
      map.assertFits(await end(source, map.source), await end(target, map.target));
      const mapped = await mapRows(map, source, target, donor, donorPositions);
      // A difference is carried as the difference of what is carried.
      const from = op === 'set' ? mapped : await mapRows(map, source, target, own, positions);
      const here = await residuals(target, ids, positions, map.target.block);
      put('mapped', map.target.block, positions, here, moved(here, mapped, minus(mapped, from)));
    }
  }
  return { patches, missing };
}

/** A prompt's activations in the source model, carried over: [positions, d]. */
async function mapRows(
  map: Awaited<ReturnType<typeof loadMap>>,
  source: LanguageModel,
  target: LanguageModel,
  prompt: Prompt,
  positions: readonly number[],
): Promise<Float32Array> {
  const pair = pairText('playground', prompt.text, source.tokenizer, target.tokenizer);
  const sourceOf = positions.map((p) => pair.alignment?.sourceOf[p] ?? p);
  const width = map.source.width;
  const there = sourceOf.filter((p) => p >= 0);
  const read = await residuals(source, pair.source, there, map.source.block);
  const rows = new Float32Array(positions.length * width);
  let k = 0;
  sourceOf.forEach((p, i) => {
    rows.set(p < 0 ? map.sourceMean : read.subarray(k * width, (k + 1) * width), i * width);
    if (p >= 0) k++;
  });
  return map.apply(rows, positions.length, {
    tokenIds: positions.map((p) => prompt.encoding.ids[p] as number),
  });
}

type Op = (
  x: Float32Array,
  t: Float32Array,
  v: Float32Array,
  alpha: number,
  d: number,
) => Float32Array<ArrayBuffer>;

/** Row by row: x [P,D], t [P,D], v [P,D] → [P,D]. */
const OPS = {
  // x + α (t − x)
  set: (x, t, _v, alpha) => x.map((value, i) => value + alpha * ((t[i] as number) - value)),
  // x + α v
  add: (x, _t, v, alpha) => x.map((value, i) => value + alpha * (v[i] as number)),
  // x − α (x·v / v·v) v
  project: (x, _t, v, alpha, d) => {
    const out = x.slice();
    for (let from = 0; from < x.length; from += d) {
      const [row, along] = [x.subarray(from, from + d), v.subarray(from, from + d)];
      const share = dot(row, along) / (dot(along, along) || 1);
      for (let j = 0; j < d; j++) out[from + j]! -= alpha * share * along[j]!;
    }
    return out;
  },
} as const satisfies Record<PlaygroundOp, Op>;

function dot(a: Float32Array, b: Float32Array): number {
  return a.reduce((sum, value, i) => sum + value * (b[i] as number), 0);
}

function minus(a: Float32Array, b: Float32Array): Float32Array {
  return a.map((value, i) => value - (b[i] as number));
}

/** Mean of ‖Δ‖/‖x‖ over rows. */
function change(x: Float32Array, values: Float32Array, d: number): number {
  const ratios: number[] = [];
  for (let from = 0; from < x.length; from += d) {
    const before = x.subarray(from, from + d);
    ratios.push(norm(minus(values.subarray(from, from + d), before)) / (norm(before) || 1));
  }
  return ratios.reduce((a, b) => a + b, 0) / ratios.length;
}

/** Random directions as long as the rows of `like`. */
function randomRows(like: Float32Array, d: number): Float32Array {
  const rng = new Rng(SEED);
  const out = new Float32Array(like.length);
  for (let from = 0; from < like.length; from += d) {
    const row = Float32Array.from({ length: d }, () => rng.normal());
    const scale = norm(like.subarray(from, from + d)) / norm(row);
    for (let j = 0; j < d; j++) out[from + j] = (row[j] as number) * scale;
  }
  return out;
}

function meanRow(rows: Float32Array, d: number): Float32Array {
  const n = rows.length / d;
  const sums = new Float64Array(d);
  for (let i = 0; i < rows.length; i++) sums[i % d]! += rows[i]!;
  return Float32Array.from(sums, (sum) => sum / n);
}

function repeat(row: Float32Array, n: number): Float32Array {
  const out = new Float32Array(row.length * n);
  for (let i = 0; i < n; i++) out.set(row, i * row.length);
  return out;
}

async function residuals(
  model: LanguageModel,
  ids: readonly number[],
  positions: readonly number[],
  block: number,
): Promise<Float32Array> {
  if (positions.length === 0) return new Float32Array(0);
  return (await captureResiduals(model.decoder, [{ ids, positions }], [block]))[0]![0]!;
}

/** What every patch did: where, how much, and KL(steered ‖ clean) of the next token. */
async function prove(
  model: LanguageModel,
  own: Prompt,
  patches: ReadonlyMap<PlaygroundArm, ArmPatch>,
): Promise<PlaygroundProof[]> {
  if (patches.size === 0) return [];
  const plan = [undefined, ...[...patches.values()].map((p) => p.patch)];
  const hooks = new HookTable(patchHooks(plan, model), model.nLayers);
  const context = { hooks, rows: plan.map((_, i) => i), phase: 'prompt' as const };
  const embedded = model.decoder.embed(
    plan.map(() => own.encoding.ids),
    context,
  );
  const { data } = await nextLogits(
    model.decoder,
    await model.decoder.run(embedded, context),
    hooks,
    context,
  );
  const v = model.config.vocabSize;
  return [...patches].map(([arm, { patch, relative_change }], i) => ({
    arm,
    hook: `blocks.${patch.block}.hook_resid_post`,
    positions: [...patch.positions],
    relative_change,
    kl_div: klDivergence(data.subarray((i + 1) * v, (i + 2) * v), data.subarray(0, v)),
  }));
}
