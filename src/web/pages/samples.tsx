/** @file Samples: every prompt of a run, and all its completions side by side with what differs marked, to be judged by a person. */
import { type ReactNode, useEffect, useRef, useState } from 'react';
import type { Sample } from '../../contracts/index.ts';
import type { Rating, RatingChange, SampleGroup, SampleGroupEntry, SampleIndex } from '../../server/index.ts';
import { send, useAsk } from '../client.ts';
import type { DiffUnit } from '../diff.ts';
import { Choice, number, Problem } from '../parts.tsx';
import { navigate, pathTo, useQuery } from '../router.ts';
import { LongText, Name, Tokens } from '../text.tsx';
import { VirtualList } from '../virtual-list.tsx';

const FILTERS = ['behaviour', 'stage', 'arm', 'outcome', 'rated', 'q'] as const;
const ROW = 66;

export default function SamplesPage({ run }: { readonly run: string }): ReactNode {
  const [get, set] = useQuery();
  const base = `/api/runs/${encodeURIComponent(run)}`;
  const [fresh, setFresh] = useState(0);
  const query = new URLSearchParams(FILTERS.flatMap((key) => (get(key) ? [[key, get(key) as string]] : [])));
  const { data: index, error } = useAsk<SampleIndex>(`${base}/samples?${query}`, fresh);
  const groups = index?.groups ?? [];
  const which = wanted(get);
  const group = useAsk<SampleGroup>(which ? `${base}/group?${which}` : undefined, fresh);
  const at = group.data
    ? groups.findIndex((g) => g.prompt_id === group.data?.prompt_id && g.behaviour === group.data.behaviour)
    : -1;
  const choose = (i: number) => {
    const next = groups[i];
    if (next) set({ in: next.behaviour, prompt: next.prompt_id, sample: '' }, which !== undefined);
  };
  useStepKeys((step) => choose(Math.min(groups.length - 1, Math.max(0, at + step))));
  return (
    <>
      <h1>
        Samples{' '}
        <span className="soft">
          of <Name>{run}</Name>
        </span>
      </h1>
      {error ? <Problem>{error}</Problem> : null}
      {index ? <Filters index={index} get={get} set={set} /> : null}
      {index && index.unreadable > 0 ? (
        <p className="problem">{index.unreadable} lines of samples/ could not be read and are left out.</p>
      ) : null}
      {index ? (
        <p className="soft row">
          <span role="status">
            {groups.length.toLocaleString('en')} prompts fit · {index.samples.toLocaleString('en')}{' '}
            completions in all
          </span>
          <span>
            ratings:{' '}
            <a href={`${base}/ratings?format=csv`} download>
              CSV
            </a>{' '}
            <a href={`${base}/ratings`} download={`${run}-ratings.json`}>
              JSON
            </a>
          </span>
        </p>
      ) : (
        <p className="soft">{error ? '' : 'Loading…'}</p>
      )}
      {index && index.samples === 0 ? (
        <p className="empty">
          This run has no samples yet: they come with the first stage that lets a model write.
        </p>
      ) : null}
      {index && index.samples > 0 && groups.length === 0 ? (
        <p className="empty">
          No completion fits.{' '}
          <button type="button" className="link" onClick={() => navigate(pathTo({ page: 'samples', run }))}>
            Take the filter away
          </button>
        </p>
      ) : null}
      {groups.length > 0 || which ? (
        <div className={which ? 'split chosen' : 'split'}>
          <VirtualList
            items={groups}
            rowHeight={ROW}
            label="Prompts"
            keyOf={(g) => `${g.behaviour} ${g.prompt_id}`}
            row={(g) => <Entry entry={g} />}
            chosen={at}
            onChoose={choose}
          />
          <div className="detail">
            {which ? (
              <button type="button" className="back" onClick={() => set({ in: '', prompt: '', sample: '' })}>
                ← all prompts
              </button>
            ) : (
              <p className="empty">
                Choose a prompt to see all its completions. Keys: j and k, or the arrows in the list.
              </p>
            )}
            {group.error ? <Problem>{group.error}</Problem> : null}
            {which && group.data ? (
              <Group
                run={run}
                group={group.data}
                marked={get('sample')}
                unit={get('unit') === 'character' ? 'character' : 'word'}
                against={get('against') ?? 'safe'}
                onRated={() => setFresh((n) => n + 1)}
              />
            ) : null}
          </div>
        </div>
      ) : null}
    </>
  );
}

