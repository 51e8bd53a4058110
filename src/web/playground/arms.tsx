/** @file What the model says under every way of patching its run, side by side, with the proof that it was patched. */
import type { ReactNode } from 'react';
import type { PlaygroundArm } from '../../server/index.ts';
import { diff } from '../diff.ts';
import { number } from '../parts.tsx';
import { Name, Runs, Tokens } from '../text.tsx';
import type { Outcome } from './outcome.ts';

const ARMS = {
  clean: ['Clean', 'the prompt as it is, nothing changed'],
  donor: ['Donor', 'the same prompt under the other trigger: where the activations come from'],
  native: ['Native', "this model's own activations of the donor, written at the trigger"],
  mapped: ['Mapped', "another model's activations of the donor, carried over by a map"],
  random: ['Random', 'random directions of the same length: the control'],
  mean_ablated: ['Mean-ablated', "the prompt's own mean at every position but the first"],
} as const satisfies Record<PlaygroundArm, readonly [string, string]>;
/** Arms in the order they are shown. */
export const ARM_ORDER = Object.keys(ARMS) as PlaygroundArm[];

export function Outcomes({ outcome }: { readonly outcome: Outcome }): ReactNode {
  const { prompt, proofs, busy, stale } = outcome;
  if (!prompt) return null;
  const changed = [
    ...new Set(Object.values(proofs).flatMap((p) => (p.arm === 'mean_ablated' ? [] : p.positions))),
  ];
  return (
    <section aria-label="What the model says" aria-busy={busy} className={stale ? 'stale' : undefined}>
      <h2>The prompt the model reads</h2>
      <div className="prompt">
        <Tokens tokens={prompt.tokens} changed={changed} />
      </div>
      <p className="soft">
        Coloured: tokens whose activations are replaced. In the answers, coloured: words the clean answer does
        not have.
      </p>
      <div className="states">
        {ARM_ORDER.filter((arm) => prompt.missing[arm] === undefined).map((arm) => (
          <Answer key={arm} arm={arm} outcome={outcome} />
        ))}
      </div>
      <NotRun missing={prompt.missing} />
    </section>
  );
}

function Answer({ arm, outcome }: { readonly arm: PlaygroundArm; readonly outcome: Outcome }): ReactNode {
  const { texts, ends, busy, stale, proofs } = outcome;
  const [text, end, proof] = [texts[arm] ?? '', ends[arm], proofs[arm]];
  return (
    <article className={`state arm-${arm}`} aria-label={ARMS[arm][0]}>
      <h3>{ARMS[arm][0]}</h3>
      <p className="soft">{ARMS[arm][1]}</p>
      <div className="text answer" dir="auto">
        {arm === 'clean' ? <Name>{text}</Name> : <Runs runs={diff(text, texts.clean ?? '').a} />}
        {end === undefined && busy && !stale ? <span className="caret" aria-hidden="true" /> : null}
        {end === 'stop' && text === '' ? <em className="soft">(empty)</em> : null}
        {end === 'length' ? <span className="soft"> … cut at the limit</span> : null}
      </div>
      {proof ? (
        <p
          className={proof.relative_change === 0 ? 'proof none' : 'proof'}
          title="‖Δ‖/‖h‖: size of the change relative to the activation. KL: how far the next token's probabilities moved from the clean run; 0 is no change."
        >
          {proof.relative_change === 0
            ? 'Changed nothing (α = 0).'
            : `Proof: ${proof.hook}, ${places(proof.positions)}, ‖Δ‖/‖h‖ ${number(proof.relative_change)}, KL of the next token ${number(proof.kl_div)} nats.`}
        </p>
      ) : null}
    </article>
  );
}

/** Arms that could not run, by the reason: one line per reason. */
function NotRun({
  missing,
}: {
  readonly missing: Readonly<Partial<Record<PlaygroundArm, string>>>;
}): ReactNode {
  const reasons = [...new Set(Object.values(missing))];
  return reasons.map((reason) => (
    <p key={reason} className="soft">
      Not run:{' '}
      {ARM_ORDER.filter((arm) => missing[arm] === reason)
        .map((arm) => ARMS[arm][0].toLowerCase())
        .join(', ')}
      . <Name>{`${reason[0]?.toUpperCase()}${reason.slice(1)}.`}</Name>
    </p>
  ));
}

function places(positions: readonly number[]): string {
  const [first, last] = [positions[0], positions.at(-1)];
  if (positions.length === 1) return `token ${first}`;
  return last === (first ?? 0) + positions.length - 1
    ? `tokens ${first}–${last}`
    : `tokens ${positions.join(', ')}`;
}
