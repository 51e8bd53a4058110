/** @file A child process as `model-child.ts` is one, that gets stuck on purpose: in a call, or deaf to "stop". */
import type { ToChild } from './model-process.ts';

process.on('disconnect', () => process.exit(1));
process.on('message', ({ type, id, ...rest }: ToChild) => {
  if (type === 'stop' || !('call' in rest)) return;
  const { model } = rest.call;
  if (model === 'dies') process.exit(3);
  if (model === 'stuck') for (;;);
  if (model === 'deaf')
    setInterval(() => process.send?.({ id, event: { type: 'status', message: 'still here' } }), 50);
  else {
    process.send?.({ id, event: { type: 'status', message: String(process.pid) } });
    process.send?.({ id, end: true });
  }
});
