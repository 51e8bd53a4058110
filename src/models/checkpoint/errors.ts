/** @file The one error of bad model files. */
import { type ErrorId, InputError, showValue } from '../../base/index.ts';

/** What a file should have held, what it held, and what to do about it. */
interface Complaint {
  readonly wanted: string;
  readonly got: string;
  /** The next step for the person. Defaults to downloading the file again. */
  readonly next?: string;
  /** Defaults to `checkpoint-damaged`. */
  readonly id?: ErrorId;
}

/** A checkpoint file is damaged, incomplete or of a kind we do not run. Permanent: exit code 2. */
export class CheckpointError extends InputError {
  constructor(where: string, complaint: Complaint, cause?: unknown) {
    const next = complaint.next ?? 'the file is damaged: download or write it again';
    super(`${where}: wanted ${complaint.wanted}, got ${complaint.got}; ${next}`, {
      id: complaint.id ?? 'checkpoint-damaged',
      cause,
    });
  }
}

/** A value from an untrusted file, short and printable, for use in a message. */
export const show = (value: unknown): string => showValue(value);
