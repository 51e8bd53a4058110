import { describe, expect, it } from 'vitest';
import {
  AbortedError,
  CrosspatchError,
  disposeAll,
  errorLine,
  InputError,
  silent,
  throwIfAborted,
} from './index.ts';

describe('errors', () => {
  it('carry name, exit code and cause', () => {
    const cause = new Error('inner');
    expect(new CrosspatchError('x')).toMatchObject({ name: 'CrosspatchError', exitCode: 1, message: 'x' });
    expect(new CrosspatchError('x', { exitCode: 100 }).exitCode).toBe(100);
    expect(new InputError('x', { cause })).toMatchObject({ name: 'InputError', exitCode: 2, cause });
    expect(new InputError('x')).toBeInstanceOf(CrosspatchError);
    expect('cause' in new CrosspatchError('x')).toBe(false);
  });

  it('throwIfAborted throws only once the signal has fired', () => {
    const controller = new AbortController();
    throwIfAborted(undefined, 'sweep');
    throwIfAborted(controller.signal, 'sweep');
    controller.abort();
    expect(() => throwIfAborted(controller.signal, 'sweep')).toThrow(AbortedError);
    expect(() => throwIfAborted(controller.signal, 'sweep')).toThrow(/^sweep: stopped/);
  });

  it('errorLine is one line, follows causes to a depth of four, takes anything', () => {
    const chain = new Error('a\n  b', { cause: new Error('c', { cause: 'd' }) });
    expect(errorLine(chain)).toBe('a b: c: d');
    expect(errorLine('text')).toBe('text');
    expect(errorLine(null)).toBe('');
    const loop: Error & { cause?: unknown } = new Error('x');
    loop.cause = loop;
    expect(errorLine(loop)).toBe('x');
    const five = ['a', 'b', 'c', 'd', 'e'].reduceRight<Error | undefined>(
      (cause, message) => new Error(message, { cause }),
      undefined,
    );
    expect(errorLine(five)).toBe('a: b: c: d');
  });

  it('errorLine says once what a message already says of its cause', () => {
    expect(errorLine(new Error('template: too large', { cause: new Error('too large') }))).toBe(
      'template: too large',
    );
  });
});

describe('disposeAll', () => {
  it('disposes in reverse order, all of them, and throws the first error', async () => {
    const order: string[] = [];
    const owned = (name: string, fails = false) => ({
      [Symbol.asyncDispose]: async () => {
        order.push(name);
        if (fails) throw new Error(name);
      },
    });
    await expect(disposeAll([owned('a', true), owned('b'), owned('c', true)])).rejects.toThrow('c');
    expect(order).toEqual(['c', 'b', 'a']);
    await disposeAll(new Set([owned('d')]));
    expect(order.at(-1)).toBe('d');
  });

  it('the silent sink takes events', () => {
    expect(silent({ stage: 'x', done: 1 })).toBeUndefined();
  });
});
