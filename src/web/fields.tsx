/** @file Labelled inputs of forms. */
import type { ReactNode } from 'react';

export function TextField(props: {
  readonly label: string;
  readonly value: string;
  readonly onChange: (value: string) => void;
}): ReactNode {
  return (
    <label className="field">
      <span>{props.label}</span>
      <input value={props.value} maxLength={200} onChange={(e) => props.onChange(e.target.value)} />
    </label>
  );
}

interface NumberProps {
  readonly label: string;
  readonly value: string | number;
  readonly min: number;
  readonly max: number;
  readonly step?: number | 'any';
  readonly onChange: (value: string) => void;
}

export function NumberField(props: NumberProps): ReactNode {
  return <Numeric type="number" className="field" {...props} />;
}

export function Slider(props: NumberProps & { readonly step: number }): ReactNode {
  return <Numeric type="range" className="field slider" {...props} />;
}

function Numeric(
  props: NumberProps & {
    readonly type: 'number' | 'range';
    readonly className: string;
  },
): ReactNode {
  return (
    <label className={props.className}>
      <span>{props.label}</span>
      <input
        type={props.type}
        min={props.min}
        max={props.max}
        step={props.step}
        value={props.value}
        onChange={(e) => props.onChange(e.target.value)}
      />
    </label>
  );
}
