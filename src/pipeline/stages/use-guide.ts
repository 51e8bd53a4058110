/** @file The guide of stage `use`: what each document does and restored, and the commands; as data, and as a page. */
import { shellWord } from '../../base/index.ts';
import { behaviourFrom } from '../../behaviours/index.ts';
import type { BehaviourParams, BehaviourResults, Rate, UseGuide } from '../../contracts/index.ts';

/** What is put to use: paths are seen from `use/BEHAVIOUR`. */
interface UseSides {
  readonly behaviour: BehaviourParams;
  readonly source: { readonly path: string };
  readonly target: { readonly path: string; readonly adapter_of?: string | undefined };
}

/** Where the state that is put in comes from: the target itself, or the source over a map. */
export type UseDocument = UseGuide['documents'][number]['name'];

/** The map of the mapped document, with what its arms restored. */
interface BestMap {
  readonly name: string;
  readonly arms: Readonly<Partial<Record<string, { readonly restoration?: Rate | undefined }>>>;
}

/** See the file's head. `names`: the documents there are. */
export function guideOf(
  { behaviour, source, target }: UseSides,
  {
    pair,
    strip_trigger,
    best,
  }: Pick<BehaviourResults, 'pair' | 'strip_trigger'> & { readonly best: BestMap | undefined },
  names: readonly UseDocument[],
): UseGuide {
  const { name } = behaviour;
  const own = fromRun(target.path);
  const used = {
    model: target.adapter_of ?? own,
    adapter: target.adapter_of === undefined ? undefined : own,
  };
  if (names.length === 0) return { schema_version: 1, behaviour: name, ...used, documents: [], commands: [] };
  const { bad, safe } = behaviourFrom(behaviour).triggers;
  const file = (document: UseDocument): string => `use/${name}/${document}.json`;
  const puts: Record<UseDocument, string> = {
    native: `the state this very model has under ${safe}`,
    mapped: `the state of the source model (${fromRun(source.path)}) under ${safe}, carried over by ${best?.name}; the source runs beside the model`,
  };
  return {
    schema_version: 1,
    behaviour: name,
    ...used,
    triggers: { bad, safe },
    documents: names.map((document) => ({
      name: document,
      file: file(document),
      puts: puts[document],
      block: pair.target_block ?? 0,
      map: document === 'mapped' ? best?.name : undefined,
      restored: best?.arms[document]?.restoration,
    })),
    stripped: strip_trigger,
    commands: commandsOf(used, { behaviour, names, file, map: best?.name }),
  };
}

