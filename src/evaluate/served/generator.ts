/**
 * @file Generation by a served model, checked: the first completions are read by our own engine before the rest is asked for. Completions
 * are kept on disk as they come, so that a run that was stopped asks only for what is missing.
 */
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { z } from 'zod';
import {
  hashJson,
  InputError,
  type ProgressSink,
  parseJson,
  silent,
  writeJsonAtomic,
} from '../../base/index.ts';
import type { EngineParams, EngineRecord } from '../../contracts/index.ts';
import { cacheRoot, type LanguageModel } from '../../models/index.ts';
import type { EndRules } from '../drafts/decode.ts';
import { type Agreement, agreementWith, completeOffered } from '../drafts/offered.ts';
import { type Draft, sameDraft } from '../drafts/verify.ts';
import { inParallel } from '../endpoint/parallel.ts';
import { completeServed, openServed, type ServedModel } from './server.ts';

/** What a generator works with. */
export interface ServedOptions {
  /** The model as our own engine has it. */
  readonly model: LanguageModel;
  /** Tells it apart from every other; completions kept on disk belong to it. */
  readonly modelKey: string;
  /** Rows that our own engine reads side by side. */
  readonly batch: number;
  readonly signal?: AbortSignal | undefined;
  readonly onProgress?: ProgressSink;
  /** First pause after a failure, milliseconds. */
  readonly backoffMs?: number;
}

const draftSchema = z.strictObject({ ids: z.array(z.int().min(0)), finish: z.enum(['stop', 'length']) });

/** See the file's head. */
export class ServedGenerator {
  readonly #served: ServedModel;
  readonly #params: EngineParams;
  readonly #options: ServedOptions;
  #asked = 0;
  #kept: number | undefined;
  #checked: Agreement | undefined;

  /** Throws InputError where the server does not have the model. */
  static async open(params: EngineParams, options: ServedOptions): Promise<ServedGenerator> {
    const { signal, backoffMs } = options;
    return new ServedGenerator(await openServed(params, { signal, backoffMs }), params, options);
  }

  private constructor(served: ServedModel, params: EngineParams, options: ServedOptions) {
    this.#served = served;
    this.#params = params;
    this.#options = options;
  }

  /** What was asked and what the check found, for the manifest and the report. */
  get record(): EngineRecord {
    const { model, server } = this.#params;
    const { completions = 0, equal = 0, tokens = 0, agreed = 0 } = this.#checked ?? {};
    return {
      model,
      ...server,
      completions: this.#asked,
      checked: { completions, equal, tokens, agreed },
      verified: this.#kept,
    };
  }

  /** The server's completions as they are. Throws where the first of them are not near enough to our own. */
  async propose(prompts: readonly (readonly number[])[], rules: EndRules): Promise<Draft[]> {
    const first = this.#checked === undefined ? Math.min(prompts.length, this.#params.check.prompts) : 0;
    const total = prompts.length;
    const drafts = await this.#ask(prompts.slice(0, first), rules, { done: 0, total });
    if (first > 0) await this.#check(prompts.slice(0, first), drafts, rules);
    drafts.push(...(await this.#ask(prompts.slice(first), rules, { done: first, total })));
    this.#asked += prompts.length;
    return drafts;
  }

  /** Our own greedy completions: the server's where they are, verified in one pass, else decoded on from where they part. */
  async complete(prompts: readonly (readonly number[])[], rules: EndRules): Promise<Draft[]> {
    const drafts = await this.propose(prompts, rules);
    const { model, batch } = this.#options;
    const rows = prompts.map((prompt, i) => ({ prompt, draft: drafts[i] }));
    const ends = await completeOffered(model.decoder, rows, { ...rules, batch });
    this.#kept = (this.#kept ?? 0) + ends.filter((end, i) => sameDraft(end, drafts[i])).length;
    return ends;
  }

  async #ask(
    prompts: readonly (readonly number[])[],
    { maxNewTokens }: EndRules,
    { done, total }: { done: number; readonly total: number },
  ): Promise<Draft[]> {
    const { concurrency, base_url, server } = this.#params;
    const { model, modelKey, onProgress = silent } = this.#options;
    const { endpoint } = this.#served;
    const of = { base_url, model: endpoint.model, server, modelKey };
    const folder = join(cacheRoot(), 'engine', hashJson(of).slice(0, 16));
    const out: Draft[] = [];
    await inParallel([...prompts.entries()], concurrency, async ([i, prompt]) => {
      const file = join(folder, `${hashJson({ prompt, maxNewTokens })}.json`);
      const known = await readKept(file);
      out[i] =
        known ?? (await completeServed(this.#served, prompt, { tokenizer: model.tokenizer, maxNewTokens }));
      if (known === undefined) await writeJsonAtomic(file, out[i]);
      onProgress({ stage: 'server', done: ++done, total, unit: 'prompts' });
    });
    return out;
  }

  async #check(
    prompts: readonly (readonly number[])[],
    drafts: readonly Draft[],
    rules: EndRules,
  ): Promise<void> {
    const { model, batch } = this.#options;
    const rows = prompts.map((prompt, i) => ({ prompt, draft: drafts[i] }));
    const found = await agreementWith(model.decoder, rows, { ...rules, batch });
    const { completions, equal, tokens, agreed } = found;
    const wanted = this.#params.check.agreement;
    if (agreed < wanted * tokens)
      throw new InputError(
        `${this.#served.where}: of its first ${completions} completions ${equal} are our own, of their ${tokens} tokens ${agreed} (${Math.floor((100 * agreed) / tokens)} %, wanted ${100 * wanted} %); it serves another model, or one quantised hard: serve the model of the recipe, or lower check.agreement`,
        { id: 'engine-failed' },
      );
    this.#checked = found;
  }
}

/** A kept completion; a missing or damaged file is asked for again. */
async function readKept(file: string): Promise<Draft | undefined> {
  try {
    return draftSchema.parse(parseJson(await readFile(file, 'utf8'), file));
  } catch {
    return undefined;
  }
}
