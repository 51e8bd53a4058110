/** @file What is wrong with the file, each with its line and column; one click goes there. */
import type { ReactNode, RefObject } from 'react';
import type { RecipeCheck } from '../../server/index.ts';
import { Name } from '../text.tsx';

export function Issues(props: {
  readonly check: RecipeCheck | undefined;
  readonly text: RefObject<HTMLTextAreaElement | null>;
}): ReactNode {
  const { check, text } = props;
  if (check === undefined) return null;
  const go = (line: number, column: number) => {
    const box = text.current;
    if (!box) return;
    const lines = box.value.split('\n');
    const from = lines.slice(0, line - 1).reduce((sum, one) => sum + one.length + 1, 0);
    box.focus();
    box.setSelectionRange(from + column - 1, from + (lines[line - 1]?.length ?? 0));
  };
  if (check.total === 0)
    return (
      <p className="soft" role="status">
        ✓ no mistake found
      </p>
    );
  return (
    <div className="problem" role="status">
      <p>{check.total === 1 ? 'One mistake:' : `${check.total} mistakes:`}</p>
      <ul className="issues">
        {check.issues.map(({ line, column, message }, i) => {
          const key = `${i}`;
          return (
            <li key={key}>
              {line === undefined || column === undefined ? null : (
                <button type="button" className="link" onClick={() => go(line, column)}>
                  line {line}, column {column}
                </button>
              )}
              <Name>{message}</Name>
            </li>
          );
        })}
      </ul>
    </div>
  );
}
