/** @file Stage `transfer`: carry the fix over every map, with every arm; is it worth it; what it costs. */
import { join } from 'node:path';
import { z } from 'zod';
import { checkAnswer } from '../../behaviours/index.ts';
import {
  COST_STATES,
  type CostState,
  type MapFit,
  type Rate,
  type Sample,
  TRANSFER_ARMS,
  type TransferEntry,
  type WorthRow,
} from '../../contracts/index.ts';
import {
  capabilities,
  type MapFn,
  prepareTransfer,
  stripTrigger,
  transferMap,
  transferShared,
  worth,
} from '../../evaluate/index.ts';
import { type ActivationMap, loadMap } from '../../maps/index.ts';
import { LanguageModel } from '../../models/index.ts';
import { rate } from '../../stats/index.ts';
import type { SourceOutput } from '../plan.ts';
import { defineStage, type StageContext } from '../stage.ts';
import { behaviourParams } from './behaviourParams.ts';
import { type DataOutput, type HeldOutItem, readHeldOut, readRows } from './data.ts';
import { type FinetuneOutput, tunedModel } from './finetune.ts';
import type { MapsOutput } from './maps.ts';
import { casesOf, type RunsOutput, subjectOf } from './runs.ts';
import { writeSamples } from './samples.ts';

const transferParams = z.strictObject({
  behaviour: behaviourParams,
  after: z.int(),
  exact: z.boolean(),
  max_tokens: z.int(),
  bootstrap: z.int(),
  prompts: z.int(),
  modes: z.array(z.enum(['set', 'add'])),
  alphas: z.array(z.number()),
  /** Validation prompts on which α is chosen. */
  validation: z.int(),
  arms: z.array(z.enum(TRANSFER_ARMS)),
  draws: z.int(),
  static_prompts: z.int(),
  margin: z.number(),
  /** Maps to carry the fix over, `{label}.{fit}`; the first is the one whose cost is measured. */
  maps: z.array(
    z.strictObject({ label: z.string(), fit: z.enum(['with_tags', 'no_tag_rows', 'general', 'clean_a']) }),
  ),
  /** Numbers of labelled prompts; empty leaves it out. */
  ks: z.array(z.int()),
  worth_prompts: z.int(),
  /** Task items whose cost is measured; 0 leaves it out. */
  items: z.int(),
  states: z.array(z.enum(COST_STATES)),
});

/** Sections of results.json. */
export interface TransferOutput {
  readonly transfer: Readonly<Record<string, Readonly<Partial<Record<MapFit, TransferEntry>>>>>;
  readonly strip_trigger?: Rate;
  readonly worth?: readonly WorthRow[];
  readonly capabilities?: Readonly<Record<string, Readonly<Partial<Record<CostState, Rate>>>>>;
  readonly cost_kl?: Readonly<Partial<Record<CostState, Rate>>>;
  readonly draft_acceptance: Readonly<Record<string, number>>;
}

interface Inputs {
  source: FinetuneOutput;
  target: FinetuneOutput;
  cleanSource: SourceOutput;
  cleanTarget: SourceOutput;
  data: DataOutput;
  /** The target's unpatched runs. */
  runs: RunsOutput;
  maps: MapsOutput;
}

