/** @file A machine of its own as far as the network goes: a Linux network namespace with one cable to this one, which can be pulled. Needs root and `ip`. */
import { execFileSync } from 'node:child_process';

export interface Namespace {
  /** Starts a program in it. */
  readonly through: readonly string[];
  /** The address of this machine from there. */
  readonly here: string;
  pull(): void;
  plug(): void;
  remove(): void;
}

/** The `n`-th namespace of this process. */
export function makeNamespace(n: number): Namespace {
  const id = `xp${process.pid % 10_000}n${n}`;
  const net = `10.231.${n}`;
  ip('netns', 'add', id);
  ip('link', 'add', `${id}h`, 'type', 'veth', 'peer', 'name', `${id}w`, 'netns', id);
  ip('addr', 'add', `${net}.1/24`, 'dev', `${id}h`);
  ip('-n', id, 'addr', 'add', `${net}.2/24`, 'dev', `${id}w`);
  for (const link of ['lo', `${id}w`]) ip('-n', id, 'link', 'set', link, 'up');
  ip('link', 'set', `${id}h`, 'up');
  return {
    through: ['ip', 'netns', 'exec', id],
    here: `${net}.1`,
    pull: () => ip('link', 'set', `${id}h`, 'down'),
    plug: () => ip('link', 'set', `${id}h`, 'up'),
    remove: () => ip('netns', 'del', id),
  };
}

function ip(...args: readonly string[]): void {
  execFileSync('ip', args, { stdio: ['ignore', 'ignore', 'inherit'] });
}
