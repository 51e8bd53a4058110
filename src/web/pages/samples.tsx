/** @file Samples: every prompt of a run, and all its completions side by side with what differs marked, to be judged by a person. */
import { type ReactNode, useEffect, useRef, useState } from 'react';
import type { SampleGroup, SampleGroupEntry, SampleIndex } from '../../server/index.ts';
import { useAsk } from '../client.ts';
import { Choice, Problem } from '../parts.tsx';
import { navigate, pathTo, useQuery } from '../router.ts';
import { Group } from '../sample-group.tsx';
import { Name } from '../text.tsx';
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
  for (const [key, value] of query) which?.set(key, value);
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
    ? new URLSearchParams({ in: behaviour, prompt: prompt_id })
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
