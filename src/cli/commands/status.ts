/** @file `status DIR`: where a run stands. */
import type { Command } from 'commander';
import { readManifest, readProgress } from '../../pipeline/index.ts';
import { type Cli, type CommonOptions, declare, printJson } from '../cli.ts';
import { duration } from '../progress.ts';
import { textTable } from '../table.ts';

export function addStatus(program: Command, cli: Cli): void {
  declare(program, 'status <dir>', 'Say where a run stands.', 'status runs/demo').action(
    async (folder: string, options: CommonOptions) => {
      const [manifest, progress] = await Promise.all([readManifest(folder), readProgress(folder)]);
      const stages = manifest.stages.map((stage) => {
        const last = stage.status === 'running' ? progress.get(stage.id) : undefined;
        return { ...stage, ...(last ? { done: last.done, total: last.total, unit: last.unit } : {}) };
      });
      const { name, status, error } = manifest;
      if (options.json) {
        printJson(cli, { name, status, error, stages });
        return;
      }
      const rows = stages.map(({ id, status, seconds, done, total, unit }) => [
        id,
        status,
        seconds === undefined ? '' : duration(seconds),
        done === undefined ? '' : `${done}${total === undefined ? '' : `/${total}`} ${unit ?? ''}`.trim(),
      ]);
      cli.out(`${name}: ${status}${error ? `: ${error}` : ''}\n\n`);
      cli.out(textTable([['stage', 'status', 'took', 'progress'], ...rows]));
    },
  );
}
