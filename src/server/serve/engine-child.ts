/** @file The process that holds the served model. Messages in and out: `question.ts`. */
import { CrosspatchError, errorId, errorLine, InputError } from '../../base/index.ts';
import type { AnswerEvent, FromEngine, ToEngine } from '../../pipeline/index.ts';
import { Engine } from '../../pipeline/index.ts';

if (!process.send)
  throw new CrosspatchError('engine-child.ts: wanted to run as a child process', { id: 'internal' });
process.on('disconnect', () => process.exit(1));
// The terminal sends Ctrl-C to the whole group; the server decides when this process ends.
process.on('SIGINT', () => {});

const tell = (message: FromEngine): void => void process.send?.(message);
let engine: Engine | undefined;
let said: { id: number; event: AnswerEvent }[] = [];

function flush(): void {
  tell({ type: 'said', events: said, live: engine?.live ?? 0 });
  said = [];
}

process.on('message', (message: ToEngine) => {
  if (message.type === 'open') void open(message.settings);
  else if (message.type === 'leave') engine?.leave(message.id);
  else if (engine !== undefined) {
    engine.ask(message.id, message.question);
    void engine.work(flush);
  }
});

async function open(settings: Extract<ToEngine, { type: 'open' }>['settings']): Promise<void> {
  try {
    engine = await Engine.open(settings, (id, event) => said.push({ id, event }));
    tell({ type: 'ready', info: engine.info });
  } catch (error) {
    tell({
      type: 'failed',
      message: errorLine(error),
      code: errorId(error),
      input: error instanceof InputError,
    });
  }
}
