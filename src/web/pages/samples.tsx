/** @file Samples: every prompt of a run, and all its completions side by side with what differs marked, to be judged by a person. */
import { type ReactNode, useEffect, useRef, useState } from 'react';
import type { MapFit } from '../../contracts/index.ts';
import { FIT_LABEL } from '../../figures/index.ts';
import type { SampleGroupEntry, SampleIndex } from '../../server/index.ts';
import { api, ofRun, useAsk } from '../client.ts';
import { Choice, isPhone, Problem } from '../parts.tsx';
import { PromptList } from '../prompt-list.tsx';
import { navigate, pathTo, type QueryChange, useQuery } from '../router.ts';
import { Group } from '../sample-group.tsx';
import { Name } from '../text.tsx';

const FILTERS = ['behaviour', 'stage', 'arm', 'map', 'fit', 'outcome', 'rated', 'q'] as const;

export default function SamplesPage({ run }: { readonly run: string }): ReactNode {
  const [get, set] = useQuery();
  const [fresh, setFresh] = useState(0);
  const filter = filterOf(get);
  const { data: index, error } = useAsk(api.runs[':run'].samples, { ...ofRun(run), query: filter }, fresh);
  const groups = index?.groups ?? [];
  const asked = wanted(get);
  // Where there is room for both, the first prompt is open from the start.
  const first = isPhone() ? undefined : groups[0];
  const which = asked ?? (first ? { in: first.behaviour, prompt: first.prompt_id } : undefined);
  const group = useAsk(
    api.runs[':run'].group,
    which ? { ...ofRun(run), query: { ...filter, ...which } } : undefined,
    fresh,
  );
  const at = group.data
    ? groups.findIndex((g) => g.prompt_id === group.data?.prompt_id && g.behaviour === group.data.behaviour)
    : -1;
  const choose = (i: number) => {
    const next = groups[i];
    if (next) set({ in: next.behaviour, prompt: next.prompt_id, sample: undefined }, asked !== undefined);
  };
  const ratings = api.runs[':run'].ratings.$url(ofRun(run)).pathname;
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
            <a href={`${ratings}?format=csv`} download>
              CSV
            </a>{' '}
            <a href={ratings} download={`${run}-ratings.json`}>
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
        <div className={asked ? 'split chosen' : 'split'}>
          <PromptList
            items={groups}
            label="Prompts"
            keyOf={(g) => `${g.behaviour} ${g.prompt_id}`}
            row={entryRow}
            chosen={at}
            onChoose={choose}
          />
          <div className="detail">
            {which ? (
              <button
                type="button"
                className="back"
                onClick={() => set({ in: undefined, prompt: undefined, sample: undefined })}
              >
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

type Get = (key: string) => string | undefined;

function filterOf(get: Get) {
  const { rated, ...rest } = Object.fromEntries(FILTERS.map((key) => [key, get(key) || undefined]));
  return { ...rest, rated: rated === 'yes' || rated === 'no' ? rated : undefined } as const;
}

/** The prompt the address names: by itself, or by one of its completions. */
function wanted(get: Get): { id: string } | { in: string; prompt: string } | undefined {
  const [id, behaviour, prompt] = [get('sample'), get('in'), get('prompt')];
  if (id) return { id };
  return behaviour !== undefined && prompt !== undefined ? { in: behaviour, prompt } : undefined;
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
  readonly get: Get;
  readonly set: (change: QueryChange, replace?: boolean) => void;
}): ReactNode {
  const { index, get, set } = props;
  const { choices } = index;
  const select = (
    key: string,
    label: string,
    values: readonly string[],
    words: (value: string) => string | undefined = (value) => value.replaceAll('_', ' '),
  ) => (
    <Choice
      label={label}
      value={get(key) ?? ''}
      options={[['', 'all'], ...values.map((value) => [value, words(value) ?? value] as const)]}
      onChange={(value) => set({ [key]: value || undefined })}
    />
  );
  return (
    <form className="filters" onSubmit={(event) => event.preventDefault()}>
      {choices.behaviours.length > 1 ? select('behaviour', 'Behaviour', choices.behaviours) : null}
      {select('stage', 'Stage', choices.stages)}
      {select('arm', 'Arm', choices.arms)}
      {choices.maps.length > 1 ? select('map', 'Map', choices.maps) : null}
      {choices.fits.length > 1 ? select('fit', 'Fit', choices.fits, (fit) => FIT_LABEL[fit as MapFit]) : null}
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
        onChange={(value) => set({ outcome: value || undefined })}
      />
      <Choice
        label="Rated"
        value={get('rated') ?? ''}
        options={[
          ['', 'all'],
          ['yes', 'yes'],
          ['no', 'no'],
        ]}
        onChange={(value) => set({ rated: value || undefined })}
      />
      <Search value={get('q') ?? ''} onChange={(q) => set({ q: q || undefined }, true)} />
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
  const timer = useRef<ReturnType<typeof setTimeout>>(undefined);
  // The address has the last word: what was typed before it changed is not asked for any more.
  useEffect(() => {
    setText(value);
    return () => clearTimeout(timer.current);
  }, [value]);
  const type = (next: string) => {
    setText(next);
    clearTimeout(timer.current);
    timer.current = setTimeout(() => latest.current(next), 250);
  };
  return (
    <label className="field">
      <span>Text</span>
      <input type="search" value={text} onChange={(event) => type(event.target.value)} />
    </label>
  );
}

const entryRow = (entry: SampleGroupEntry) => <Entry entry={entry} />;

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
