/** @file `--queue` as `run`, `demo` and `worker` read it. */
import { Option } from 'commander';
import { InputError } from '../base/index.ts';
import { parseQueueAddress, type QueueAddress } from '../pipeline/index.ts';

export interface QueueOptions {
  readonly queue?: string;
  readonly queuePasswordEnv?: string;
}

export function queueOption(): Option {
  return new Option(
    '--queue <url>',
    'give the stages to `crosspatch worker`s through this server: redis://host:port, rediss:// for TLS, or postgres://user@host:port/database',
  );
}

export function queuePasswordOption(): Option {
  return new Option('--queue-password-env <name>', 'environment variable with the password of that server');
}

/** The address that was given, if one was. */
export function queueOf({ queue, queuePasswordEnv }: QueueOptions): QueueAddress | undefined {
  if (queuePasswordEnv === undefined) return queue === undefined ? undefined : parseQueueAddress(queue);
  if (queue === undefined)
    throw new InputError('--queue-password-env: needs --queue', { id: 'option-missing' });
  const password = process.env[queuePasswordEnv];
  if (!password)
    throw new InputError(`--queue-password-env ${queuePasswordEnv}: the environment has no such variable`, {
      id: 'option-invalid',
    });
  return parseQueueAddress(queue, password);
}
