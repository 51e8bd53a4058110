/** @file Claims about templates that ask for too much: each ends in an error soon, whatever it does. */
import { describe, expect, it } from 'vitest';
import { DEFAULT_LIMITS } from './budget.ts';
import { TemplateError } from './error.ts';
import { Template } from './render.ts';

const render = (source: string): string => new Template(source).render({ s: 'x' }, { now: new Date(0) });
const deep = (open: string, close: string, n: number): string => open.repeat(n) + close.repeat(n);

describe('a template that asks for too much', () => {
  it.each([
    '{{ range(1000000000)|length }}',
    '{% for i in range(100000) %}{% for j in range(100000) %}{% endfor %}{% endfor %}',
    "{{ 'x' * 1000000000 }}",
    '{{ [1] * 1000000000 }}',
    "{{ '%1000000000d' % 5 }}",
    "{{ '{:1000000000}'.format(5) }}",
    "{{ '{:.1000000000f}'.format(5) }}",
    "{{ 'x'.center(1000000000) }}{{ 'x'.zfill(1000000000) }}",
    "{{ 'x'|center(1000000000) }}",
    "{{ 'a\nb'|indent(1000000000) }}",
    '{{ [1]|batch(1000000000, 0)|list }}',
    '{{ [1]|slice(1000000000)|list }}',
    "{{ 'a\tb'.expandtabs(1000000000) }}",
    '{% macro f() %}{{ f() }}{% endmacro %}{{ f() }}',
    '{% for x in [1] recursive %}{{ loop([1]) }}{% endfor %}',
    "{% set ns = namespace(s='xxxxxxxxxxxxxxxx') %}{% for i in range(60) %}{% set ns.s = ns.s + ns.s %}{% endfor %}",
    "{% set ns = namespace(s='ab') %}{% for i in range(60) %}{% set ns.s = ns.s.replace('a', ns.s) %}{% endfor %}",
    "{% set ns = namespace(s=['ab']) %}{% for i in range(60) %}{% set ns.s = [ns.s, ns.s] %}{% endfor %}{{ ns.s }}",
    "{% set ns = namespace(s='a' * 1000000) %}{% for i in range(100000) %}{% set x = ns.s.split('') %}{% endfor %}",
    "{% set s = 'a' * 1000000 %}{% for i in range(100000) %}{% set x = s.upper() %}{% endfor %}",
    "{% set s = 'a' * 1000000 %}{% for i in range(100000) %}{% set x = 'b' in s %}{% endfor %}",
    "{% set s = 'a' * 1000000 %}{% for i in range(100000) %}{% set x = s|length + s[0]|length %}{% endfor %}",
    '{{ 2 ** 1000000 }}',
    `{{ ${deep('(', ')', 5000)} }}`,
    `{{ ${deep('[', ']', 5000)} }}`,
    `{{ ${'not '.repeat(5000)}s }}`,
    `{{ ${'-'.repeat(5000)}1 }}`,
    `{{ ${'1 + '.repeat(50_000)}1 }}`,
    `{{ s${'.a'.repeat(50_000)} }}`,
    `{{ s${'|upper'.repeat(50_000)} }}`,
    deep('{% if s %}', '{% endif %}', 5000),
    `{{ ${deep('{"a":', '}', 5000)} }}`,
    `{{ ${'s if s else '.repeat(5000)}s }}`,
    'x'.repeat(2_000_000),
  ])('%.60s', (source) => {
    const started = performance.now();
    expect(() => render(source)).toThrow(TemplateError);
    expect(performance.now() - started).toBeLessThan(DEFAULT_LIMITS.milliseconds + 1500);
  });

  it('is told from one that does much', () => {
    const many = Array.from({ length: 1000 }, (_, i) => ({
      role: i % 2 ? 'user' : 'assistant',
      content: 'x'.repeat(2000),
    }));
    const source =
      "{% for m in messages %}{{ '<|' + m.role + '|>' + m.content|trim }}{% if loop.last %}!{% endif %}{% endfor %}";
    expect(new Template(source).render({ messages: many }, { now: new Date(0) }).length).toBeGreaterThan(
      2_000_000,
    );
  });

  it('fails where a variable has no end', () => {
    const circle: Record<string, unknown> = {};
    circle.self = circle;
    expect(() => new Template('x').render({ circle }, { now: new Date(0) })).toThrow(/nests deeper than 100/);
  });
});

it('errors name the line and the feature', () => {
  const lineOf = (source: string): number | undefined => {
    try {
      render(source);
    } catch (error) {
      return (error as TemplateError).line;
    }
    return undefined;
  };
  expect(lineOf('a\nb\n{{ 1 + }}')).toBe(3);
  expect(lineOf('a\n{% if s %}\n{{ s.nope.more }}\n{% endif %}')).toBe(3);
  expect(() => render("{% include 'x' %}")).toThrow("the tag 'include' is not supported");
  expect(() => render('{{ s|urlize }}')).toThrow("the filter 'urlize' is not supported");
  expect(() => render('{{ s.encode() }}')).toThrow('str.encode is not supported');
  expect(() => render('{{ s|nope }}')).toThrow("No filter named 'nope'.");
});
