/** @file The completions of one prompt side by side: what differs marked, outcomes, scores, a person's rating. */
import { type ReactNode, useEffect, useMemo, useRef, useState } from 'react';
import type { MapFit, Sample } from '../contracts/index.ts';
import { FIT_LABEL, metricLabel, TRANSFER_STYLE } from '../figures/index.ts';
import type { Rating, RatingChange, SampleGroup } from '../server/index.ts';
import { api, ofRun } from './client.ts';
import type { DiffUnit } from './diff.ts';
import { Choice, number, Problem } from './parts.tsx';
import { pathTo, useQuery } from './router.ts';
import { LongText, Name, Tokens, Word } from './text.tsx';

const TRIGGERS = ['bad', 'safe', 'untagged', 'other'] as const;
const SIDES = ['target', 'source'] as const;

/** Every completion of one prompt: by model and trigger, then by stage; a stage is opened when it is asked for. */
export function Group(props: {
  readonly run: string;
  readonly group: SampleGroup;
  readonly marked: string | undefined;
  readonly unit: DiffUnit;
  readonly against: string;
  readonly onRated: () => void;
}): ReactNode {
  const { group, marked, unit, against } = props;
  const [, set] = useQuery();
  const [all, setAll] = useState(false);
  const ordered = useMemo(() => inOrder(group), [group]);
  const fits = useMemo(() => new Set(group.fits), [group]);
  // A link to a completion shows it, whether it fits the filter or not.
  const kept = all ? ordered : ordered.filter((s) => fits.has(s.id) || s.id === marked);
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
          onChange={(value) => set({ against: value === 'safe' ? undefined : value })}
        />
        <Choice
          label="By"
          value={unit}
          options={[
            ['word', 'words'],
            ['character', 'characters'],
          ]}
          onChange={(value) => set({ unit: value === 'word' ? undefined : value })}
        />
      </form>
      {SIDES.flatMap((side) =>
        TRIGGERS.map((trigger) => {
          const rows = kept.filter((s) => s.trigger === trigger && (s.side ?? 'target') === side);
          if (rows.length === 0) return null;
          return (
            <section key={`${side} ${trigger}`} aria-label={`${side}, ${trigger} prompt`}>
              <h2>
                {side}, {trigger} prompt <span className="soft">{rows.length}</span>
              </h2>
              <Prompt rows={rows} />
              {[...grouped(rows, sectionOf)].map(([name, members], i) => (
                <Section
                  key={name}
                  {...props}
                  name={name}
                  samples={members}
                  // What was asked for is open: the first, a linked one, or everything where it is little.
                  open={i === 0 || rows.length <= FEW || members.some((s) => s.id === marked)}
                />
              ))}
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

/** This many completions of a prompt are shown without opening anything. */
const FEW = 12;

const STAGE_WORDS: Readonly<Record<string, string>> = {
  backdoor: 'unpatched',
  transfer: 'steered (set)',
  'transfer.add': 'steered (add)',
  inverse: 'steered back by the inverse map',
  fidelity: 'every activation replaced',
  capabilities: 'bundled tasks',
};

/** What a heading stands over: the stage and, where there is one, the map. */
function sectionOf({ stage, map }: Sample): string {
  const words = STAGE_WORDS[stage] ?? stage.replaceAll('.', ' ');
  return map ? `${words}: ${map.kind}, ${FIT_LABEL[map.fit as MapFit] ?? map.fit}` : words;
}

function grouped<T>(items: readonly T[], keyOf: (item: T) => string): Map<string, T[]> {
  const groups = new Map<string, T[]>();
  for (const item of items) {
    const group = groups.get(keyOf(item));
    if (group) group.push(item);
    else groups.set(keyOf(item), [item]);
  }
  return groups;
}

function Section(props: {
  readonly run: string;
  readonly group: SampleGroup;
  readonly marked: string | undefined;
  readonly unit: DiffUnit;
  readonly against: string;
  readonly onRated: () => void;
  readonly name: string;
  readonly samples: readonly Sample[];
  readonly open: boolean;
}): ReactNode {
  const { run, group, marked, unit, against, onRated, name, samples, open } = props;
  const [isOpen, setOpen] = useState(open);
  useEffect(() => setOpen(open), [open]);
  return (
    <details open={isOpen} onToggle={(event) => setOpen(event.currentTarget.open)}>
      <summary>
        <Name>{name}</Name> <span className="soft">{samples.length}</span>
      </summary>
      {isOpen ? (
        <div className="states">
          {samples.map((sample) => (
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
      ) : null}
    </details>
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
