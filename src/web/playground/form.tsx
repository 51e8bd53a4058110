/** @file The playground's form: which model, prompt and trigger, and where and how its run is changed. */
import type { FormEvent, ReactNode } from 'react';
import type { ModelDescription, PlaygroundChoices } from '../../server/index.ts';
import { PromptFields, RunRow } from '../ask-form.tsx';
import { NumberField, Slider, TextField } from '../fields.tsx';
import { Choice } from '../parts.tsx';
import type { QueryChange } from '../router.ts';
import { DEFAULTS, mapsFor, NUMBERS, type Setting, type Settings } from './settings.ts';

type Keep = (key: Setting, next: string, replace?: boolean) => void;
type Set = (change: QueryChange, replace?: boolean) => void;

export function PlaygroundForm(props: {
  readonly choices: PlaygroundChoices | undefined;
  readonly about: ModelDescription | undefined;
  readonly settings: Settings;
  readonly set: Set;
  readonly onRun: () => void;
  readonly onStop: (() => void) | undefined;
  /** What is still wanted before it can run. */
  readonly wanted: readonly string[];
  readonly status: string;
}): ReactNode {
  const { choices, about, settings, set, onRun, onStop, wanted, status } = props;
  const { get } = settings;
  const keep: Keep = (key, next, replace = false) =>
    set({ [key]: next === DEFAULTS[key] ? undefined : next }, replace);
  const submit = (event: FormEvent) => {
    event.preventDefault();
    if (wanted.length === 0) onRun();
  };
  return (
    <form onSubmit={submit} className="play">
      <PromptFields
        models={choices?.models ?? []}
        model={settings.model}
        onModel={(id) => set({ model: id, block: undefined, map: undefined, source: undefined })}
        template={get('template')}
        onTemplate={(next) => keep('template', next)}
        examples={choices?.examples ?? []}
        label="Prompt, without the trigger"
        text={settings.text}
        onText={(text, typed) => set({ text }, typed)}
      />
      <fieldset className="tabs">
        <legend>Trigger in the prompt</legend>
        {(['bad', 'safe', 'none'] as const).map((trigger) => (
          <button
            key={trigger}
            type="button"
            aria-pressed={get('trigger') === trigger}
            onClick={() => keep('trigger', trigger)}
          >
            {trigger === 'none' ? 'none' : `${trigger} ${get(trigger)}`}
          </button>
        ))}
      </fieldset>
      <Triggers get={get} keep={keep} />
      <Patch settings={settings} set={set} keep={keep} />
      <Maps choices={choices} about={about} settings={settings} set={set} />
      <RunRow wanted={wanted} onStop={onStop} status={status} />
    </form>
  );
}

function Triggers({ get, keep }: { readonly get: Settings['get']; readonly keep: Keep }): ReactNode {
  const number = (key: keyof typeof NUMBERS) => (
    <NumberField {...NUMBERS[key]} value={get(key)} onChange={(next) => keep(key, next, true)} />
  );
  return (
    <details>
      <summary>Triggers, place, span, length</summary>
      <div className="filters">
        <TextField label="Bad trigger" value={get('bad')} onChange={(next) => keep('bad', next, true)} />
        <TextField label="Safe trigger" value={get('safe')} onChange={(next) => keep('safe', next, true)} />
        <Choice
          label="Place"
          value={get('placement')}
          options={['prefix', 'middle', 'end', 'status'].map((p) => [p, p] as const)}
          onChange={(next) => keep('placement', next)}
        />
        {number('after')}
        {number('max')}
      </div>
    </details>
  );
}

function Patch(props: { readonly settings: Settings; readonly set: Set; readonly keep: Keep }): ReactNode {
  const { settings, set, keep } = props;
  const { get, block, blocks } = settings;
  return (
    <div className="filters">
      <Choice
        label="Change"
        value={get('op')}
        options={[
          ['set', "set: write the donor's activations"],
          ['add', 'add: add the difference to the donor'],
          ['project', "project: remove that difference's direction"],
        ]}
        onChange={(next) => keep('op', next)}
      />
      <Slider
        label={`Patched after block ${block} of 0…${blocks - 1}`}
        min={0}
        max={blocks - 1}
        step={1}
        value={block}
        onChange={(next) => set({ block: next }, true)}
      />
      <Slider
        label={`Strength α = ${get('strength')} (0 nothing, 1 the whole of it)`}
        min={-1}
        max={3}
        step={0.1}
        value={Number(get('strength')) || 0}
        onChange={(next) => keep('strength', next, true)}
      />
    </div>
  );
}

/** Maps that end in this model; the others in one line that says why not. */
function Maps(props: {
  readonly choices: PlaygroundChoices | undefined;
  readonly about: ModelDescription | undefined;
  readonly settings: Settings;
  readonly set: Set;
}): ReactNode {
  const { choices, about, settings, set } = props;
  const { map, model, source } = settings;
  if (choices === undefined) return null;
  if (choices.maps.length === 0)
    return <p className="soft">Mapped: no run in this folder has maps, so this arm is not offered.</p>;
  const { fit, others } = mapsFor(choices.maps, model, about);
  // A map that was chosen for another model stays in sight until another is chosen.
  const shown = map !== undefined && !fit.includes(map) ? [map, ...fit] : fit;
  return (
    <>
      <div className="filters">
        {shown.length === 0 ? null : (
          <Choice
            label="Map"
            value={map?.id ?? ''}
            options={[
              ['', 'none'],
              ...shown.map(
                (m) =>
                  [
                    m.id,
                    `${m.label}: block ${m.source.block} → ${m.target.block}${fit.includes(m) ? '' : ' (does not fit)'}`,
                  ] as const,
              ),
            ]}
            onChange={(id) => set({ map: id, source: undefined, block: undefined })}
          />
        )}
        {map && map.source.model === undefined ? (
          <Choice
            label="Its source model"
            value={source ?? ''}
            options={[['', 'choose…'], ...choices.models.map((m) => [m.id, m.label] as const)]}
            onChange={(id) => set({ source: id || undefined })}
          />
        ) : null}
      </div>
      {others.length === 0 || about === undefined ? null : (
        <details className="soft">
          <summary>
            {shown.length === 0 ? 'No map was made for this model' : `${others.length} other maps do not fit`}
          </summary>
          <ul>
            {others.map(({ label, why }) => (
              <li key={label}>
                {label} {why}.
              </li>
            ))}
          </ul>
        </details>
      )}
    </>
  );
}
