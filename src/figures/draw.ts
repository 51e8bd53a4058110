/**
 * @file Draws a figure with Observable Plot into any DOM: the browser's, or one made on Node. Same input, same bytes:
 * no clock, no randomness, no counters; numbers in attributes are rounded to 0.1 px.
 */
import * as Plot from '@observablehq/plot';
import { PALETTE } from './palette.ts';
import { toCsv, toJson, visible } from './records.ts';
import type { FigureSpec, Layout, LegendItem, PatternFill, RenderedFigure, SeriesStyle } from './spec.ts';
import { termOf } from './terms.ts';

const SVG = 'http://www.w3.org/2000/svg';
const GAP = 12;
const LEGEND_ROW = 18;
/** Average advance of an 11 px system font, px; generous, so that legend entries never touch. */
const CHAR = 6.4;

interface DrawOptions {
  /** The DOM to draw in. */
  readonly document: Document;
  /** Outer width in px. Defaults to 680. */
  readonly width?: number;
  /** Makes pattern ids unique where a figure appears twice on a page. Defaults to ''. */
  readonly idSuffix?: string;
}

/** Draws `spec` as one `<svg>` element: legend, then rows of panels. */
export function drawFigure(spec: FigureSpec, options: DrawOptions): SVGSVGElement {
  const { document, width = 680, idSuffix = '' } = options;
  const patterns = new Patterns(document, `${slug(spec.id)}${idSuffix}`);
  const layout = spec.layout(width, patterns.fill);
  const root = element(document, 'svg', { fill: 'currentColor', 'font-family': 'system-ui, sans-serif' });
  root.setAttribute('role', 'img');
  root.setAttribute('aria-label', visible(spec.title));
  const legendHeight = drawLegend(document, root, layout, width);
  const height = drawPanels(document, root, layout, legendHeight);
  for (const [name, value] of Object.entries({ width, height, viewBox: `0 0 ${width} ${height}` }))
    root.setAttribute(name, String(value));
  root.insertBefore(patterns.defs, root.firstChild);
  return root;
}

/** Draws `spec` to text, with its data. `svg` is fit to stand inside HTML; {@link standaloneSvg} makes a file of it. */
export function renderFigure(spec: FigureSpec, options: DrawOptions): RenderedFigure {
  const { id, title, caption, rows } = spec;
  return {
    id,
    title,
    caption,
    svg: escapeName(roundAttributes(drawFigure(spec, options).outerHTML)),
    data: { csv: toCsv(rows), json: toJson(rows) },
  };
}

/** A rendered figure as an SVG file: namespace, white ground in light, dark ground in dark. */
export function standaloneSvg(figure: RenderedFigure): string {
  const style = `<style>${paletteCss('svg')}svg{color:#1b1f24;background:#fff;--cp-bg:#fff}@media (prefers-color-scheme:dark){svg{color:#e6e8eb;background:#15181c;--cp-bg:#15181c}}</style>`;
  return figure.svg.replace(/^<svg\b([^>]*)>/, (_, attributes: string) => {
    return `<svg xmlns="${SVG}"${attributes}>${style}`;
  });
}

/** CSS that sets the palette's variables on `selector`, light by default, dark by preference or by `data-theme`. */
export function paletteCss(selector = ':root'): string {
  const set = (i: 0 | 1) =>
    Object.entries(PALETTE)
      .map(([name, pair]) => `${name}:${pair[i]}`)
      .join(';');
  return [
    `${selector}{${set(0)}}`,
    `@media (prefers-color-scheme:dark){${selector}:not([data-theme=light]){${set(1)}}}`,
    `${selector}[data-theme=dark]{${set(1)}}`,
  ].join('');
}

function drawPanels(document: Document, root: SVGSVGElement, layout: Layout, top: number): number {
  let y = top;
  for (const row of layout.rows) {
    let x = 0;
    for (const panel of row) {
      const svg = Plot.plot({
        ...panel.options,
        document,
        width: panel.width,
        height: panel.height,
        style: { fontSize: '11px', overflow: 'visible' },
      });
      for (const style of svg.querySelectorAll('style')) style.remove();
      for (const [name, value] of Object.entries({ x, y })) svg.setAttribute(name, String(value));
      svg.removeAttribute('class');
      for (const text of svg.querySelectorAll('text')) {
        spellOut(text);
        explain(document, text);
      }
      // The whole figure is one image with one name; the parts' names would only be weight.
      for (const part of svg.querySelectorAll('[aria-label]')) part.removeAttribute('aria-label');
      for (const part of svg.querySelectorAll('[aria-hidden]')) part.removeAttribute('aria-hidden');
      for (const group of svg.querySelectorAll('g')) mergeLines(document, group);
      root.appendChild(svg);
      x += panel.width + GAP;
    }
    y += Math.max(0, ...row.map((panel) => panel.height)) + GAP;
  }
  return y;
}

/** A group of nothing but lines, or of nothing but ticks, becomes one path: they are most of a figure's weight. */
function mergeLines(document: Document, group: Element): void {
  const parts = [...group.children].map(lineOf);
  if (parts.length < 2 || parts.some((d) => d === undefined)) return;
  group.replaceChildren(element(document, 'path', { d: parts.join('') }));
}

const TICK = /^M0,0L(-?[\d.]+),(-?[\d.]+) translate\((-?[\d.]+),(-?[\d.]+)\)$/;

