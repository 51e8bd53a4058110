/** @file The arms of the sweep: what each puts on the span, block by block. */
import type { Rng } from '../../base/index.ts';
import type { SweepControl } from '../../contracts/index.ts';
import { noiseArms, SpanNoise } from '../arms/controls.ts';
import type { ArmPatch, Place } from '../arms/run.ts';
import type { Spans } from '../arms/spans.ts';
import type { Case } from '../subject/completions.ts';
import type { LogitContrast } from './logits.ts';

/** Patches of the sweep's arms. Every draw has its own stream, named by arm, block, prompt and number. */
export class SweepArms {
  readonly #spans: ReadonlyMap<number, Spans>;
  readonly #contrasts: ReadonlyMap<Case, LogitContrast>;
  readonly #controls: readonly SweepControl[];
  readonly #rng: Rng;
  readonly #covariances = new Map<number, SpanNoise>();

  constructor(
    spans: ReadonlyMap<number, Spans>,
    contrasts: ReadonlyMap<Case, LogitContrast>,
    controls: readonly SweepControl[],
    rng: Rng,
  ) {
    this.#spans = spans;
    this.#contrasts = contrasts;
    this.#controls = controls;
    this.#rng = rng;
  }

  /** Native steering, and donors from elsewhere. */
  steered({ case: c, direction, block }: Place): ArmPatch[] {
    const spans = this.#after(block);
    const probe = direction === 'bad' ? this.#contrasts.get(c)?.probe : undefined;
    const arms: ArmPatch[] = [{ arm: 'native', values: spans.onto(c, direction), probe }];
    if (this.#controls.includes('other_prompt') && spans.cases.length > 1) {
      const values = spans.onto(c, direction, undefined, spans.neighbour(c));
      arms.push({ arm: 'other_prompt', values });
    }
    if (this.#controls.includes('other_tag'))
      arms.push({ arm: 'other_tag', values: spans.onto(c, direction, 'other'), expect: 'none' });
    return arms;
  }

  /** Draws `from`…`to`−1 of every kind of noise. */
  noise(place: Place, from: number, to: number): ArmPatch[] {
    const { case: c, direction, block } = place;
    return noiseArms(this.#after(block), this.#covariance(block), place, {
      arms: this.#controls,
      from,
      to,
      stream: (arm, k) => this.#rng.fork(`${arm}/${direction}/block ${block}/prompt ${c.id}/draw ${k}`),
    });
  }

  #after(block: number): Spans {
    const spans = this.#spans.get(block);
    if (spans === undefined) throw new RangeError(`sweep: no spans after block ${block}`);
    return spans;
  }

  #covariance(block: number): SpanNoise {
    const made = this.#covariances.get(block) ?? new SpanNoise(this.#after(block));
    this.#covariances.set(block, made);
    return made;
  }
}
