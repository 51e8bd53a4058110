/** @file What an S3 server, or the way to it, is at fault for: one line each, with nothing of what was sent in it. */
import { InputError } from '../base/index.ts';

/** Of which store. */
export interface Where {
  readonly shown: string;
  readonly bucket: string;
  /** The server instead of Amazon's. */
  readonly endpoint: string | undefined;
}

interface SdkError {
  readonly name?: string;
  readonly Code?: string;
  readonly code?: string;
  readonly message?: string;
  readonly $metadata?: { readonly httpStatusCode?: number };
  readonly $response?: { readonly headers?: Readonly<Record<string, string>> };
}

const NO_CREDENTIALS = /^(CredentialsProviderError|TokenProviderError|Credentials?Unavailable.*)$/;
const REFUSED = /^(InvalidAccessKeyId|SignatureDoesNotMatch|ExpiredToken|InvalidToken|TokenRefreshRequired)$/;
const ELSEWHERE = /^(PermanentRedirect|AuthorizationHeaderMalformed|IllegalLocationConstraintException)$/;
const NO_NETWORK =
  /^(ECONN\w+|ENOTFOUND|EAI_AGAIN|EHOSTUNREACH|ENETUNREACH|ETIMEDOUT|EPIPE|TimeoutError|NetworkingError|CERT_\w+|.*_CERT\w*|ERR_TLS\w+)$/;

/** Any error of the SDK as one of ours. */
export function s3Error(error: unknown, where: Where): Error {
  if (error instanceof InputError || isOfDisk(error)) return error as Error;
  const { name = '', Code, code = '', message = '', $metadata, $response } = (error ?? {}) as SdkError;
  const kind = Code ?? name;
  const status = $metadata?.httpStatusCode;
  const { shown, bucket } = where;
  if (NO_CREDENTIALS.test(kind))
    return refused(
      `${shown}: there are no credentials; set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or AWS_PROFILE`,
    );
  if (REFUSED.test(kind))
    return refused(
      `${shown}: the server refuses the credentials (${kind}); check AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY and AWS_SESSION_TOKEN`,
    );
  if (kind === 'NoSuchBucket')
    return new InputError(`${shown}: there is no bucket ${bucket}${at(where)}; make it, or check --store`, {
      id: 'store-not-found',
    });
  if (ELSEWHERE.test(kind) || status === 301) {
    const region = $response?.headers?.['x-amz-bucket-region'];
    return new InputError(
      `${shown}: the bucket is in ${region === undefined ? 'another region' : `the region ${region}`}; set AWS_REGION${region === undefined ? ' to it' : `=${region}`}`,
      { id: 'store-not-found' },
    );
  }
  if (/region is missing/i.test(message))
    return new InputError(`${shown}: no region is set; set AWS_REGION to that of the bucket`, {
      id: 'store-not-found',
    });
  if (kind === 'AccessDenied' || status === 403 || status === 401)
    return refused(
      `${shown}: access is denied; the key needs s3:GetObject, s3:PutObject and s3:DeleteObject below it, and s3:ListBucket of the bucket, without which an object that is not there cannot be told from one that is hidden`,
    );
  const network = [code, kind].find((one) => NO_NETWORK.test(one));
  if (network !== undefined)
    return new InputError(
      `${shown}: the server${at(where)} cannot be reached (${network}); check the network${where.endpoint === undefined ? '' : ' and AWS_ENDPOINT_URL'}, then run again to go on from here`,
      { id: 'store-unreachable' },
    );
  return new InputError(
    `${shown}: the server${at(where)} answers with ${[status, kind].filter(Boolean).join(' ') || 'an unknown error'}; run again to go on from here`,
    { id: 'store-unreachable' },
  );
}

/** An error of this machine's own files. */
function isOfDisk(error: unknown): boolean {
  const { syscall, path } = (error ?? {}) as NodeJS.ErrnoException;
  return syscall !== undefined && path !== undefined;
}

function refused(message: string): InputError {
  return new InputError(message, { id: 'store-refused' });
}

/** ` at host:port`; an endpoint's user and password are left out. */
function at({ endpoint }: Where): string {
  if (endpoint === undefined) return '';
  return ` at ${URL.canParse(endpoint) ? new URL(endpoint).host : 'AWS_ENDPOINT_URL'}`;
}