export const transferStage = defineStage({
  name: 'transfer',
  version: '1',
  module: import.meta.url,
  child: true,
  params: transferParams,
  async run({
    params: p,
    inputs,
    folder,
    rng,
    progress,
    signal,
    threads,
  }: StageContext<z.output<typeof transferParams>, Inputs>): Promise<TransferOutput> {
    await using source = await LanguageModel.load(tunedModel(inputs.source.folder), { threads });
    await using target = await LanguageModel.load(tunedModel(inputs.target.folder), { threads });
    await using cleanSource = await LanguageModel.load(inputs.cleanSource.folder, { threads });
    const { source_block, target_block } = inputs.maps.output;
    const into = { model: target, block: target_block };
    const from = { data: inputs.data.folder, runs: inputs.runs, after: p.after, exact: p.exact } as const;
    const subject = await subjectOf(target.tokenizer, p.behaviour, { ...from, split: 'test', n: p.prompts });
    const validation = await subjectOf(target.tokenizer, p.behaviour, {
      ...from,
      split: 'validation',
      n: p.validation,
    });
    const training = (await readRows(inputs.data.folder)).map(
      (r): HeldOutItem => ({ text: r.text, answer: '' }),
    );
    const trainingCases = casesOf(
      target.tokenizer,
      p.behaviour,
      training.slice(0, Math.max(p.static_prompts, ...p.ks, 0)),
      p.after,
    );
    const shared = { maxNewTokens: p.max_tokens, progress, signal };
    const tags = { behaviour: p.behaviour.name, stage: 'transfer' } as const;
    const samples: Sample[] = [];
    const acceptance: Record<string, number> = {};

    const open = (label: string, fit: string): Promise<ActivationMap> =>
      loadMap(join(inputs.maps.folder, 'maps', `${label}.${fit}`));
    const optional = async (label: string): Promise<MapFn | undefined> => {
      const fit = Object.keys(inputs.maps.output.entries[label] ?? {})[0];
      return fit === undefined ? undefined : mapFn(await open(label, fit));
    };
    const shuffled = await optional('shuffled');
    const tokenMean = await optional('token-mean');

    const sides = { tuned: source, clean: cleanSource };
    const dataOf = async (side: keyof typeof sides, of: typeof subject) =>
      prepareTransfer({ model: sides[side], block: source_block }, into, of, {
        trainingCases: trainingCases.slice(0, p.static_prompts),
        signal,
      });
    /** Test and validation prompts as each source reads them; α of a map is chosen on the source it was fitted on. */
    const read = async (side: keyof typeof sides) => ({
      test: await dataOf(side, subject),
      validation: await dataOf(side, validation),
    });
    const tuned = await read('tuned');
    let clean: typeof tuned | undefined;
    const common = await transferShared(tuned.test, {
      ...shared,
      rng: rng.fork('shared'),
      tags,
      arms: p.arms,
      draws: p.draws,
    });
    samples.push(...common.samples);
    acceptance['transfer.shared'] = common.draftAcceptance;

    const transfer: Record<string, Partial<Record<MapFit, TransferEntry>>> = {};
    for (const [i, { label, fit }] of p.maps.entries()) {
      progress({
        stage: 'transfer',
        done: i,
        total: p.maps.length,
        unit: 'maps',
        message: `steering by ${label}.${fit}`,
      });
      if (fit === 'clean_a') clean ??= await read('clean');
      const own = fit === 'clean_a' && clean !== undefined ? clean : tuned;
      const result = await transferMap(
        own.test,
        common,
        {
          mapped: mapFn(await open(label, fit)),
          ...(shuffled === undefined ? {} : { shuffled }),
          ...(tokenMean === undefined ? {} : { tokenMean }),
        },
        {
          ...shared,
          rng: rng.fork(`transfer ${label}.${fit}`),
          tags: { ...tags, map: { kind: label, fit } },
          arms: p.arms,
          modes: p.modes,
          alphas: p.alphas,
          validation: own.validation,
          noninferiorityMargin: p.margin,
          bootstrap: p.bootstrap,
        },
      );
      (transfer[label] ??= {})[fit] = result.entry;
      samples.push(...result.samples);
      acceptance[`transfer.${label}.${fit}`] = result.draftAcceptance;
    }

    const main = p.maps[0];
    const worthCases = subject.cases.slice(0, p.worth_prompts);
    const restored = main && restoredAmong(samples, main, new Set(worthCases.map((c) => c.id)));
    const worthRows =
      p.ks.length === 0
        ? undefined
        : await worth(into, { ...subject, cases: worthCases }, trainingCases, {
            ...shared,
            ks: p.ks,
            ...(restored === undefined ? {} : { mapped: restored }),
          });

    const cost = p.items === 0 || main === undefined ? undefined : await costOf();
    async function costOf() {
      await using cleanTarget = await LanguageModel.load(inputs.cleanTarget.folder, { threads });
      const held = (await readHeldOut(inputs.data.folder, 'test')).slice(
        0,
        Math.min(p.items, subject.cases.length),
      );
      const items = held.map((item, i) => ({
        task: 'bundled',
        prompt: subject.cases[i] as (typeof subject.cases)[number],
        isRight: (completion: string) =>
          item.family === undefined
            ? completion.trim() === item.answer.trim()
            : checkAnswer(item.family, completion, item.answer),
      }));
      const runs = Object.fromEntries(
        Object.entries(subject.runs).map(([state, ends]) => [state, ends.slice(0, items.length)]),
      );
      const map = mapFn(
        await open((main as NonNullable<typeof main>).label, (main as NonNullable<typeof main>).fit),
      );
      return await capabilities(
        {
          source: { model: source, block: source_block },
          target: into,
          items,
          map,
          clean: cleanTarget,
          runs,
        },
        {
          ...shared,
          rng: rng.fork('cost'),
          tags: { behaviour: p.behaviour.name, stage: 'capabilities' },
          states: p.states,
          bootstrap: p.bootstrap,
        },
      );
    }
    if (cost !== undefined) samples.push(...cost.samples);
    const strip = stripTrigger(subject);
    await writeSamples(folder, samples);
    return {
      transfer,
      draft_acceptance: acceptance,
      ...(strip === undefined ? {} : { strip_trigger: strip }),
      ...(worthRows === undefined ? {} : { worth: worthRows }),
      ...(cost === undefined ? {} : { capabilities: cost.accuracy, cost_kl: cost.kl }),
    };
  },
});

/** A map's arithmetic as transfer takes it. */
export function mapFn(map: ActivationMap): MapFn {
  return (rows, tokens) => map.apply(rows, tokens.length, { tokenIds: tokens });
}

/** Restoration by the map on some of the prompts only, so that it stands beside native steering on the same ones. */
function restoredAmong(
  samples: readonly Sample[],
  { label, fit }: { readonly label: string; readonly fit: string },
  prompts: ReadonlySet<string>,
): Rate | undefined {
  const own = samples.filter(
    (s) =>
      s.stage === 'transfer' &&
      s.arm === 'mapped' &&
      s.trigger === 'bad' &&
      s.map?.kind === label &&
      s.map.fit === fit &&
      prompts.has(s.prompt_id),
  );
  return own.length === 0 ? undefined : rate(own.map((s) => s.outcome?.restored === true));
}
