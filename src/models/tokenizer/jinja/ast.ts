/** @file The tree of a template. */

/** What an assignment or a loop binds. */
export type Target =
  | { readonly kind: 'name'; readonly name: string }
  | { readonly kind: 'attribute'; readonly name: string; readonly attribute: string }
  | { readonly kind: 'tuple'; readonly items: readonly Target[] };

/** Arguments of a call, a filter or a test. */
export interface Arguments {
  readonly positional: readonly Expr[];
  readonly named: readonly (readonly [name: string, value: Expr])[];
  /** `*args` and `**kwargs`. */
  readonly rest?: Expr | undefined;
  readonly namedRest?: Expr | undefined;
}

export type CompareOp = '==' | '!=' | '<' | '<=' | '>' | '>=' | 'in' | 'not in';
export type BinaryOp = '+' | '-' | '*' | '/' | '//' | '%' | '**';

/** An expression. */
export type Expr =
  | { readonly kind: 'constant'; readonly value: string | number | boolean | null }
  | { readonly kind: 'float'; readonly value: number }
  | { readonly kind: 'name'; readonly name: string }
  | { readonly kind: 'list'; readonly items: readonly Expr[] }
  | { readonly kind: 'tuple'; readonly items: readonly Expr[] }
  | { readonly kind: 'dict'; readonly items: readonly (readonly [key: Expr, value: Expr])[] }
  | { readonly kind: 'attribute'; readonly of: Expr; readonly name: string }
  | { readonly kind: 'item'; readonly of: Expr; readonly index: Expr }
  | {
      readonly kind: 'slice';
      readonly of: Expr;
      readonly start?: Expr | undefined;
      readonly stop?: Expr | undefined;
      readonly step?: Expr | undefined;
    }
  | { readonly kind: 'call'; readonly of: Expr; readonly args: Arguments }
  | { readonly kind: 'filter'; readonly of: Expr; readonly name: string; readonly args: Arguments }
  | {
      readonly kind: 'test';
      readonly of: Expr;
      readonly name: string;
      readonly args: Arguments;
      readonly negated: boolean;
    }
  | { readonly kind: 'binary'; readonly op: BinaryOp; readonly left: Expr; readonly right: Expr }
  | { readonly kind: 'unary'; readonly op: '-' | '+' | 'not'; readonly of: Expr }
  | { readonly kind: 'concat'; readonly items: readonly Expr[] }
  | { readonly kind: 'and'; readonly left: Expr; readonly right: Expr }
  | { readonly kind: 'or'; readonly left: Expr; readonly right: Expr }
  | {
      readonly kind: 'compare';
      readonly first: Expr;
      readonly rest: readonly (readonly [op: CompareOp, value: Expr])[];
    }
  | {
      readonly kind: 'conditional';
      readonly test: Expr;
      readonly value: Expr;
      readonly otherwise?: Expr | undefined;
    }
  /** Stands for the text that a `filter` block or a filtered `set` block captured. */
  | { readonly kind: 'captured' };

/** Names of parameters, and defaults of the last ones. */
export interface Signature {
  readonly names: readonly string[];
  readonly defaults: readonly Expr[];
}

/** A statement, and the line where it begins. */
export type Statement = { readonly line: number } & (
  | { readonly kind: 'text'; readonly text: string }
  | { readonly kind: 'output'; readonly value: Expr }
  | { readonly kind: 'if'; readonly branches: readonly Branch[]; readonly otherwise: Body }
  | {
      readonly kind: 'for';
      readonly target: Target;
      readonly over: Expr;
      readonly test?: Expr | undefined;
      readonly recursive: boolean;
      readonly body: Body;
      readonly otherwise: Body;
    }
  | { readonly kind: 'set'; readonly target: Target; readonly value: Expr }
  | { readonly kind: 'capture'; readonly target: Target; readonly value: Expr; readonly body: Body }
  | { readonly kind: 'filter-block'; readonly value: Expr; readonly body: Body }
  | { readonly kind: 'with'; readonly bindings: readonly (readonly [Target, Expr])[]; readonly body: Body }
  | { readonly kind: 'macro'; readonly name: string; readonly signature: Signature; readonly body: Body }
  | { readonly kind: 'call-block'; readonly call: Expr; readonly signature: Signature; readonly body: Body }
  | { readonly kind: 'scoped'; readonly body: Body }
  | { readonly kind: 'named-block'; readonly body: Body }
  | { readonly kind: 'break' }
  | { readonly kind: 'continue' }
);

export type Body = readonly Statement[];

/** A branch of an `if`. */
export interface Branch {
  readonly test: Expr;
  readonly body: Body;
}
