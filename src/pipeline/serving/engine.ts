/** @file The model at work for many requests: prompts made, steering made ready, rows decoded side by side, proof of effect. */
import { setImmediate as turn } from 'node:timers/promises';
import { disposeAll, errorId, errorLine, InputError, type Owned } from '../../base/index.ts';
import type { InterventionEffect } from '../../contracts/index.ts';
import {
  type AppliedIntervention,
  applyIntervention,
  klDivergence,
  modelsOf,
  type PromptTokens,
} from '../../interventions/index.ts';
import { type LaneEvent, Lanes, LanguageModel, parameterCount } from '../../models/index.ts';
import { documentResolvers } from '../document-resolvers.ts';
import { OtherModels } from '../other-models.ts';
import type { AnswerEvent, EngineInfo, EngineSettings, Question, SteeringProof } from './question.ts';
import { spoken, spokenText } from './spoken.ts';
import { checkEffects } from './steering-check.ts';
import { promptOf } from './template.ts';

/** A question that was asked and not yet begun. */
interface Waiting {
  readonly id: number;
  readonly question: Question;
}

/** Time between two steps in which further questions are begun. */
const BEGIN_MS = 10;

/** Other models kept open for mapped steering. */
const OTHERS = 2;

/** See the file's head. What is said comes by `say`, in the order of the steps. */
export class Engine implements Owned {
  readonly #model: LanguageModel;
  readonly #settings: EngineSettings;
  readonly #say: (id: number, event: AnswerEvent) => void;
  readonly #lanes: Lanes;
  readonly #asked: Waiting[] = [];
  readonly #leave = new Map<number, () => void>();
  readonly #others: OtherModels;
  #running = false;

