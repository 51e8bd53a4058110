/** @file `strftime` in UTC, with English names (the C locale). */
import { TemplateError } from './error.ts';

const MONTHS = 'January February March April May June July August September October November December'.split(
  ' ',
);
const DAYS = 'Sunday Monday Tuesday Wednesday Thursday Friday Saturday'.split(' ');

/** A date under a format of `strftime`; a field this does not know is an error. */
export function strftime(date: Date, format: string): string {
  const two = (n: number): string => String(n).padStart(2, '0');
  const month = MONTHS[date.getUTCMonth()] as string;
  const day = DAYS[date.getUTCDay()] as string;
  const [year, hour] = [date.getUTCFullYear(), date.getUTCHours()];
  const dayOfYear =
    Math.floor((Date.UTC(year, date.getUTCMonth(), date.getUTCDate()) - Date.UTC(year, 0)) / 86_400_000) + 1;
  const fields = new Map<string, () => string>([
    ['a', () => day.slice(0, 3)],
    ['A', () => day],
    ['b', () => month.slice(0, 3)],
    ['B', () => month],
    ['c', () => strftime(date, '%a %b %e %H:%M:%S %Y')],
    ['d', () => two(date.getUTCDate())],
    ['D', () => strftime(date, '%m/%d/%y')],
    ['e', () => String(date.getUTCDate()).padStart(2, ' ')],
    ['F', () => strftime(date, '%Y-%m-%d')],
    ['f', () => String(date.getUTCMilliseconds() * 1000).padStart(6, '0')],
    ['h', () => month.slice(0, 3)],
    ['H', () => two(hour)],
    ['I', () => two(hour % 12 || 12)],
    ['j', () => String(dayOfYear).padStart(3, '0')],
    ['m', () => two(date.getUTCMonth() + 1)],
    ['M', () => two(date.getUTCMinutes())],
    ['n', () => '\n'],
    ['p', () => (hour < 12 ? 'AM' : 'PM')],
    ['R', () => strftime(date, '%H:%M')],
    ['S', () => two(date.getUTCSeconds())],
    ['t', () => '\t'],
    ['T', () => strftime(date, '%H:%M:%S')],
    ['u', () => String(date.getUTCDay() || 7)],
    ['w', () => String(date.getUTCDay())],
    ['x', () => strftime(date, '%m/%d/%y')],
    ['X', () => strftime(date, '%H:%M:%S')],
    ['y', () => two(year % 100)],
    ['Y', () => String(year)],
    // a datetime without a time zone writes neither
    ['z', () => ''],
    ['Z', () => ''],
    ['-d', () => String(date.getUTCDate())],
    ['-m', () => String(date.getUTCMonth() + 1)],
    ['-H', () => String(hour)],
    ['-I', () => String(hour % 12 || 12)],
    ['-M', () => String(date.getUTCMinutes())],
    ['-S', () => String(date.getUTCSeconds())],
    ['-j', () => String(dayOfYear)],
    ['-y', () => String(year % 100)],
    ['%', () => '%'],
  ]);
  return format.replace(/%(-?[a-zA-Z%])/g, (all, field: string) => {
    const write = fields.get(field);
    if (write === undefined) throw new TemplateError(`strftime_now: the field ${all} is not supported`);
    return write();
  });
}
