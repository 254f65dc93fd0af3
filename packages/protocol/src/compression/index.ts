import { KafkaError } from '../errors.ts'
import { type Codec, type CodecName, type CompressOptions, codecNames, type DecompressOptions } from './codec.ts'
import { gzipCodec } from './gzip.ts'
import { legacyLz4Codec, lz4Codec, lz4IntoScratch } from './lz4.ts'
import { snappyCodec, snappyIntoScratch } from './snappy.ts'
import { isZstdReady, prepareZstd, zstdCodec } from './zstd.ts'

export { type CodecName, type CompressOptions, codecNames, type DecompressOptions, OutputLimitError } from './codec.ts'
export { DEFAULT_LZ4_LEVEL } from './lz4-encoder.ts'

export interface FormatOptions {
  /** Magic of the batch or message; the header checksum of LZ4 frames differs in format v0. 2 when absent. */
  readonly magic?: number
}

const codecs = { gzip: gzipCodec, snappy: snappyCodec, lz4: lz4Codec, zstd: zstdCodec } as const satisfies Record<string, Codec>

function codecFor(name: Exclude<CodecName, 'none'>, magic = 2): Codec {
  return name === 'lz4' && magic === 0 ? legacyLz4Codec : codecs[name]
}

/** Levels by Kafka's names, as producers and topics configure them. */
export type ConfiguredLevels = Readonly<Record<'compression.gzip.level' | 'compression.lz4.level' | 'compression.zstd.level', number>>

/** The level that is configured for a codec; undefined where it has none. */
export function levelOf(codec: CodecName, levels: ConfiguredLevels): number | undefined {
  return codec === 'gzip' || codec === 'lz4' || codec === 'zstd' ? levels[`compression.${codec}.level`] : undefined
}

/** The codec of an id from a batch's attributes. @throws KafkaError INVALID_RECORD for 5 to 7, which mean nothing. */
export function codecById(id: number): CodecName {
  const name = codecNames[id]
  if (name === undefined) throw new KafkaError('INVALID_RECORD', `Unknown compression type id: ${id}`)
  return name
}

export function codecIdOf(codec: CodecName): number {
  return codecNames.indexOf(codec)
}

/** True when the synchronous functions can be called for `codec`; else `prepareCodec` makes it so. */
export function isCodecReady(codec: CodecName): boolean {
  return codec !== 'zstd' || isZstdReady()
}

/** Resolves when the synchronous functions can be called for `codec`: zstd is loaded on demand where Node has none. */
export async function prepareCodec(codec: CodecName): Promise<void> {
  if (codec === 'zstd') await prepareZstd()
}

/** Returns `input` itself for `none`. */
export function compressSync(codec: CodecName, input: Buffer, options: CompressOptions & FormatOptions = {}): Buffer {
  return codec === 'none' ? input : codecFor(codec, options.magic).compressSync(input, options)
}

/** As `compressSync`, off the event loop; `input` must not change meanwhile. */
export async function compress(codec: CodecName, input: Buffer, options: CompressOptions & FormatOptions = {}): Promise<Buffer> {
  return codec === 'none' ? input : await codecFor(codec, options.magic).compress(input, options)
}

/**
 * Returns `input` itself for `none`.
 * @throws KafkaError INVALID_RECORD for garbage, OutputLimitError (an INVALID_RECORD too) when the output would be longer than allowed.
 */
export function decompressSync(codec: CodecName, input: Buffer, options: DecompressOptions & FormatOptions): Buffer {
  return codec === 'none' ? input : codecFor(codec, options.magic).decompressSync(input, options)
}

/**
 * As `decompressSync` for records of format v2 that are looked at and not kept: nothing is allocated.
 * @returns A view that the next call overwrites, so it must be done with before anything is waited for; undefined for a codec or a size
 * that needs memory of its own.
 * @throws KafkaError INVALID_RECORD, as `decompressSync`.
 */
export function decompressInPassing(codec: CodecName, input: Buffer, options: DecompressOptions): Buffer | undefined {
  if (codec === 'lz4') return lz4IntoScratch(input, options)
  return codec === 'snappy' ? snappyIntoScratch(input, options) : undefined
}

/** As `decompressSync`, off the event loop; `input` must not change meanwhile. */
export async function decompress(codec: CodecName, input: Buffer, options: DecompressOptions & FormatOptions): Promise<Buffer> {
  return codec === 'none' ? input : await codecFor(codec, options.magic).decompress(input, options)
}
