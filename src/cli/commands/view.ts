/** @file `view [DIR]`: the local web app over a folder of runs, until Ctrl-C. */
import type { Command } from 'commander';
import { packageVersions } from '../../pipeline/index.ts';
import { type Cli, type CommonOptions, collect, declare, printJson, wholeNumber } from '../cli.ts';
import { openInBrowser } from '../open.ts';

interface ViewOptions extends CommonOptions {
  readonly port?: number;
  readonly open: boolean;
  readonly readOnly?: boolean;
  readonly model?: string[];
  readonly vector?: string[];
}

export function addView(program: Command, cli: Cli): void {
  declare(
    program,
    'view [dir]',
    'Look at runs in the browser: live progress, samples, playground.',
    'view runs',
  )
    .option('--port <n>', 'port on 127.0.0.1; 4517, or a free one, by default', wholeNumber('--port', 0))
    .option('--model <path>', 'a model to play with: folder or GGUF file; may be repeated', collect)
    .option(
      '--vector <path>',
      'a folder of crosspatch vector, a file of vectors, or an intervention (.json) to steer with; may be repeated',
      collect,
    )
    .option('--read-only', 'look at runs only: none can be started, stopped or deleted from the browser')
    .option('--no-open', 'only print the address')
    .action(async (folder: string | undefined, options: ViewOptions) => {
      // Loaded here: two hundred files that no other command needs.
      const { startViewServer } = await import('../../server/index.ts');
      await using server = await startViewServer({
        folder: folder ?? 'runs',
        version: (await packageVersions()).crosspatch ?? '',
        port: options.port,
        models: options.model,
        vectors: options.vector,
        readOnly: options.readOnly,
      });
      if (options.json) printJson(cli, { url: server.url, port: server.port });
      else cli.out(`${server.url}\n`);
      if (!options.quiet && !options.json)
        cli.err('The address holds a key to this folder: keep it to yourself. Ctrl-C stops.\n');
      if (options.open && !options.json) openInBrowser(server.url);
      if (!cli.signal.aborted)
        await new Promise<void>((resolve) =>
          cli.signal.addEventListener('abort', () => resolve(), { once: true }),
        );
    });
}
