/** @file `validate FILE`: checks an experiment (YAML), the files it names too, or an intervention document (JSON). */
import { type Command, Option } from 'commander';
import { InputError, parseJson, readTextFile } from '../../base/index.ts';
import {
  cleanOf,
  interventionJsonSchema,
  issueLine,
  parseIntervention,
  type Recipe,
  RecipeError,
  recipeJsonSchema,
} from '../../contracts/index.ts';
import { resolveModel } from '../../models/index.ts';
import { isFleetFile, loadFleet, loadRecipe, planExperiment } from '../../pipeline/index.ts';
import { type Cli, type CommonOptions, collect, declare, printJson } from '../cli.ts';

interface ValidateOptions extends CommonOptions {
  readonly set?: readonly string[];
  readonly schema?: true | 'recipe' | 'intervention';
}

const SCHEMAS = { recipe: recipeJsonSchema, intervention: interventionJsonSchema };

export function addValidate(program: Command, cli: Cli): void {
  declare(
    program,
    'validate [file]',
    'Check an experiment or fleet file (.yaml) or an intervention (.json); every mistake with line and column.',
    'init my.yaml',
    'validate my.yaml',
  )
    .option('--set <key=value>', 'replace a value of the file; may be repeated', collect)
    .addOption(new Option('--schema [of]', 'print the JSON Schema instead').choices(Object.keys(SCHEMAS)))
    .action((file: string | undefined, options: ValidateOptions) => validate(file, options, cli));
}

async function validate(file: string | undefined, options: ValidateOptions, cli: Cli): Promise<void> {
  if (options.schema) {
    printJson(cli, SCHEMAS[options.schema === true ? 'recipe' : options.schema]());
    return;
  }
  if (file === undefined)
    throw new InputError('validate: wanted a file, e.g. crosspatch validate my.yaml', {
      id: 'option-missing',
    });
  if (file.endsWith('.json')) {
    const document = parseIntervention(await readJson(file), file);
    const summary = `${document.interventions.length} intervention(s)`;
    report(cli, options, { file, summary, resolved: document });
    return;
  }
  try {
    report(
      cli,
      options,
      (await isFleetFile(file)) ? await fleet(file, options, cli) : await recipe(file, options, cli),
    );
  } catch (error) {
    if (!(error instanceof RecipeError)) throw error;
    for (const issue of error.issues.slice(1)) cli.err(`error: ${issueLine(issue)}\n`);
    if (error.total > error.issues.length)
      cli.err(`error: ${file}: ${error.total - error.issues.length} more complaints\n`);
    if (options.json) printJson(cli, { file, valid: false, issues: error.issues });
    throw new InputError(issueLine(error.issues[0]!), { id: 'recipe-invalid' });
  }
}

async function recipe(file: string, options: ValidateOptions, cli: Cli): Promise<ValidFile> {
  const { recipe: resolved } = await loadRecipe(file, options);
  const { source, target } = resolved.models;
  const behaviours = resolved.behaviours.map((b) => b.name).join(', ');
  const note = await openFiles(resolved, cli);
  return {
    file,
    summary: `${source} to ${target}, ${behaviours}, ${resolved.maps.length} map(s)${note}`,
    resolved,
  };
}

async function fleet(file: string, options: ValidateOptions, cli: Cli): Promise<ValidFile> {
  const { source, targets } = await loadFleet(file, options);
  const notes: string[] = [];
  for (const target of targets) notes.push(`${target.name}${await openFiles(target.recipe, cli)}`);
  const resolved = Object.fromEntries(targets.map((target) => [target.name, target.recipe]));
  return {
    file,
    summary: `fleet of ${source} to ${targets.length} target(s): ${notes.join(', ')}`,
    resolved,
  };
}

/** Planning opens what the stages will read: models, prompts, texts. It computes nothing. Returns what could not be opened. */
async function openFiles(resolved: Recipe, cli: Cli): Promise<string> {
  const { source, target } = resolved.models;
  const clean = [cleanOf(resolved, 'source'), cleanOf(resolved, 'target')];
  const absent = await notPulled([source, target, ...clean.filter((name) => name !== undefined)]);
  if (absent.length === 0 && cli.expand !== undefined)
    await planExperiment(resolved, cli.expand, { weights: false, signal: cli.signal });
  return absent.length > 0
    ? `; not checked: ${absent.join(', ')} (run will pull ${absent.length > 1 ? 'them' : 'it'})`
    : '';
}

/** Models of the hub that are not in the cache. */
async function notPulled(references: readonly string[]): Promise<string[]> {
  const absent: string[] = [];
  for (const reference of new Set(references))
    await resolveModel(reference, { offline: true }).catch((error: unknown) => {
      if (!(error instanceof InputError && error.message.includes('offline'))) throw error;
      absent.push(reference);
    });
  return absent;
}

/** A file that is valid. */
interface ValidFile {
  readonly file: string;
  readonly summary: string;
  /** The document with every default filled in. */
  readonly resolved: unknown;
}

function report(cli: Cli, options: CommonOptions, { file, summary, resolved }: ValidFile): void {
  if (options.json) printJson(cli, { file, valid: true, resolved });
  else cli.out(`${file}: valid: ${summary}\n`);
}

async function readJson(file: string): Promise<unknown> {
  return parseJson(await readTextFile(file), file, { next: 'correct the file' });
}
