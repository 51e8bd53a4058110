/** @file One block by itself: whole, or cut where hooks listen inside it. */
import { disposeAll, type Owned } from '../../base/index.ts';
import { concat, type Handle, input, type Session } from '../../engine/index.ts';
import type { ModelConfig } from '../config.ts';
import { familyNorm, mlpOut } from './block.ts';
import { attend, type BlockSource, compileBlocks, compileStretch, leaves, names } from './stretch.ts';
import type { BlockRole } from './weights.ts';

/** The block, cut. Norms after attention and MLP are apart where the family has them. */
interface Pieces {
  /** x and the past → `inner`, and new keys and values. */
  readonly attention: Session;
  readonly attentionNorm: Session | undefined;
  readonly mlp: Session;
  readonly mlpNorm: Session | undefined;
}

/** What a hook inside a block sees: what attention (`attn`) or the MLP adds, before and after the post-norm, and the residual between. */
export type Inside = (
  site: 'attn_inner' | 'attn_out' | 'resid_mid' | 'mlp_inner' | 'mlp_out',
  h: Handle,
) => void;

/** Feeds and targets of a run, by the names of {@link names}; `x` is fed, `post` and the new keys and values are targets. */
export interface BlockIo {
  readonly feeds: Readonly<Record<string, Handle>> & { readonly x: Handle };
  readonly into: Record<string, Handle>;
}

/** Block `index` of a decoder. */
export class SingleBlock implements Owned {
  readonly #source: BlockSource;
  readonly #index: number;
  #whole: Session | undefined;
  #pieces: Promise<Pieces> | undefined;

  private constructor(source: BlockSource, index: number) {
    this.#source = source;
    this.#index = index;
  }

  static async open(source: BlockSource, index: number): Promise<SingleBlock> {
    const block = new SingleBlock(source, index);
    block.#whole = await compileStretch(source, { from: index, to: index + 1 });
    return block;
  }

  /** Run it. With `inside` (once, and from then on) in pieces; the sums between them are made here, the same ones. */
  async run({ feeds, into }: BlockIo, inside?: Inside): Promise<void> {
    if (inside === undefined && this.#whole !== undefined) {
      await this.#whole.fill(feeds, into);
      return;
    }
    const pieces = await this.#cut();
    const post = into[names.post(this.#index)] as Handle;
    const kv = into[names.kv] as Handle;
    const { inner } = await pieces.attention.runHandles(feeds, { kv });
    const attended = await normed(inner as Handle, pieces.attentionNorm, 'attn', inside);
    addInto(feeds.x, attended, post);
    inside?.('resid_mid', post);
    const mixed = await pieces.mlp.runHandles({ mid: post });
    addInto(post, await normed(mixed.inner as Handle, pieces.mlpNorm, 'mlp', inside), post);
  }

  /** The pieces; then the whole is dropped, so that no weight is held twice. */
  #cut(): Promise<Pieces> {
    this.#pieces ??= this.#compilePieces().then(async (pieces) => {
      const whole = this.#whole;
      this.#whole = undefined;
      await whole?.[Symbol.asyncDispose]();
      return pieces;
    });
    return this.#pieces;
  }

  async #compilePieces(): Promise<Pieces> {
    const [c, i] = [this.#source.config, this.#index];
    const plain: ModelConfig = { ...c, sandwichNorms: false };
    const compile = (name: string, build: Parameters<typeof compileBlocks>[2]): Promise<Session> =>
      compileBlocks(this.#source, `blocks.${i}.${name}`, build);
    const norm = async (name: string, role: BlockRole): Promise<Session | undefined> =>
      c.sandwichNorms
        ? compile(name, (of) => ({
            out: familyNorm(c, input('inner', 'f32', ['B', 'T', c.dModel]), of(i).tensor(role)),
          }))
        : undefined;
    return {
      attention: await compile('attention', (of) => {
        const leaf = leaves();
        const { attended, k, v } = attend(plain, i, { w: of(i), x: leaf('x', ['B', 'T', c.dModel]) }, leaf);
        return { inner: attended.inner, [names.kv]: concat([k, v], -1) };
      }),
      attentionNorm: await norm('postAttentionNorm', 'postAttentionNorm'),
      mlp: await compile('mlp', (of) => ({
        inner: mlpOut(plain, of(i), input('mid', 'f32', ['B', 'T', c.dModel])).inner,
      })),
      mlpNorm: await norm('postMlpNorm', 'postMlpNorm'),
    };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const pieces = await this.#pieces?.catch(() => undefined);
    const held = [this.#whole, ...Object.values<Session | undefined>({ ...pieces })];
    await disposeAll(held.filter((s) => s !== undefined));
  }
}

/** What a half of the block adds, after the family's post-norm; `inside` sees and may edit it before and after. */
async function normed(
  inner: Handle,
  norm: Session | undefined,
  half: 'attn' | 'mlp',
  inside: Inside | undefined,
): Promise<Handle> {
  inside?.(`${half}_inner`, inner);
  const out = norm === undefined ? inner : ((await norm.runHandles({ inner })).out as Handle);
  inside?.(`${half}_out`, out);
  return out;
}

/** a + b, element by element, into `out` (which may be either). */
function addInto(a: Handle, b: Handle, out: Handle): void {
  const [p, q, sum] = [a, b, out].map((h) => h.data as Float32Array) as [
    Float32Array,
    Float32Array,
    Float32Array,
  ];
  for (let i = 0; i < sum.length; i++) sum[i] = (p[i] as number) + (q[i] as number);
}
