/** @file Records of maps that were not fitted, for tests. */
import type { ActivationMap } from './map.ts';

type MapRecord = ActivationMap['record'];

/** A record with nothing in it but its kind and its ends. */
export function unfittedRecord({
  kind,
  source,
  target,
}: Pick<MapRecord, 'kind' | 'source' | 'target'>): MapRecord {
  return {
    kind,
    fit: 'general',
    source,
    target,
    sourceTokenizer: '',
    targetTokenizer: '',
    data: '',
    seed: 0,
    rows: 0,
    fitSeconds: 0,
    settings: {},
    metrics: {},
  };
}
