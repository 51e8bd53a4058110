/** @file A figure of the results, drawn for the width there is, its data behind one click. Loaded when a page shows one. */
import { type ReactNode, useEffect, useRef, useState } from 'react';
import { drawFigure, type FigureSpec, slug, termOf, visible } from '../figures/index.ts';
import { DataLinks } from './data-links.tsx';

/** Wider than this a drawing gains nothing. */
const WIDEST = 900;

export default function Figure({ spec }: { readonly spec: FigureSpec }): ReactNode {
  const box = useRef<HTMLDivElement>(null);
  const [width, setWidth] = useState(0);
  const [words, setWords] = useState<readonly (readonly [word: string, meaning: string])[]>([]);
  useEffect(() => {
    const element = box.current;
    if (!element) return;
    const observer = new ResizeObserver(() => setWidth(Math.floor(element.clientWidth)));
    observer.observe(element);
    return () => observer.disconnect();
  }, []);
  useEffect(() => {
    if (width < 50) return;
    const drawing = drawFigure(spec, { document, width: Math.min(width, WIDEST) });
    box.current?.replaceChildren(drawing);
    setWords(wordsIn(drawing));
  }, [spec, width]);
  return (
    <figure id={slug(spec.id)}>
      <h4>{visible(spec.title)}</h4>
      <div ref={box} className="drawing" />
      <figcaption>
        <p>{visible(spec.caption)}</p>
        <DataLinks name={slug(spec.id)} rows={spec.rows} />
        {words.length === 0 ? null : (
          <details className="words">
            <summary>Words in this figure</summary>
            <dl>
              {words.map(([word, meaning]) => (
                <div key={word}>
                  <dt>{word}</dt>
                  <dd>{meaning}</dd>
                </div>
              ))}
            </dl>
          </details>
        )}
      </figcaption>
    </figure>
  );
}

/** Words of a drawing that the glossary knows: for those who cannot point at them. */
function wordsIn(drawing: Element): (readonly [string, string])[] {
  const words = new Map<string, string>();
  for (const text of drawing.querySelectorAll('text')) {
    // The text itself: a tooltip is a child of its own.
    const word = text.firstChild?.textContent ?? '';
    const meaning = termOf(word)?.meaning;
    if (meaning !== undefined) words.set(word, meaning);
  }
  return [...words];
}
