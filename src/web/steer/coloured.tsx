/** @file Tokens coloured by how far they lie along a vector, from the mean of the prompt's tokens. */
import type { ReactNode } from 'react';
import { visible } from '../../figures/index.ts';
import { number } from '../parts.tsx';
import type { Outcome } from './outcome.ts';

/** What a colour means: `middle` has none, `middle` ± `widest` has all. In lengths of the vector. */
export interface Scale {
  readonly middle: number;
  readonly widest: number;
}

/** Of all that is shown along a lens: the prompt, its first token (an attention sink) left out, and every answer. */
export function scaleOf({ along, answers }: Pick<Outcome, 'along' | 'answers'>, lens: number): Scale {
  const known = (values: readonly (number | null)[] = []) => values.filter((v) => v !== null);
  const prompt = known(along[lens]?.slice(1));
  const middle = prompt.length === 0 ? 0 : prompt.reduce((a, b) => a + b, 0) / prompt.length;
  const all = [...prompt, ...Object.values(answers).flatMap((answer) => known(answer.along[lens]))];
  const distances = all.map((v) => Math.abs(v - middle)).sort((a, b) => a - b);
  // One outlier would leave the others without colour.
  const widest = distances[Math.ceil(distances.length * 0.95) - 1] ?? 0;
  return { middle, widest };
}

/** Strongest colour, in percent: text stays readable on it. */
const STRONGEST = 42;

export function Coloured(props: {
  readonly pieces: readonly string[];
  readonly values: readonly (number | null)[] | undefined;
  readonly scale: Scale;
  readonly mono?: boolean;
}): ReactNode {
  const { pieces, values, scale, mono = false } = props;
  const spans = pieces.map((piece, i) => {
    const key = `${i}`;
    const value = values?.[i];
    const text = visible(piece);
    if (value === undefined || value === null || scale.widest === 0 || text === '')
      return <span key={key}>{text}</span>;
    const share = Math.max(-1, Math.min(1, (value - scale.middle) / scale.widest));
    const colour = share > 0 ? 'var(--cp-mapped)' : 'var(--cp-native)';
    return (
      <span
        key={key}
        className="along"
        style={{
          background: `color-mix(in srgb, ${colour} ${Math.round(Math.abs(share) * STRONGEST)}%, transparent)`,
        }}
        title={`${number(value)} along the vector; the prompt's mean is ${number(scale.middle)}`}
      >
        {text}
      </span>
    );
  });
  return mono ? (
    <div className="text mono" dir="auto">
      {spans}
    </div>
  ) : (
    spans
  );
}
