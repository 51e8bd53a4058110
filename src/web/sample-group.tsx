/** @file The completions of one prompt side by side, by model, trigger and stage. */
import { type ReactNode, useEffect, useMemo, useState } from 'react';
import type { MapFit, Sample } from '../contracts/index.ts';
import { FIT_LABEL, TRANSFER_STYLE } from '../figures/index.ts';
import type { SampleGroup } from '../server/index.ts';
import type { DiffUnit } from './diff.ts';
import { Choice } from './parts.tsx';
import { useQuery } from './router.ts';
import { State } from './sample-state.tsx';
import { LongText, Name, Tokens } from './text.tsx';

const TRIGGERS = ['bad', 'safe', 'untagged', 'other'] as const;
const SIDES = ['target', 'source'] as const;

interface GroupProps {
  readonly run: string;
  readonly group: SampleGroup;
  readonly marked: string | undefined;
  readonly unit: DiffUnit;
  readonly against: string;
  readonly onRated: () => void;
}

/** Every completion of one prompt: by model and trigger, then by stage; a stage is opened when it is asked for. */
export function Group(props: GroupProps): ReactNode {
  const { group, marked, unit, against } = props;
  const [, set] = useQuery();
  const [all, setAll] = useState(false);
  const ordered = useMemo(() => inOrder(group), [group]);
  const fits = useMemo(() => new Set(group.fits), [group]);
  // A link to a completion shows it, whether it fits the filter or not.
  const kept = all ? ordered : ordered.filter((s) => fits.has(s.id) || s.id === marked);
  return (
    <>
      <form className="filters" onSubmit={(event) => event.preventDefault()}>
        <Choice
          label="Marked: what is not in"
          value={against}
          options={[
            ['safe', 'the safe completion'],
            ['bad', 'the bad completion'],
            ['source', "the source's own"],
            ['none', 'mark nothing'],
          ]}
          onChange={(value) => set({ against: value === 'safe' ? undefined : value })}
        />
        <Choice
          label="By"
          value={unit}
          options={[
            ['word', 'words'],
            ['character', 'characters'],
          ]}
          onChange={(value) => set({ unit: value === 'word' ? undefined : value })}
        />
      </form>
      {SIDES.flatMap((side) =>
        TRIGGERS.map((trigger) => {
          const rows = kept.filter((s) => s.trigger === trigger && (s.side ?? 'target') === side);
          if (rows.length === 0) return null;
          return (
            <section key={`${side} ${trigger}`} aria-label={`${side}, ${trigger} prompt`}>
              <h2>
                {side}, {trigger} prompt <span className="soft">{rows.length}</span>
              </h2>
              <Prompt rows={rows} />
              {[...grouped(rows, sectionOf)].map(([name, members], i) => (
                <Section
                  key={name}
                  {...props}
                  name={name}
                  samples={members}
                  // What was asked for is open: the first, a linked one, or everything where it is little.
                  open={i === 0 || rows.length <= FEW || members.some((s) => s.id === marked)}
                />
              ))}
            </section>
          );
        }),
      )}
      {kept.length < group.samples.length ? (
        <button type="button" onClick={() => setAll(true)}>
          show all {group.samples.length.toLocaleString('en')} completions of this prompt
        </button>
      ) : null}
    </>
  );
}

/** This many completions of a prompt are shown without opening anything. */
const FEW = 12;

const STAGE_WORDS: Readonly<Record<string, string>> = {
  backdoor: 'unpatched',
  transfer: 'steered (set)',
  'transfer.add': 'steered (add)',
  inverse: 'steered back by the inverse map',
  fidelity: 'every activation replaced',
  capabilities: 'tasks',
};

/** What a heading stands over: the stage and, where there is one, the map. */
function sectionOf({ stage, map }: Sample): string {
  const words = STAGE_WORDS[stage] ?? stage.replaceAll('.', ' ');
  return map ? `${words}: ${map.kind}, ${FIT_LABEL[map.fit as MapFit] ?? map.fit}` : words;
}

function grouped<T>(items: readonly T[], keyOf: (item: T) => string): Map<string, T[]> {
  const groups = new Map<string, T[]>();
  for (const item of items) {
    const group = groups.get(keyOf(item));
    if (group) group.push(item);
    else groups.set(keyOf(item), [item]);
  }
  return groups;
}

interface SectionProps extends GroupProps {
  readonly name: string;
  readonly samples: readonly Sample[];
  readonly open: boolean;
}

function Section(props: SectionProps): ReactNode {
  const { run, group, marked, unit, against, onRated, name, samples, open } = props;
  const [isOpen, setOpen] = useState(open);
  useEffect(() => setOpen(open), [open]);
  return (
    <details open={isOpen} onToggle={(event) => setOpen(event.currentTarget.open)}>
      <summary>
        <Name>{name}</Name> <span className="soft">{samples.length}</span>
      </summary>
      {isOpen ? (
        <div className="states">
          {samples.map((sample) => (
            <State
              key={sample.id}
              run={run}
              sample={sample}
              rating={group.ratings[sample.id]}
              marked={sample.id === marked}
              unit={unit}
              against={against}
              onRated={onRated}
            />
          ))}
        </div>
      ) : null}
    </details>
  );
}

const STAGES = [
  'backdoor',
  'transfer',
  'transfer.add',
  'inverse',
  'fidelity',
  'inverse-fidelity',
  'capabilities',
];
const ARMS = ['unpatched', ...Object.keys(TRANSFER_STYLE)];

/** Those that fit the filter first; then true, steered, replaced; sweeps, which are many, last. */
function inOrder({ samples, fits }: SampleGroup): Sample[] {
  const wanted = new Set(fits);
  const place = (list: readonly string[], name: string) =>
    list.includes(name) ? list.indexOf(name) : list.length;
  const rank = (s: Sample) => [wanted.has(s.id) ? 0 : 1, place(STAGES, s.stage), place(ARMS, s.arm)] as const;
  return samples
    .map((sample) => ({ sample, rank: rank(sample) }))
    .sort((a, b) => a.rank[0] - b.rank[0] || a.rank[1] - b.rank[1] || a.rank[2] - b.rank[2])
    .map(({ sample }) => sample);
}

/** The prompt, the tokens that some arm changed marked. */
function Prompt({ rows }: { readonly rows: readonly Sample[] }): ReactNode {
  const cut = rows.find((s) => s.prompt_tokens && s.changed_positions);
  return (
    <div className="prompt">
      {cut?.prompt_tokens ? (
        <Tokens tokens={cut.prompt_tokens} changed={cut.changed_positions ?? []} />
      ) : (
        <LongText text={rows[0]?.prompt ?? ''} />
      )}
    </div>
  );
}
