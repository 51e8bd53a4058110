/** @file Steer: any model at hand, a prompt, vectors of several strengths, beside no steering and a random direction as long. */
import { type ReactNode, useState } from 'react';
import type { MadeVectors, SteerChoices } from '../../server/index.ts';
import { api, useAsk } from '../client.ts';
import { Problem } from '../parts.tsx';
import { useQuery } from '../router.ts';
import { saveText } from '../save.ts';
import { Answers } from '../steer/answers.tsx';
import { SteerForm } from '../steer/form.tsx';
import { useOutcome } from '../steer/outcome.ts';
import { readSettings, type Settings, toRequest } from '../steer/settings.ts';
import type { MadeByTexts } from '../steer/texts.tsx';
import { Name } from '../text.tsx';

export default function SteerPage(): ReactNode {
  const [query, set] = useQuery();
  const { data: choices, error } = useAsk(api.steer, {});
  const { model } = readSettings(query, choices, undefined);
  const about = useAsk(api.playground.model, model === undefined ? undefined : { query: { id: model } });
  const settings = readSettings(query, choices, about.data);
  const { request, wanted } = toRequest(settings);
  const { outcome, run, stop } = useOutcome();
  const [made, setMade] = useState<MadeByTexts>({});
  const [saved, setSaved] = useState<{ text?: string; error?: string }>({});
  const keep = (key: string, one: MadeVectors) => setMade((before) => ({ ...before, [key]: one }));
  const save = async () => {
    if (!request) return;
    // Strength 0 adds nothing: the document is then that of strength 1.
    const strength = Number(settings.get('at')) || 1;
    const { model, vectors } = request;
    try {
      const document = await (await api.steer.document.$post({ json: { model, vectors, strength } })).json();
      saveText('steering.json', 'application/json', `${JSON.stringify(document, null, 1)}\n`);
      setSaved({ text: commandOf(settings, strength, document.model) });
    } catch (error) {
      setSaved({ error: error instanceof Error ? error.message : String(error) });
    }
  };
  const isEmpty = choices !== undefined && choices.models.length === 0;
  return (
    <>
      <h1>Steer</h1>
      {error ? <Problem>{error}</Problem> : null}
      {isEmpty ? (
        <p className="empty">
          There is no model to steer. Start the app with <code>crosspatch view --model PATH</code>, or put a
          model folder or GGUF file below the runs folder.
        </p>
      ) : null}
      {error || isEmpty ? null : (
        <>
          <p className="lead">
            Add vectors to a model while it answers. What they do counts only beside no steering and beside a
            random direction of the same length.
          </p>
          <SteerForm
            choices={choices}
            about={about.data}
            settings={settings}
            set={set}
            made={made}
            onMade={keep}
            onRun={() => {
              setSaved({});
              if (!request) return;
              // What held by default is in the address from now on: it means the same tomorrow.
              const { model, text, vectors } = request;
              set({ model, text, vectors: JSON.stringify(vectors) }, true);
              run(request);
            }}
            onStop={outcome?.busy ? stop : undefined}
            onSave={request && about.data ? () => void save() : undefined}
            wanted={choices === undefined || about.data === undefined ? [] : wanted}
            status={outcome?.status ?? 'One run answers at every strength; the slider then only shows them.'}
          />
          {about.error ? <Problem>{about.error}</Problem> : null}
          {outcome?.error ? <Problem>{outcome.error}</Problem> : null}
          {saved.error ? <Problem>{saved.error}</Problem> : null}
          {saved.text ? (
            <p role="status">
              Saved: <code>{saved.text}</code>
            </p>
          ) : null}
          {outcome ? (
            <Answers
              outcome={outcome}
              get={settings.get}
              set={set}
              names={namesOf(outcome.answered.vectors, choices)}
            />
          ) : null}
          <p className="soft">
            The address holds all of this, the texts of vectors too: copy it to share the page with whoever
            has the same models. <Name>{`${choices?.vectors.length ?? 0}`}</Name> files of vectors are at
            hand; make more with <code>crosspatch vector</code>, or give one with <code>--vector PATH</code>.
          </p>
        </>
      )}
    </>
  );
}

function namesOf(vectors: Settings['vectors'], choices: SteerChoices | undefined): string[] {
  return vectors.map((vector, i) => {
    if (vector.from === 'texts') return `vector ${i + 1}, of texts`;
    return choices?.vectors.find(({ id }) => id === vector.id)?.label ?? `vector ${i + 1}`;
  });
}

/** What is typed to steer with the file. */
function commandOf({ get, text }: Settings, strength: number, model: string | undefined): string {
  const quoted = `"${text.replace(/["\\$`]/g, '\\$&').replace(/\n/g, ' ')}"`;
  return `strength ${strength}: crosspatch generate --model ${model ?? 'MODEL'} --template ${get('template')} --prompt ${quoted} --intervention steering.json`;
}
