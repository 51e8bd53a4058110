/** @file `export map`: a fitted map in the format of another tool: an ONNX file, or a folder for SAELens. */
import { extname } from 'node:path';
import type { Command } from 'commander';
import { exportOnnx, exportSaelens, loadMap } from '../../maps/index.ts';
import { type Cli, type CommonOptions, declare, printJson } from '../cli.ts';

export function addExportMap(group: Command, cli: Cli): void {
  declare(
    group,
    'map <map> <out>',
    'Write a fitted map: OUT.onnx for ONNX Runtime (input activations, output mapped), any other name as a folder with a SAELens skip transcoder.',
    'export map runs/demo/maps/locked/affine.general affine.onnx',
    'export map runs/demo/maps/locked/affine.general affine-saelens',
  ).action(async (path: string, out: string, options: CommonOptions) => {
    const map = await loadMap(path);
    const format = extname(out).toLowerCase() === '.onnx' ? 'onnx' : 'saelens';
    await { onnx: exportOnnx, saelens: exportSaelens }[format](map, out);
    const { record, source, target } = map;
    if (options.json) printJson(cli, { out, format, kind: record.kind, source, target });
    else cli.out(`wrote ${out}: ${record.kind}, ${source.width} to ${target.width}\n`);
  });
}
