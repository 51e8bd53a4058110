/** @file Errors a caller acts on. A message says where, what was wanted, what came, what to do next. */

import type { ErrorId } from './error-ids.ts';
import { showText, showValue } from './show.ts';

/** Exit codes of the command line: 1 a run failed, 2 bad usage or bad input, 100 ran but below a required threshold. */
type ExitCode = 1 | 2 | 100;

/** Base of every error crosspatch raises on purpose; the CLI prints `message` and `[id]` on one line and exits with `exitCode`. */
export class CrosspatchError extends Error {
  /** What is wrong, in a word that stays: docs/reference/errors.md lists them. */
  readonly id: ErrorId;
  readonly exitCode: ExitCode;

  constructor(message: string, options: ErrorOptions & { id?: ErrorId; exitCode?: ExitCode } = {}) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    this.name = new.target.name;
    this.id = options.id ?? 'internal';
    this.exitCode = options.exitCode ?? 1;
  }
}

/** Something the user gave (a file, a flag, a recipe) is wrong: permanent, do not retry. Exit code 2. */
export class InputError extends CrosspatchError {
  constructor(message: string, options: ErrorOptions & { id?: ErrorId } = {}) {
    super(message, { exitCode: 2, ...options, id: options.id ?? 'input-invalid' });
  }
}

/** The caller aborted (Ctrl-C, an `AbortSignal`). What was finished stays valid. Exit code 1. */
export class AbortedError extends CrosspatchError {
  constructor(where: string) {
    super(`${where}: stopped on request; run again to go on from here`, { id: 'aborted' });
  }
}

/** Throw {@link AbortedError} if `signal` has fired. */
export function throwIfAborted(signal: AbortSignal | undefined, where: string): void {
  if (signal?.aborted) throw new AbortedError(where);
}

/** The id of any thrown value; `unexpected` for what crosspatch did not raise itself. */
export function errorId(error: unknown): ErrorId {
  return error instanceof CrosspatchError ? error.id : 'unexpected';
}

/** A message may quote what it complains of; nobody reads more than this. */
const LONGEST_LINE = 4000;

/** One line for any thrown value, causes appended, with nothing a terminal would act on. */
export function errorLine(error: unknown): string {
  const parts: string[] = [];
  for (let e: unknown = error, depth = 0; e !== undefined && e !== null && depth < 4; depth++) {
    const said = e instanceof Error ? e.message : typeof e === 'string' ? e : showValue(e);
    // a message that ends with what its cause says has said it
    if (parts.at(-1)?.endsWith(said) !== true) parts.push(said);
    e = e instanceof Error ? e.cause : undefined;
  }
  return showText(parts.join(': ').replace(/\s*\n\s*/g, ' '), LONGEST_LINE);
}
