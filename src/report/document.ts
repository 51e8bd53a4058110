/** @file A DOM on Node for drawing figures; the browser hands in its own. */
import { parseHTML } from 'linkedom';

/** A new empty HTML document. */
export function nodeDocument(): Document {
  return parseHTML('<!doctype html><html><body></body></html>').document;
}
