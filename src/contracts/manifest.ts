/** @file `manifest.json`: everything needed to repeat a run, and where it stands. Written at start, after each stage and at the end. */
import { z } from 'zod';
import { engineRecord } from './engine-settings.ts';
import { WEIGHTS_FORMS } from './result-names.ts';

/** A model as used: where it came from and the hash of its bytes. */
const manifestModelSchema = z.strictObject({
  /** Role in the run: `source`, `target`, `judge` … */
  role: z.string(),
  /** Name or path as the recipe gave it, never an absolute path of the machine. */
  name: z.string(),
  /** What the name stood for on the hub. */
  commit: z.string().optional(),
  family: z.string().optional(),
  parameters: z.int().min(0).optional(),
  blocks: z.int().min(0).optional(),
  width: z.int().min(0).optional(),
  /** How its matrices were held: quantised as the file has them, or float32. */
  weights: z.enum(WEIGHTS_FORMS).optional(),
  sha256: z.string().optional(),
  tokenizer_sha256: z.string().optional(),
});

const manifestDataSchema = z.strictObject({
  name: z.string(),
  rows: z.int().min(0).optional(),
  sha256: z.string(),
});

/** One stage of one behaviour; `key` is the content address of its output. */
const manifestStageSchema = z.strictObject({
  id: z.string(),
  key: z.string().optional(),
  status: z.enum(['waiting', 'running', 'done', 'cached', 'failed', 'cancelled']),
  /** Stage ids this one reads. */
  needs: z.array(z.string()).optional(),
  seconds: z.number().min(0).optional(),
  started_at: z.string().optional(),
  error: z.string().optional(),
  /** A server that generated in the place of our own engine. */
  engine: engineRecord.optional(),
});

export const manifestSchema = z.strictObject({
  schema_version: z.literal(1),
  name: z.string(),
  command: z.array(z.string()).optional(),
  /** `interrupted` is never written: readers say it of a run whose process is gone. */
  status: z.enum(['running', 'done', 'failed', 'cancelled', 'interrupted']),
  started_at: z.string(),
  finished_at: z.string().optional(),
  config: z.strictObject({ given: z.unknown(), resolved: z.unknown() }),
  seeds: z.record(z.string(), z.int()),
  git_commit: z.string().optional(),
  git_dirty: z.boolean().optional(),
  packages: z.record(z.string(), z.string()),
  models: z.array(manifestModelSchema),
  data: z.array(manifestDataSchema),
  machine: z.strictObject({
    platform: z.string(),
    arch: z.string(),
    cpu: z.string(),
    cores: z.int().min(1),
    memory_bytes: z.number().min(0),
    node: z.string(),
    execution_provider: z.string().optional(),
  }),
  stages: z.array(manifestStageSchema),
  error: z.string().optional(),
  /** Of the rest of this document. */
  sha256: z.string().optional(),
});

export type ManifestModel = z.infer<typeof manifestModelSchema>;
export type ManifestData = z.infer<typeof manifestDataSchema>;
export type ManifestStage = z.infer<typeof manifestStageSchema>;
export type Manifest = z.infer<typeof manifestSchema>;
