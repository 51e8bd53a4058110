/** @file What the model says at the chosen strength, beside no steering and a random direction, with the proof that it was steered. */
import { type ReactNode, useMemo } from 'react';
import { visible } from '../../figures/index.ts';
import type { SteerArm, SteerProof } from '../../server/index.ts';
import { diff } from '../diff.ts';
import { Choice, number } from '../parts.tsx';
import { LineChart } from '../plot.tsx';
import type { QueryChange } from '../router.ts';
import { Name, Runs } from '../text.tsx';
import { Coloured, type Scale, scaleOf } from './coloured.tsx';
import { keyOf, type Outcome, type Written } from './outcome.ts';
import type { Settings } from './settings.ts';

const ARMS = {
  none: ['No steering', 'the prompt as it is'],
  vector: ['Steered', 'the vectors at this strength'],
  random: ['Random', 'random directions as long, at the same places: the control'],
} as const satisfies Record<SteerArm, readonly [string, string]>;
const ORDER = Object.keys(ARMS) as SteerArm[];
/** Colours of the arms, as in the figures. */
const COLOUR_OF = { none: 'clean', vector: 'mapped', random: 'random' } as const;

export function Answers(props: {
  readonly outcome: Outcome;
  readonly get: Settings['get'];
  readonly set: (change: QueryChange, replace?: boolean) => void;
  readonly names: readonly string[];
}): ReactNode {
  const { outcome, get, set, names } = props;
  const { prompt, busy, stale, answered, along } = outcome;
  const steps = useMemo(
    () => [...new Set([0, ...answered.strengths])].sort((a, b) => a - b),
    [answered.strengths],
  );
  if (!prompt) return null;
  const wanted = Number(get('at'));
  const nearest = steps.reduce((a, b) => (Math.abs(b - wanted) < Math.abs(a - wanted) ? b : a));
  const at = steps.indexOf(nearest);
  const lens = Math.min(Number(get('lens')) || 0, answered.vectors.length - 1);
  const isAlong = get('colour') !== 'words';
  const scale = scaleOf(outcome, lens);
  return (
    <section aria-label="What the model says" aria-busy={busy} className={stale ? 'stale' : undefined}>
      <h2>The prompt the model reads</h2>
      <div className="prompt">
        <Coloured pieces={prompt.tokens} values={along[lens]} scale={scale} mono />
      </div>
      <div className="filters">
        <Choice
          label="Colour of tokens"
          value={get('colour')}
          options={[
            ['along', 'how far they lie along a vector'],
            ['words', 'words that the unsteered answer lacks'],
          ]}
          onChange={(colour) => set({ colour })}
        />
        {answered.vectors.length > 1 && isAlong ? (
          <Choice
            label="Along"
            value={String(lens)}
            options={answered.vectors.map((_, i) => [String(i), names[i] ?? `vector ${i + 1}`])}
            onChange={(next) => set({ lens: next })}
          />
        ) : null}
        <Legend scale={scale} />
      </div>
      <label className="field slider strengths">
        <span>
          Strength <strong>{nearest}</strong>
          {nearest === 0 ? ' (no steering)' : ''} of {steps.join(', ')}: all are there already
        </span>
        <input
          type="range"
          min={0}
          max={steps.length - 1}
          step={1}
          value={at}
          aria-valuetext={`strength ${nearest}`}
          onChange={(e) => set({ at: String(steps[Number(e.target.value)]) }, true)}
        />
      </label>
      <div className="states steered">
        {ORDER.map((arm) => (
          <Arm
            key={arm}
            arm={arm}
            strength={nearest}
            outcome={outcome}
            lens={lens}
            scale={isAlong ? scale : undefined}
          />
        ))}
      </div>
      <Proofs outcome={outcome} at={nearest} />
    </section>
  );
}

function Arm(props: {
  readonly arm: SteerArm;
  readonly strength: number;
  readonly outcome: Outcome;
  readonly lens: number;
  /** Undefined: what differs from the unsteered answer is marked instead. */
  readonly scale: Scale | undefined;
}): ReactNode {
  const { arm, strength, outcome, lens, scale } = props;
  const { answers, answered, proofs, prompt } = outcome;
  // At strength 0 nothing is added: all arms are the prompt as it is.
  const own: SteerArm = strength === 0 ? 'none' : arm;
  const at = own === 'none' ? 0 : strength;
  const proof = proofs.find((p) => p.arm === own && p.strength === at);
  return (
    <article className={`state arm-${COLOUR_OF[arm]}`} aria-label={ARMS[arm][0]}>
      <h3>
        {ARMS[arm][0]}
        {arm === 'none' ? '' : ` × ${strength}`}
      </h3>
      <p className="soft">{ARMS[arm][1]}</p>
      {[0, ...answered.seeds.map((_, k) => k + 1)].map((sample) => {
        const written = answers[keyOf({ arm: own, strength: at, sample })];
        const plain = answers[keyOf({ arm: 'none', strength: 0, sample })];
        return (
          <div key={sample} className="drawn">
            <h4 className="soft">{sample === 0 ? 'greedy' : `seed ${answered.seeds[sample - 1]}`}</h4>
            <Answer
              written={written}
              plain={plain}
              lens={lens}
              scale={scale}
              writes={outcome.busy && !outcome.stale}
            />
          </div>
        );
      })}
      {proof && prompt ? <Proof proof={proof} length={prompt.length} /> : null}
      {arm !== 'none' && strength === 0 ? <p className="proof">Strength 0 adds nothing.</p> : null}
    </article>
  );
}

