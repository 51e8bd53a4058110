/** @file Stage `transfer`: carry the fix over every map, with every arm; is it worth it; what it costs. */
import { join } from 'node:path';
import { z } from 'zod';
import { checkAnswer } from '../../behaviours/index.ts';
import {
  behaviourParams,
  COST_STATES,
  type CostState,
  type MapFit,
  type Rate,
  type Sample,
  TRANSFER_ARMS,
  type TransferEntry,
  type WorthRow,
} from '../../contracts/index.ts';
import { capabilities, stripTrigger, worth } from '../../evaluate/index.ts';
import { type ActivationMap, loadMap } from '../../maps/index.ts';
import { LanguageModel } from '../../models/index.ts';
import { rate } from '../../stats/index.ts';
import { promptTokens, runningBytes } from '../estimates.ts';
import type { SourceOutput } from '../plan.ts';
import { defineStage, type StageContext } from '../stage.ts';
import { mapFn, steerByMaps } from '../steps/steer.ts';
import { casesOf } from '../steps/subject.ts';
import { type DataOutput, readHeldOut, readRows } from './data.ts';
import { type FinetuneOutput, tunedModel } from './finetune.ts';
import type { MapsOutput } from './maps.ts';
import { type RunsOutput, subjectOf } from './runs.ts';
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
  version: '5',
  module: import.meta.url,
  child: true,
  params: transferParams,
  estimate: (p, ahead) => {
    const noise = p.arms.filter((arm) => arm.startsWith('random')).length;
    const arms = p.maps.length * p.modes.length * (p.arms.length + noise * (p.draws - 1));
    const completions = 2 * p.prompts * arms + p.validation * p.alphas.length + p.items * p.states.length;
    return {
      tokens: completions * (promptTokens(ahead) + p.max_tokens),
      memory_bytes: runningBytes(ahead.models, 2),
    };
  },
  async run({
    params: p,
    inputs,
    folder,
    rng,
    seed,
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
    const training = (await readRows(inputs.data.folder)).slice(0, Math.max(p.static_prompts, ...p.ks, 0));
    const trainingCases = casesOf(
      target.tokenizer,
      p.behaviour,
      training.map((row) => row.text),
      p.after,
    );
    const shared = { maxNewTokens: p.max_tokens, progress, signal };
    const { folder: mapsFolder, output } = inputs.maps;
    const open = (label: string, fit: string): Promise<ActivationMap> =>
      loadMap(join(mapsFolder, 'maps', `${label}.${fit}`));
    const control = async (label: string): Promise<ActivationMap | undefined> => {
      const fit = Object.keys(output.entries[label] ?? {})[0];
      return fit === undefined ? undefined : open(label, fit);
    };
    const [shuffled, tokenMean] = [await control('shuffled'), await control('token-mean')];
    const { transfer, draft_acceptance, ...steered } = await steerByMaps(
      {
        target: into,
        source: (fit) => ({ model: fit === 'clean_a' ? cleanSource : source, block: source_block }),
        subject,
        validation,
        training: trainingCases.slice(0, p.static_prompts),
        maps: await Promise.all(
          p.maps.map(async ({ label, fit }) => ({ label, fit, map: await open(label, fit) })),
        ),
        controls: { shuffled, tokenMean },
      },
      p,
      p.behaviour.name,
      { rng, seed, progress, signal, threads },
    );
    const samples = [...steered.samples];

    const main = p.maps[0];
    const worthCases = subject.cases.slice(0, p.worth_prompts);
    const restored = main && restoredAmong(samples, main, new Set(worthCases.map((c) => c.id)));
    const worthRows =
      p.ks.length === 0
        ? undefined
        : await worth(into, { ...subject, cases: worthCases }, trainingCases, {
            ...shared,
            ks: p.ks,
            mapped: restored,
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
      draft_acceptance,
      strip_trigger: strip,
      worth: worthRows,
      capabilities: cost?.accuracy,
      cost_kl: cost?.kl,
    };
  },
});

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
