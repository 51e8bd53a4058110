/** @file The verdict of a run. */
import type { ReactNode } from 'react';
import type { Verdict } from '../server/index.ts';
import { distinct, isPhone } from './parts.tsx';
import { Name } from './text.tsx';

/** What the run shows: one word by the rule and its sentence stand out; under it what is to be held against it. */
export function VerdictSection({ verdicts }: { readonly verdicts: readonly Verdict[] }): ReactNode {
  const keys = distinct(verdicts.map(({ behaviour }) => behaviour));
  return (
    <section className="verdict" aria-label="Verdict">
      {verdicts.length === 0 ? <p className="claim">Nothing was evaluated.</p> : null}
      {verdicts.map(({ behaviour, word, sentence, points }, i) => (
        <div key={keys[i]}>
          <p className="soft">
            <Name>{behaviour}</Name>
          </p>
          <p className="word">{word}</p>
          <p className="claim">
            <Name>{sentence}</Name>
          </p>
          <details open={!isPhone()}>
            <summary>What it beats, what it costs, what was not checked ({points.length})</summary>
            <ul>
              {points.map(({ text }) => (
                <li key={text}>
                  <Name>{text}</Name>
                </li>
              ))}
            </ul>
          </details>
        </div>
      ))}
    </section>
  );
}
