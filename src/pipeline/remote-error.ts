/** @file An error as it crosses to another process or machine: what is said, its id and its exit code arrive as they were. */
import { CrosspatchError, type ErrorId, errorId, errorLine, InputError } from '../base/index.ts';

export interface RemoteError {
  readonly name: string;
  readonly message: string;
  readonly id: ErrorId;
  /** Absent for what crosspatch did not raise itself. */
  readonly exitCode?: number | undefined;
}

/** What is sent of an error. */
export function plain(error: unknown): RemoteError {
  return {
    name: error instanceof Error ? error.name : 'Error',
    message: errorLine(error),
    id: errorId(error),
    exitCode: error instanceof CrosspatchError ? error.exitCode : undefined,
  };
}

/** The error that {@link plain} was given. */
export function revive(error: RemoteError): Error {
  if (error.exitCode === 2) return new InputError(error.message, { id: error.id });
  if (error.exitCode !== undefined) return new CrosspatchError(error.message, { id: error.id });
  return new Error(error.name === 'Error' ? error.message : `${error.name}: ${error.message}`);
}
