/** The entry point `tidelog/serdes/msgpack`; needs the package `@msgpack/msgpack`. */
import { Decoder, type DecoderOptions, Encoder, type EncoderOptions } from '@msgpack/msgpack'
import { dataOnly, type Serde } from './serde.ts'

/** @typeParam ContextType What extension codecs are given; most need none. */
export type MsgpackOptions = Omit<EncoderOptions, 'context'> & Omit<DecoderOptions, 'context'>

/**
 * MessagePack. `msgpack<Order>()` says what it holds; nothing checks it.
 * @param options Of the package: `extensionCodec` for types of one's own, `useBigInt64` for exact integers beyond 2^53 − 1, `ignoreUndefined`…
 */
export function msgpack<T = unknown>(options: MsgpackOptions = {}): Serde<T> {
  const encoder = new Encoder(options)
  const decoder = new Decoder(options)
  return dataOnly({
    serialize: (value: T) => encoder.encode(value),
    deserialize: (bytes: Buffer) => decoder.decode(bytes) as T,
  })
}
