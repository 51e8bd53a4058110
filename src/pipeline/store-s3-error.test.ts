import { expect, it } from 'vitest';
import { s3Error } from './store-s3-error.ts';

const where = { shown: 's3://shared/x', bucket: 'shared', endpoint: undefined };

// As the SDK throws what servers answer that a test cannot start.
it.each([
  [
    { name: 'PermanentRedirect', $response: { headers: { 'x-amz-bucket-region': 'eu-west-1' } } },
    ['store-not-found', /the bucket is in the region eu-west-1; set AWS_REGION=eu-west-1$/],
  ],
  [
    { name: 'AuthorizationHeaderMalformed', $metadata: { httpStatusCode: 400 } },
    ['store-not-found', /the bucket is in another region; set AWS_REGION to it$/],
  ],
  [
    { name: 'AccessDenied', message: 'User: arn:aws:iam::1:user/x', $metadata: { httpStatusCode: 403 } },
    ['store-refused', /access is denied; the key needs s3:GetObject/],
  ],
  [
    { name: 'ExpiredToken', message: 'token abc' },
    ['store-refused', /refuses the credentials \(ExpiredToken\)/],
  ],
  [
    { name: 'SlowDown', $metadata: { httpStatusCode: 503 } },
    ['store-unreachable', /the server answers with 503 SlowDown; run again/],
  ],
  [
    { name: 'TimeoutError', message: 'x' },
    ['store-unreachable', /cannot be reached \(TimeoutError\); check the network, then/],
  ],
  [new TypeError('AKIAEXAMPLE'), ['store-unreachable', /answers with TypeError/]],
] as const)('%o', (error, [id, line]) => {
  const said = s3Error(error, where);
  expect(said).toMatchObject({ id, exitCode: 2, message: expect.stringMatching(line) });
  expect(said.message).toMatch(/^s3:\/\/shared\/x: /);
  expect(`${said.message}${said.cause ?? ''}`).not.toMatch(/arn:|abc|AKIA/);
});

it('an error of this machine’s own files is left as it is', () => {
  const full = Object.assign(new Error('ENOSPC'), { code: 'ENOSPC', syscall: 'write', path: '/x' });
  expect(s3Error(full, where)).toBe(full);
});
