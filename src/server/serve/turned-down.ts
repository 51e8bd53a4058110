/** @file Requests that are turned down, as OpenAI's clients understand it. */
import { CrosspatchError, errorId, errorLine, InputError } from '../../base/index.ts';

/** 400 malformed, 401 no key, 404 not there, 405, 413 too large, 415 no JSON, 429 too many, 500, 503 not now. */
export type Status = 400 | 401 | 403 | 404 | 405 | 408 | 413 | 415 | 429 | 500 | 503;

/** A request this server will not serve; the message goes to the client. */
export class TurnedDown extends CrosspatchError {
  readonly status: Status;
  /** As in OpenAI's errors, e.g. `model_not_found`. */
  readonly code: string | null;
  /** The field that is wrong. */
  readonly param: string | null;

  constructor(
    status: Status,
    message: string,
    { code = null, param = null }: { readonly code?: string | null; readonly param?: string | null } = {},
  ) {
    super(message, { id: 'request-refused' });
    this.status = status;
    this.code = code;
    this.param = param;
  }
}

/** Status and body for any thrown value. What the client gave and cannot be used is 400, a model that is gone 503, the rest 500. */
export function errorReply(error: unknown): { readonly status: Status; readonly body: object } {
  const { status, code, param } =
    error instanceof TurnedDown
      ? error
      : {
          status: statusOf(error),
          code: errorId(error),
          param: null,
        };
  const type = status === 429 ? 'rate_limit_error' : status >= 500 ? 'server_error' : 'invalid_request_error';
  return { status, body: { error: { message: errorLine(error), type, param, code } } };
}

function statusOf(error: unknown): Status {
  if (error instanceof InputError) return 400;
  return errorId(error) === 'worker-died' ? 503 : 500;
}
