/** @file Stage `block-pairs`: every block of the source against every block of the target. */
import { z } from 'zod';
import {
  type BlockPairs,
  blockPairsSettings,
  captureSettings,
  evaluationSettings,
} from '../../contracts/index.ts';
import { blockPairs, mapTexts } from '../../evaluate/index.ts';
import { pairBytes, promptTokens } from '../estimates.ts';
import { defineStage, subjectModel } from '../stage.ts';
import { dataStage, readRows } from './data.ts';
import { askingParams, detectorInput, detectorOf, runsStage, subjectOf } from './runs.ts';
import { sweepStage } from './sweep.ts';

const blockPairsParams = z.strictObject({
  ...askingParams.shape,
  ...blockPairsSettings.shape,
  max_tokens: evaluationSettings.shape.max_tokens,
  splits: captureSettings.shape.splits,
  /** Tagged texts the tokens are drawn from. */
  texts: z.int(),
  target_block: z.int().optional(),
});

/** `results.block_pairs`; null where no prompt shows the behaviour. */
export interface BlockPairsOutput {
  readonly pairs: BlockPairs | null;
}

export const blockPairsStage = defineStage({
  name: 'block-pairs',
  version: '1',
  module: import.meta.url,
  child: true,
  params: blockPairsParams,
  inputs: {
    source: subjectModel,
    target: subjectModel,
    data: dataStage,
    /** The target's unpatched runs. */
    runs: runsStage,
    sweepTarget: sweepStage,
    ...detectorInput,
  },
  estimate: (p, info) => {
    const [source, target] = info.models.map((m) => m.blocks);
    const probes = p.prompts * (source ?? 1) * (target ?? 1);
    return {
      tokens: p.rows * 2 + Math.round((probes * promptTokens(info)) / 2),
      memory_bytes: pairBytes(info.models),
    };
  },
  async run({ params: p, inputs, model, ...env }): Promise<BlockPairsOutput> {
    const [source, target] = [await model('source'), await model('target')];
    const texts = mapTexts(
      {
        behaviour: p.behaviour,
        rows: (await readRows(inputs.data.folder)).slice(0, p.texts),
        general: [],
      },
      { after: p.after, splits: p.splits, out_of_domain: 0 },
      { source: source.tokenizer, target: target.tokenizer },
      env.rng.fork('texts'),
    );
    await using detector = await detectorOf(p, { inputs, ...env });
    const subject = await subjectOf(target.tokenizer, p, { ...inputs, split: 'validation', detector });
    const target_block = p.target_block ?? inputs.sweepTarget.output.chosen;
    const pairs = await blockPairs({ source, target, texts: texts.split, subject, target_block }, p, env);
    return { pairs: pairs ?? null };
  },
});
