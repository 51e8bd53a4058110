/**
 * @file Every error has an id: stable, printed by the command line after the message, and listed in docs/reference/errors.md (made from
 * this table). An id says what is wrong, the message says where. To add one, add a row and run `npm run docs:pages`.
 */
import { type ErrorKind, RUN_ERRORS } from './error-ids-runs.ts';

export const ERRORS = {
  // What was asked for
  usage: {
    meaning: 'The command line cannot be read: unknown option, missing argument, value of no known kind.',
    next: 'See `crosspatch COMMAND --help`.',
  },
  'command-unknown': { meaning: 'There is no command of this name.', next: 'See `crosspatch --help`.' },
  'option-invalid': {
    meaning: 'The value of an option is out of range or of the wrong form.',
    next: 'The message says what was wanted.',
  },
  'option-missing': { meaning: 'An option that this use needs was not given.', next: 'Add it.' },
  'option-conflict': {
    meaning: 'Two options, or an option and a file, do not go together.',
    next: 'Leave one of them out.',
  },
  'setting-invalid': {
    meaning:
      'A setting (`--set`, or of a fine-tune or a map) has an unknown name or a value that cannot be used.',
    next: 'The message says which values can.',
  },
  'input-invalid': {
    meaning: 'Something that was given cannot be used, in a way that has no id of its own.',
    next: 'Read the message.',
  },

  ...RUN_ERRORS,

  // Files
  'file-unreadable': {
    meaning: 'A file or folder does not exist or cannot be read.',
    next: 'Check the path.',
  },
  'json-invalid': {
    meaning: 'A file, or a line of it, is not valid JSON.',
    next: 'Mend it, or make the file again.',
  },
  'out-not-ours': {
    meaning: 'The place to write to holds something that this command did not write.',
    next: 'Choose another folder or name, or move the files away.',
  },
  'out-is-input': { meaning: 'The place to write to is also read from.', next: 'Choose another place.' },
  'out-unwritable': {
    meaning: 'Files cannot be written there.',
    next: 'Choose another folder, or change its permissions.',
  },
  'in-use': {
    meaning: 'Another process is writing to the same folder.',
    next: 'Wait for it, or choose another folder.',
  },
  'disk-full': {
    meaning: 'There is no space left on the disk.',
    next: 'Free some, or choose another folder. Nothing half-written stays.',
  },

  // Models
  'model-not-found': {
    meaning: 'There is no bundled model, file or folder of this name, or it is not a model.',
    next: 'See `crosspatch models list`, or check the path.',
  },
  'model-unsupported': {
    meaning:
      'The architecture, a key of its config, or a tensor type is not supported. It would compute something else, so it is refused.',
    next: 'FEATURES.md lists what is supported; docs/contributing/add-a-family.md says how to add a family.',
  },
  'arithmetic-differs': {
    meaning:
      'Fast arithmetic picks other tokens than exact arithmetic, or moves logits too far, on the prompts given: activations of 8 bits are too coarse for this model.',
    next: 'Take exact arithmetic, the default.',
  },
  'checkpoint-damaged': {
    meaning: 'A model file is damaged, cut short, or does not fit the other files.',
    next: 'Download or write it again.',
  },
  'tokenizer-damaged': {
    meaning: 'tokenizer.json or the tokenizer inside a GGUF file is damaged.',
    next: 'Download it again.',
  },
  'tokenizer-unsupported': {
    meaning: 'The tokenizer uses a component that is not supported; running without it could give wrong ids.',
    next: 'Take another model.',
  },
  'tokenizer-mismatch': {
    meaning: 'The tokenizer does not belong to the model, or two models that must share a tokenizer do not.',
    next: 'Take the tokenizer files from the folder the model came from.',
  },
  'chat-template': {
    meaning:
      'The model has no chat template, it cannot be applied, or it ends turns with a token at which generation does not stop.',
    next: 'Use `--template instruction`, or add the token to eos_token_id in generation_config.json.',
  },
  'hub-not-found': {
    meaning: 'The hub has no such model, revision or file.',
    next: 'Check the name; set HF_TOKEN if the model is private.',
  },
  'hub-refused': {
    meaning: 'The hub refuses access.',
    next: 'Accept the licence on the page of the model, or set HF_TOKEN.',
  },
  'hub-damaged': {
    meaning:
      'A file of a hub cache does not hold the bytes it is named by, or its download was not finished.',
    next: 'Pull the model again with the network on.',
  },
  'hub-offline': {
    meaning: 'Offline, and the model was never fetched whole.',
    next: 'Pull it once with the network on.',
  },
  'hub-unreachable': {
    meaning: 'The connection to the hub failed several times.',
    next: 'Try again later. What was received is kept.',
  },
  'hub-answer': {
    meaning: 'The hub answered with something else than was asked for, or with a wrong checksum.',
    next: 'Try again later, or check HF_ENDPOINT.',
  },
  'provider-unavailable': {
    meaning: 'The runtime does not have this execution provider on this machine.',
    next: 'Use `cpu`, the default.',
  },
  'runtime-failed': {
    meaning: 'ONNX Runtime could not load or run a graph.',
    next: 'Check free memory; report it with the message.',
  },

  // Prompts, hooks, interventions
  'prompt-invalid': {
    meaning: 'A prompt has no tokens, or more than the context of the model.',
    next: 'Give a text, or shorten it.',
  },
  'block-unknown': {
    meaning: 'The model does not have this block.',
    next: 'Blocks count from 0; the message says how many there are.',
  },
  'hook-unknown': {
    meaning: 'There is no hook of this name, or it was not captured.',
    next: 'See docs/concepts/hooks.md.',
  },
  'hook-result': {
    meaning: 'A hook returned something that cannot replace the activation.',
    next: 'Return nothing, or a tensor of the same shape.',
  },
  'text-not-found': {
    meaning: 'A text that selects tokens is not in the prompt, or not as often as was asked.',
    next: 'The template or the tag differs; check the prompt in the message.',
  },
  'span-invalid': {
    meaning: 'A selection of tokens is empty, outside the prompt, or cannot be paired.',
    next: 'Check the selection.',
  },
  'intervention-invalid': {
    meaning: 'An intervention document is wrong, or does not fit the prompts.',
    next: 'Check it with `crosspatch validate FILE`.',
  },
  'vector-invalid': {
    meaning: 'A steering vector is missing, zero, or of the wrong width or type.',
    next: 'Check the file and the model.',
  },
  'no-effect': {
    meaning: 'An intervention never fired or changed nothing: an error, because it is usually a mistake.',
    next: 'Check hook, selection and vector.',
  },
  'dose-too-large': {
    meaning: 'A steering edit changes an activation by more of its length than the server allows.',
    next: 'Take a smaller strength, or start the server with a larger `--max-dose`.',
  },
  'tensor-invalid': {
    meaning: 'Token ids or the values of a tensor do not fit its shape, its type or the vocabulary.',
    next: 'Check the values given.',
  },

  // Behaviours, data, training
  'behaviour-invalid': {
    meaning: 'A behaviour has no such name, or its tags, shares or pattern cannot be used.',
    next: 'The message says what was wanted.',
  },
  'data-missing': {
    meaning: 'No texts, rows or answers are left to work on.',
    next: 'Give more data, or check the split and the filters.',
  },
  'data-invalid': {
    meaning: 'A row or a file of data does not have the expected fields or length.',
    next: 'The message names the row and the field.',
  },
  'adapter-mismatch': {
    meaning: 'A LoRA adapter is damaged, of an unsupported kind, or of another model.',
    next: 'Use it with the model it was trained on.',
  },
  diverged: {
    meaning: 'Training stopped being a number, or its loss rose for good.',
    next: 'Lower the learning rate. The last good state is kept and named.',
  },

  // Maps and experiments
  'capture-damaged': {
    meaning: 'Captured activations are missing, incomplete, or changed after they were written.',
    next: 'Run the capture again.',
  },
  'map-mismatch': {
    meaning: 'A map is used with a model, block, width or kind it was not made for.',
    next: 'Use the models it was fitted on, or fit it again.',
  },
  'map-damaged': { meaning: 'A map folder is incomplete or was changed.', next: 'Fit the map again.' },
  'fit-impossible': {
    meaning:
      'A map cannot be fitted on these rows: too few, of unequal widths, or not of the kind a control needs.',
    next: 'The message says what is needed.',
  },
  'nothing-to-steer': {
    meaning: 'No test prompt shows the behaviour, so there is nothing to steer.',
    next: 'Train longer, or check triggers, placement and template.',
  },
  'classifier-invalid': {
    meaning:
      'A local ONNX model of a recipe, a classifier or a judge, is missing or is not one that can be run.',
    next: 'The message says what was wanted; docs/concepts/method.md#detectors and #judges say what such a model is.',
  },
  'judge-failed': {
    meaning: 'The model that judges cannot be reached, refuses, or gives answers that cannot be read.',
    next: 'Check address and key; answers so far are cached.',
  },
  'engine-failed': {
    meaning:
      'A server that generates in the place of our own engine cannot be reached, refuses, holds another model, or takes other tokens.',
    next: 'The message says what was wanted; docs/how-to/use-vllm.md says how it is started. Completions so far are kept.',
  },

  // The local app
  'request-refused': { meaning: 'The local app does not serve this request.', next: 'The message says why.' },
  'app-not-built': { meaning: 'The web app is not built.', next: 'Run `npm run build:web`.' },
  'port-taken': { meaning: 'Another program uses this port.', next: 'Leave `--port` out to get a free one.' },

  // Inside
  'bench-disagrees': {
    meaning: 'Two ways of computing the same thing gave different results in a benchmark.',
    next: 'Report it: this is a bug.',
  },
  'not-a-number': { meaning: 'A computation gave NaN or infinity.', next: 'Check hooks and weights.' },
  'graph-invalid': {
    meaning: 'A graph, a shape or a buffer of the engine is wrong.',
    next: 'With your own graphs: the message names the op. Otherwise it is a bug; report it.',
  },
  internal: {
    meaning: 'The program is in a state it should not be in.',
    next: 'Report it: this is a bug. `CROSSPATCH_DEBUG=1` prints the stack.',
  },
  unexpected: {
    meaning: 'An error that crosspatch did not raise itself, for example of the operating system.',
    next: 'Read the message; `CROSSPATCH_DEBUG=1` prints the stack.',
  },
} as const satisfies Record<string, ErrorKind>;

export type ErrorId = keyof typeof ERRORS;
