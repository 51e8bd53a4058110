/** @file The completions of one prompt side by side: what differs marked, outcomes, scores, a person's rating. */
import { type ReactNode, useEffect, useMemo, useRef, useState } from 'react';
import type { Sample } from '../contracts/index.ts';
import { metricLabel, TRANSFER_STYLE } from '../figures/index.ts';
import type { Rating, RatingChange, SampleGroup } from '../server/index.ts';
import { send } from './client.ts';
import type { DiffUnit } from './diff.ts';
import { Choice, number, Problem } from './parts.tsx';
import { pathTo, useQuery } from './router.ts';
import { LongText, Name, Tokens } from './text.tsx';

/** Completions shown of a prompt before "show all". */
const SHOWN = 60;
const TRIGGERS = ['bad', 'safe', 'untagged', 'other'] as const;
const SIDES = ['target', 'source'] as const;

/** Every completion of one prompt, by model and trigger. */
export function Group(props: {
  readonly run: string;
  readonly group: SampleGroup;
  readonly marked: string | undefined;
  readonly unit: DiffUnit;
  readonly against: string;
  readonly onRated: () => void;
}): ReactNode {
  const { run, group, marked, unit, against, onRated } = props;
  const [, set] = useQuery();
  const [all, setAll] = useState(false);
  const ordered = useMemo(() => inOrder(group), [group]);
  const shown = all ? ordered : ordered.slice(0, Math.min(group.fits.length, SHOWN));
  // A link to a completion that is not among the first shows it first.
  const linked = ordered.find((s) => s.id === marked);
  const kept = linked && !shown.includes(linked) ? [linked, ...shown] : shown;
  return (
    <>
      <form className="filters" onSubmit={(event) => event.preventDefault()}>
        <Choice
          label="Marked: what is not in"
          value={against}
          options={[
            ['safe', 'the safe completion'],
            ['bad', 'the bad completion'],
            ['source', "the source's own"],
            ['none', 'mark nothing'],
          ]}
          onChange={(value) => set({ against: value === 'safe' ? '' : value })}
        />
        <Choice
          label="By"
          value={unit}
          options={[
            ['word', 'words'],
            ['character', 'characters'],
          ]}
          onChange={(value) => set({ unit: value === 'word' ? '' : value })}
        />
      </form>
      {SIDES.flatMap((side) =>
        TRIGGERS.map((trigger) => {
          const rows = kept.filter((s) => s.trigger === trigger && (s.side ?? 'target') === side);
          const first = rows[0];
          if (!first) return null;
          return (
            <section key={`${side} ${trigger}`} aria-label={`${side}, ${trigger} prompt`}>
              <h2>
                {side}, {trigger} prompt <span className="soft">{rows.length}</span>
              </h2>
              <Prompt rows={rows} />
              <div className="states">
                {rows.map((sample) => (
                  <State
                    key={sample.id}
                    run={run}
                    sample={sample}
                    rating={group.ratings[sample.id]}
                    marked={sample.id === marked}
                    unit={unit}
                    against={against}
                    onRated={onRated}
                  />
                ))}
              </div>
            </section>
          );
        }),
      )}
      {kept.length < group.samples.length ? (
        <button type="button" onClick={() => setAll(true)}>
          show all {group.samples.length.toLocaleString('en')} completions of this prompt
        </button>
      ) : null}
    </>
  );
}

const STAGES = ['backdoor', 'transfer', 'transfer.add', 'inverse', 'fidelity', 'capabilities'];
const ARMS = ['unpatched', ...Object.keys(TRANSFER_STYLE)];

/** Those that fit the filter first; then true, steered, replaced; sweeps, which are many, last. */
function inOrder({ samples, fits }: SampleGroup): Sample[] {
  const wanted = new Set(fits);
  const place = (list: readonly string[], name: string) =>
    list.includes(name) ? list.indexOf(name) : list.length;
  const rank = (s: Sample) => [wanted.has(s.id) ? 0 : 1, place(STAGES, s.stage), place(ARMS, s.arm)] as const;
  return samples
    .map((sample) => ({ sample, rank: rank(sample) }))
    .sort((a, b) => a.rank[0] - b.rank[0] || a.rank[1] - b.rank[1] || a.rank[2] - b.rank[2])
    .map(({ sample }) => sample);
}

/** The prompt, the tokens that some arm changed marked. */
function Prompt({ rows }: { readonly rows: readonly Sample[] }): ReactNode {
  const cut = rows.find((s) => s.prompt_tokens && s.changed_positions);
  return (
    <div className="prompt">
      {cut?.prompt_tokens ? (
        <Tokens tokens={cut.prompt_tokens} changed={cut.changed_positions ?? []} />
      ) : (
        <LongText text={rows[0]?.prompt ?? ''} />
      )}
    </div>
  );
}