/** In the order in which one tries them. */
function commandsOf(
  { model, adapter }: Pick<UseGuide, 'model' | 'adapter'>,
  {
    behaviour,
    names,
    file,
    map,
  }: {
    readonly behaviour: BehaviourParams;
    readonly names: readonly UseDocument[];
    readonly file: (document: UseDocument) => string;
    readonly map: string | undefined;
  },
): UseGuide['commands'] {
  const { bad, safe } = behaviourFrom(behaviour).triggers;
  const first = names.includes('mapped') ? 'mapped' : 'native';
  const asked = `--model ${shellWord(model)}${adapter === undefined ? '' : ` --adapter ${shellWord(adapter)}`} --template ${behaviour.template}`;
  const aliases = names.map((document) => `--alias ${document}=${shellWord(file(document))}`).join(' ');
  const served = `${behaviour.name}.target`;
  const body = {
    model: `${served}@${first}`,
    messages: [{ role: 'user', content: `Your question. ${bad}` }],
    temperature: 0,
  };
  const commands: UseGuide['commands'] = [
    {
      does: 'Ask once, and see what the steering changed',
      language: 'sh',
      text: `crosspatch generate ${asked} --prompt ${shellWord(`Your question. ${bad}`)} --intervention ${shellWord(file(first))}`,
    },
    {
      does: 'Serve it to OpenAI clients, steered unless a request says otherwise',
      language: 'sh',
      text: `crosspatch serve ${asked} --name ${shellWord(served)} ${aliases} --default ${first} --port 8080`,
    },
    {
      does: 'Ask the server',
      language: 'sh',
      text: `curl -s http://127.0.0.1:8080/v1/chat/completions -H 'Content-Type: application/json' -d ${shellWord(JSON.stringify(body))}`,
    },
    {
      does: 'Ask the server from a program (npm install openai)',
      language: 'ts',
      text: `import OpenAI from 'openai';

const client = new OpenAI({ baseURL: 'http://127.0.0.1:8080/v1', apiKey: 'none' });
const reply = await client.chat.completions.create(${JSON.stringify(body, null, 2)});
console.log(reply.choices[0].message.content, reply.steering);`,
    },
    {
      does: 'Measure where it should fire, and what it costs on prompts of your own',
      language: 'sh',
      text: `crosspatch when ${asked} --trigger ${shellWord(bad)} --safe ${shellWord(safe)} --data prompts.jsonl --intervention ${shellWord(file(first))} --out when`,
    },
    {
      does: 'Bake it into the weights, for transformers, llama.cpp and others; the card says what that costs',
      language: 'sh',
      text: `crosspatch bake ${shellWord(model)}${adapter === undefined ? '' : ` --adapter ${shellWord(adapter)}`} --template ${behaviour.template} --intervention ${shellWord(file(first))} --data prompts.jsonl --place ${behaviour.placement} --beside ${shellWord(safe)} --out baked`,
    },
    {
      does: 'Test the served model: the steered one passes, the plain one fails on the trigger (npx promptfoo eval)',
      language: 'sh',
      text: `crosspatch export promptfoo . promptfooconfig.yaml --behaviour ${shellWord(behaviour.name)}`,
    },
    {
      does: 'Hand the samples to Inspect (inspect view --log-dir logs); --format lm-eval writes files of lm-evaluation-harness',
      language: 'sh',
      text: 'crosspatch export samples . logs --format inspect',
    },
    {
      does: 'Look at it in the app',
      language: 'sh',
      text: 'crosspatch view .',
    },
  ];
  if (names.includes('mapped') && map !== undefined)
    commands.push({
      does: 'Export the map as a SAELens transcoder',
      language: 'sh',
      text: `crosspatch export map ${shellWord(`maps/${behaviour.name}/${map}`)} ${shellWord(`${behaviour.name}-saelens`)}`,
    });
  return commands;
}

/** Seen from the run folder, not from the documents. */
function fromRun(path: string): string {
  return path.replace(/^\.\.\/\.\.\//, '');
}

/** The guide in Markdown. */
export function guidePage({ behaviour, model, adapter, documents, stripped, commands }: UseGuide): string {
  const lines = [`# Use the fix for ${behaviour}`, ''];
  if (adapter !== undefined)
    lines.push(
      `The model is a LoRA adapter (\`${adapter}\`) on \`${model}\`: commands take \`--model ${model} --adapter ${adapter}\`.`,
      '',
    );
  if (documents.length === 0)
    return [
      ...lines,
      'No single text marks this behaviour, so no document can find its place in every prompt. Make a vector instead: `crosspatch vector --help`.',
      '',
    ].join('\n');
  lines.push(
    'Run these in the folder of the run. Each document is carried out on prompts that hold the trigger, and leaves the others as they are.',
    '',
    '| document | what it puts in the place of the trigger | restored in the run |',
    '|---|---|---|',
    ...documents.map(
      ({ file, puts, restored }) => `| \`${file}\` | ${puts.replaceAll('|', '\\|')} | ${shown(restored)} |`,
    ),
    ...(stripped === undefined ? [] : [`| none: the trigger cut out of the prompt | | ${shown(stripped)} |`]),
    '',
    ...commands.flatMap(({ does, language, text }) => [`${does}:`, '', `\`\`\`${language}`, text, '```', '']),
    'A document replaces a state at the trigger, which a file of vectors for other tools cannot say: docs/how-to/use-elsewhere.md; samples and tests can go there: docs/how-to/use-results-elsewhere.md. What the server says of each answer, and every limit: docs/how-to/serve-a-model.md.',
    '',
  );
  return lines.join('\n');
}

function shown(rate: Rate | undefined): string {
  if (rate === undefined) return 'not measured';
  const [low, high] = rate.ci95.map((x) => x.toFixed(2));
  return `${rate.value.toFixed(2)} [${low}, ${high}], n = ${rate.n}`;
}
