/** @file A figure of the results, drawn for the width there is, its data behind one click. Loaded when a page shows one. */
import { type ReactNode, useEffect, useRef, useState } from 'react';
import { drawFigure, type FigureSpec, slug, visible } from '../figures/index.ts';
import { DataLinks } from './data-links.tsx';

/** Wider than this a drawing gains nothing. */
const WIDEST = 900;

export default function Figure({ spec }: { readonly spec: FigureSpec }): ReactNode {
  const box = useRef<HTMLDivElement>(null);
  const [width, setWidth] = useState(0);
  useEffect(() => {
    const element = box.current;
    if (!element) return;
    const observer = new ResizeObserver(() => setWidth(Math.floor(element.clientWidth)));
    observer.observe(element);
    return () => observer.disconnect();
  }, []);
  useEffect(() => {
    if (width < 50) return;
    box.current?.replaceChildren(drawFigure(spec, { document, width: Math.min(width, WIDEST) }));
  }, [spec, width]);
  return (
    <figure id={slug(spec.id)}>
      <h4>{visible(spec.title)}</h4>
      <div ref={box} className="drawing" />
      <figcaption>
        <p>{visible(spec.caption)}</p>
        <DataLinks name={slug(spec.id)} rows={spec.rows} />
      </figcaption>
    </figure>
  );
}
