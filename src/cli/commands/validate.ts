/** @file `validate FILE`: checks an experiment (YAML) or an intervention document (JSON). */
import { readFile } from 'node:fs/promises';
import { type Command, Option } from 'commander';
import { InputError } from '../../base/index.ts';
import {
  interventionJsonSchema,
  issueLine,
  parseIntervention,
  RecipeError,
  recipeJsonSchema,
} from '../../contracts/index.ts';
import { loadRecipe } from '../../pipeline/index.ts';
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
  if (file === undefined) throw new InputError('validate: wanted a file, e.g. crosspatch validate my.yaml');
  if (file.endsWith('.json')) {
    const document = parseIntervention(await readJson(file), file);
    report(cli, options, file, `${document.interventions.length} intervention(s)`, document);
    return;
  }
  try {
    const { recipe } = await loadRecipe(file, options);
    const { source, target } = recipe.models;
    const behaviours = recipe.behaviours.map((b) => b.name).join(', ');
    report(cli, options, file, `${source} to ${target}, ${behaviours}, ${recipe.maps.length} map(s)`, recipe);
  } catch (error) {
    if (!(error instanceof RecipeError)) throw error;
    for (const issue of error.issues.slice(1)) cli.err(`error: ${issueLine(issue)}\n`);
    if (options.json) printJson(cli, { file, valid: false, issues: error.issues });
    throw new InputError(issueLine(error.issues[0]!));
  }
}

function report(cli: Cli, options: CommonOptions, file: string, summary: string, resolved: unknown): void {
  if (options.json) printJson(cli, { file, valid: true, resolved });
  else cli.out(`${file}: valid: ${summary}\n`);
}

async function readJson(file: string): Promise<unknown> {
  const text = await readFile(file, 'utf8').catch((cause: unknown) => {
    throw new InputError(`${file}: cannot be read`, { cause });
  });
  try {
    return JSON.parse(text);
  } catch (cause) {
    throw new InputError(`${file}: no JSON`, { cause });
  }
}
