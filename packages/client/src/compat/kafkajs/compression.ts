import { type CodecName, compress, decompress } from '@tidelog/protocol'
import { CompressionTypes } from './enums.ts'

/** Bounds what a few bytes may become. */
const MAX_OUTPUT_BYTES = 256 * 1024 * 1024

/** A codec as kafkajs's users write it. */
export interface CompressionCodec {
  compress(encoder: { readonly buffer: Buffer }): Promise<Buffer>
  decompress(buffer: Buffer): Promise<Buffer>
}

const builtIn = (codec: CodecName) => (): CompressionCodec => ({
  compress: ({ buffer }) => compress(codec, buffer),
  decompress: (buffer) => decompress(codec, buffer, { maxOutputBytes: MAX_OUTPUT_BYTES }),
})

/**
 * All four codecs are built in. One may be assigned here, as programs for kafkajs do for Snappy, LZ4 and ZSTD; it is kept and not called,
 * since records are compressed by our own.
 */
// biome-ignore lint/suspicious/noExplicitAny: kafkajs's own type; codecs of its users have none
export const CompressionCodecs: { [T in Exclude<CompressionTypes, CompressionTypes.None>]: () => any } = {
  [CompressionTypes.GZIP]: builtIn('gzip'),
  [CompressionTypes.Snappy]: builtIn('snappy'),
  [CompressionTypes.LZ4]: builtIn('lz4'),
  [CompressionTypes.ZSTD]: builtIn('zstd'),
}

const names = ['none', 'gzip', 'snappy', 'lz4', 'zstd'] as const satisfies readonly CodecName[]

/** undefined: there is no such codec. */
export const codecNameOf = (compression: number): (typeof names)[number] | undefined => names[compression]
