/** @file Leaf layer: intervals, tests, bootstrap and effect sizes on plain arrays (docs/concepts/method.md#statistics). */
export { krippendorffAlpha } from './alpha.ts';
export { auroc } from './auroc.ts';
export { bootstrapFigure, bootstrapMean } from './bootstrap.ts';

export { spearman } from './correlation.ts';
export { mean, quantile, quantiles, variance } from './describe.ts';
export { isotonic } from './isotonic.ts';
export { holm } from './multiple.ts';
export { nonInferiority, pairedDifferenceInterval } from './noninferiority.ts';
export { pairedT, wilcoxon } from './paired.ts';
export { type Estimate, mcNemar, proportion, rate, wilson } from './proportions.ts';
