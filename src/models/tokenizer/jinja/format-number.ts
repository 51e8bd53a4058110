/** @file Numbers in a format: digits, exponent, grouping, padding; rounded half to even on exact ties, as Python does. */
import { TemplateError } from './error.ts';
import { floatText } from './print.ts';
import { lengthOf } from './python-text.ts';

/** A format specification. */
export interface Spec {
  readonly fill: string;
  readonly align: '<' | '>' | '=' | '^';
  readonly sign: '-' | '+' | ' ';
  readonly alternate: boolean;
  readonly width: number;
  readonly precision: number | undefined;
  readonly grouping: '' | ',' | '_';
  readonly type: string;
}

/** Digits that are written after the point. */
const MAX_PRECISION = 60;

/** A number under a specification. */
export function formatNumber(value: number, whole: boolean, spec: Spec): string {
  const sign = value < 0 || Object.is(value, -0) ? '-' : spec.sign === '-' ? '' : spec.sign;
  const size = Math.abs(value);
  const radix = spec.alternate && 'xXob'.includes(spec.type) && spec.type !== '' ? `0${spec.type}` : '';
  const body = grouped(digits(size, whole, spec), spec.grouping);
  const room = spec.width - sign.length - radix.length;
  if (spec.align === '=') return `${sign}${radix}${body.padStart(room, spec.fill)}`;
  return padded(`${sign}${radix}${body}`, spec);
}

/** A text filled up to the width. */
export function padded(text: string, { align, width, fill }: Pick<Spec, 'align' | 'width' | 'fill'>): string {
  const missing = width - lengthOf(text);
  if (missing <= 0) return text;
  if (align === '<') return text + fill.repeat(missing);
  if (align === '^') {
    const left = Math.floor(missing / 2);
    return fill.repeat(left) + text + fill.repeat(missing - left);
  }
  return fill.repeat(missing) + text;
}

/** `'%.{precision}f' % value` of a number ≥ 0: exact, ties to even. */
export function fixed(value: number, precision: number): string {
  if (precision > MAX_PRECISION)
    throw new TemplateError(`more than ${MAX_PRECISION} digits after the point are not supported`);
  if (!Number.isFinite(value)) return floatText(value);
  if (value >= 1e21) return BigInt(value).toString() + (precision > 0 ? `.${'0'.repeat(precision)}` : '');
  const rounded = value.toFixed(precision);
  const long = value.toFixed(precision + 40);
  const point = long.indexOf('.') + 1;
  const tail = long.slice(point + precision);
  if (!/^50*$/.test(tail)) return rounded;
  const cut = precision === 0 ? long.slice(0, point - 1) : long.slice(0, point + precision);
  return Number(cut.at(-1)) % 2 === 0 ? cut : rounded;
}

function digits(size: number, whole: boolean, spec: Spec): string {
  const { type, precision } = spec;
  switch (type) {
    case 'x':
    case 'X':
    case 'o':
    case 'b':
    case 'd':
      return integerDigits(size, whole, type, precision);
    case '%':
      return `${fixed(size * 100, precision ?? 6)}%`;
    case 'f':
    case 'F':
      return fixed(size, precision ?? 6);
    case 'e':
    case 'E':
      return upper(exponent(size, precision ?? 6), type);
    case 'g':
    case 'G':
      return upper(general(size, precision ?? 6, spec.alternate), type);
    case '':
      if (whole) return integerDigits(size, whole, 'd', precision);
      return precision === undefined ? floatText(size) : general(size, precision, spec.alternate, true);
    default:
      throw new TemplateError(
        `Unknown format code '${type}' for object of type '${whole ? 'int' : 'float'}'`,
      );
  }
}

function integerDigits(size: number, whole: boolean, type: string, precision: number | undefined): string {
  if (!whole) throw new TemplateError(`Unknown format code '${type}' for object of type 'float'`);
  const text = size.toString(type === 'd' ? 10 : type === 'o' ? 8 : type === 'b' ? 2 : 16);
  return (type === 'X' ? text.toUpperCase() : text).padStart(precision ?? 0, '0');
}

function exponent(size: number, precision: number): string {
  if (!Number.isFinite(size)) return floatText(size);
  const [mantissa, power] = size.toExponential(Math.min(precision, 100)).split('e') as [string, string];
  return `${mantissa}e${power.slice(0, 1)}${power.slice(1).padStart(2, '0')}`;
}

/** `%g`: fixed for exponents in [-4, precision), else with exponent; zeros at the end go. */
function general(size: number, wanted: number, alternate: boolean, keepPoint = false): string {
  if (!Number.isFinite(size)) return floatText(size);
  const precision = Math.max(1, wanted);
  const power = size === 0 ? 0 : Number(size.toExponential(Math.min(precision - 1, 100)).split('e')[1]);
  const trim = (text: string): string =>
    alternate || !text.includes('.') ? text : text.replace(/\.?0+$/, '');
  if (power < -4 || power >= (keepPoint ? Math.max(precision, 0) : precision)) {
    const [mantissa, end] = exponent(size, precision - 1).split('e') as [string, string];
    return `${trim(mantissa)}e${end}`;
  }
  const text = trim(fixed(size, Math.max(0, precision - 1 - power)));
  return keepPoint && !text.includes('.') ? `${text}.0` : text;
}

function upper(text: string, type: string): string {
  return type === type.toUpperCase() ? text.toUpperCase() : text;
}

function grouped(text: string, mark: string): string {
  if (mark === '') return text;
  const [whole = '', ...rest] = text.split(/(?=[.e%])/);
  return whole.replace(/\B(?=(?:\w{3})+$)/g, mark) + rest.join('');
}