function Answer(props: {
  readonly written: Written | undefined;
  readonly plain: Written | undefined;
  readonly lens: number;
  readonly scale: Scale | undefined;
  readonly writes: boolean;
}): ReactNode {
  const { written, plain, lens, scale, writes } = props;
  const { pieces = [], finish, along = [] } = written ?? {};
  const text = pieces.join('');
  return (
    <div className="text answer" dir="auto">
      {scale ? (
        <Coloured pieces={pieces} values={along[lens]} scale={scale} />
      ) : plain === undefined || plain === written ? (
        <Name>{text}</Name>
      ) : (
        <Runs runs={diff(text, plain.pieces.join('')).a} />
      )}
      {finish === undefined && writes ? <span className="caret" aria-hidden="true" /> : null}
      {finish === 'stop' && text === '' ? <em className="soft">(empty)</em> : null}
      {finish === 'length' ? <span className="soft"> … cut at the limit</span> : null}
    </div>
  );
}

function Proof({ proof, length }: { readonly proof: SteerProof; readonly length: number }): ReactNode {
  const { effects, kl_div } = proof;
  const lines = effects.slice(0, 4).map(({ hook, positions, relative_change }) => {
    const inPrompt = positions.filter((p) => p < length);
    const generated = positions.length - inPrompt.length;
    const also = generated > 0 ? ` and ${generated} new ones` : '';
    return `${hook}, ${spans(inPrompt)}${also}, ‖Δ‖/‖h‖ ${number(relative_change)}`;
  });
  return (
    <p
      className="proof"
      title="‖Δ‖/‖h‖: size of the change relative to the activation. KL: how far the first token's probabilities moved from the unsteered run; 0 is no change."
    >
      Proof: {visible(lines.join('; '))}
      {effects.length > 4 ? `; ${effects.length - 4} more` : ''}. KL of the first token {number(kl_div)} nats.
    </p>
  );
}

/** `tokens 1–12`, with gaps named. */
export function spans(positions: readonly number[]): string {
  const parts: [number, number][] = [];
  for (const p of positions) {
    const last = parts.at(-1);
    if (last && last[1] === p - 1) last[1] = p;
    else parts.push([p, p]);
  }
  if (parts.length === 0) return 'no prompt token';
  const text = parts.map(([a, b]) => (a === b ? `${a}` : `${a}–${b}`)).join(', ');
  return `${positions.length === 1 ? 'token' : 'tokens'} ${text}`;
}

/** How much each strength moves the first token, vector beside random. */
function Proofs({ outcome, at }: { readonly outcome: Outcome; readonly at: number }): ReactNode {
  const { proofs } = outcome;
  if (proofs.length < 3) return null;
  const line = (arm: SteerProof['arm'], of: (proof: SteerProof) => number) => ({
    label: arm === 'vector' ? 'vectors' : 'random',
    color: `var(--cp-${arm === 'vector' ? 'mapped' : 'noise'})`,
    dash: arm === 'vector' ? undefined : '5 4',
    points: [
      { x: 0, y: 0 },
      ...proofs.filter((p) => p.arm === arm).map((p) => ({ x: p.strength, y: of(p) })),
    ].sort((a, b) => a.x - b.x),
  });
  const dose = ({ effects }: SteerProof) => Math.max(0, ...effects.map((e) => e.relative_change));
  return (
    <div className="charts">
      <LineChart
        title="KL of the first token from the unsteered run, nats"
        xLabel="strength"
        lines={[line('vector', (p) => p.kl_div), line('random', (p) => p.kl_div)]}
        at={at}
      />
      <LineChart title="Relative dose ‖Δ‖/‖h‖" xLabel="strength" lines={[line('vector', dose)]} at={at} />
    </div>
  );
}

function Legend({ scale }: { readonly scale: Scale }): ReactNode {
  return (
    <p className="scale soft">
      <span>away {number(-scale.widest)}</span>
      <span className="ramp along" aria-hidden="true" />
      <span>
        towards {number(scale.widest)}, in lengths of the vector from the prompt’s mean {number(scale.middle)}
      </span>
    </p>
  );
}