/** Path data of a plain `<line>` or an axis tick (a path from the origin, translated); undefined for anything else. */
function lineOf(node: Element): string | undefined {
  // A DOM made for HTML may spell names of SVG elements in capitals.
  const name = node.nodeName.toLowerCase();
  const at = (attribute: string) => tenth(Number(node.getAttribute(attribute)));
  if (name === 'line' && node.attributes.length === 4)
    return `M${at('x1')},${at('y1')}L${at('x2')},${at('y2')}`;
  if (name !== 'path' || node.attributes.length !== 2) return undefined;
  const tick = TICK.exec(`${node.getAttribute('d')} ${node.getAttribute('transform')}`);
  if (tick === null) return undefined;
  const [dx, dy, x, y] = tick.slice(1).map(Number) as [number, number, number, number];
  return `M${tenth(x)},${tenth(y)}l${dx},${dy}`;
}

function tenth(value: number): number {
  return Math.round(value * 10) / 10;
}

function drawLegend(document: Document, root: SVGSVGElement, layout: Layout, width: number): number {
  let [x, y] = [0, 0];
  for (const item of layout.legend) {
    const itemWidth = 48 + item.label.length * CHAR;
    if (x > 0 && x + itemWidth > width) [x, y] = [0, y + LEGEND_ROW];
    const group = element(document, 'g', { transform: `translate(${x},${y})`, 'font-size': '11' });
    group.append(legendKey(document, item));
    const label = element(document, 'text', { x: 28, y: 13 });
    label.textContent = visible(item.label);
    explain(document, label);
    group.append(label);
    root.append(group);
    x += itemWidth;
  }
  return layout.legend.length === 0 ? 0 : y + LEGEND_ROW + 6;
}

function legendKey(document: Document, { as, style }: LegendItem): Element {
  const group = element(document, 'g', {});
  const line = element(document, 'line', {
    x1: 0,
    x2: 24,
    y1: 9,
    y2: 9,
    stroke: style.color,
    'stroke-width': 2,
  });
  if (style.dash) line.setAttribute('stroke-dasharray', style.dash);
  group.append(line);
  if (as === 'level') return group;
  const mark = Plot.plot({
    document,
    width: 24,
    height: 18,
    margin: 0,
    axis: null,
    x: { domain: [0, 1] },
    y: { domain: [0, 1] },
    marks: [
      Plot.dot([0], {
        x: () => 0.5,
        y: () => 0.5,
        symbol: style.symbol,
        r: 3.5,
        fill: style.color,
        stroke: style.color,
      }),
    ],
  });
  for (const dot of mark.querySelectorAll('g[aria-label=dot]')) {
    dot.removeAttribute('aria-label');
    group.append(dot);
  }
  return group;
}

/** Pattern fills of one figure, collected while its marks are made. */
class Patterns {
  readonly defs: SVGElement;
  readonly fill: PatternFill;

  constructor(document: Document, prefix: string) {
    this.defs = element(document, 'defs', {});
    const made = new Map<string, string>();
    this.fill = (style) => {
      if (style.pattern === 'solid') return style.color;
      if (style.pattern === 'outline') return 'none';
      const key = `${style.pattern} ${style.color}`;
      const known = made.get(key);
      if (known) return known;
      const id = `${prefix}-p${made.size}`;
      this.defs.append(pattern(document, id, style));
      made.set(key, `url(#${id})`);
      return `url(#${id})`;
    };
  }
}

function pattern(document: Document, id: string, { pattern: kind, color }: SeriesStyle): Element {
  const node = element(document, 'pattern', { id, width: 6, height: 6, patternUnits: 'userSpaceOnUse' });
  if (kind === 'hatch') node.setAttribute('patternTransform', 'rotate(45)');
  node.append(element(document, 'rect', { width: 6, height: 6, fill: color, 'fill-opacity': 0.22 }));
  node.append(
    kind === 'dots'
      ? element(document, 'circle', { cx: 3, cy: 3, r: 1.5, fill: color })
      : element(document, 'line', { x1: 0, x2: 0, y1: 0, y2: 6, stroke: color, 'stroke-width': 4 }),
  );
  return node;
}

function element<K extends keyof SVGElementTagNameMap>(
  document: Document,
  name: K,
  attributes: Readonly<Record<string, string | number>>,
): SVGElementTagNameMap[K] {
  const node = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(attributes)) node.setAttribute(key, String(value));
  return node;
}

/** A tooltip on a word that the glossary knows. */
function explain(document: Document, text: Element): void {
  const found = termOf(text.textContent ?? '');
  if (found === undefined) return;
  const tip = element(document, 'title', {});
  tip.textContent = found.meaning;
  text.append(tip);
}

/** Rewrites the text nodes under `node` that hold characters which would hide or reorder text. */
function spellOut(node: Node): void {
  for (const child of node.childNodes)
    if (child.nodeType !== 3) spellOut(child);
    else if (child.nodeValue !== null && visible(child.nodeValue) !== child.nodeValue)
      child.nodeValue = visible(child.nodeValue);
}

/** An id fit for `url(#…)` whatever the figure is called. */
export function slug(id: string): string {
  return id.replace(/[^A-Za-z0-9_-]+/g, '-').replace(/^-+|-+$/g, '') || 'figure';
}

/** HTML serialisers leave `<` in attributes alone, XML forbids it: the figure's name is the one attribute with foreign text. */
function escapeName(svg: string): string {
  return svg.replace(/aria-label="[^"]*"/, (name) => name.replaceAll('<', '&lt;').replaceAll('>', '&gt;'));
}

function roundAttributes(svg: string): string {
  return svg.replace(
    /\s(?:d|x|y|x1|x2|y1|y2|cx|cy|r|width|height|transform|points)="[^"<>]*"/g,
    (attribute) => attribute.replace(/-?\d*\.\d{2,}(?:e-?\d+)?/g, (n) => String(tenth(Number(n)))),
  );
}
