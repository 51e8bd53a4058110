/** @file The part of the table of error ids that is about recipes, runs, stores, queues and fleets. */

/** What an id means, and what to do about it. */
export interface ErrorKind {
  readonly meaning: string;
  readonly next: string;
}

export const RUN_ERRORS = {
  'recipe-invalid': {
    meaning: 'An experiment file is wrong. The message gives file, line and column.',
    next: 'Mend the line; `crosspatch validate FILE` lists every issue.',
  },
  'recipe-not-found': {
    meaning: 'There is no bundled recipe of this name and no such file.',
    next: 'Give a path that ends in .yaml, or one of the names in the message.',
  },
  'stage-unknown': {
    meaning: '`--only` names a stage that the recipe does not have.',
    next: 'Take one of those in the message.',
  },
  'target-failed': {
    meaning: 'A target of a fleet failed, or shows nothing to fix. The others went on.',
    next: 'Mend what the message says of it, and run the fleet again: what is finished is kept.',
  },
  'figure-unknown': {
    meaning: '`--require` names a figure that results.json does not have.',
    next: 'See `crosspatch show DIR --all`.',
  },
  'run-not-found': {
    meaning: 'The folder holds no run, or no runs.',
    next: 'Check the path, or run an experiment first.',
  },
  'run-damaged': {
    meaning: 'A file of a run folder does not have the form that crosspatch writes.',
    next: 'Run the experiment again into the same folder; finished stages are kept.',
  },
  'worker-died': {
    meaning: 'A child process or worker thread ended in the middle of its work, perhaps out of memory.',
    next: 'Run again to continue; give more memory or a smaller batch if it happens again.',
  },
  'queue-unreachable': {
    meaning:
      'The server of `--queue` cannot be reached, refuses the password, lacks the database, is too old, or has for 20 s refused what it was asked.',
    next: 'Start it, or check address and password; the message says which.',
  },
  'queue-mismatch': {
    meaning:
      'Machines of a queue do not fit together: they run other code, do not share the store, or their clocks differ.',
    next: 'Install the same crosspatch on all of them, give all of them the same --store, and set their clocks.',
  },
  'store-unreachable': {
    meaning: 'The server of an `s3://` store cannot be reached, or answers with an error of its own.',
    next: 'Check network and AWS_ENDPOINT_URL, then run again; what was sent whole stays.',
  },
  'store-refused': {
    meaning: 'The server of an `s3://` store wants other credentials, or denies access.',
    next: 'Set the AWS_ variables, or allow what the message names.',
  },
  'store-not-found': {
    meaning: 'The bucket of an `s3://` store does not exist, or is in another region.',
    next: 'Check --store, AWS_REGION and AWS_ENDPOINT_URL.',
  },
  'store-damaged': {
    meaning: 'A part of a store has other bytes than were written.',
    next: 'Run again; a damaged result is computed again.',
  },
  'no-worker': {
    meaning: 'No worker of the queue can hold a stage: too small, or another version of crosspatch.',
    next: 'The message says what is wanted; start such a worker, then run again.',
  },
  'package-missing': { meaning: 'An optional package is not installed.', next: 'The message says how.' },
  aborted: { meaning: 'Stopped on request (Ctrl-C). What was finished is kept.', next: 'Run it again.' },
} as const satisfies Record<string, ErrorKind>;
