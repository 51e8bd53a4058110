/** @file Text that someone else wrote: shown as text, whatever it holds; long ones are cut until asked for. */
import { Fragment, type ReactNode, useState } from 'react';
import { termOf, visible } from '../figures/index.ts';
import { type DiffRun, type DiffUnit, diff } from './diff.ts';

/** Characters shown before "show all". */
const SHOWN = 1200;

/** A name: one line, isolated so that right-to-left text turns nothing around it. */
export function Name({ children }: { readonly children: string }): ReactNode {
  return <bdi>{visible(children)}</bdi>;
}

/** A word of the glossary, with its meaning where one points at it; any other word as it is. */
export function Word({ children }: { readonly children: string }): ReactNode {
  const meaning = termOf(children)?.meaning;
  return meaning === undefined ? (
    <Name>{children}</Name>
  ) : (
    <abbr className="term" title={meaning}>
      {children}
    </abbr>
  );
}

/** A path of a figure or a stage: broken after its dots, slashes and underscores, never inside a word. */
export function PathName({ children }: { readonly children: string }): ReactNode {
  return (
    <bdi className="path">
      {visible(children)
        .split(/(?<=[./_-])/)
        .map((piece, i) => (
          <Fragment key={i}>
            {piece}
            <wbr />
          </Fragment>
        ))}
    </bdi>
  );
}

/** A completion or prompt. With `reference`, what the reference lacks is marked. */
export function LongText({
  text,
  reference,
  unit = 'word',
}: {
  readonly text: string;
  readonly reference?: string | undefined;
  readonly unit?: DiffUnit;
}): ReactNode {
  const [all, setAll] = useState(false);
  const isLong = text.length > SHOWN + 200;
  const shown = isLong && !all ? text.slice(0, SHOWN) : text;
  return (
    <>
      <div className="text" dir="auto">
        {text === '' ? (
          <em className="soft">(empty)</em>
        ) : (
          <Marked text={shown} reference={reference} unit={unit} />
        )}
        {isLong && !all ? '…' : null}
      </div>
      {isLong ? (
        <button type="button" className="link" onClick={() => setAll(!all)}>
          {all ? 'show less' : `show all ${text.length.toLocaleString('en')} characters`}
        </button>
      ) : null}
    </>
  );
}

function Marked({
  text,
  reference,
  unit,
}: {
  readonly text: string;
  readonly reference: string | undefined;
  readonly unit: DiffUnit;
}): ReactNode {
  if (reference === undefined) return visible(text);
  return <Runs runs={diff(text, reference, unit).a} />;
}

/** Runs of a diff; what only this text has is marked. */
export function Runs({ runs }: { readonly runs: readonly DiffRun[] }): ReactNode {
  return runs.map((run, i) => {
    const key = `${i}`;
    return run.same ? <span key={key}>{visible(run.text)}</span> : <ins key={key}>{visible(run.text)}</ins>;
  });
}

/** A prompt's tokens, those that were changed marked. */
export function Tokens({
  tokens,
  changed,
}: {
  readonly tokens: readonly string[];
  readonly changed: readonly number[];
}): ReactNode {
  const marked = new Set(changed);
  return (
    <div className="text mono" dir="auto">
      {tokens.map((token, i) => {
        const key = `${i}`;
        return marked.has(i) ? (
          <mark key={key} title={`token ${i}, changed`}>
            {visible(token) || '·'}
          </mark>
        ) : (
          <span key={key}>{visible(token)}</span>
        );
      })}
    </div>
  );
}
