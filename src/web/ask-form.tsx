/** @file Parts of forms that ask a model something: which model, the text and its template; run, stop and what is going on. */
import type { ReactNode } from 'react';
import type { ModelChoice } from '../server/index.ts';
import { Choice } from './parts.tsx';

/** Templates, in the order they are offered. */
export const TEMPLATES = ['instruction', 'alpaca', 'chat', 'raw'] as const;

export function PromptFields(props: {
  readonly models: readonly ModelChoice[];
  readonly model: string | undefined;
  readonly onModel: (id: string) => void;
  readonly templates?: readonly string[];
  readonly template: string;
  readonly onTemplate: (name: string) => void;
  readonly examples: readonly string[];
  /** What the text is called. */
  readonly label: string;
  readonly text: string;
  /** `typed`: letter by letter, not chosen. */
  readonly onText: (text: string, typed: boolean) => void;
  /** Further fields beside the template. */
  readonly children?: ReactNode;
}): ReactNode {
  const { models, model, onModel, templates = TEMPLATES, template, onTemplate, examples } = props;
  const { label, text, onText, children } = props;
  return (
    <>
      <div className="filters">
        <Choice
          label="Model"
          value={model ?? ''}
          options={models.map((m) => [m.id, m.label] as const)}
          onChange={onModel}
        />
        <Choice
          label="Template"
          value={template}
          options={templates.map((t) => [t, t] as const)}
          onChange={onTemplate}
        />
        <Choice
          label="Example"
          value=""
          options={[['', 'choose…'], ...examples.map((e) => [e, e] as const)]}
          onChange={(next) => next && onText(next, false)}
        />
        {children}
      </div>
      <label className="field wide">
        <span>{label}</span>
        <textarea rows={2} value={text} maxLength={20_000} onChange={(e) => onText(e.target.value, true)} />
      </label>
    </>
  );
}

export function RunRow(props: {
  /** What is still wanted before it can run. */
  readonly wanted: readonly string[];
  readonly ready?: boolean;
  readonly onStop: (() => void) | undefined;
  readonly status: string;
  /** Further buttons. */
  readonly children?: ReactNode;
}): ReactNode {
  const { wanted, ready = true, onStop, status, children } = props;
  return (
    <p className="actions">
      <button
        type="submit"
        className="primary"
        disabled={wanted.length > 0 || onStop !== undefined || !ready}
      >
        Run
      </button>
      {onStop ? (
        <button type="button" onClick={onStop}>
          Stop
        </button>
      ) : null}
      {children}
      <span className="soft" role="status">
        {wanted.length > 0 ? `Wanted: ${wanted.join('; ')}.` : status}
      </span>
    </p>
  );
}
