/** @file The vectors of the steering page: where each is from, its block, strength and places. */
import { type ReactNode, useState } from 'react';
import type {
  MadeVectors,
  ModelDescription,
  SteerChoices,
  SteerFileChoice,
  SteerVectorRequest,
} from '../../server/index.ts';
import { NumberField, TextField } from '../fields.tsx';
import { Choice, number } from '../parts.tsx';
import { fits, fromFile, fromTexts, type PlacedVector } from './settings.ts';
import { type MadeByTexts, madeKey, Texts } from './texts.tsx';

interface ListProps {
  readonly choices: SteerChoices;
  readonly about: ModelDescription;
  readonly model: string;
  readonly vectors: readonly SteerVectorRequest[];
  readonly made: MadeByTexts;
  readonly onMade: (key: string, made: MadeVectors) => void;
  readonly onChange: (vectors: readonly SteerVectorRequest[]) => void;
}

export function Vectors(props: ListProps): ReactNode {
  const { vectors, onChange, choices, about, model } = props;
  const replace = (i: number, next: SteerVectorRequest) =>
    onChange(vectors.map((old, k) => (k === i ? next : old)));
  return (
    <section aria-labelledby="vectors">
      <h2 id="vectors">Vectors</h2>
      {vectors.map((vector, i) => {
        const key = `${i}`;
        return (
          <fieldset key={key} className="card vector">
            <legend>{vectors.length > 1 ? `Vector ${i + 1}` : 'The vector'}</legend>
            <Vector {...props} vector={vector} onReplace={(next) => replace(i, next)} />
            {vectors.length > 1 ? (
              <button type="button" onClick={() => onChange(vectors.filter((_, k) => k !== i))}>
                Take away<span className="hidden"> vector {i + 1}</span>
              </button>
            ) : null}
          </fieldset>
        );
      })}
      {vectors.length < 6 ? (
        <button type="button" onClick={() => onChange([...vectors, fromTexts(choices, about.blocks, model)])}>
          Add a vector
        </button>
      ) : null}
    </section>
  );
}

const TEXTS = 'texts';

function Vector(
  props: ListProps & {
    readonly vector: SteerVectorRequest;
    readonly onReplace: (next: SteerVectorRequest) => void;
  },
): ReactNode {
  const { choices, about, model, vector, made, onReplace } = props;
  const chosen =
    vector.from === 'texts' ? undefined : choices.vectors.find((choice) => choice.id === vector.id);
  const misfit = chosen && fits(chosen, about, model);
  const take = (id: string) => {
    if (id === TEXTS) return onReplace(fromTexts(choices, about.blocks, model));
    const file = choices.vectors.find((choice) => choice.id === id);
    if (file) onReplace(fromFile(file, about.blocks));
  };
  return (
    <>
      <div className="filters">
        <Choice
          label="From"
          value={vector.from === 'texts' ? TEXTS : vector.id}
          options={[
            [TEXTS, 'two lists of texts, on this page'],
            ...choices.vectors.map((choice) => [choice.id, labelOf(choice, about, model)] as const),
            ...(vector.from !== 'texts' && !chosen ? [[vector.id, `${vector.id} (not there)`] as const] : []),
          ]}
          onChange={take}
        />
        {vector.from === 'document' ? (
          <Alpha
            label="Strength α (factor on the document)"
            value={vector.alpha}
            onChange={(alpha) => onReplace({ ...vector, alpha })}
          />
        ) : (
          <Site
            vector={vector}
            about={about}
            known={vector.from === 'texts' ? made[madeKey(model, vector)]?.blocks : blocksOf(chosen)}
            onReplace={onReplace}
          />
        )}
      </div>
      {misfit !== undefined && misfit !== true ? (
        <p className="soft">This file {misfit.why}: it will be refused here.</p>
      ) : null}
      {chosen?.about.kind === 'document' ? (
        <p className="soft">
          A document with {chosen.about.edits} {chosen.about.edits === 1 ? 'edit' : 'edits'} (
          {chosen.about.ops.join(', ')}), each at its own place.
        </p>
      ) : null}
      {vector.from === 'texts' ? <Texts {...props} vector={vector} onReplace={onReplace} /> : null}
    </>
  );
}

function blocksOf(choice: SteerFileChoice | undefined) {
  return choice?.about.kind === 'vectors' ? choice.about.blocks : undefined;
}

function labelOf(choice: SteerFileChoice, about: ModelDescription, model: string): string {
  const fit = fits(choice, about, model);
  return fit === true || fit === undefined ? choice.label : `${choice.label}: ${fit.why}`;
}

const PLACES = [
  ['all', 'all tokens but the first'],
  ['last', 'the last token'],
  ['text', 'the tokens of a text'],
] as const;

function Site<V extends PlacedVector>(props: {
  readonly vector: V;
  readonly about: ModelDescription;
  readonly known: ReturnType<typeof blocksOf>;
  readonly onReplace: (next: V) => void;
}): ReactNode {
  const { vector, about, known, onReplace } = props;
  const { block, alpha, place, text, generated } = vector;
  const blocks = known?.map((b) => b.block) ?? Array.from({ length: about.blocks }, (_, i) => i);
  const shown = blocks.includes(block) ? blocks : [...blocks, block].sort((a, b) => a - b);
  const here = known?.find((b) => b.block === block);
  const dose = here?.relative_dose === undefined ? undefined : here.relative_dose * Math.abs(alpha);
  return (
    <>
      <Choice
        label={`After block, of 0…${about.blocks - 1}`}
        value={String(block)}
        options={shown.map((b) => {
          const auroc = known?.find((one) => one.block === b)?.separability?.auroc.value;
          return [String(b), auroc === undefined ? `${b}` : `${b} (AUROC ${auroc.toFixed(2)})`] as const;
        })}
        onChange={(next) => onReplace({ ...vector, block: Number(next) })}
      />
      <Alpha
        label={`Strength α${dose === undefined ? '' : `: ‖Δ‖/‖h‖ about ${number(dose)}`}`}
        value={alpha}
        onChange={(next) => onReplace({ ...vector, alpha: next })}
      />
      <Choice
        label="Prompt tokens"
        value={place}
        options={PLACES}
        onChange={(next) => onReplace({ ...vector, place: next as V['place'] })}
      />
      {place === 'text' ? (
        <TextField
          label="Text of the prompt"
          value={text}
          onChange={(next) => onReplace({ ...vector, text: next })}
        />
      ) : null}
      <label className="check">
        <input
          type="checkbox"
          checked={generated}
          onChange={(e) => onReplace({ ...vector, generated: e.target.checked })}
        />{' '}
        new tokens too
      </label>
    </>
  );
}

/** A number being typed may be none for a moment: it stands in the field, the last one holds. */
function Alpha(props: {
  readonly label: string;
  readonly value: number;
  readonly onChange: (value: number) => void;
}): ReactNode {
  const [typed, setTyped] = useState<string>();
  const shown = typed !== undefined && Number(typed) === props.value ? typed : undefined;
  return (
    <NumberField
      label={props.label}
      value={typed === '' ? '' : (shown ?? props.value)}
      min={-1000}
      max={1000}
      step="any"
      onChange={(next) => {
        setTyped(next);
        if (next.trim() !== '' && Number.isFinite(Number(next))) props.onChange(Number(next));
      }}
    />
  );
}