  private constructor(
    model: LanguageModel,
    settings: EngineSettings,
    say: (id: number, event: AnswerEvent) => void,
  ) {
    this.#model = model;
    this.#settings = settings;
    this.#say = say;
    this.#others = new OtherModels((name) => LanguageModel.load(name, { weights: settings.weights }), {
      kept: OTHERS,
    });
    this.#lanes = new Lanes(model, { rows: settings.batch });
  }

  static async open(
    settings: EngineSettings,
    say: (id: number, event: AnswerEvent) => void,
  ): Promise<Engine> {
    const { weights, arithmetic, guardTexts = [] } = settings;
    const prompts = (files: Pick<LanguageModel, 'tokenizer' | 'config'>): (readonly number[])[] =>
      guardTexts.map(
        (content) => promptOf({ prompt: { messages: [{ role: 'user', content }] } }, files, settings).ids,
      );
    const model = await LanguageModel.load(settings.model, { weights, arithmetic, guard: { prompts } });
    const engine = new Engine(model, settings, say);
    try {
      await engine.#openOthers();
      return engine;
    } catch (error) {
      await engine[Symbol.asyncDispose]();
      throw error;
    }
  }

  /** Those of the known documents, as many as stay open: the first request need not wait for them, and one that is not there is said at once. */
  async #openOthers(): Promise<void> {
    for (const { document, folder } of this.#settings.known ?? []) {
      const { openModel } = documentResolvers(folder ?? '.', this.#others.open);
      for (const name of modelsOf(document)) {
        if (this.#others.count === OTHERS) return;
        await openModel?.(name);
      }
    }
  }

  get info(): EngineInfo {
    const { config, nLayers } = this.#model;
    return {
      blocks: nLayers,
      width: config.dModel,
      context: config.contextLength,
      parameters: parameterCount(config),
      guarded: this.#model.guarded,
    };
  }

  /** Rows that decode. */
  get live(): number {
    return this.#lanes.load.live;
  }

  ask(id: number, question: Question): void {
    this.#asked.push({ id, question });
  }

  /** Whoever asked has gone. */
  leave(id: number): void {
    const at = this.#asked.findIndex((waiting) => waiting.id === id);
    if (at >= 0) this.#asked.splice(at, 1);
    this.#leave.get(id)?.();
    this.#leave.delete(id);
  }

  /** Work until nothing is left; `after` is called after every step. Safe to call at any time. */
  async work(after: () => void): Promise<void> {
    if (this.#running) return;
    this.#running = true;
    try {
      while (this.#asked.length > 0 || this.#lanes.busy) {
        await this.#beginSome();
        if (this.#lanes.busy) await this.#lanes.step();
        after();
        await turn();
      }
    } finally {
      this.#running = false;
    }
  }

  /** At least one question, more while there is time: their prompts are then read together. A slow one (a donor run) delays the rest once. */
  async #beginSome(): Promise<void> {
    const until = performance.now() + BEGIN_MS;
    do {
      const next = this.#asked.shift();
      if (next === undefined) return;
      await this.#begin(next);
    } while (performance.now() < until);
  }

  async #begin({ id, question }: Waiting): Promise<void> {
    try {
      const prompt = promptOf(question, this.#model, this.#settings);
      const applied = await this.#steered(question, prompt);
      this.#submit(id, { question, prompt, applied });
    } catch (error) {
      this.#fail(id, error);
    }
  }

  async #steered({ steering }: Question, prompt: PromptTokens): Promise<AppliedIntervention | undefined> {
    if (steering === undefined) return undefined;
    if (this.#model.arithmetic === 'fast')
      throw new InputError(
        'steering: this server runs in fast arithmetic, which was compared with exact without steering; ask one in exact arithmetic',
        { id: 'option-conflict' },
      );
    return applyIntervention(this.#model, steering.document, [prompt], {
      ...documentResolvers(steering.folder ?? '.', this.#others.open),
      unmatched: 'skip',
      // Looked at below: an answer of one token gives an edit of generated tokens nothing to change.
      expectNoop: true,
    });
  }

  #submit(
    id: number,
    {
      question,
      prompt,
      applied,
    }: {
      readonly question: Question;
      readonly prompt: PromptTokens;
      readonly applied: AppliedIntervention | undefined;
    },
  ): void {
    const fired = applied?.fires[0] === true;
    let kl: number | undefined;
    let begun = false;
    let completionTokens = 0;
    const proof = (): SteeringProof | undefined =>
      applied === undefined
        ? undefined
        : { name: question.steering?.name, fired, effects: withKl(applied.proof()[0] ?? [], kl) };
    const check = (where: 'prompt' | 'generation'): void => {
      if (fired)
        checkEffects(question, { where, effects: applied.proof()[0] ?? [], maxDose: this.#settings.maxDose });
    };
    const hear = (event: LaneEvent): void => {
      if (event.type === 'error') throw event.error;
      if (!begun) {
        begun = true;
        check('prompt');
        if (question.echo) this.#sayPrompt(id, { question, prompt, event });
      }
      if (event.type === 'prompt') return;
      if (event.id !== undefined) completionTokens++;
      if (completionTokens === 2) check('generation');
      if (event.text !== '' || event.score !== undefined)
        this.#say(id, {
          type: 'piece',
          text: event.text,
          token: event.score && spoken(this.#model.tokenizer, event.score),
        });
      if (event.finish === undefined) return;
      this.#leave.delete(id);
      this.#say(id, {
        type: 'end',
        finish: event.finish,
        promptTokens: prompt.ids.length,
        completionTokens,
        steering: proof(),
      });
    };
    const { maxTokens, temperature, topP, topK, seed, stop, logprobs, echo } = question;
    const room = this.#model.config.contextLength - prompt.ids.length;
    const leave = this.#lanes.submit(
      {
        ids: prompt.ids,
        maxNewTokens: maxTokens ?? Math.max(1, Math.min(room, this.#settings.maxTokens)),
        temperature,
        topP,
        topK,
        seed,
        stopStrings: stop,
        logprobs,
        scorePrompt: echo && logprobs !== undefined,
        fwdHooks: fired ? applied.fwdHooks : [],
        onFirst: fired
          ? (steered, plain) => {
              kl = klDivergence(steered, plain);
            }
          : undefined,
      },
      (event) => {
        try {
          hear(event);
        } catch (error) {
          leave();
          this.#fail(id, error);
        }
      },
    );
    this.#leave.set(id, leave);
  }

  #sayPrompt(
    id: number,
    {
      question,
      prompt,
      event,
    }: { readonly question: Question; readonly prompt: PromptTokens; readonly event: LaneEvent },
  ): void {
    const text = prompt.text ?? '';
    const { tokenizer } = this.#model;
    const scores = event.type === 'prompt' ? event.scores : undefined;
    const first = prompt.ids[0];
    const tokens =
      scores === undefined || question.logprobs === undefined || first === undefined
        ? undefined
        : [
            { ...spokenText(tokenizer, first), logprob: null, top: [] },
            ...scores.map((score) => spoken(tokenizer, score)),
          ];
    this.#say(id, { type: 'prompt', text, tokens });
  }

  #fail(id: number, error: unknown): void {
    this.#leave.delete(id);
    this.#say(id, {
      type: 'error',
      message: errorLine(error),
      code: errorId(error),
      input: error instanceof InputError,
    });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await disposeAll([this.#model, this.#others]);
  }
}

function withKl(effects: readonly InterventionEffect[], kl: number | undefined): InterventionEffect[] {
  return effects.map((effect) => (kl === undefined ? effect : { ...effect, kl_div: kl }));
}
