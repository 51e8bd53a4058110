/** @file Requests that are turned down, with the HTTP status a client acts on. */
import { CrosspatchError } from '../../base/index.ts';

/** 400 malformed, 401 no token, 403 not allowed, 404 not there, 409 not now, 413 too large. */
export type RefusedStatus = 400 | 401 | 403 | 404 | 409 | 413;

/** A request this server will not serve; the message goes to the client. */
export class Refused extends CrosspatchError {
  readonly status: RefusedStatus;

  constructor(status: RefusedStatus, message: string) {
    super(message, { id: 'request-refused' });
    this.status = status;
  }
}
