/** @file The steering page's form: model and prompt, vectors, strengths and samples. */
import type { FormEvent, ReactNode } from 'react';
import type { MadeVectors, ModelDescription, SteerChoices } from '../../server/index.ts';
import { PromptFields, RunRow, TEMPLATES } from '../ask-form.tsx';
import { TextField } from '../fields.tsx';
import type { QueryChange } from '../router.ts';
import { DEFAULTS, type Setting, type Settings } from './settings.ts';
import type { MadeByTexts } from './texts.tsx';
import { Vectors } from './vectors.tsx';

export function SteerForm(props: {
  readonly choices: SteerChoices | undefined;
  readonly about: ModelDescription | undefined;
  readonly settings: Settings;
  readonly set: (change: QueryChange, replace?: boolean) => void;
  readonly made: MadeByTexts;
  readonly onMade: (key: string, made: MadeVectors) => void;
  readonly onRun: () => void;
  readonly onStop: (() => void) | undefined;
  readonly onSave: (() => void) | undefined;
  readonly wanted: readonly string[];
  readonly status: string;
}): ReactNode {
  const { choices, about, settings, set, made, onMade, onRun, onStop, onSave, wanted, status } = props;
  const { get, model } = settings;
  const keep = (key: Setting, next: string, replace = false) =>
    set({ [key]: next === DEFAULTS[key] ? undefined : next }, replace);
  const submit = (event: FormEvent) => {
    event.preventDefault();
    if (wanted.length === 0) onRun();
  };
  const text = (label: string, key: Setting) => (
    <TextField label={label} value={get(key)} onChange={(next) => keep(key, next, true)} />
  );
  return (
    <form onSubmit={submit} className="play">
      <PromptFields
        models={choices?.models ?? []}
        model={model}
        onModel={(id) => set({ model: id, vectors: keptVectors(settings) })}
        templates={TEMPLATES.filter((t) => t !== 'chat' || about?.chat !== false || get('template') === t)}
        template={get('template')}
        onTemplate={(next) => keep('template', next)}
        examples={choices?.examples ?? []}
        label="Prompt"
        text={settings.text}
        onText={(text, typed) => set({ text }, typed)}
      >
        {get('template') === 'chat' ? text('System text', 'system') : null}
      </PromptFields>
      {choices && about && model !== undefined ? (
        <Vectors
          choices={choices}
          about={about}
          model={model}
          vectors={settings.vectors}
          made={made}
          onMade={onMade}
          onChange={(vectors) => set({ vectors: JSON.stringify(vectors) }, true)}
        />
      ) : (
        <p className="soft">Opening the model…</p>
      )}
      <div className="filters">
        {text('Strengths: factors on all vectors', 'strengths')}
        {text('Seeds of further samples', 'seeds')}
        {text('Their temperature', 'temperature')}
        {text('New tokens', 'max')}
      </div>
      <RunRow wanted={wanted} ready={about !== undefined} onStop={onStop} status={status}>
        {onSave ? (
          <button type="button" onClick={onSave}>
            Save as intervention file
          </button>
        ) : null}
      </RunRow>
    </form>
  );
}

/** Vectors that another model can have too: those of texts. Files belong to one model. */
function keptVectors({ vectors }: Settings): string | undefined {
  return vectors.every((vector) => vector.from === 'texts') ? JSON.stringify(vectors) : undefined;
}
