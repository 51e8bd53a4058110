/** @file The example table of a behaviour: one prompt in every state, overwritten tokens and differing words marked. */
import { type ReactNode, useState } from 'react';
import { type ExampleCard, type ExampleTable, metricLabel, slug, visible } from '../figures/index.ts';
import { DataLinks } from './data-links.tsx';
import { diff } from './diff.ts';
import { number } from './parts.tsx';
import { Name, Runs, Tokens } from './text.tsx';

/** Prompts shown before more are asked for: each has up to twenty states. */
const SHOWN = 2;

export function Examples({ table }: { readonly table: ExampleTable }): ReactNode {
  const [open, setOpen] = useState(false);
  return (
    <>
      <p className="lead">
        {visible(table.caption)} <mark>Tinted</mark> tokens were overwritten; <ins>marked</ins> words differ
        from the completion they should equal.
      </p>
      <DataLinks name={slug(table.id)} rows={table.rows} />
      <Cards cards={table.cards.slice(0, SHOWN)} />
      {table.cards.length > SHOWN ? (
        <details onToggle={(event) => setOpen(event.currentTarget.open)}>
          <summary>{table.cards.length - SHOWN} more prompts</summary>
          {open ? <Cards cards={table.cards.slice(SHOWN)} /> : null}
        </details>
      ) : null}
    </>
  );
}

function Cards({ cards }: { readonly cards: readonly ExampleCard[] }): ReactNode {
  return (
    <div className="examples">
      {cards.map((card) => (
        <Card key={card.prompt_id} card={card} />
      ))}
    </div>
  );
}

function Card({ card }: { readonly card: ExampleCard }): ReactNode {
  return (
    <article className="card" aria-label={`prompt ${card.prompt_id}`}>
      <h4>
        Prompt <Name>{card.prompt_id}</Name>
      </h4>
      <div className="prompt">
        <Tokens tokens={card.tokens} changed={card.changed} />
      </div>
      <dl>
        {card.states.map(({ label, completion, reference, flags, scores }) => (
          <div key={label}>
            <dt>{label}</dt>
            <dd dir="auto">
              {completion === '' ? (
                <em className="soft">(empty)</em>
              ) : reference === undefined ? (
                visible(completion)
              ) : (
                <Runs runs={diff(completion, reference).a} />
              )}
              <small className="soft">
                {[
                  ...flags,
                  ...Object.entries(scores).map(([key, value]) => `${metricLabel(key)} ${number(value)}`),
                ].join(' · ')}
              </small>
            </dd>
          </div>
        ))}
      </dl>
    </article>
  );
}
