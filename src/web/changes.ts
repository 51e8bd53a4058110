/** @file Changes of runs: the key that the server wants with them, and one at a time. */
import { useState } from 'react';
import { AskError, api, useAsk } from './client.ts';

/** What a request that changes something carries. */
export interface ChangeOptions {
  readonly headers: { readonly 'x-crosspatch-change': string };
}

/** The key of changes; undefined where nothing may be changed, or before the server has said. */
export function useChanges(): ChangeOptions | undefined {
  const { data } = useAsk(api.session, {});
  const key = data?.changeKey;
  return key === undefined ? undefined : { headers: { 'x-crosspatch-change': key } };
}

/** Runs one action at a time and keeps what went wrong. */
export function useAction(): {
  readonly busy: boolean;
  readonly error: string | undefined;
  readonly act: (work: () => Promise<void>) => void;
} {
  const [state, setState] = useState<{ busy: boolean; error?: string }>({ busy: false });
  const act = (work: () => Promise<void>) => {
    setState({ busy: true });
    work().then(
      () => setState({ busy: false }),
      (error: unknown) =>
        setState({
          busy: false,
          error: error instanceof AskError || error instanceof Error ? error.message : 'the request failed',
        }),
    );
  };
  return { ...state, error: state.error, act };
}
