/**
 * @file A model behind a server that completes prompts of token ids, in the forms that vLLM documents: `/v1/models`, `/version`, and
 * `/v1/completions` with `prompt: [ids]`, `return_token_ids`, `stop_token_ids`. Greedy, whatever the model's generation_config.json says.
 */
import { z } from 'zod';
import { InputError } from '../../base/index.ts';
import type { EngineParams, EngineSettings } from '../../contracts/index.ts';
import type { Tokenizer } from '../../models/index.ts';
import type { Draft } from '../drafts/verify.ts';
import { apiKeyOf } from '../endpoint/api-key.ts';
import { askEndpoint, type Endpoint } from '../endpoint/http.ts';

/** What a server says of itself. */
export type ServerIdentity = EngineParams['server'];

/** When a completion ends, and whose tokens it is made of. */
export interface ServedRules {
  readonly tokenizer: Tokenizer;
  readonly maxNewTokens: number;
}

/** A model of a server. */
export interface ServedModel {
  readonly endpoint: Endpoint;
  /** Begins every message: `engine NAME at URL`. */
  readonly where: string;
  /** Tokens that a prompt and its completion may have together; undefined where the server does not say. */
  readonly context: number | undefined;
}

const ID = 'engine-failed';

/** Sampling that is greedy, and changes no logit; what is left out here comes from the model's own generation_config.json. */
const GREEDY = {
  temperature: 0,
  top_p: 1,
  top_k: 0,
  min_p: 0,
  presence_penalty: 0,
  frequency_penalty: 0,
  repetition_penalty: 1,
  n: 1,
};

const modelsSchema = z.object({
  data: z.array(
    z.object({
      id: z.string(),
      owned_by: z.string().nullish(),
      max_model_len: z.number().nullish(),
    }),
  ),
});
const versionSchema = z.object({ version: z.string() });
const completionSchema = z.object({
  choices: z
    .array(
      z.object({
        text: z.string(),
        finish_reason: z.string().nullish(),
        token_ids: z.array(z.int()).nullish(),
        prompt_token_ids: z.array(z.int()).nullish(),
      }),
    )
    .min(1),
  usage: z.object({ prompt_tokens: z.number().nullish() }).nullish(),
});

/** How much time a server has to say what it is, seconds. */
const PATIENCE = 10;

/** Ask the server for its models and its version. Throws InputError where it does not have the model of the settings. */
export async function openServed(
  settings: EngineSettings,
  options: {
    readonly signal?: AbortSignal | undefined;
    readonly retries?: number;
    readonly backoffMs?: number;
  } = {},
): Promise<ServedModel & { readonly server: ServerIdentity }> {
  const { base_url: baseUrl, model, api_key_env: apiKeyEnv, timeout_seconds } = settings;
  const where = `engine ${model} at ${baseUrl}`;
  const apiKey = apiKeyOf(apiKeyEnv, where, ID);
  const endpoint = { ...options, baseUrl, model, apiKey, apiKeyEnv, timeoutMs: 1000 * timeout_seconds };
  const quick = { ...endpoint, timeoutMs: 1000 * PATIENCE, retries: options.retries ?? 1 };
  const ask = { where, id: ID } as const;
  const said = modelsSchema.safeParse(
    await askEndpoint(quick, { ...ask, path: '/models', wanted: 'a list of models' }),
  );
  if (!said.success)
    throw new InputError(`${where}: this is not a list of models; is the base URL right (it ends in /v1)?`, {
      id: ID,
    });
  const found = said.data.data.find(({ id }) => id === model);
  if (found === undefined)
    throw new InputError(
      `${where}: the server has ${said.data.data.map(({ id }) => id).join(', ') || 'no model'}; name one of them, or start it with --served-model-name ${model}`,
      { id: ID },
    );
  // A server without this page is no vLLM, and may do all the same.
  const version = await askEndpoint(
    { ...quick, retries: 0 },
    { ...ask, path: '../version', wanted: 'a version' },
  )
    .then((answer) => versionSchema.parse(answer).version)
    .catch(() => undefined);
  return {
    endpoint,
    where,
    context: found.max_model_len ?? undefined,
    server: { kind: found.owned_by ?? undefined, version },
  };
}

