/** @file Experiments over a queue on a real Redis. */
import { PASSWORD, queueSuite } from '../suites/queue-suite.ts';
import { startRedis } from '../suites/redis.ts';

queueSuite((root) => startRedis(root, PASSWORD));
