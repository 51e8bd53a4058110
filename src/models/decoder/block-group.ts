/**
 * @file Neighbouring blocks that run together while nothing asks for one of them alone. In a decode step at batch 1 a session call
 * costs about as much as half a small model's block (docs/decisions/0002).
 */
import { disposeAll, type Owned } from '../../base/index.ts';
import type { Session } from '../../engine/index.ts';
import { SingleBlock } from './single-block.ts';
import { type BlockSource, compileStretch, type Stretch } from './stretch.ts';

/** Blocks a group at most (docs/decisions/0002). */
export const GROUP = 30;

/** Ranges of `n` blocks, of sizes as equal as can be, each at most {@link GROUP}. */
export function groupRanges(n: number): Stretch[] {
  const groups = Math.ceil(n / GROUP);
  return Array.from({ length: groups }, (_, g) => ({
    from: Math.floor((n * g) / groups),
    to: Math.floor((n * (g + 1)) / groups),
  }));
}

/**
 * Blocks `from`…`to`−1: one session at first. Two groups take its place when it is {@link BlockGroup.cut}, and it is one session a
 * block for good once {@link BlockGroup.block} has been asked for.
 */
export class BlockGroup implements Owned, Stretch {
  readonly from: number;
  readonly to: number;
  readonly #open: Openers;
  readonly #half: boolean;
  #together: Session | undefined;
  #halves: Promise<readonly BlockGroup[]> | undefined;
  #apart: Promise<readonly SingleBlock[]> | undefined;

  private constructor({ from, to }: Stretch, open: Openers, together: Session, half: boolean) {
    this.from = from;
    this.to = to;
    this.#open = open;
    this.#together = together;
    this.#half = half;
  }

  static async open(source: BlockSource, stretch: Stretch, half = false): Promise<BlockGroup> {
    const together = await compileStretch(source, stretch);
    const open = {
      block: (index: number) => SingleBlock.open(source, index),
      half: (part: Stretch) => BlockGroup.open(source, part, true),
    };
    return new BlockGroup(stretch, open, together, half);
  }

  /** All blocks in one; undefined since they are apart. Run it in the same tick: it may be gone in the next. */
  get together(): Session | undefined {
    return this.#together;
  }

  /** Whether two others take its place, or will in a moment. */
  get replaced(): boolean {
    return this.#halves !== undefined;
  }

  /**
   * A session is to end before block `at`: what takes this group's place, two halves the first time. A half that is cut goes block by
   * block instead, so that a sweep over every block compiles each of them three times at most.
   */
  async cut(at: number): Promise<readonly BlockGroup[]> {
    if (this.#halves === undefined && (this.#half || this.#apart !== undefined)) {
      await this.block(at);
      return [this];
    }
    return (this.#halves ??= this.#divide(at));
  }

  /** Block `index` alone. */
  async block(index: number): Promise<SingleBlock> {
    this.#apart ??= this.#part();
    return (await this.#apart)[index - this.from] as SingleBlock;
  }

  /** The common session is dropped once it has ended its runs, so that no weight is held twice. */
  async #drop(): Promise<void> {
    const together = this.#together;
    this.#together = undefined;
    await together?.[Symbol.asyncDispose]();
  }

  async #divide(at: number): Promise<readonly BlockGroup[]> {
    await this.#drop();
    const first = await this.#open.half({ from: this.from, to: at });
    try {
      return [first, await this.#open.half({ from: at, to: this.to })];
    } catch (error) {
      await disposeAll([first]);
      throw error;
    }
  }

  async #part(): Promise<readonly SingleBlock[]> {
    await this.#drop();
    const blocks: SingleBlock[] = [];
    try {
      for (let i = this.from; i < this.to; i++) blocks.push(await this.#open.block(i));
    } catch (error) {
      await disposeAll(blocks);
      throw error;
    }
    return blocks;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const parts: readonly Owned[][] = await Promise.all(
      [this.#apart, this.#halves].map(async (made) => [...((await made?.catch(() => undefined)) ?? [])]),
    );
    await disposeAll([...parts.flat(), ...(this.#together === undefined ? [] : [this.#together])]);
  }
}

interface Openers {
  readonly block: (index: number) => Promise<SingleBlock>;
  readonly half: (part: Stretch) => Promise<BlockGroup>;
}
