import { type Codec, compose } from './codec.ts'
import type { Fields, InOf, OutOf } from './types.ts'

export type VersionRange = readonly [oldest: number, newest: number]

interface Spans {
  /** Both inclusive: from the oldest version of Kafka 3.9 to the newest of 4.3. */
  readonly versions: VersionRange
  /** First version with compact lengths and tagged fields (KIP-482); absent when no version has them. */
  readonly flexibleFrom?: number
}

/** One direction of a message, or a data schema, with its codecs by version. */
export interface Schema<F extends Fields = Fields> extends Spans {
  readonly fields: F
  /** int64 as number. Composed on first use. @throws RangeError for a version outside `versions`. */
  codec(version: number): Codec<OutOf<F>, InOf<F>>
  /** The same bytes with int64 as bigint, exactly. */
  exactCodec(version: number): Codec<unknown, unknown>
}

function schema<F extends Fields>(fields: F, { versions, flexibleFrom }: Spans): Schema<F> {
  const [oldest, newest] = versions
  const composed: Record<'number' | 'exact', Codec<OutOf<F>, InOf<F>>[]> = { number: [], exact: [] }
  const codecOf = (version: number, form: 'number' | 'exact') => {
    const known = composed[form][version - oldest]
    if (known !== undefined) return known
    if (!(version >= oldest && version <= newest)) throw new RangeError(`version ${version} is outside ${oldest}-${newest}`)
    const flexible = flexibleFrom !== undefined && version >= flexibleFrom
    const codec = compose<OutOf<F>, InOf<F>>(fields, { version, flexible, exact: form === 'exact' })
    composed[form][version - oldest] = codec
    return codec
  }
  return {
    fields,
    versions,
    ...(flexibleFrom === undefined ? {} : { flexibleFrom }),
    codec: (version) => codecOf(version, 'number'),
    exactCodec: (version) => codecOf(version, 'exact') as Codec<unknown, unknown>,
  }
}

interface ApiDeclaration<Req extends Fields, Res extends Fields> extends Spans {
  readonly key: number
  readonly name: string
  /** Given where Kafka marks some of `versions` unstable or early access: those are decoded, never announced. */
  readonly announced?: VersionRange
  readonly request: Req
  readonly response: Res
}

/** A request and its response: key, versions, types and codecs. */
export interface Api<Req extends Fields = Fields, Res extends Fields = Fields> extends Spans {
  readonly key: number
  readonly name: string
  readonly request: Schema<Req>
  readonly response: Schema<Res>
  /** What ApiVersions announces when the API is served: `versions` without unstable ones. */
  readonly announced: VersionRange
  /** 0 without client id (ControlledShutdown v0), 1 with it, 2 with tagged fields. */
  requestHeaderVersion(version: number): 0 | 1 | 2
  /** 1 has tagged fields. ApiVersions stays at 0, so that a client can read it before it knows the broker's versions (KIP-511). */
  responseHeaderVersion(version: number): 0 | 1
}

const apiVersionsKey = 18
const controlledShutdownKey = 7

export function defineApi<const Req extends Fields, const Res extends Fields>(declaration: ApiDeclaration<Req, Res>): Api<Req, Res> {
  const { key, name, versions, flexibleFrom } = declaration
  const isFlexible = (version: number) => flexibleFrom !== undefined && version >= flexibleFrom
  return {
    key,
    name,
    versions,
    ...(flexibleFrom === undefined ? {} : { flexibleFrom }),
    request: schema(declaration.request, declaration),
    response: schema(declaration.response, declaration),
    announced: declaration.announced ?? versions,
    requestHeaderVersion: (version) => (key === controlledShutdownKey && version === 0 ? 0 : isFlexible(version) ? 2 : 1),
    responseHeaderVersion: (version) => (key !== apiVersionsKey && isFlexible(version) ? 1 : 0),
  }
}

/** A structure that is not a request: internal records, group protocol metadata. */
export const defineData = <const F extends Fields>({ fields, ...spans }: Spans & { readonly fields: F }): Schema<F> => schema(fields, spans)

/** As decoded: every field of every version, with its default where the version lacks it. */
export type RequestOf<A> = A extends Api<infer Req, infer _Res> ? OutOf<Req> : never
export type ResponseOf<A> = A extends Api<infer _Req, infer Res> ? OutOf<Res> : never
/** For encoding: fields with a default, or of some versions only, may be left out. */
export type RequestInput<A> = A extends Api<infer Req, infer _Res> ? InOf<Req> : never
export type ResponseInput<A> = A extends Api<infer _Req, infer Res> ? InOf<Res> : never
export type DataOf<S> = S extends Schema<infer F> ? OutOf<F> : never
export type DataInput<S> = S extends Schema<infer F> ? InOf<F> : never
