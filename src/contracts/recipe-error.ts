/** @file What is wrong with an experiment file, and where. */
import { InputError } from '../base/index.ts';

/** Where something is wrong; `line` and `column` are 1-based and absent for `--set` and for missing keys of an empty file. */
export interface RecipeIssue {
  readonly file: string;
  readonly line?: number;
  readonly column?: number;
  readonly path: string;
  readonly message: string;
}

/** An experiment file is wrong. `issues` holds the first complaints, the message the first of them. Exit code 2. */
export class RecipeError extends InputError {
  readonly issues: readonly RecipeIssue[];
  /** Complaints in all; beyond 20 they are counted only. */
  readonly total: number;

  constructor(issues: readonly RecipeIssue[], total = issues.length) {
    super(`${issueLine(issues[0] as RecipeIssue)}${total > 1 ? ` (and ${total - 1} more)` : ''}`);
    this.issues = issues;
    this.total = total;
  }
}

/** `file:line:column: message`, the form editors jump to. */
export function issueLine(issue: RecipeIssue): string {
  const at = issue.line === undefined ? '' : `:${issue.line}:${issue.column}`;
  return `${issue.file}${at}: ${issue.message}`;
}
