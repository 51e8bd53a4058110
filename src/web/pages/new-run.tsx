/** @file New run: an experiment file as text, its main keys as a form beside it, checked while it is written, started from here. */
import { type ReactNode, useEffect, useRef, useState } from 'react';
import type { RecipeCheck } from '../../server/index.ts';
import { useAction, useChanges } from '../changes.ts';
import { api, useAsk } from '../client.ts';
import { TextField } from '../fields.tsx';
import { RecipeForm } from '../new/form.tsx';
import { Issues } from '../new/issues.tsx';
import { Choice, Problem } from '../parts.tsx';
import { navigate, pathTo, useQuery } from '../router.ts';
import { Name } from '../text.tsx';

/** Milliseconds after the last key until the text is looked over. */
const SETTLED = 300;

export default function NewRunPage(): ReactNode {
  const [query, set] = useQuery();
  const [run, recipe] = [query('run'), query('recipe') ?? 'quick'];
  const { data: session } = useAsk(api.session, {});
  const { data: form } = useAsk(api.recipe.form, {});
  const begin = useAsk(api.recipe, { query: run === undefined ? { recipe } : { run } });
  const changes = useChanges();
  const { yaml, name, check, error, write, change, rename } = useRecipe(begin.data);
  const action = useAction();
  const [valid, setValid] = useState<string>();
  const text = useRef<HTMLTextAreaElement>(null);
  const isWrong = check === undefined || check.total > 0 || name === '';
  const start = () =>
    action.act(async () => {
      if (!changes) return;
      const started = await (await api.runs.$post({ json: { name, yaml } }, changes)).json();
      navigate(pathTo({ page: 'run', run: started.run }));
    });
  const validate = () =>
    action.act(async () => {
      if (!changes) return;
      const { problem } = await (await api.recipe.validate.$post({ json: { yaml } }, changes)).json();
      if (problem !== undefined) throw new Error(problem);
      setValid(yaml);
    });
  if (session && session.changeKey === undefined)
    return (
      <>
        <h1>New run</h1>
        <p className="empty">
          This app was started with <code>--read-only</code>: no run can be started from it.
        </p>
      </>
    );
  return (
    <>
      <h1>New run</h1>
      <p className="lead">
        {run === undefined ? null : (
          <>
            A copy of <Name>{run}</Name>.{' '}
          </>
        )}
        The file is what runs; the form changes single keys of it. Rows of a behaviour lie relative to the
        folder of runs, models and prompts relative to the folder the app was started in.
      </p>
      {begin.error ? <Problem>{begin.error}</Problem> : null}
      <div className="filters">
        {run === undefined ? (
          <Choice
            label="Begin with"
            value={recipe}
            options={(form?.recipes ?? [recipe]).map((r) => [r, r] as const)}
            onChange={(next) => set({ recipe: next })}
          />
        ) : null}
        <TextField label="Name of the run" value={name} onChange={rename} />
      </div>
      <div className="recipe">
        <section aria-label="Main keys">
          {form ? <RecipeForm fields={form.fields} check={check} onChange={change} /> : null}
        </section>
        <section aria-label="The file">
          <label className="field wide">
            <span>Experiment file (YAML)</span>
            <textarea
              ref={text}
              className="mono"
              rows={24}
              value={yaml}
              spellCheck={false}
              maxLength={200_000}
              onChange={(e) => write(e.target.value)}
            />
          </label>
          <Issues check={check} text={text} />
          {error ? <Problem>{error}</Problem> : null}
        </section>
      </div>
      <p className="actions">
        <button
          type="button"
          className="primary"
          disabled={isWrong || action.busy || changes === undefined}
          onClick={start}
        >
          Start
        </button>
        <button type="button" disabled={isWrong || action.busy || changes === undefined} onClick={validate}>
          Check models and files too
        </button>
        <span className="soft" role="status">
          {action.busy
            ? 'opening the models…'
            : valid === yaml
              ? 'valid: the models and files that it reads are there'
              : 'The run ends with this app. What is finished is kept; “Go on” on its page continues.'}
        </span>
      </p>
      {action.error ? <Problem>{action.error}</Problem> : null}
    </>
  );
}

/** The text, its name, and what the server said of it last. */
function useRecipe(begin: { readonly yaml: string; readonly name: string } | undefined) {
  const [yaml, setYaml] = useState('');
  const [name, setName] = useState('');
  const [check, setCheck] = useState<RecipeCheck>();
  const [error, setError] = useState<string>();
  const turn = useRef(0);
  const ask = async (json: Parameters<typeof api.recipe.check.$post>[0]['json']) => {
    const mine = ++turn.current;
    try {
      const answer = await (await api.recipe.check.$post({ json })).json();
      // An answer to an older text says nothing of this one.
      if (mine !== turn.current) return;
      // What holds by default is not known while something is wrong: what held last is shown.
      setCheck((before) => (answer.total > 0 && before ? { ...answer, resolved: before.resolved } : answer));
      setError(undefined);
      if (json.change) setYaml(answer.yaml);
    } catch (problem) {
      if (mine === turn.current) setError(problem instanceof Error ? problem.message : String(problem));
    }
  };
  const latest = useRef(ask);
  latest.current = ask;
  useEffect(() => {
    if (!begin) return;
    setYaml(begin.yaml);
    setName(begin.name);
    void latest.current({ yaml: begin.yaml });
  }, [begin]);
  const settle = useRef<ReturnType<typeof setTimeout>>(undefined);
  useEffect(() => () => clearTimeout(settle.current), []);
  const write = (text: string) => {
    setYaml(text);
    clearTimeout(settle.current);
    settle.current = setTimeout(() => void latest.current({ yaml: text }), SETTLED);
  };
  return {
    yaml,
    name,
    check,
    error,
    write,
    change: (path: string, value: RecipeCheck['written'][string]) => {
      clearTimeout(settle.current);
      // The field shows it at once; the text when the server has put it there.
      setCheck((before) => before && { ...before, written: { ...before.written, [path]: value } });
      void ask({
        yaml,
        change: { path, value: Array.isArray(value) ? [...value] : (value as string | number) },
      });
      if (path === 'name' && typeof value === 'string') setName(value);
    },
    rename: (next: string) => {
      setName(next);
      if (next !== '') void ask({ yaml, change: { path: 'name', value: next } });
    },
  };
}