function wanted(get: (key: string) => string | undefined): URLSearchParams | undefined {
  const [id, behaviour, prompt_id] = [get('sample'), get('in'), get('prompt')];
  if (id) return new URLSearchParams({ id });
  return behaviour !== undefined && prompt_id !== undefined
    ? new URLSearchParams({ behaviour, prompt_id })
    : undefined;
}

/** j and k step through prompts wherever the focus is, but not while one types. */
function useStepKeys(step: (by: 1 | -1) => void): void {
  const latest = useRef(step);
  latest.current = step;
  useEffect(() => {
    const onKey = (event: KeyboardEvent) => {
      const typing = event.target instanceof Element && event.target.closest('input, textarea, select');
      if (typing || event.altKey || event.ctrlKey || event.metaKey) return;
      if (event.key === 'j') latest.current(1);
      if (event.key === 'k') latest.current(-1);
    };
    addEventListener('keydown', onKey);
    return () => removeEventListener('keydown', onKey);
  }, []);
}

function Filters(props: {
  readonly index: SampleIndex;
  readonly get: (key: string) => string | undefined;
  readonly set: (change: Readonly<Record<string, string>>, replace?: boolean) => void;
}): ReactNode {
  const { index, get, set } = props;
  const { choices } = index;
  const select = (key: string, label: string, values: readonly string[]) => (
    <Choice
      label={label}
      value={get(key) ?? ''}
      options={[['', 'all'], ...values.map((value) => [value, value] as const)]}
      onChange={(value) => set({ [key]: value })}
    />
  );
  return (
    <form className="filters" onSubmit={(event) => event.preventDefault()}>
      {choices.behaviours.length > 1 ? select('behaviour', 'Behaviour', choices.behaviours) : null}
      {select('stage', 'Stage', choices.stages)}
      {select('arm', 'Arm', choices.arms)}
      <Choice
        label="Outcome"
        value={get('outcome') ?? ''}
        options={[
          ['', 'all'],
          ...choices.outcomes.flatMap((flag) => [
            [flag, flag] as const,
            [`!${flag}`, `not ${flag}`] as const,
          ]),
        ]}
        onChange={(value) => set({ outcome: value })}
      />
      <Choice
        label="Rated"
        value={get('rated') ?? ''}
        options={[
          ['', 'all'],
          ['yes', 'yes'],
          ['no', 'no'],
        ]}
        onChange={(value) => set({ rated: value })}
      />
      <Search value={get('q') ?? ''} onChange={(q) => set({ q }, true)} />
    </form>
  );
}

/** Asks after a pause, so that typing does not ask for every letter. */
function Search({
  value,
  onChange,
}: {
  readonly value: string;
  readonly onChange: (q: string) => void;
}): ReactNode {
  const [text, setText] = useState(value);
  const latest = useRef(onChange);
  latest.current = onChange;
  useEffect(() => setText(value), [value]);
  useEffect(() => {
    if (text === value) return;
    const timer = setTimeout(() => latest.current(text), 250);
    return () => clearTimeout(timer);
  }, [text, value]);
  return (
    <label className="field">
      <span>Text</span>
      <input type="search" value={text} onChange={(event) => setText(event.target.value)} />
    </label>
  );
}

function Entry({ entry }: { readonly entry: SampleGroupEntry }): ReactNode {
  return (
    <>
      <span className="excerpt">
        <Name>{entry.excerpt}</Name>
      </span>
      <span className="soft meta">
        <Name>{`${entry.behaviour} · ${entry.prompt_id}`}</Name> · {entry.fits} of {entry.rows}
        {entry.rated > 0 ? ` · ★ ${entry.rated}` : ''}
      </span>
    </>
  );
}

/** Completions shown of a prompt before "show all". */
const SHOWN = 60;
const TRIGGERS = ['bad', 'safe', 'untagged', 'other'] as const;
const SIDES = ['target', 'source'] as const;

function Group(props: {
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
  const shown = all || group.samples.length <= SHOWN + 10 ? group.samples : group.samples.slice(0, SHOWN);
  const kept = marked === undefined || shown.some((s) => s.id === marked) ? shown : group.samples;
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
          show all {group.samples.length} completions
        </button>
      ) : null}
    </>
  );
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
        {Object.entries(sample.outcome ?? {}).map(([flag, value]) => (
          <span key={flag} className={value ? `chip ${flag}` : 'chip not'}>
            {value ? flag : `not ${flag}`}
          </span>
        ))}
        {Object.entries(sample.scores ?? {}).map(([name, value]) => (
          <span key={name} className="chip score">
            <Name>{name}</Name> {number(value)}
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
