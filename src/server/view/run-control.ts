/**
 * @file Runs started, stopped and deleted from the app. A started run is the command `crosspatch run` in a process of its own, on a recipe
 * written beside its run folder; it ends with the server, and goes on where it was when it is started again.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { readFile, rm, stat, writeFile } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { stringify } from 'yaml';
import { InputError, type Owned } from '../../base/index.ts';
import {
  type FieldValue,
  RecipeError,
  type RecipeIssue,
  recipeKeys,
  setRecipeKey,
  writtenKeys,
} from '../../contracts/index.ts';
import { bundledRecipe, deleteRun, loadRecipeText, readManifest } from '../../pipeline/index.ts';
import { Refused } from './refused.ts';
import { isOfFleet, type RunsFolder } from './runs-folder.ts';

/** What is wrong with a recipe, or what it comes to. */
export interface RecipeCheck {
  /** The text, with the change asked for. */
  readonly yaml: string;
  /** Line and column are those of the text; absent for what is not at a place in it. */
  readonly issues: readonly Pick<RecipeIssue, 'line' | 'column' | 'message'>[];
  /** Complaints in all. */
  readonly total: number;
  /** What the text itself says at the keys of the form. */
  readonly written: Readonly<Record<string, FieldValue>>;
  /** What holds at them, defaults and what is extended included; empty while something is wrong. */
  readonly resolved: Readonly<Record<string, FieldValue>>;
}

/** A text to begin with. */
export interface RecipeStart {
  readonly yaml: string;
  readonly name: string;
}

/** First line of a recipe that this app wrote: only those are written over and deleted. */
const OURS = '# Written by the runs page of crosspatch view.\n';
/** Runs of this app at a time. */
const AT_ONCE = 2;
/** Seconds that a start, or a check by the command, may take before the page goes on without it. */
const PATIENCE = 60;
const NAME = /^[A-Za-z0-9][\w.-]{0,99}$/;
const HERE = import.meta.url;

/** See the file's head. */
export class RunControl implements Owned {
  readonly #runs: RunsFolder;
  readonly #command: readonly string[];
  readonly #children = new Map<string, ChildProcess>();

  /** `command`: program and arguments that stand for `crosspatch`. Defaults to this very package's. */
  constructor(runs: RunsFolder, command: readonly string[] = ownCommand()) {
    this.#runs = runs;
    this.#command = command;
  }

