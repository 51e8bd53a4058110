/** @file Playground: one prompt, its trigger on or off, and what every way of patching the run makes of it, streamed side by side. */
import type { ReactNode } from 'react';
import { api, useAsk } from '../client.ts';
import { Problem } from '../parts.tsx';
import { ARM_ORDER, Outcomes } from '../playground/arms.tsx';
import { PlaygroundForm } from '../playground/form.tsx';
import { useOutcome, useRerun } from '../playground/outcome.ts';
import { readSettings, toRequest } from '../playground/settings.ts';
import { useQuery } from '../router.ts';

export default function PlaygroundPage(): ReactNode {
  const [query, set] = useQuery();
  const { data: choices, error } = useAsk(api.playground, {});
  const { model } = readSettings(query, choices, undefined);
  const about = useAsk(api.playground.model, model === undefined ? undefined : { query: { id: model } });
  const settings = readSettings(query, choices, about.data);
  const { request, wanted } = toRequest(settings, ARM_ORDER);
  const { outcome, run, stop } = useOutcome();
  useRerun(request, outcome !== undefined, run);
  const isEmpty = choices !== undefined && choices.models.length === 0;
  return (
    <>
      <h1>Playground</h1>
      {error ? <Problem>{error}</Problem> : null}
      {isEmpty ? <NoModels /> : null}
      {error || isEmpty ? null : (
        <>
          <p className="lead">
            Write one run's activations into another at the trigger, and see whether the answer follows. A
            change that matters must beat the random one.
          </p>
          <PlaygroundForm
            choices={choices}
            about={about.data}
            settings={settings}
            set={set}
            onRun={() => request && run(request)}
            onStop={outcome?.busy ? stop : undefined}
            wanted={choices === undefined ? [] : wanted}
            status={outcome?.status ?? 'After the first run, every change runs again.'}
          />
          {about.error ? <Problem>{about.error}</Problem> : null}
          {outcome?.error ? <Problem>{outcome.error}</Problem> : null}
          {outcome ? <Outcomes outcome={outcome} /> : null}
        </>
      )}
    </>
  );
}

function NoModels(): ReactNode {
  return (
    <div className="empty">
      <p>
        There is no model to play with: no bundled one is in this copy, and no run in this folder has models.
      </p>
      <p>
        Start the app with <code>crosspatch view --model PATH</code> (a Hugging Face folder or a GGUF file),
        or run an experiment first.
      </p>
    </div>
  );
}
