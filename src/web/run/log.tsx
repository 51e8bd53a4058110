/** @file The log of a run, its last lines as they come. */
import { type ReactNode, type UIEvent, useEffect, useRef } from 'react';
import { clock } from '../parts.tsx';
import type { RunProgress } from '../progress.ts';
import { Name } from '../text.tsx';

/** Open while the run goes on. */
export function Log(props: { readonly progress: RunProgress; readonly isOver: boolean }): ReactNode {
  const { progress, isOver } = props;
  return (
    <details open={!isOver} className="chapter">
      <summary>
        <h2 id="log">Log</h2>
      </summary>
      {progress.lines.length === 0 ? (
        <p className="empty">Nothing has been logged yet.</p>
      ) : (
        <LogLines progress={progress} />
      )}
    </details>
  );
}

function LogLines({ progress }: { readonly progress: RunProgress }): ReactNode {
  const box = useRef<HTMLElement>(null);
  const atEnd = useRef(true);
  const { count } = progress;
  useEffect(() => {
    const element = box.current;
    // Stay at the end, unless the reader has scrolled up.
    if (count > 0 && element && atEnd.current) element.scrollTop = element.scrollHeight;
  }, [count]);
  const onScroll = ({ currentTarget: { scrollHeight, scrollTop, clientHeight } }: UIEvent) => {
    atEnd.current = scrollHeight - scrollTop - clientHeight < 40;
  };
  return (
    // biome-ignore lint/a11y/noNoninteractiveTabindex: what scrolls must be reachable by keyboard
    <section ref={box} className="log" onScroll={onScroll} tabIndex={0} aria-label="Log lines">
      {progress.lines.slice(-500).map((line) => (
        <div key={line.key} className={line.failed ? 'failed' : ''}>
          <time dateTime={line.time}>{clock(line.time)}</time> <Name>{line.stage}</Name>:{' '}
          <Name>{line.text.slice(0, 2000)}</Name>
        </div>
      ))}
    </section>
  );
}