  /** The text of a bundled recipe, or the recipe of a run under a name that is free. */
  async begin(from: { readonly recipe?: string; readonly run?: string }): Promise<RecipeStart> {
    if (from.run !== undefined) {
      const { config, name } = await readManifest(await this.#runs.run(from.run));
      const { name: _name, ...given } = config.given as Record<string, unknown>;
      const free = await this.#freeName(NAME.test(from.run) ? from.run : name);
      return { name: free, yaml: stringify({ name: free, ...withWholePaths(given) }, { lineWidth: 0 }) };
    }
    const recipe = from.recipe ?? 'quick';
    const name = await this.#freeName(recipe);
    // What the file says of itself is not said again; the rest is inherited.
    await bundledRecipe(recipe);
    return { name, yaml: `extends: ${recipe}\nname: ${name}\n` };
  }

  /** Look a recipe over while it is written, by the parser of `crosspatch validate`; with `change`, after that change. */
  async check(
    text: string,
    change?: { readonly path: string; readonly value?: FieldValue },
  ): Promise<RecipeCheck> {
    const file = join(this.#runs.root, 'recipe.yaml');
    let yaml = text;
    try {
      if (change) yaml = setRecipeKey({ file, text }, change.path, change.value);
      const { recipe } = await loadRecipeText({ file, text: yaml });
      const written = writtenKeys({ file, text: yaml });
      return { yaml, issues: [], total: 0, written, resolved: recipeKeys(recipe) };
    } catch (error) {
      if (!(error instanceof InputError)) throw error;
      const issues =
        error instanceof RecipeError
          ? error.issues.map(({ line, column, message }) => ({ line, column, message }))
          : [{ message: this.#plain(error.message) }];
      const total = error instanceof RecipeError ? error.total : 1;
      return { yaml, issues, total, written: writtenKeys({ file, text: yaml }), resolved: {} };
    }
  }

  /** `crosspatch validate`: opens the models and files that a run would read. Undefined: nothing is wrong. */
  async validate(text: string): Promise<string | undefined> {
    const file = join(this.#runs.root, `.check-${randomBytes(6).toString('hex')}.yaml`);
    await writeFile(file, text);
    try {
      const { code, said } = await ended(this.#spawn(['validate', file, '--quiet']));
      return code === 0 ? undefined : said.replaceAll(file, 'recipe');
    } finally {
      await rm(file, { force: true });
    }
  }

  /**
   * Write the recipe and start its run; returns when the run has written its manifest.
   *
   * @throws Refused for a name that is none or taken, a recipe that is wrong, or too many runs; with the command's words where it fails
   */
  async start(name: string, text: string): Promise<{ run: string }> {
    this.#refuseOnly('start a run');
    if (!NAME.test(name))
      throw new Refused(400, `name ${JSON.stringify(name.slice(0, 60))}: wanted letters, digits, ., - and _`);
    this.#refuseMany();
    const out = join(this.#runs.root, name);
    if (this.#children.has(name) || (await isThere(out)))
      throw new Refused(409, `${name}: there is a folder of this name already; choose another name`);
    const { issues } = await this.check(text);
    if (issues[0])
      throw new Refused(
        400,
        `${issues[0].line ?? ''}${issues[0].line ? `:${issues[0].column}: ` : ''}${issues[0].message}`,
      );
    const file = this.#recipeOf(name);
    await this.#refuseForeign(file);
    await writeFile(file, text.startsWith(OURS) ? text : OURS + text);
    const failed = await this.#launch(name, file);
    if (failed === undefined) return { run: name };
    if (!(await isThere(join(out, 'manifest.json')))) await rm(file, { force: true });
    throw new Refused(400, failed);
  }

  /** Start a run of this app again: it goes on where it was. */
  async resume(run: string): Promise<void> {
    this.#refuseOnly('go on with a run');
    const folder = await this.#runs.run(run);
    this.#refuseMany();
    const { status } = await readManifest(folder);
    if (status === 'running' || this.#children.has(run))
      throw new Refused(409, `run ${run}: goes on already`);
    if (!(await isOurs(this.#recipeOf(run))))
      throw new Refused(409, `run ${run}: was not started by this app; run the same command again to go on`);
    const failed = await this.#launch(run, this.#recipeOf(run));
    if (failed !== undefined) throw new Refused(400, failed);
  }

  /** Run a recipe; returns when its manifest says that it runs, or with what the command complained of. */
  async #launch(name: string, file: string): Promise<string | undefined> {
    const out = join(this.#runs.root, name);
    const child = this.#spawn(['run', file, '--out', out, '--quiet']);
    this.#children.set(name, child);
    let over: { code: number | null; said: string } | undefined;
    void ended(child).then((end) => {
      over = end;
      if (this.#children.get(name) === child) this.#children.delete(name);
    });
    for (let i = 0; i < PATIENCE * 10 && over === undefined; i++) {
      const manifest = await readManifest(out).catch(() => undefined);
      if (manifest?.status === 'running') return undefined;
      await pause(100);
    }
    if (over === undefined || over.code === 0) return undefined;
    return this.#plain(over.said) || `the run ended with ${over.code}`;
  }

  /** Ask a run of this app to stop, as Ctrl-C does: what is finished is kept. */
  async stop(run: string): Promise<void> {
    await this.#runs.run(run);
    const child = this.#children.get(run);
    if (!child || child.exitCode !== null)
      throw new Refused(
        409,
        `run ${run}: was not started by this app, or is over; stop it where it was started`,
      );
    child.kill('SIGINT');
  }

  /** Delete a run that does not go on, and the recipe that this app wrote for it. `confirm` repeats its name. */
  async delete(run: string, confirm: string): Promise<void> {
    this.#refuseOnly('delete a run');
    const folder = await this.#runs.run(run);
    if (confirm !== run) throw new Refused(400, `confirm: wanted the name ${run}`);
    if (folder !== join(this.#runs.root, run) && isOfFleet(run))
      throw new Refused(
        409,
        `run ${run}: is one of a fleet; take it out of the fleet's file, and delete its folder`,
      );
    if (folder !== join(this.#runs.root, run))
      throw new Refused(403, `run ${run}: is a link; delete what it leads to instead`);
    if (this.#children.has(run)) throw new Refused(409, `run ${run}: goes on; stop it first`);
    await deleteRun(folder);
    const recipe = this.#recipeOf(run);
    if (await isOurs(recipe)) await rm(recipe, { force: true });
  }

  /** Runs of this app that go on. */
  get running(): string[] {
    this.#sweep();
    return [...this.#children.keys()];
  }

  /** Stop the runs of this app, as Ctrl-C does; those that do not stop within seconds are ended. */
  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all(
      [...this.#children.values()].map(async (child) => {
        const over = new Promise((done) => child.once('exit', done));
        if (child.exitCode !== null || child.signalCode !== null) return;
        child.kill('SIGTERM');
        const late = setTimeout(() => child.kill('SIGKILL'), 10_000);
        await over;
        clearTimeout(late);
      }),
    );
  }

  #spawn(args: readonly string[]): ChildProcess {
    const [program = '', ...before] = this.#command;
    return spawn(program, [...before, ...args], {
      stdio: ['ignore', 'ignore', 'pipe'],
      // Ctrl-C in the terminal of `view` reaches it once, through this server, and not twice.
      detached: process.platform !== 'win32',
    });
  }

  #sweep(): void {
    for (const [run, child] of this.#children)
      if (child.exitCode !== null || child.signalCode !== null) this.#children.delete(run);
  }

  async #freeName(name: string): Promise<string> {
    const stem = name.replace(/-\d+$/, '').slice(0, 90);
    for (let i = 1; i < 1000; i++) {
      const next = i === 1 ? stem : `${stem}-${i}`;
      const taken = await Promise.all(
        [next, `${next}.yaml`].map((file) => isThere(join(this.#runs.root, file))),
      );
      if (!taken.includes(true)) return next;
    }
    return `${stem}-${randomBytes(3).toString('hex')}`;
  }

  async #refuseForeign(file: string): Promise<void> {
    if ((await isThere(file)) && !(await isOurs(file)))
      throw new Refused(
        409,
        `${this.#plain(file)}: is there, and this app did not write it; choose another name`,
      );
  }

  #refuseOnly(what: string): void {
    if (this.#runs.only !== undefined)
      throw new Refused(
        409,
        `this app was opened on one run or fleet; to ${what}, open it on the folder of runs`,
      );
  }

  #refuseMany(): void {
    this.#sweep();
    if (this.#children.size >= AT_ONCE)
      throw new Refused(409, `${this.#children.size} runs of this app go on; stop one, or wait`);
  }

  /** Where the recipe of a run of this app lies. */
  #recipeOf(run: string): string {
    return join(this.#runs.root, `${run}.yaml`);
  }

  #plain(text: string): string {
    return text.replaceAll(`${this.#runs.root}/`, '');
  }
}

/** Rows of behaviours by their whole path: a manifest has it relative to where the run was started. */
function withWholePaths(given: Record<string, unknown>): Record<string, unknown> {
  if (!Array.isArray(given.behaviours)) return given;
  const behaviours = given.behaviours.map((behaviour: unknown) => {
    const file =
      behaviour !== null && typeof behaviour === 'object' && (behaviour as { file?: unknown }).file;
    return typeof file === 'string' ? { ...(behaviour as object), file: resolve(file) } : behaviour;
  });
  return { ...given, behaviours };
}

/** `crosspatch` as this process runs it: built, or from source. */
function ownCommand(): string[] {
  const isSource = HERE.endsWith('.ts');
  const main = fileURLToPath(new URL(`../../cli/main${isSource ? '.ts' : '.js'}`, HERE));
  return [process.execPath, ...(isSource ? ['--import', import.meta.resolve('tsx')] : []), main];
}

async function isOurs(file: string): Promise<boolean> {
  return (await readFile(file, 'utf8').catch(() => '')).startsWith(OURS);
}

async function isThere(path: string): Promise<boolean> {
  return stat(path).then(
    () => true,
    () => false,
  );
}

/** Its exit code and its complaint: the last line that begins with `error:`, else the end of what it said. */
function ended(child: ChildProcess): Promise<{ code: number | null; said: string }> {
  let text = '';
  child.stderr?.setEncoding('utf8').on('data', (part: string) => {
    text = (text + part).slice(-20_000);
  });
  return new Promise((done) => {
    const end = (code: number | null) => {
      const error = text.split('\n').findLast((line) => line.startsWith('error: '));
      done({ code, said: error?.slice('error: '.length) ?? text.trim().slice(-500) });
    };
    child.once('close', end);
    child.once('error', (error) => {
      text = `error: ${error.message}`;
      end(1);
    });
  });
}
