/** @file A long list that the browser lays out only where it is seen (CSS `content-visibility`); arrow keys walk it. */
import { type KeyboardEvent, memo, type ReactNode, useCallback, useEffect, useRef } from 'react';

export interface PromptListProps<T> {
  readonly items: readonly T[];
  readonly label: string;
  readonly keyOf: (item: T) => string;
  /** Must be the same function from one drawing to the next. */
  readonly row: (item: T) => ReactNode;
  /** Index of the chosen item, −1 for none. */
  readonly chosen: number;
  readonly onChoose: (index: number) => void;
}

/** Items that Page Up and Page Down pass. */
const PAGE = 8;

/** A listbox: Up, Down, Page Up, Page Down, Home and End choose. */
export function PromptList<T>(props: PromptListProps<T>): ReactNode {
  const { items, label, keyOf, row, chosen, onChoose } = props;
  const box = useRef<HTMLDivElement>(null);
  const latest = useRef(onChoose);
  latest.current = onChoose;
  const choose = useCallback((at: number) => latest.current(at), []);
  useEffect(() => {
    // Within the list only: `scrollIntoView` would move the page too.
    const [list, option] = [box.current, box.current?.children[chosen]];
    if (!list || !option) return;
    const [outer, inner] = [list.getBoundingClientRect(), option.getBoundingClientRect()];
    if (inner.top < outer.top) list.scrollTop += inner.top - outer.top;
    else if (inner.bottom > outer.bottom) list.scrollTop += inner.bottom - outer.bottom;
  }, [chosen]);
  const steps: Readonly<Record<string, number>> = {
    ArrowDown: chosen + 1,
    ArrowUp: chosen - 1,
    PageDown: chosen + PAGE,
    PageUp: chosen - PAGE,
    Home: 0,
    End: items.length - 1,
  };
  const onKeyDown = (event: KeyboardEvent) => {
    const next = steps[event.key];
    if (next === undefined || items.length === 0 || event.altKey || event.ctrlKey || event.metaKey) return;
    event.preventDefault();
    onChoose(Math.min(items.length - 1, Math.max(0, next)));
  };
  return (
    <div
      ref={box}
      className="options"
      role="listbox"
      aria-label={label}
      tabIndex={0}
      aria-activedescendant={chosen < 0 ? undefined : `option-${chosen}`}
      onKeyDown={onKeyDown}
    >
      {items.map((item, i) => (
        <Option
          key={keyOf(item)}
          item={item}
          at={i}
          selected={i === chosen}
          row={row as (item: unknown) => ReactNode}
          onChoose={choose}
        />
      ))}
    </div>
  );
}

/** Drawn again only when it changes: choosing one of 5,000 draws two. */
const Option = memo(function Option(props: {
  readonly item: unknown;
  readonly at: number;
  readonly selected: boolean;
  readonly row: (item: unknown) => ReactNode;
  readonly onChoose: (at: number) => void;
}): ReactNode {
  const { item, at, selected, row, onChoose } = props;
  return (
    // biome-ignore lint/a11y/useKeyWithClickEvents: the listbox has the keys
    <div
      id={`option-${at}`}
      role="option"
      tabIndex={-1}
      aria-selected={selected}
      className="option"
      onClick={() => onChoose(at)}
    >
      {row(item)}
    </div>
  );
});
