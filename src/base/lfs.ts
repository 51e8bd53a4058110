/** @file What Git leaves in place of a large file that was never fetched. */

const BEGINS = 'version https://git-lfs.github.com/spec/';

/** True for the first bytes of a Git LFS pointer: such a file names what it stands for and holds none of it. */
export function isLfsPointer(bytes: Uint8Array | string): boolean {
  const head =
    typeof bytes === 'string' ? bytes : Buffer.from(bytes.subarray(0, BEGINS.length)).toString('latin1');
  return head.startsWith(BEGINS);
}

/** The next step for who has one. */
export const LFS_NEXT = 'run git lfs pull in that folder to fetch the file itself';
