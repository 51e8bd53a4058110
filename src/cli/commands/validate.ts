/** @file `validate FILE`: checks an experiment (YAML), the files it names too, or an intervention document (JSON). */
import { type Command, Option } from 'commander';
import { InputError, parseJson, readTextFile } from '../../base/index.ts';
import {
  cleanOf,
  interventionJsonSchema,
  issueLine,
  parseIntervention,
  RecipeError,
  recipeJsonSchema,
} from '../../contracts/index.ts';
import { resolveModel } from '../../models/index.ts';
import { loadRecipe, planExperiment } from '../../pipeline/index.ts';
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
    'Check an experiment file (.yaml) or an intervention (.json); every mistake with line and column.',
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
    const { recipe } = await loadRecipe(file, options);
    const { source, target } = recipe.models;
    const behaviours = recipe.behaviours.map((b) => b.name).join(', ');
    const clean = [cleanOf(recipe, 'source'), cleanOf(recipe, 'target')];
    const absent = await notPulled([source, target, ...clean.filter((name) => name !== undefined)]);
    // Planning opens what the stages will read: models, prompts, texts. It computes nothing.
    if (absent.length === 0 && cli.expand !== undefined)
      await planExperiment(recipe, cli.expand, { weights: false, signal: cli.signal });
    const summary = `${source} to ${target}, ${behaviours}, ${recipe.maps.length} map(s)`;
    const note =
      absent.length > 0
        ? `; not checked: ${absent.join(', ')} (run will pull ${absent.length > 1 ? 'them' : 'it'})`
        : '';
    report(cli, options, { file, summary: summary + note, resolved: recipe });
  } catch (error) {
    if (!(error instanceof RecipeError)) throw error;
    for (const issue of error.issues.slice(1)) cli.err(`error: ${issueLine(issue)}\n`);
    if (error.total > error.issues.length)
      cli.err(`error: ${file}: ${error.total - error.issues.length} more complaints\n`);
    if (options.json) printJson(cli, { file, valid: false, issues: error.issues });
    throw new InputError(issueLine(error.issues[0]!), { id: 'recipe-invalid' });
  }
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
