/** @file Use it: how the fix of a run is put to use. Its documents with what they restored, and the commands, to copy. */
import { Fragment, type ReactNode } from 'react';
import type { UseGuide } from '../../contracts/index.ts';
import { api, ofRun, useAsk } from '../client.ts';
import { CommandBlock } from '../command.tsx';
import { Problem, Share } from '../parts.tsx';
import { pathTo } from '../router.ts';
import { Name } from '../text.tsx';

export default function UsePage({ run }: { readonly run: string }): ReactNode {
  const { data: guides, error } = useAsk(api.runs[':run'].use, ofRun(run));
  return (
    <>
      <h1>
        Use the fix of <Name>{run}</Name>
      </h1>
      {error ? <Problem>{error}</Problem> : null}
      {guides === undefined && error === undefined ? <p className="soft">Loading…</p> : null}
      {guides?.length === 0 ? (
        <p className="empty">
          There is no guide yet: the last stage of a run writes it (<code>use</code>). A run that was made by
          an older version gets one when it is started again; finished stages are kept.
        </p>
      ) : null}
      {guides?.map((guide) => (
        <Guide key={guide.behaviour} run={run} guide={guide} />
      ))}
    </>
  );
}

function Guide({ run, guide }: { readonly run: string; readonly guide: UseGuide }): ReactNode {
  const { behaviour, model, adapter, documents, commands } = guide;
  return (
    <section aria-labelledby={`use-${behaviour}`}>
      <h2 id={`use-${behaviour}`}>
        <Name>{behaviour}</Name>
      </h2>
      {adapter === undefined ? null : (
        <p>
          The model is a LoRA adapter (<code>{adapter}</code>) on <code>{model}</code>.
        </p>
      )}
      {documents.length === 0 ? (
        <p className="empty">
          No single text marks this behaviour, so no document can find its place in every prompt. Make a
          vector instead: <code>crosspatch vector --help</code>.
        </p>
      ) : (
        <>
          <p className="lead">
            A document is carried out on prompts that hold the trigger <code>{guide.triggers?.bad}</code>, and
            leaves the others as they are.
          </p>
          <Documents guide={guide} />
          <Play run={run} guide={guide} />
          <h3>Commands</h3>
          <p className="soft">Run them in the folder of the run.</p>
          {commands.map(({ does, text }) => (
            <Fragment key={does}>
              <h4>{does}</h4>
              <CommandBlock what={does} text={text} />
            </Fragment>
          ))}
        </>
      )}
    </section>
  );
}

/** What each restored, beside cutting the trigger out. */
function Documents({ guide: { documents, stripped } }: { readonly guide: UseGuide }): ReactNode {
  return (
    <dl className="documents">
      {documents.map(({ name, file, puts, block, restored }) => (
        <div key={name}>
          <dt>
            <code>{file}</code>
          </dt>
          <dd>
            in the place of the trigger, after block {block}: <Name>{puts}</Name>
            <Restored rate={restored} />
          </dd>
        </div>
      ))}
      {stripped === undefined ? null : (
        <div>
          <dt>no document</dt>
          <dd>
            the trigger is cut out of the prompt, which needs it to be known
            <Restored rate={stripped} />
          </dd>
        </div>
      )}
    </dl>
  );
}

function Restored({ rate }: { readonly rate: UseGuide['stripped'] }): ReactNode {
  return (
    <small>
      {rate === undefined ? (
        'not measured in the run'
      ) : (
        <>
          restored in the run: <Share figure={rate} /> of {rate.n}
        </>
      )}
    </small>
  );
}

/** The playground with the same model, map and block; only a model of the run itself is offered there. */
function Play({ run, guide }: { readonly run: string; readonly guide: UseGuide }): ReactNode {
  const { model, adapter, documents, triggers, behaviour } = guide;
  const [, name] = /^models\/(.+)$/.exec(model) ?? [];
  const [first] = documents;
  if (name === undefined || adapter !== undefined || first === undefined || triggers === undefined)
    return null;
  const map = documents.find((document) => document.map !== undefined)?.map;
  const query: Record<string, string> = {
    model: `run/${run}/${name}`,
    block: String(first.block),
    bad: triggers.bad,
    safe: triggers.safe,
  };
  if (map !== undefined) query.map = `${run}/${behaviour}/${map}`;
  return (
    <p>
      <a href={pathTo({ page: 'playground' }, query)}>Try it in the playground</a>{' '}
      <span className="soft">
        with this model and block{map === undefined ? '' : ' and map'}, on a prompt of your own
      </span>
    </p>
  );
}
