import { runQueueSuite } from '../../test/suites/queue.ts';
import { InlineQueue, ProcessPool, ProcessQueue, type Queue } from './index.ts';

runQueueSuite({ name: 'inline', make: async () => new InlineQueue(), workers: false });
runQueueSuite({
  name: 'processes',
  workers: true,
  make: async (): Promise<Queue> => {
    const pool = new ProcessPool(2);
    const queue = new ProcessQueue(pool);
    return {
      map: queue.map.bind(queue),
      [Symbol.asyncDispose]: () => pool[Symbol.asyncDispose](),
    };
  },
});
