/** @file Names of a behaviour's stages in a plan, and of what they publish. */
import type { BehaviourParams } from '../../contracts/index.ts';
import { SAMPLES } from './samples.ts';

/** Names of a behaviour's nodes and published files. */
export class Naming {
  readonly #name: string;

  constructor({ name }: BehaviourParams) {
    this.#name = name;
  }

  id(stage: string): string {
    return `${this.#name}.${stage}`;
  }

  /** Path of a trained model in the run folder. */
  published(side: 'source' | 'target'): string {
    return `models/${this.#name}.${side}`;
  }

  samples(stage: string): Record<string, string> {
    return { [`samples/${this.#name}.${stage}.jsonl`]: SAMPLES };
  }
}
