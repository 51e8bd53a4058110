/** @file Opens a file or an address in the browser, where there is one. */
import { spawn } from 'node:child_process';
import { platform } from 'node:os';

const OPENERS: Partial<Record<NodeJS.Platform, readonly [string, ...string[]]>> = {
  darwin: ['open'],
  win32: ['cmd', '/c', 'start', ''],
};

/** Returns at once; a machine without a browser is no error. */
export function openInBrowser(path: string): void {
  const [command, ...args] = OPENERS[platform()] ?? ['xdg-open'];
  spawn(command, [...args, path], { stdio: 'ignore', detached: true })
    .on('error', () => {})
    .unref();
}
