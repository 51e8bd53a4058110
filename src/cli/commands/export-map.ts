/** @file `export map`: a fitted map in the format of another tool. */
import type { Command } from 'commander';
import { exportSaelens, loadMap } from '../../maps/index.ts';
import { type Cli, type CommonOptions, declare, printJson } from '../cli.ts';

export function addExportMap(group: Command, cli: Cli): void {
  declare(
    group,
    'map <map> <folder>',
    'Write a fitted map as a SAELens skip transcoder.',
    'export map runs/demo/maps/locked/affine.general affine-saelens',
  ).action(async (path: string, folder: string, options: CommonOptions) => {
    const map = await loadMap(path);
    await exportSaelens(map, folder);
    if (options.json) printJson(cli, { folder, kind: map.record.kind });
    else cli.out(`wrote ${folder}: ${map.record.kind}, ${map.source.width} to ${map.target.width}\n`);
  });
}
