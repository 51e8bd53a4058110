/** @file HTML by tagged template: every value is escaped unless it is {@link Html} itself. Nothing a model or a user wrote can become markup. */
import { visible } from '../figures/index.ts';

/** Text known to be markup. Made only by {@link html} and {@link trusted}. */
export class Html {
  readonly text: string;
  constructor(text: string) {
    this.text = text;
  }
  toString(): string {
    return this.text;
  }
}

export type HtmlValue = Html | string | number | null | undefined | false | readonly HtmlValue[];

/** `html`<p>${value}</p>`` with `value` escaped; arrays are concatenated, null, undefined and false are nothing. */
export function html(parts: TemplateStringsArray, ...values: readonly HtmlValue[]): Html {
  return new Html(parts.reduce((out, part, i) => out + (i > 0 ? render(values[i - 1]) : '') + part, ''));
}

/** Marks a string as markup: for SVG and CSS that this program made. */
export function trusted(text: string): Html {
  return new Html(text);
}

/** Escapes text for element content and quoted attributes; makes control and bidirectional-override characters visible. */
export function escapeHtml(text: string): string {
  return visible(text)
    .replaceAll('&', '&amp;')
    .replaceAll('<', '&lt;')
    .replaceAll('>', '&gt;')
    .replaceAll('"', '&quot;')
    .replaceAll("'", '&#39;');
}

function render(value: HtmlValue): string {
  if (value === null || value === undefined || value === false) return '';
  if (value instanceof Html) return value.text;
  if (Array.isArray(value)) return value.map(render).join('');
  return escapeHtml(String(value));
}
