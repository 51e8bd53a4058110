/** @file What the tests of a queue and the scripts that break it need of a real server, whichever it is. */
export interface QueueTestServer {
  /** Its address without the password. */
  readonly url: string;
  readonly urlWithPassword: string;
  readonly port: number;
  /** End it at once and start it again on the same port, with what it held or without. */
  restart(how: 'keeps' | 'forgets'): Promise<void>;
  [Symbol.asyncDispose](): Promise<void>;
}