/** Complete one prompt. Throws where the server reads other tokens than were sent, or ends a completion where we would not. */
export async function completeServed(
  { endpoint, where, context }: ServedModel,
  prompt: readonly number[],
  { tokenizer, maxNewTokens }: ServedRules,
): Promise<Draft> {
  const invalid = (message: string): InputError => new InputError(`${where}: ${message}`, { id: ID });
  if (context !== undefined && prompt.length + maxNewTokens > context)
    throw invalid(
      `a prompt of ${prompt.length} tokens and ${maxNewTokens} new ones are more than its ${context}; start it with a larger --max-model-len`,
    );
  const answer = await askEndpoint(endpoint, {
    path: '/completions',
    body: {
      model: endpoint.model,
      prompt,
      max_tokens: maxNewTokens,
      ...GREEDY,
      stop_token_ids: tokenizer.eosIds,
      return_token_ids: true,
    },
    where,
    id: ID,
    wanted: 'a completion',
  });
  const parsed = completionSchema.safeParse(answer);
  if (!parsed.success) throw invalid('this is no completion; is the base URL right (it ends in /v1)?');
  const { choices, usage } = parsed.data;
  const { text, finish_reason, token_ids, prompt_token_ids } = choices[0];
  const read = prompt_token_ids?.length ?? usage?.prompt_tokens ?? prompt.length;
  if (read !== prompt.length || prompt_token_ids?.some((id, i) => id !== prompt[i]))
    throw invalid(
      `it read ${read} tokens of a prompt of ${prompt.length}, or others; it must take token ids as they are`,
    );
  if (finish_reason !== 'stop' && finish_reason !== 'length')
    throw invalid(`wanted a completion that ended by stop or length, got ${finish_reason ?? 'nothing'}`);
  // Older versions give no ids: the text is read again, which may part tokens otherwise.
  const ids = token_ids?.slice() ?? tokenizer.encodeIds(text, { addSpecialTokens: false });
  return checkEnds(
    ids,
    { text, finish: finish_reason, exact: token_ids != null },
    { tokenizer, maxNewTokens },
    invalid,
  );
}

/** The tokens of a completion without the stop token, checked against our own tokenizer. */
function checkEnds(
  ids: number[],
  {
    text,
    finish,
    exact,
  }: { readonly text: string; readonly finish: Draft['finish']; readonly exact: boolean },
  { tokenizer, maxNewTokens }: ServedRules,
  invalid: (message: string) => InputError,
): Draft {
  if (!exact) return { ids: ids.slice(0, maxNewTokens), finish };
  const last = ids.at(-1);
  if (finish === 'stop') {
    if (last === undefined || !tokenizer.eosIds.includes(last))
      throw invalid(
        `it ended a completion at token ${last ?? 'none'}, which ends none here (${tokenizer.eosIds.join(', ')} do); start it with --generation-config vllm`,
      );
    ids.pop();
  } else if (ids.length !== maxNewTokens)
    throw invalid(`it cut a completion after ${ids.length} tokens, ${maxNewTokens} were asked for`);
  const strange = ids.find((id) => id < 0 || id >= tokenizer.vocabSize);
  if (strange !== undefined || !sameText(tokenizer.decode(ids, { skipSpecialTokens: true }), text))
    throw invalid(
      strange !== undefined
        ? `token ${strange} is not one of the model's ${tokenizer.vocabSize}; another model is served`
        : `its text of tokens ${ids.slice(0, 6).join(', ')}… is ${JSON.stringify(text.slice(0, 40))}, ours ${JSON.stringify(tokenizer.decode(ids, { skipSpecialTokens: true }).slice(0, 40))}; another tokenizer is served`,
    );
  return { ids, finish };
}

/** Apart from space around it, and from characters that were cut in the middle, which some leave out. */
function sameText(a: string, b: string): boolean {
  const bare = (text: string): string => text.replaceAll('�', '').trim();
  return bare(a) === bare(b);
}
