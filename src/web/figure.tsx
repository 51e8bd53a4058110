/** @file A figure of the results, drawn for the width there is, its data behind one click. Loaded when a page shows one. */
import { type ReactNode, useEffect, useRef, useState } from 'react';
import { drawFigure, type FigureSpec, slug, toCsv, toJson, visible } from '../figures/index.ts';

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
    box.current?.replaceChildren(drawFigure(spec, { document, width: Math.min(width, 900) }));
  }, [spec, width]);
  return (
    <figure id={slug(spec.id)}>
      <h3>{visible(spec.title)}</h3>
      <div ref={box} className="drawing" />
      <figcaption>{visible(spec.caption)}</figcaption>
      <p className="data">
        Data: <Download name={`${slug(spec.id)}.csv`} type="text/csv" text={() => toCsv(spec.rows)} />
        <Download name={`${slug(spec.id)}.json`} type="application/json" text={() => toJson(spec.rows)} />
      </p>
    </figure>
  );
}

/** A file made when it is asked for. */
function Download(props: {
  readonly name: string;
  readonly type: string;
  readonly text: () => string;
}): ReactNode {
  const save = () => {
    const url = URL.createObjectURL(new Blob([props.text()], { type: props.type }));
    const link = document.createElement('a');
    link.href = url;
    link.download = props.name;
    link.click();
    URL.revokeObjectURL(url);
  };
  return (
    <button type="button" className="link" onClick={save}>
      {props.name.split('.').at(-1)?.toUpperCase()}
      <span className="hidden"> of {props.name}</span>
    </button>
  );
}
