/** @file A vector made on the page: two lists of texts, how they are read, and how well the vector separates texts it was not made of. */
import { type ReactNode, useState } from 'react';
import type { MadeVectors } from '../../server/index.ts';
import { AskError, api } from '../client.ts';
import { Choice, Problem } from '../parts.tsx';
import type { TextVector } from './settings.ts';

/** Vectors made on this page so far, by model and texts: what is known of their blocks. */
export type MadeByTexts = Readonly<Record<string, MadeVectors>>;

export function madeKey(model: string, { texts }: TextVector): string {
  return JSON.stringify([model, texts]);
}

export function Texts(props: {
  readonly model: string;
  readonly vector: TextVector;
  readonly made: MadeByTexts;
  readonly onMade: (key: string, made: MadeVectors) => void;
  readonly onReplace: (next: TextVector) => void;
}): ReactNode {
  const { vector, model, made, onMade, onReplace } = props;
  const { texts } = vector;
  const [state, setState] = useState<{ busy: boolean; error?: string }>({ busy: false });
  const key = madeKey(model, vector);
  const known = made[key];
  const change = (next: Partial<TextVector['texts']>) =>
    onReplace({ ...vector, texts: { ...texts, ...next } });
  const make = async () => {
    setState({ busy: true });
    try {
      const answer = await (await api.steer.vector.$post({ json: { model, texts } })).json();
      onMade(key, answer);
      onReplace({ ...vector, block: answer.recommended.block });
      setState({ busy: false });
    } catch (error) {
      setState({ busy: false, error: error instanceof AskError ? error.message : String(error) });
    }
  };
  const isEmpty = texts.positive.length === 0 || texts.negative.length === 0;
  return (
    <>
      <div className="pair">
        <Lines
          label="Positive texts, one per line: the vector points to them"
          value={texts.positive}
          onChange={(positive) => change({ positive })}
        />
        <Lines
          label="Negative texts, one per line: it points away from them"
          value={texts.negative}
          onChange={(negative) => change({ negative })}
        />
      </div>
      <div className="filters">
        <Choice
          label="Template of the texts"
          value={texts.template}
          options={['raw', 'instruction', 'alpaca', 'chat'].map((t) => [t, t] as const)}
          onChange={(template) => change({ template: template as TextVector['texts']['template'] })}
        />
        <Choice
          label="Read at"
          value={texts.position}
          options={[
            ['last', 'the last token'],
            ['mean', 'the mean of the tokens'],
            ['span', 'the tokens in which a pair differs'],
          ]}
          onChange={(position) => change({ position: position as TextVector['texts']['position'] })}
        />
        <button type="button" disabled={isEmpty || state.busy} onClick={() => void make()}>
          Make it and measure
        </button>
      </div>
      {state.error ? <Problem>{state.error}</Problem> : null}
      <p className="soft" role="status">
        {state.busy
          ? 'reading the texts…'
          : known
            ? `Made of ${known.pairs.train} ${known.pairs.paired ? 'pairs' : 'texts of each kind'}, ${known.pairs.held_out} held out. Take block ${known.recommended.block}: ${known.recommended.reason}.`
            : 'Made by mean difference when it runs. “Make it and measure” says beforehand which block separates texts it was not made of (from four pairs on).'}
      </p>
    </>
  );
}

function Lines(props: {
  readonly label: string;
  readonly value: readonly string[];
  readonly onChange: (lines: readonly string[] & string[]) => void;
}): ReactNode {
  const joined = props.value.join('\n');
  const [typed, setTyped] = useState(joined);
  const lines = (text: string) => text.split('\n').filter((line) => line.trim() !== '');
  // Empty lines are kept while they are typed.
  const shown = lines(typed).join('\n') === joined ? typed : joined;
  return (
    <label className="field wide">
      <span>{props.label}</span>
      <textarea
        rows={5}
        value={shown}
        maxLength={20_000}
        onChange={(e) => {
          setTyped(e.target.value);
          props.onChange(lines(e.target.value));
        }}
      />
    </label>
  );
}
