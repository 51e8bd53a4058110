/** @file A GGUF as a Hugging Face checkpoint, its weights aside. */
import { basename } from 'node:path';
import { ggufConfig, ggufGenerationConfig } from './config.ts';
import { type GgufPart, openParts, partsSource } from './parts.ts';
import type { GgufMetadata } from './read.ts';
import { type PlannedTensor, planTensors } from './tensors.ts';

/** Everything of a GGUF's headers. */
export interface GgufHeaders {
  readonly config: Record<string, unknown>;
  readonly generationConfig: Record<string, unknown>;
  readonly metadata: GgufMetadata;
  readonly plan: readonly PlannedTensor[];
  readonly parts: readonly GgufPart[];
}

/** Everything of a GGUF's headers but the weights: cheap, writes nothing. Throws `CheckpointError`. */
export async function inspectGguf(path: string): Promise<GgufHeaders> {
  const { gguf, parts } = await openParts(path);
  using source = partsSource(parts);
  const where = basename(path);
  const config = ggufConfig(gguf, source, where);
  return {
    config,
    generationConfig: ggufGenerationConfig(gguf),
    metadata: gguf.metadata,
    plan: planTensors(gguf, config, where),
    parts,
  };
}
