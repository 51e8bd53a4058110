/** @file The key of a server, from the environment. */
import { type ErrorId, InputError } from '../../base/index.ts';

/** The key in an environment variable; none where no variable is named. Throws {@link InputError} when it is empty; `where` begins the message. */
export function apiKeyOf(
  variable: string | undefined,
  where: string,
  id: ErrorId = 'judge-failed',
): string | undefined {
  const key = variable === undefined ? undefined : process.env[variable];
  if (variable !== undefined && !key)
    throw new InputError(`${where}: the environment variable ${variable} is not set; put the key there`, {
      id,
    });
  return key;
}
