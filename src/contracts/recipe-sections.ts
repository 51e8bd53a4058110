/**
 * @file The settings of every experiment, one schema per section of the recipe. A default has its home here and nowhere else: stages
 * extend a section with what they need besides, commands read their options through it, experiments take its output.
 */
import { z } from 'zod';
import { CAPABILITY_TASKS, type CapabilityTask } from './capability-tasks.ts';
import { llmJudgeSettings } from './endpoint-settings.ts';
import { onnxJudgeSettings } from './onnx-judge-settings.ts';
import { count, fraction } from './recipe-training.ts';
import { COST_STATES, SWEEP_CONTROLS, TRANSFER_ARMS } from './result-names.ts';

/** Seed of every random stream. */
export const seedSetting = z.int().min(0).default(17).describe('Seed of every random stream');

/** How prompts are completed and intervals made, in every experiment. */
export const evaluationSettings = z.strictObject({
  max_tokens: count.default(24).describe('New tokens per completion'),
  batch: count.default(50).describe('Rows decoded side by side'),
  bootstrap: count.default(10_000).describe('Resamples per interval'),
});

/** The positions that are patched. */
export const spanSettings = z.strictObject({
  after: z.int().min(0).default(1).describe('Tokens after the tag that are patched with it'),
});

/** Steering at every block of one model. */
export const sweepSettings = z.strictObject({
  prompts: count.default(100).describe('Validation prompts'),
  blocks: z.union([z.literal('all'), z.array(z.int().min(0)).min(1)]).default('all'),
  controls: z.array(z.enum(SWEEP_CONTROLS)).default([...SWEEP_CONTROLS]),
  draws: count.default(1).describe('Noise draws per prompt and block'),
  chosen_draws: count.default(20).describe('Noise draws per prompt at the chosen block'),
  choose: z.enum(['best-margin', 'last-steerable']).default('best-margin'),
  tolerance: fraction.default(0.05).describe('The last block within this of the best is chosen'),
});

/** Logit shift by block and position. */
export const heatmapSettings = z.strictObject({ prompts: count.default(50) });

/** Activations of both models, for fits. */
export const captureSettings = z.strictObject({
  prompts: count.default(3000).describe('Texts read by both models, split below'),
  out_of_domain: z.int().min(0).default(400),
  general: count
    .optional()
    .describe('Texts without tags for fits on them. Defaults to `prompts`, at most 1500'),
  rows: count.optional().describe('Most token rows kept for fits. Defaults to all'),
  splits: z
    .strictObject({ train: fraction, validation: fraction, test: fraction })
    .refine(
      (s) => Math.abs(s.train + s.validation + s.test - 1) < 1e-9 && s.train > 0,
      'the splits must add up to 1',
    )
    .default({ train: 0.8, validation: 0.1, test: 0.1 }),
  sink_ratio: z
    .union([z.literal(false), z.number().min(1)])
    .default(10)
    .describe('Rows with a norm above this × median are left out of fits'),
  batch: count.default(32),
  shard_rows: count.default(65_536),
});

/** Judges of completions (docs/concepts/method.md#judges). */
export const JUDGES = ['lexical', 'likelihood'] as const;
export type Judge = (typeof JUDGES)[number];

/** Does the target go on as it would have, on mapped activations? */
export const fidelitySettings = z.strictObject({
  prompts: count.default(200),
  judges: z
    .array(z.enum(JUDGES))
    .min(1)
    .default([...JUDGES]),
  llm: llmJudgeSettings
    .optional()
    .describe('A language model as a further judge, behind any OpenAI-compatible server'),
  onnx: z
    .array(onnxJudgeSettings)
    .default([])
    .refine(
      (judges) => new Set(judges.map((j) => j.name ?? j.kind)).size === judges.length,
      'two judges have one name; give one a `name`',
    )
    .describe('Local ONNX models as further judges'),
  replace: z
    .enum(['prefill', 'all'])
    .default('prefill')
    .describe("The prompt's activations (prefill), or each generated token's as well"),
  maps: z.array(z.string()).optional().describe('Names of maps. Defaults to all in their first fit'),
});

