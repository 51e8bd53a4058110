/** @file Float64 linear algebra for maps, sizes to about 1024: products, factorisations, streamed moments, the closed-form affine fit. */
export { cholesky, solveCholesky } from './linalg/cholesky.ts';
export { type Eigen, symmetricEigen, symmetricFunction } from './linalg/eigen.ts';
export { Gram, type GramOptions } from './linalg/gram.ts';
export { randomOrthogonal } from './linalg/orthogonal.ts';
export { type MatmulTN, matmul, matmulTN, transpose } from './linalg/product.ts';
export {
  type AffineError,
  type AffineFit,
  affineError,
  biasThroughMeans,
  type RidgeOptions,
  ridge,
} from './linalg/ridge.ts';
export { nearestOrthogonal, type PseudoInverse, pseudoInverse, type Svd, svd } from './linalg/svd.ts';
