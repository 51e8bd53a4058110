import { expect, it } from 'vitest';
import { readLog, readLogLine } from './log.ts';

it('lines of a log that are no events are passed over, whatever they are', () => {
  const event = { time: '2026-11-29T02:23:00.193Z', stage: 'data', state: 'started', done: 0 };
  const lines = ['null', '3', '[]', '"x"', '{}', '{"stage":1}', '{"cut sho', JSON.stringify(event), ''];
  expect(readLog(lines.join('\n'))).toEqual([event]);
  for (const line of lines.slice(0, 7)) expect(readLogLine(line)).toBeUndefined();
});
