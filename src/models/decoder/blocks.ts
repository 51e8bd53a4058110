/** @file All blocks of a decoder, run as groups of neighbours that come apart where something is asked for inside them. */
import { disposeAll, type Owned, throwIfAborted } from '../../base/index.ts';
import type { Handle, Tensor } from '../../engine/index.ts';
import type { ModelConfig } from '../config.ts';
import type { HookTable } from '../hooks.ts';
import { BlockGroup, groupRanges } from './block-group.ts';
import { type Context, givenBytes, Pass, type Residual, type RunOptions, view } from './pass.ts';
import { RopeTable, ropesOf } from './rope.ts';
import type { Inside } from './single-block.ts';
import type { BlockSource, Stretch } from './stretch.ts';
import type { Workspace } from './workspace.ts';

/** What a run reads and where it writes. */
interface BlocksIo {
  readonly residual: Residual;
  /** [B,T,D] */
  readonly out: Tensor<'f32'>;
  readonly context: Context;
}

/** See the file's head. */
export class Blocks implements Owned {
  readonly #groups: BlockGroup[];
  readonly #ropes: readonly RopeTable[];
  readonly #config: ModelConfig;
  readonly #heldBytes: number;

  private constructor(groups: BlockGroup[], config: ModelConfig, heldBytes: number) {
    this.#groups = groups;
    this.#ropes = ropesOf(config).map((rope) => new RopeTable(rope, config.headDim));
    this.#config = config;
    this.#heldBytes = heldBytes;
  }

  /** Compile every block. `heldBytes`: what one session may give in a pass, at most. */
  static async open(source: BlockSource, heldBytes: number): Promise<Blocks> {
    const { config } = source;
    const groups: BlockGroup[] = [];
    try {
      for (const stretch of groupRanges(config.blocks.length))
        groups.push(await BlockGroup.open(source, stretch));
    } catch (error) {
      await disposeAll(groups);
      throw error;
    }
    return new Blocks(groups, config, heldBytes);
  }

  /** Rows of `columns` tokens that no session would have to be cut for; at least 1. */
  rowsHeld(columns: number, hooks: HookTable | undefined): number {
    const bytes = this.#groups.map((group) => givenBytes(this.#config, group, hooks));
    return Math.max(1, Math.floor(this.#heldBytes / (Math.max(...bytes) * columns)));
  }

  /**
   * Run a stretch. A group is cut where a hook changes something, and where it would hold too much at once; it goes one block after
   * the other where a stretch starts or ends inside it, or a hook is inside a block.
   */
  async run(
    space: Workspace,
    { residual: { tensor, counts }, out, context }: BlocksIo,
    { from, to, hooks, cache, signal }: RunOptions & Stretch,
  ): Promise<void> {
    const columns = tensor.shape[1] as number;
    const pass = new Pass(space, this.#ropes, {
      columns,
      counts,
      context,
      cache,
      heldBytes: this.#heldBytes,
    });
    let x = space.wrap(tensor);
    if (hooks?.edits('resid_pre', from)) {
      // a hook may write into what is the caller's
      (space.x[1].data as Float32Array).set(tensor.data);
      x = space.x[1];
    }
    hooks?.fire({ site: 'resid_pre', layer: from }, view(x), context);
    for (let i = from, turn = 0; i < to; ) {
      throwIfAborted(signal, 'forward pass');
      const group = this.#groups.find((g) => i < g.to) as BlockGroup;
      if (group.replaced) {
        await this.#cut(group, i);
        continue;
      }
      const whole = i === group.from && group.to <= to && !hooks?.insideAny(group.from, group.to);
      const fits = whole && pass.holds(group, hooks);
      const together = fits ? group.together : undefined;
      if (whole && !fits && group.together !== undefined && group.to - i > 1) {
        await this.#cut(group, Math.ceil((i + group.to) / 2));
        continue;
      }
      const end = together === undefined ? i + 1 : group.to;
      const post = end === to ? space.wrap(out) : (space.x[turn++ % 2] as Handle);
      const stretch = { from: i, to: end };
      const io = pass.io(stretch, x, post);
      if (together !== undefined) {
        const changed = await pass.together(together, io, stretch, hooks);
        if (changed !== undefined) {
          // What came after was computed from the old numbers; from here on a session ends where it was changed.
          await this.#cut(group, changed);
          // Not read in place: what is between blocks is written again after it.
          const free = space.x[(turn + 1) % 2] as Handle;
          (free.data as Float32Array).set(space.between(changed - i).data as Float32Array);
          [x, i] = [free, changed];
          continue;
        }
      } else {
        const inside: Inside | undefined = hooks?.inside(i)
          ? (site, h) => hooks.fire({ site, layer: i }, view(h), context)
          : undefined;
        const block = await group.block(i);
        await block.run(io, inside);
        pass.store(stretch);
      }
      hooks?.fire({ site: 'resid_post', layer: end - 1 }, view(post), context);
      if (end < to) hooks?.fire({ site: 'resid_pre', layer: end }, view(post), context);
      [x, i] = [post, end];
    }
    cache?.advance(counts);
  }

  /** Have a session end before block `at` of a group. */
  async #cut(group: BlockGroup, at: number): Promise<void> {
    const parts = await group.cut(at);
    const place = this.#groups.indexOf(group);
    if (place >= 0) this.#groups.splice(place, 1, ...parts);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await disposeAll(this.#groups);
  }
}
