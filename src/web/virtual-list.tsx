/** @file A long list that draws only what is seen. Rows are of one height; arrow keys walk it. */
import { type KeyboardEvent, type ReactNode, useCallback, useEffect, useRef, useState } from 'react';

const SPARE = 6;

export interface VirtualListProps<T> {
  readonly items: readonly T[];
  readonly rowHeight: number;
  readonly label: string;
  readonly keyOf: (item: T) => string;
  readonly row: (item: T) => ReactNode;
  /** Index of the chosen item, −1 for none. */
  readonly chosen: number;
  readonly onChoose: (index: number) => void;
}

/** A listbox: Up, Down, Page Up, Page Down, Home and End choose. */
export function VirtualList<T>(props: VirtualListProps<T>): ReactNode {
  const { items, rowHeight, label, keyOf, row, chosen, onChoose } = props;
  const box = useRef<HTMLDivElement>(null);
  const [view, setView] = useState({ top: 0, height: 600 });
  const measure = useCallback(() => {
    const element = box.current;
    if (element) setView({ top: element.scrollTop, height: element.clientHeight });
  }, []);
  useEffect(() => {
    measure();
    const observer = new ResizeObserver(measure);
    if (box.current) observer.observe(box.current);
    return () => observer.disconnect();
  }, [measure]);
  useEffect(() => {
    const element = box.current;
    if (!element || chosen < 0) return;
    const top = chosen * rowHeight;
    if (top < element.scrollTop) element.scrollTop = top;
    else if (top + rowHeight > element.scrollTop + element.clientHeight)
      element.scrollTop = top + rowHeight - element.clientHeight;
  }, [chosen, rowHeight]);
  const page = Math.max(1, Math.floor(view.height / rowHeight) - 1);
  const steps: Readonly<Record<string, number>> = {
    ArrowDown: chosen + 1,
    ArrowUp: chosen - 1,
    PageDown: chosen + page,
    PageUp: chosen - page,
    Home: 0,
    End: items.length - 1,
  };
  const onKeyDown = (event: KeyboardEvent) => {
    const next = steps[event.key];
    if (next === undefined || items.length === 0 || event.altKey || event.ctrlKey || event.metaKey) return;
    event.preventDefault();
    onChoose(Math.min(items.length - 1, Math.max(0, next)));
  };
  const first = Math.max(0, Math.floor(view.top / rowHeight) - SPARE);
  const last = Math.min(items.length, Math.ceil((view.top + view.height) / rowHeight) + SPARE);
  const isDrawn = chosen >= first && chosen < last;
  return (
    <div
      ref={box}
      className="virtual"
      role="listbox"
      aria-label={label}
      tabIndex={0}
      aria-activedescendant={isDrawn ? `option-${chosen}` : undefined}
      onScroll={measure}
      onKeyDown={onKeyDown}
    >
      <div style={{ height: items.length * rowHeight }} role="presentation">
        <div style={{ transform: `translateY(${first * rowHeight}px)` }} role="presentation">
          {items.slice(first, last).map((item, i) => (
            // biome-ignore lint/a11y/useKeyWithClickEvents: the listbox has the keys
            <div
              key={keyOf(item)}
              id={`option-${first + i}`}
              role="option"
              tabIndex={-1}
              aria-selected={first + i === chosen}
              aria-setsize={items.length}
              aria-posinset={first + i + 1}
              className="option"
              style={{ height: rowHeight }}
              onClick={() => onChoose(first + i)}
            >
              {row(item)}
            </div>
          ))}
        </div>
      </div>
    </div>
  );
}
