/**
 * @file Neighbouring blocks that run together while nothing asks for one of them alone. A session call costs about as much as a
 * tenth of a block at batch 1, most of it for waking the session's threads.
 */
import { disposeAll, type Owned } from '../../base/index.ts';
import type { Session } from '../../engine/index.ts';
import type { ModelConfig } from '../config.ts';
import { SingleBlock } from './singleBlock.ts';
import { type BlockOptions, compileStretch } from './stretch.ts';
import type { WeightFiles } from './weights.ts';

/** Blocks a group at most. More gain nothing, and a group that is parted is compiled anew (docs/decisions/0002). */
export const GROUP = 15;

/** Ranges of `n` blocks, of sizes as equal as can be, each at most {@link GROUP}. */
export function groupRanges(n: number): (readonly [from: number, to: number])[] {
  const groups = Math.ceil(n / GROUP);
  return Array.from(
    { length: groups },
    (_, g) => [Math.floor((n * g) / groups), Math.floor((n * (g + 1)) / groups)] as const,
  );
}

/** Blocks `from`…`to`−1: one session at first, one a block for good once {@link BlockGroup.block} has been asked for. */
export class BlockGroup implements Owned {
  readonly from: number;
  readonly to: number;
  readonly #open: (index: number) => Promise<SingleBlock>;
  #together: Session | undefined;
  #apart: Promise<readonly SingleBlock[]> | undefined;

  private constructor(
    [from, to]: readonly [number, number],
    open: (index: number) => Promise<SingleBlock>,
    together: Session,
  ) {
    this.from = from;
    this.to = to;
    this.#open = open;
    this.#together = together;
  }

  static async open(
    config: ModelConfig,
    range: readonly [number, number],
    weights: WeightFiles,
    options: BlockOptions,
  ): Promise<BlockGroup> {
    const together = await compileStretch(config, ...range, weights, options);
    return new BlockGroup(range, (index) => SingleBlock.open(config, index, weights, options), together);
  }

  /** All blocks in one; undefined since they are apart. Run it in the same tick: it may be gone in the next. */
  get together(): Session | undefined {
    return this.#together;
  }

  /** Block `index` alone. */
  async block(index: number): Promise<SingleBlock> {
    this.#apart ??= this.#part();
    return (await this.#apart)[index - this.from] as SingleBlock;
  }

  /** One session a block, once the common one has ended its runs and is dropped, so that no weight is held twice. */
  async #part(): Promise<readonly SingleBlock[]> {
    const together = this.#together;
    this.#together = undefined;
    await together?.[Symbol.asyncDispose]();
    const blocks: SingleBlock[] = [];
    try {
      for (let i = this.from; i < this.to; i++) blocks.push(await this.#open(i));
    } catch (error) {
      await disposeAll(blocks);
      throw error;
    }
    return blocks;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const blocks = (await this.#apart?.catch(() => undefined)) ?? [];
    await disposeAll([...blocks, ...(this.#together === undefined ? [] : [this.#together])]);
  }
}
