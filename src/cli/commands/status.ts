/** @file `status DIR`: where a run stands, why it stopped, and what to do next. */
import type { Command } from 'commander';
import { shellWord } from '../../base/index.ts';
import type { Manifest } from '../../contracts/index.ts';
import { readManifest, readProgress } from '../../pipeline/index.ts';
import { type Cli, type CommonOptions, declare, printJson } from '../cli.ts';
import { duration } from '../progress.ts';
import { textTable } from '../table.ts';

export function addStatus(program: Command, cli: Cli): void {
  declare(
    program,
    'status <dir>',
    'Say where a run stands, why it stopped, and what to do next.',
    'status runs/demo',
  ).action(async (folder: string, options: CommonOptions) => {
    const [manifest, progress] = await Promise.all([readManifest(folder), readProgress(folder)]);
    const stages = manifest.stages.map((stage) => {
      const { done, total, unit } = (stage.status === 'running' ? progress.get(stage.id) : undefined) ?? {};
      return { ...stage, done, total, unit };
    });
    const { name, status } = manifest;
    const [reason, next] = [reasonOf(manifest), nextOf(manifest, folder)];
    if (options.json) {
      printJson(cli, { name, status, error: manifest.error, reason, next, stages });
      return;
    }
    const rows = stages.map(({ id, status, seconds, done, total, unit }) => [
      id,
      status,
      seconds === undefined ? '' : duration(seconds),
      done === undefined ? '' : `${done}${total === undefined ? '' : `/${total}`} ${unit ?? ''}`.trim(),
    ]);
    cli.out(`${name}: ${status}\n${reason === undefined ? '' : `why: ${reason}\n`}next: ${next}\n\n`);
    cli.out(textTable([['stage', 'status', 'took', 'progress'], ...rows]));
  });
}

/** Why a run is not done: the error it ended with, or that of its stages. */
function reasonOf({ status, error, stages }: Manifest): string | undefined {
  if (status === 'interrupted') return 'its process is gone, killed or with the machine';
  if (error !== undefined) return error;
  const failed = stages.find((stage) => stage.error !== undefined);
  if (failed) return `${failed.id}: ${failed.error}`;
  return status === 'cancelled' ? 'it was stopped on request' : undefined;
}

function nextOf(manifest: Manifest, folder: string): string {
  const again = commandOf(manifest, folder);
  const steps: Record<Manifest['status'], string> = {
    running: `crosspatch view shows it live`,
    done: `crosspatch show ${shellWord(folder)}`,
    failed: `mend the cause, then ${again}; finished stages are kept`,
    cancelled: `${again} goes on from here`,
    interrupted: `${again} goes on from here`,
  };
  return steps[manifest.status];
}

/** The command that goes on with a run in its folder. */
function commandOf({ command, name }: Manifest, folder: string): string {
  const given = command ?? ['crosspatch', 'run', `${name}.yaml`];
  return [...given.map(shellWord), ...(given.includes('--out') ? [] : ['--out', shellWord(folder)])].join(
    ' ',
  );
}
