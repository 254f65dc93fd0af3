/**
 * The vocabulary in which messages are declared. A declaration is data: `codec.ts` composes readers and writers from it for one
 * version at a time, and the TypeScript types of requests and responses follow from it.
 *
 * `Out` is what decoding gives, `In` what encoding takes; they differ where encoding can be more generous (gathered record slices).
 */
export type PrimitiveName =
  | 'bool'
  | 'int8'
  | 'int16'
  | 'uint16'
  | 'int32'
  | 'uint32'
  | 'int64'
  | 'float64'
  | 'uuid'
  | 'string'
  | 'bytes'
  | 'records'

declare const out: unique symbol
declare const input: unique symbol
interface Typed<Out, In> {
  readonly [out]?: Out
  readonly [input]?: In
}

export interface Primitive<Out = unknown, In = Out> extends Typed<Out, In> {
  readonly kind: 'primitive'
  readonly type: PrimitiveName
  /** Keeps the int16 or int32 length also in flexible versions (the client id of a request header). */
  readonly legacyLength?: true
}
export interface ArrayOf<Out = unknown, In = Out> extends Typed<Out, In> {
  readonly kind: 'array'
  readonly element: Shape
}
export interface Nullable<Out = unknown, In = Out> extends Typed<Out, In> {
  readonly kind: 'nullable'
  readonly of: Shape
  /** In older versions null may not be sent. */
  readonly since: number
}
/** A struct is written as a plain object of its fields, in the order of the wire. */
export interface Fields {
  readonly [name: string]: FieldShape
}
export type Shape = Primitive | ArrayOf | Nullable | Fields

/** A field that not every version has, that may be left out when encoding, or that travels as a tagged field (KIP-482). */
export interface Field<Out = unknown, In = Out> extends Typed<Out, In> {
  readonly kind: 'field'
  readonly of: Shape
  readonly from: number
  readonly to: number
  readonly fallback: unknown
  readonly tag: number | undefined
}
export type FieldShape = Shape | Field

export type OutOf<S> = S extends { readonly [out]?: infer O; readonly kind: string }
  ? O
  : S extends Fields
    ? { -readonly [K in keyof S]: OutOf<S[K]> }
    : never
type OptionalKeys<S> = { [K in keyof S]: S[K] extends { readonly kind: 'field' } ? K : never }[keyof S]
type Flat<T> = { [K in keyof T]: T[K] }
export type InOf<S> = S extends { readonly [input]?: infer I; readonly kind: string }
  ? I
  : S extends Fields
    ? Flat<{ readonly [K in Exclude<keyof S, OptionalKeys<S>>]: InOf<S[K]> } & { readonly [K in OptionalKeys<S>]?: InOf<S[K]> | undefined }>
    : never

const primitive = <Out, In = Out>(type: PrimitiveName): Primitive<Out, In> => ({ kind: 'primitive', type })

export const bool = primitive<boolean>('bool')
export const int8 = primitive<number>('int8')
export const int16 = primitive<number>('int16')
export const uint16 = primitive<number>('uint16')
export const int32 = primitive<number>('int32')
export const uint32 = primitive<number>('uint32')
/** A number here; exact codecs use bigint. A value beyond ±(2^53−1) decodes to a number that is not a safe integer: check before use. */
export const int64 = primitive<number>('int64')
export const float64 = primitive<number>('float64')
/** 22 characters of base64url, as Kafka prints it. */
export const uuid = primitive<string>('uuid')
export const string = primitive<string>('string')
export const legacyString: Primitive<string> = { kind: 'primitive', type: 'string', legacyLength: true }
export const bytes = primitive<Buffer, Uint8Array>('bytes')
/** Record batches as they travel: a view on the frame when decoded; gathered from slices, uncopied, when encoded. */
export const records = primitive<Buffer, Uint8Array | readonly Uint8Array[]>('records')

export const errorCode = int16
export const offset = int64
export const timestampMs = int64

export const array = <const S extends Shape>(element: S): ArrayOf<OutOf<S>[], readonly InOf<S>[]> => ({ kind: 'array', element })
export const nullable = <const S extends Shape>(of: S, options: { since?: number } = {}): Nullable<OutOf<S> | null, InOf<S> | null> => ({
  kind: 'nullable',
  of,
  since: options.since ?? 0,
})

type AnyField<S extends Shape> = Field<OutOf<S>, InOf<S>>
const field = <S extends Shape>(of: S, from: number, to: number, fallback: unknown, tag?: number): AnyField<S> => ({
  kind: 'field',
  of,
  from,
  to,
  fallback,
  tag,
})
/** In versions `from` and later; absent earlier, where it decodes as `fallback` (the type's zero when not given). */
export const since = <const S extends Shape>(from: number, of: S, fallback?: InOf<S>): AnyField<S> =>
  field(of, from, Number.MAX_SAFE_INTEGER, fallback)
/** In versions up to and including `to`. */
export const until = <const S extends Shape>(to: number, of: S, fallback?: InOf<S>): AnyField<S> => field(of, 0, to, fallback)
export const between = <const S extends Shape>(from: number, to: number, of: S, fallback?: InOf<S>): AnyField<S> =>
  field(of, from, to, fallback)
/** In every version, but it may be left out when encoding. */
export const withDefault = <const S extends Shape>(of: S, fallback: InOf<S>): AnyField<S> => field(of, 0, Number.MAX_SAFE_INTEGER, fallback)
/** Travels behind the other fields, and only when its value is not the default (KIP-482). */
export const tagged = <const S extends Shape>(tag: number, from: number, of: S, fallback?: InOf<S>): AnyField<S> =>
  field(of, from, Number.MAX_SAFE_INTEGER, fallback, tag)

export const isField = (shape: FieldShape): shape is Field => (shape as Field).kind === 'field'
/** A struct is the only shape without a string `kind` (a field called kind would be a shape, not a string). */
export const isFields = (shape: FieldShape): shape is Fields => typeof (shape as { kind?: unknown }).kind !== 'string'