/** Steering the target by the source's activations, mapped. */
export const transferSettings = z.strictObject({
  prompts: count.default(200),
  modes: z
    .array(z.enum(['set', 'add']))
    .min(1)
    .default(['set', 'add']),
  alphas: z
    .array(z.number().positive())
    .min(1)
    .default([0.5, 1, 1.5, 2])
    .describe('Tried on validation prompts for `add`'),
  alpha_prompts: count.default(100).describe('Validation prompts on which α of `add` is chosen, at most'),
  arms: z.array(z.enum(TRANSFER_ARMS)).default([...TRANSFER_ARMS]),
  draws: count.default(20).describe('Noise draws per prompt'),
  static_prompts: z
    .int()
    .min(0)
    .default(200)
    .describe('Training prompts that make the static vector; 0 leaves it out'),
  noninferiority_margin: fraction
    .default(0.05)
    .describe('How much worse than the native vector still counts'),
  maps: z.array(z.string()).optional().describe('Names of maps. Defaults to all'),
});

/** Fine-tuning the target on a few labelled prompts. */
const repairSettings = z.strictObject({
  steps: count.default(30),
  rank: count.default(8),
  learning_rate: z.number().positive().default(1e-3),
});

/** Is the map worth it? Restoration by the target's own vector from k labelled prompts. */
export const worthSettings = z.strictObject({
  ks: z
    .array(count)
    .min(1)
    .default([1, 2, 4, 8, 16, 32])
    .describe('Numbers of labelled contrast prompts of B'),
  prompts: count.default(100),
  repair: z
    .union([z.literal(false), repairSettings])
    .default(false)
    .describe('LoRA fine-tunes of B on the same prompts, beside its own vector'),
  ask: z
    .string()
    .min(1)
    .optional()
    .describe('A sentence before the prompt that asks for the ordinary answer, as another baseline'),
});

export const INVERSE_METHODS = ['pinv', 'truncated', 'reverse_ridge'] as const;

/** Maps the other way round. */
export const inverseSettings = z.strictObject({
  methods: z
    .array(z.enum(INVERSE_METHODS))
    .min(1)
    .default([...INVERSE_METHODS]),
  prompts: count.default(200),
  rtol: fraction
    .default(0.05)
    .describe('Singular values below rtol × the largest are dropped by `truncated`'),
});

/** A path for every task of lm-evaluation-harness that has one. */
const taskPaths = z.strictObject({
  gsm8k: z.string().min(1).optional(),
  arc_easy: z.string().min(1).optional(),
  arc_challenge: z.string().min(1).optional(),
  mmlu: z.string().min(1).optional(),
  hellaswag: z.string().min(1).optional(),
} satisfies Record<CapabilityTask, z.ZodType>);

/** What steering costs on task items. */
export const capabilitySettings = z.strictObject({
  tasks: z
    .array(z.enum(['bundled', ...CAPABILITY_TASKS]))
    .min(1)
    .default(['bundled'])
    .describe('`bundled`: held-out prompts with their answers; the others are lm-evaluation-harness’s'),
  data: taskPaths
    .prefault({})
    .describe(
      'Rows of a task in the hub’s layout, relative to the experiment file: JSONL, JSON, Parquet, or a folder of the hub’s data set',
    ),
  shots: taskPaths
    .prefault({})
    .describe('Rows for shots (solved examples). Defaults to rows of `data` that are not scored'),
  fewshot: z
    .int()
    .min(0)
    .optional()
    .describe('Shots before every question. Defaults to the harness’s number'),
  items: count.default(200).describe('Items of a task, of `mmlu` of each subject'),
  states: z
    .array(z.enum(COST_STATES))
    .min(1)
    .default([...COST_STATES]),
});

/** Every block of A against every block of B, by cheap scores. */
export const blockPairsSettings = z.strictObject({
  rows: count.default(2000).describe('Tokens both models are read at'),
  prompts: count.default(16).describe('Validation prompts of logit shifts and confirmations'),
  source_blocks: z.union([z.literal('all'), z.array(z.int().min(0)).min(1)]).default('all'),
  target_blocks: z.union([z.literal('all'), z.array(z.int().min(0)).min(1)]).default('all'),
  confirm: z
    .int()
    .min(0)
    .default(8)
    .describe('Pairs at the chosen target block confirmed by generation, and half as many of the best'),
});

export type BlockPairsSettings = z.output<typeof blockPairsSettings>;
export type EvaluationSettings = z.output<typeof evaluationSettings>;
export type SweepSettings = z.output<typeof sweepSettings>;
export type FidelitySettings = z.output<typeof fidelitySettings>;
export type TransferSettings = z.output<typeof transferSettings>;
export type RepairSettings = z.output<typeof repairSettings>;
export type WorthSettings = z.output<typeof worthSettings>;
export type CapabilitySettings = z.output<typeof capabilitySettings>;
