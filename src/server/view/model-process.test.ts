import { fileURLToPath } from 'node:url';
import { afterEach, describe, expect, it } from 'vitest';
import { ModelProcesses } from './model-process.ts';

const module = fileURLToPath(new URL('./stuck.helper.ts', import.meta.url));

describe('ModelProcesses', () => {
  let processes: ModelProcesses;
  afterEach(() => processes[Symbol.asyncDispose]());
  const make = () => {
    processes = new ModelProcesses({ module, silence: 20, grace: 0.5 });
  };
  const ask = async (model: string, signal?: AbortSignal) => {
    const words: string[] = [];
    for await (const answer of processes.call({ kind: 'describe', model }, signal))
      if ('event' in answer && answer.event.type === 'status') words.push(answer.event.message);
    return words;
  };

  it('kills a model that says nothing, answers for another meanwhile, and starts again', async () => {
    make();
    await ask('a'); // Started: what follows is not the time a process takes to begin.
    const stuck = ask('stuck').catch((error: unknown) => error);
    const begun = performance.now();
    const [pid] = await ask('a');
    expect(performance.now() - begun).toBeLessThan(12_000);
    expect(await stuck).toMatchObject({ message: expect.stringMatching(/said nothing for 20 s/) });
    expect(await ask('a')).toEqual([pid]); // The other model's process was left alone.
    expect(await ask('stuck, but not this time')).toHaveLength(1);
  });

  it('ends a model that does not stop when told', async () => {
    make();
    const stop = new AbortController();
    const deaf = ask('deaf', stop.signal).catch((error: unknown) => error);
    await ask('b');
    stop.abort();
    expect(await deaf).toMatchObject({ message: expect.stringMatching(/did not stop within 0.5 s/) });
  });

  it('says that a process died, and has a third model replace the oldest', async () => {
    make();
    await expect(ask('dies')).rejects.toThrow(/the model process ended/);
    const [first] = await ask('a');
    await ask('b');
    await ask('c');
    expect(await ask('a')).not.toEqual([first]);
  });
});
