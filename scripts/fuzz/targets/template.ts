/** @file Chat templates: Jinja written by whoever published the model. */
import type { Rng } from '../../../src/base/index.ts';
import { renderChat } from '../../../src/models/tokenizer/chat.ts';
import { mostly, mutateText } from '../mutate.ts';
import { type StartTarget, target } from '../target.ts';

const TEMPLATES = [
  "{% for message in messages %}{{ '<|im_start|>' + message['role'] + '\\n' + message['content'] + '<|im_end|>' + '\\n' }}{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}",
  "{{ bos_token }}{% if messages[0]['role'] == 'system' %}{% set system = messages[0]['content'] | trim %}{% set loop_messages = messages[1:] %}{% else %}{% set system = '' %}{% set loop_messages = messages %}{% endif %}{% for message in loop_messages %}{% if (message['role'] == 'user') != (loop.index0 % 2 == 0) %}{{ raise_exception('roles must alternate') }}{% endif %}{% if message['role'] == 'user' %}{{ '[INST] ' ~ message['content'] ~ ' [/INST]' }}{% else %}{{ message['content'] ~ eos_token }}{% endif %}{% endfor %}",
  "{%- macro turn(role, text) -%}<start_of_turn>{{ role }}\n{{ text | trim }}<end_of_turn>\n{%- endmacro -%}{%- set ns = namespace(n=0) -%}{%- for m in messages -%}{%- set ns.n = ns.n + 1 -%}{{ turn(m.role, m.content) }}{%- endfor -%}{{ strftime_now('%Y-%m-%d') }}{{ messages | length }}{{ range(3) | join(',') }}{{ {'a': 1} | tojson }}",
];
const WORDS = [
  '{%',
  '%}',
  '{{',
  '}}',
  '{#',
  '#}',
  '{%-',
  'for',
  'in',
  'if',
  'elif',
  'else',
  'endfor',
  'endif',
  'set',
  'macro',
  'endmacro',
  'not',
  'is',
  'defined',
  'none',
  'true',
  '|',
  'trim',
  'length',
  'upper',
  'tojson',
  'join',
  'range(1000000000)',
  'range(10)',
  'loop.index',
  'namespace()',
  '[::-1]',
  '[1:]',
  "'x' * 1000",
  '**',
  '//',
  '%',
  '~',
  '(',
  ')',
  'self',
  '__proto__',
  'constructor',
  "messages[0]['content']",
  'break',
  'continue',
  'call',
  'filter',
  'raw',
  'endraw',
  'format',
  'selectattr',
  'map',
  'sort',
];
const MESSAGES = [
  { role: 'system', content: 'Be brief.' },
  { role: 'user', content: 'What is 2 + 2?' },
  { role: 'assistant', content: ' 4 ' },
  { role: 'user', content: 'é\n日本' },
];

export const start: StartTarget = async () =>
  target<string>({
    sources: /\/src\/models\/tokenizer\/(chat|jinja.*|chat\/.*|template.*)\.ts|\/src\/models\/(jinja|chat)\//,
    make: (rng: Rng) => {
      const template = rng.pick(TEMPLATES);
      return mostly(rng, 10, template, () => mutateText(rng, template, WORDS));
    },
    size: (template) => template.length,
    attempt: (template) =>
      renderChat(template, MESSAGES, { bos_token: '<s>', eos_token: '</s>' }, { addGenerationPrompt: true }),
  });
