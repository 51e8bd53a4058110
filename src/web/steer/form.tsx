/** @file The steering page's form: model and prompt, vectors, strengths and samples. */
import type { FormEvent, ReactNode } from 'react';
import type { MadeVectors, ModelDescription, SteerChoices } from '../../server/index.ts';
import { TextField } from '../fields.tsx';
import { Choice } from '../parts.tsx';
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
      <div className="filters">
        <Choice
          label="Model"
          value={model ?? ''}
          options={(choices?.models ?? []).map((m) => [m.id, m.label] as const)}
          onChange={(id) => set({ model: id, vectors: undefined, text: undefined })}
        />
        <Choice
          label="Template"
          value={get('template')}
          options={['raw', 'instruction', 'alpaca', 'chat']
            .filter((t) => t !== 'chat' || about?.chat !== false || get('template') === 'chat')
            .map((t) => [t, t] as const)}
          onChange={(next) => keep('template', next)}
        />
        <Choice
          label="Example"
          value=""
          options={[['', 'choose…'], ...(choices?.examples ?? []).map((e) => [e, e] as const)]}
          onChange={(next) => next && set({ text: next })}
        />
        {get('template') === 'chat' ? text('System text', 'system') : null}
      </div>
      <label className="field wide">
        <span>Prompt</span>
        <textarea
          rows={2}
          value={settings.text}
          maxLength={20_000}
          onChange={(e) => set({ text: e.target.value }, true)}
        />
      </label>
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
      <p className="actions">
        <button
          type="submit"
          className="primary"
          disabled={wanted.length > 0 || onStop !== undefined || about === undefined}
        >
          Run
        </button>
        {onStop ? (
          <button type="button" onClick={onStop}>
            Stop
          </button>
        ) : null}
        {onSave ? (
          <button type="button" onClick={onSave}>
            Save as intervention file
          </button>
        ) : null}
        <span className="soft" role="status">
          {wanted.length > 0 ? `Wanted: ${wanted.join('; ')}.` : status}
        </span>
      </p>
    </form>
  );
}
