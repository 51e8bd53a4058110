/** @file The main keys of an experiment file as a form; an empty field leaves the key out, and shows what holds then. */
import { type ReactNode, useEffect, useState } from 'react';
import type { RecipeField } from '../../contracts/index.ts';
import type { RecipeCheck } from '../../server/index.ts';

type Value = RecipeCheck['written'][string];

export function RecipeForm(props: {
  readonly fields: readonly RecipeField[];
  readonly check: RecipeCheck | undefined;
  readonly onChange: (path: string, value: Value) => void;
}): ReactNode {
  const { fields, check, onChange } = props;
  const sections = fields.map(({ path }) => path.split('.')[0] ?? '');
  // A section of which one key is shown needs no heading of its own.
  const sectionOf = (path: string) => {
    const [section = '', key] = path.split('.');
    if (key === undefined) return 'experiment';
    return sections.filter((one) => one === section).length > 1 ? section : 'how much';
  };
  const parts = [...new Set(fields.map(({ path }) => sectionOf(path)))];
  return parts.map((part) => (
    <fieldset key={part} className="filters">
      <legend>{part}</legend>
      {fields
        .filter(({ path }) => sectionOf(path) === part && path !== 'name')
        .map((field) => (
          <Field
            key={field.path}
            field={field}
            label={part === 'how much' ? field.path : (field.path.split('.').at(-1) ?? '')}
            written={check?.written[field.path]}
            resolved={check?.resolved[field.path]}
            onChange={(value) => onChange(field.path, value)}
          />
        ))}
    </fieldset>
  ));
}

interface FieldProps {
  readonly field: RecipeField;
  readonly label: string;
  readonly written: Value;
  readonly resolved: Value;
  readonly onChange: (value: Value) => void;
}

function Field(props: FieldProps): ReactNode {
  const { field, label, written, resolved, onChange } = props;
  const { kind, options = [], description } = field;
  if (kind === 'choices') {
    const chosen = (Array.isArray(written ?? resolved) ? (written ?? resolved) : []) as readonly string[];
    return (
      <fieldset className="judge" title={description}>
        <legend>{label}</legend>
        {options.map((option) => (
          <label key={option}>
            <input
              type="checkbox"
              checked={chosen.includes(option)}
              onChange={(e) =>
                onChange(e.target.checked ? [...chosen, option] : chosen.filter((one) => one !== option))
              }
            />{' '}
            {option}
          </label>
        ))}
      </fieldset>
    );
  }
  if (kind === 'choice')
    return (
      <label className="field" title={description}>
        <span>{label}</span>
        <select
          value={typeof written === 'string' ? written : ''}
          onChange={(e) => onChange(e.target.value || undefined)}
        >
          <option value="">{resolved === undefined ? 'as it is' : `${resolved} (not written)`}</option>
          {options.map((option) => (
            <option key={option} value={option}>
              {option}
            </option>
          ))}
        </select>
      </label>
    );
  return <Typed {...props} />;
}

/** Typed text is written when the field is left, or with Enter: half a number is no setting. */
function Typed(props: FieldProps): ReactNode {
  const { field, label, written, resolved, onChange } = props;
  const shown = written === undefined ? '' : String(written);
  const [typed, setTyped] = useState(shown);
  useEffect(() => setTyped(shown), [shown]);
  const keep = () => {
    const text = typed.trim();
    if (text === shown) return;
    const isNumber = text !== '' && Number.isFinite(Number(text));
    // A block is a number or `auto`.
    const asNumber =
      isNumber && (field.kind === 'number' || typeof resolved === 'number' || resolved === 'auto');
    onChange(text === '' ? undefined : asNumber ? Number(text) : text);
  };
  return (
    <label className="field" title={field.description}>
      <span>{label}</span>
      <input
        value={typed}
        placeholder={resolved === undefined ? '' : String(resolved)}
        inputMode={field.kind === 'number' ? 'decimal' : undefined}
        maxLength={2000}
        onChange={(e) => setTyped(e.target.value)}
        onBlur={keep}
        onKeyDown={(e) => e.key === 'Enter' && keep()}
      />
    </label>
  );
}
