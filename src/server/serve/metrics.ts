/** @file Counts and times for Prometheus. */
import { Counter, Gauge, Histogram, Registry } from 'prom-client';
import type { AnswerEvent } from '../../pipeline/index.ts';
import type { EngineProcess } from './engine-process.ts';

const SECONDS = [0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120];

/** What `/metrics` says, as the server goes along. */
export class Metrics {
  readonly #registry = new Registry();
  readonly #requests: Counter<'route' | 'status'>;
  readonly #tokens: Counter<'kind'>;
  readonly #steering: Counter<'name' | 'fired'>;
  readonly #first: Histogram;
  readonly #whole: Histogram;

  constructor(engine: EngineProcess, inFlight: () => number) {
    const registers = [this.#registry];
    this.#requests = new Counter({
      name: 'crosspatch_requests_total',
      help: 'Requests by route and HTTP status',
      labelNames: ['route', 'status'],
      registers,
    });
    this.#tokens = new Counter({
      name: 'crosspatch_tokens_total',
      help: 'Tokens of finished answers: read (prompt) and written (completion)',
      labelNames: ['kind'],
      registers,
    });
    this.#steering = new Counter({
      name: 'crosspatch_steering_total',
      help: 'Finished answers with a steering document, by its name and whether it was carried out',
      labelNames: ['name', 'fired'],
      registers,
    });
    this.#first = new Histogram({
      name: 'crosspatch_first_token_seconds',
      help: 'From the request to the first piece of its answer',
      buckets: SECONDS,
      registers,
    });
    this.#whole = new Histogram({
      name: 'crosspatch_answer_seconds',
      help: 'From the request to the end of its answer',
      buckets: SECONDS,
      registers,
    });
    const gauge = (name: string, help: string, value: () => number): void => {
      new Gauge({
        name,
        help,
        registers,
        collect() {
          this.set(value());
        },
      });
    };
    gauge('crosspatch_requests_in_flight', 'Answers under way or waiting', inFlight);
    gauge('crosspatch_rows_live', 'Rows that decode side by side', () => engine.live);
    gauge('crosspatch_model_restarts', 'Model processes that had to be started again', () => engine.restarts);
    gauge('crosspatch_model_ready', '1 where a model process answers', () => Number(engine.ready));
    gauge(
      'process_resident_memory_bytes',
      'Memory of the server itself; the model is in another process',
      () => process.memoryUsage.rss(),
    );
  }

  get contentType(): string {
    return this.#registry.contentType;
  }

  text(): Promise<string> {
    return this.#registry.metrics();
  }

  request(route: string, status: number): void {
    this.#requests.inc({ route, status: String(status) });
  }

  firstToken(seconds: number): void {
    this.#first.observe(seconds);
  }

  answer(end: Extract<AnswerEvent, { type: 'end' }>, seconds: number): void {
    this.#whole.observe(seconds);
    this.#tokens.inc({ kind: 'prompt' }, end.promptTokens);
    this.#tokens.inc({ kind: 'completion' }, end.completionTokens);
    if (end.steering !== undefined)
      this.#steering.inc({ name: end.steering.name ?? '', fired: String(end.steering.fired) });
  }
}
