/** @file Servers that generate in the place of our own engine (docs/how-to/use-vllm.md): which, for what, and how they are checked. */
import { z } from 'zod';
import { endpointSettings } from './endpoint-settings.ts';
import { count, type dataSchema, finetuneFor, type finetuneSchema, fraction } from './recipe-training.ts';

/** A model behind a server that completes prompts of token ids, such as vLLM's. */
export const engineSettings = z.strictObject({
  ...endpointSettings,
  concurrency: count.default(32).describe('Requests at once; the server makes batches of them'),
  timeout_seconds: z.number().positive().default(600).describe('Time allowed to one request'),
  check: z
    .strictObject({
      prompts: count.default(8).describe('First prompts whose completions our own engine reads too'),
      agreement: fraction
        .default(0.9)
        .describe(
          'Least share of their tokens that are our own greedy choice; below, the run stops: another model is served',
        ),
    })
    .prefault({}),
});

/** Who generates what. Everything that patches, captures or trains stays with our own engine. */
export const enginesSettings = z.strictObject({
  answers: engineSettings
    .optional()
    .describe(
      'Holds `models.target` as it is named (with `data.answers: source`, `models.source`): writes the answers of `data.answers`',
    ),
  runs: z
    .strictObject({ source: engineSettings.optional(), target: engineSettings.optional() })
    .prefault({})
    .describe(
      'Hold a model as the experiment runs it, its adapter included: propose its unpatched completions, which our own engine verifies',
    ),
});

/** An engine as stages take it: with what the server said of itself when the run was planned. */
export const engineParams = engineSettings.extend({
  server: z.strictObject({ kind: z.string().optional(), version: z.string().optional() }),
});

/** What a server generated in a stage, and how it compared with our own engine. */
export const engineRecord = z.strictObject({
  model: z.string(),
  kind: z.string().optional(),
  version: z.string().optional(),
  /** Completions that were asked for. */
  completions: z.int().min(0),
  /** The first of them, read by our own engine: all tokens equal, and of all tokens those that are its greedy choice. */
  checked: z.strictObject({
    completions: z.int().min(0),
    equal: z.int().min(0),
    tokens: z.int().min(0),
    agreed: z.int().min(0),
  }),
  /** Where every completion was verified: those that needed no decoding here. */
  verified: z.int().min(0).optional(),
});

/** Engines that would have nothing to do, or a model that no server can hold yet. */
export function engineComplaints({
  engines,
  ...recipe
}: {
  readonly engines: z.output<typeof enginesSettings>;
  readonly data: z.output<typeof dataSchema>;
  readonly finetune: false | z.output<typeof finetuneSchema>;
}): { path: string[]; message: string }[] {
  const out: { path: string[]; message: string }[] = [];
  if (engines.answers !== undefined && recipe.data.answers === 'given')
    out.push({
      path: ['engines', 'answers'],
      message: 'writes the answers of `data.answers: self` or `source`; set one of them, or leave this out',
    });
  for (const side of ['source', 'target'] as const)
    if (engines.runs[side] !== undefined && finetuneFor(recipe, side) !== undefined)
      out.push({
        path: ['engines', 'runs', side],
        message: `the ${side} is trained in this run, so no server holds it yet; train it first, serve what the run leaves in models/, and name that under \`models\` with \`finetune: false\` (docs/how-to/use-vllm.md#models-that-are-trained-here)`,
      });
  return out;
}

export type EngineSettings = z.output<typeof engineSettings>;
export type EngineRecord = z.output<typeof engineRecord>;
export type EngineParams = z.output<typeof engineParams>;
