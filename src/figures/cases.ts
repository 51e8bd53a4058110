/** @file Which maps and fits were steered with, and which of them the verdict speaks of. Draws nothing: pages without figures use it too. */
import type { BehaviourResults, MapFit, TransferEntry } from '../contracts/index.ts';
import { FIT_LABEL } from './palette.ts';

const FITS = Object.keys(FIT_LABEL) as MapFit[];

/** A map and a fit with its transfer figures. */
export interface TransferCase {
  readonly kind: string;
  readonly fit: MapFit;
  readonly entry: TransferEntry;
}

/** All maps × fits that were evaluated for transfer, in the order of the record. */
export function transferCases({ transfer }: BehaviourResults): TransferCase[] {
  return Object.entries(transfer ?? {}).flatMap(([kind, fits]) =>
    FITS.flatMap((fit) => (fits[fit] ? [{ kind, fit, entry: fits[fit] }] : [])),
  );
}

/** The map the verdict speaks of: `affine` fitted with tags, else the fit with the best restoration. */
export function headline(behaviour: BehaviourResults): TransferCase | null {
  const cases = transferCases(behaviour).filter((c) => c.entry.arms.mapped);
  const restoration = (c: TransferCase) => c.entry.arms.mapped?.restoration?.value ?? -1;
  return (
    cases.find((c) => c.kind === 'affine' && c.fit === 'with_tags') ??
    cases.sort((a, b) => restoration(b) - restoration(a))[0] ??
    null
  );
}
