/** @file Which behaviour of a run a page shows. */
import type { ReactNode } from 'react';
import type { BehaviourResults } from '../contracts/index.ts';
import { distinct } from './parts.tsx';
import { Name } from './text.tsx';

/** A button for each behaviour and placement; nothing where there is one. */
export function BehaviourTabs(props: {
  readonly behaviours: readonly BehaviourResults[];
  readonly chosen: number;
  readonly onChoose: (index: number) => void;
}): ReactNode {
  const { behaviours, chosen, onChoose } = props;
  if (behaviours.length < 2) return null;
  const labels = behaviours.map(({ pair }) => `${pair.behaviour}, ${pair.placement}`);
  const keys = distinct(labels);
  return (
    <fieldset className="tabs">
      <legend className="hidden">Behaviour</legend>
      {labels.map((label, i) => (
        <button key={keys[i]} type="button" aria-pressed={i === chosen} onClick={() => onChoose(i)}>
          <Name>{label}</Name>
        </button>
      ))}
    </fieldset>
  );
}
