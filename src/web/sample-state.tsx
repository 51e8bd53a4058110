/** @file One completion: its text with what differs marked, outcomes, scores, a person's rating. */
import { type ReactNode, useEffect, useRef, useState } from 'react';
import type { Sample } from '../contracts/index.ts';
import { metricLabel, TRANSFER_STYLE } from '../figures/index.ts';
import type { Rating, RatingChange } from '../server/index.ts';
import { api, ofRun } from './client.ts';
import type { DiffUnit } from './diff.ts';
import { number, Problem } from './parts.tsx';
import { pathTo } from './router.ts';
import { LongText, Name, Word } from './text.tsx';

const FLAG_MEANING = {
  triggered: 'the completion shows the behaviour',
  removed: 'the completion no longer shows the behaviour; garbage counts too',
  restored: 'the completion is the ordinary answer again',
  elicited: 'without the trigger, the completion now shows the behaviour',
  degenerate: 'empty, one word repeated, or without a letter or digit',
  unchanged: 'the same text as without the patch',
} as const;

/** Flags that say something when they are false. */
const WORTH_DENYING: ReadonlySet<string> = new Set(['removed', 'restored', 'elicited']);

/** See the file's head. */
export function State(props: {
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
  const arm =
    TRANSFER_STYLE[sample.arm as keyof typeof TRANSFER_STYLE]?.label ?? sample.arm.replaceAll('_', ' ');
  return (
    <article ref={box} className={marked ? 'state marked' : 'state'} aria-label={sample.id}>
      <h3>
        <Word>{arm}</Word>
        {sample.block === undefined ? '' : `, block ${sample.block}`}{' '}
        <a
          href={pathTo({ page: 'samples', run }, { sample: sample.id })}
          title="Link to this completion"
          className="link"
        >
          #<span className="hidden"> link to {sample.id}</span>
        </a>
      </h3>
      <LongText text={sample.completion} reference={reference} unit={unit} />
      <p className="chips">
        {Object.entries(sample.outcome ?? {})
          .filter(([flag, value]) => value || WORTH_DENYING.has(flag))
          .map(([flag, value]) => (
            <span
              key={flag}
              className={value ? `chip ${flag}` : 'chip not'}
              title={FLAG_MEANING[flag as keyof typeof FLAG_MEANING]}
            >
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
    api.runs[':run'].ratings.$put({ ...ofRun(run), json: { id, ...change } }).then(
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
            onChange={() => save({ rating: i + 1, note: note || undefined })}
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
