/** @file A command or a piece of a program, with a button that copies it. */
import { type ReactNode, useEffect, useState } from 'react';

/** What the button says after it was pressed. */
const SAID = { idle: 'Copy', done: 'Copied', failed: 'Select it and copy by hand' } as const;

export function CommandBlock({ what, text }: { readonly what: string; readonly text: string }): ReactNode {
  const [state, setState] = useState<keyof typeof SAID>('idle');
  useEffect(() => {
    if (state === 'idle') return;
    const timer = setTimeout(() => setState('idle'), 3000);
    return () => clearTimeout(timer);
  }, [state]);
  const copy = () =>
    navigator.clipboard.writeText(text).then(
      () => setState('done'),
      () => setState('failed'),
    );
  return (
    <div className="command">
      {/* biome-ignore lint/a11y/noNoninteractiveTabindex: what scrolls sideways must be reachable by keyboard */}
      <pre tabIndex={0}>
        <code>{text}</code>
      </pre>
      <button type="button" onClick={() => void copy()}>
        {SAID[state]}
        <span className="hidden"> the command: {what}</span>
      </button>
      <span className="hidden" role="status">
        {state === 'idle' ? '' : SAID[state]}
      </span>
    </div>
  );
}
