/** @file Leaf layer: intervals, tests, bootstrap and effect sizes on plain arrays (docs/concepts/method.md#statistics). */
export { type BootstrapOptions, bootstrapMean, hierarchicalBootstrap, type Nested } from './bootstrap.ts';
export { type Correlation, kendall, pearson, spearman } from './correlation.ts';
export { mean, median, quantile, quantiles, rank, standardDeviation, sum, variance } from './describe.ts';
export { beta, binomial, chiSquared, type Distribution, fisherF, normal, studentT } from './distributions.ts';
export { holm } from './multiple.ts';
export { type NonInferiority, nonInferiority, pairedDifferenceInterval } from './noninferiority.ts';
export { type Alternative, cohenDz, type PairedT, pairedT, type Wilcoxon, wilcoxon } from './paired.ts';
export { criticalZ, type Estimate, type McNemar, mcNemar, proportion, rate, wilson } from './proportions.ts';