/** Flags that say something when they are false. */
const WORTH_DENYING: ReadonlySet<string> = new Set(['removed', 'restored', 'elicited']);

function State(props: {
  readonly run: string;
  readonly sample: Sample;
  readonly rating: Rating | undefined;
  readonly marked: boolean;
  readonly unit: DiffUnit;
  readonly against: string;
  readonly onRated: () => void;
}): ReactNode {
  const { run, sample, rating, marked, unit, against, onRated } = props;
  const box = useRef<HTMLElement>(null);
  useEffect(() => {
    if (marked) box.current?.scrollIntoView({ block: 'center' });
  }, [marked]);
  const reference = sample.references?.[against as keyof NonNullable<Sample['references']>];
  const where = [
    sample.stage,
    sample.map ? `${sample.map.kind}, ${sample.map.fit}` : '',
    sample.block === undefined ? '' : `block ${sample.block}`,
  ].filter((part) => part !== '');
  return (
    <article ref={box} className={marked ? 'state marked' : 'state'} aria-label={sample.id}>
      <h3>
        <Name>{sample.arm.replaceAll('_', ' ')}</Name>{' '}
        <a
          href={pathTo({ page: 'samples', run }, { sample: sample.id })}
          title="Link to this completion"
          className="link"
        >
          #<span className="hidden"> link to {sample.id}</span>
        </a>
      </h3>
      <p className="soft">
        <Name>{where.join(' · ')}</Name>
      </p>
      <LongText text={sample.completion} reference={reference} unit={unit} />
      <p className="chips">
        {Object.entries(sample.outcome ?? {})
          .filter(([flag, value]) => value || WORTH_DENYING.has(flag))
          .map(([flag, value]) => (
            <span key={flag} className={value ? `chip ${flag}` : 'chip not'}>
              {value ? flag : `not ${flag}`}
            </span>
          ))}
        {Object.entries(sample.scores ?? {}).map(([name, value]) => (
          <span key={name} className="chip score">
            <Name>{metricLabel(name)}</Name> {number(value)}
          </span>
        ))}
      </p>
      <Judge run={run} id={sample.id} rating={rating} onRated={onRated} />
    </article>
  );
}

const MEANING = [
  'nothing in common',
  'little in common',
  'partly the same',
  'nearly the same',
  'the same meaning',
] as const;

/** A person's judgement of one completion against the ordinary answer, saved as it is given. */
function Judge(props: {
  readonly run: string;
  readonly id: string;
  readonly rating: Rating | undefined;
  readonly onRated: () => void;
}): ReactNode {
  const { run, id, rating, onRated } = props;
  const [problem, setProblem] = useState<string>();
  const [note, setNote] = useState(rating?.note ?? '');
  useEffect(() => setNote(rating?.note ?? ''), [rating?.note]);
  // What was just chosen shows at once; the server's word replaces it, or an error takes it back.
  const [chosen, setChosen] = useState(rating?.rating ?? null);
  useEffect(() => setChosen(rating?.rating ?? null), [rating?.rating]);
  const save = (change: Omit<RatingChange, 'id'>) => {
    setChosen(change.rating);
    send('PUT', `/api/runs/${encodeURIComponent(run)}/ratings`, { id, ...change }).then(
      () => {
        setProblem(undefined);
        onRated();
      },
      (error: unknown) => {
        setChosen(rating?.rating ?? null);
        setProblem(error instanceof Error ? error.message : String(error));
      },
    );
  };
  return (
    <fieldset className="judge">
      <legend>Your rating</legend>
      {MEANING.map((meaning, i) => (
        <label key={meaning} title={`${i + 1}: ${meaning}`}>
          <input
            type="radio"
            name={`rating ${id}`}
            checked={chosen === i + 1}
            onChange={() => save({ rating: i + 1, ...(note ? { note } : {}) })}
          />
          {i + 1}
          <span className="hidden"> {meaning}</span>
        </label>
      ))}
      {rating ? (
        <>
          <button type="button" className="link" onClick={() => save({ rating: null })}>
            take back
          </button>
          <input
            aria-label="Note"
            placeholder="note"
            value={note}
            onChange={(event) => setNote(event.target.value)}
            onBlur={() => {
              if (note !== (rating.note ?? '')) save({ rating: rating.rating, note });
            }}
          />
        </>
      ) : null}
      {problem ? <Problem>{problem}</Problem> : null}
    </fieldset>
  );
}
