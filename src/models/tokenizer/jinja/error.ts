/** @file The one error of templates. */

/** A template cannot be parsed or rendered; the message is jinja2's where it has one. */
export class TemplateError extends Error {
  /** Line of the template, from 1; set by the statement that failed. */
  line: number | undefined;

  constructor(message: string, line?: number) {
    super(message);
    this.name = 'TemplateError';
    this.line = line;
  }
}

/** What jinja2 has and this renderer does not. */
export function notSupported(feature: string): TemplateError {
  return new TemplateError(`${feature} is not supported`);
}
