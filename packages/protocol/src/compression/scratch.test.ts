import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { test } from 'node:test'
import { type Random, seededRandom } from '@tidelog/core'
import { decompressFrameSync } from 'lz4-napi'
import wabt from 'wabt'
import { KafkaError } from '../errors.ts'
import { blockDecodersWasm } from './block-decoders-wasm.ts'
import { type CodecName, compressSync, decompressInPassing, decompressSync, OutputLimitError } from './index.ts'
import { lz4EncoderWasm } from './lz4-encoder-wasm.ts'
import { MAX_SCRATCH_OUTPUT_BYTES, scratchFor } from './scratch.ts'
import { xxHash32 } from './xx-hash-32.ts'

const codecs = ['lz4', 'snappy'] as const
const limit = { maxOutputBytes: 1_000_000 }

for (const [name, assembled] of [
  ['block-decoders', blockDecodersWasm],
  ['lz4-encoder', lz4EncoderWasm],
] as const) {
  test(`${name} is what its source says: else \`npm run wasm\` makes it so`, async () => {
    // As a string: of a view on a larger buffer wabt takes what lies behind it for source, too.
    const source = readFileSync(new URL(`../../wasm/${name}.wat`, import.meta.url), 'utf8')
    const module = (await wabt()).parseWat(`${name}.wat`, source, { bulk_memory: true })
    module.validate()
    assert.equal(Buffer.from(module.toBinary({}).buffer).toString('base64'), assembled)
  })
}

/** Runs of a byte, patterns of every short period, text, and noise, in turn. */
function anyInput(random: Random): Buffer {
  const parts: Buffer[] = []
  for (let count = random.int(20); count > 0; count--) {
    const length = random.int(2 ** random.int(15))
    const noise = random.int(3) === 0
    parts.push(noise ? Buffer.from(random.bytes(length)) : Buffer.alloc(length, Buffer.from(random.bytes(1 + random.int(40)))))
  }
  return Buffer.concat(parts)
}

for (const codec of codecs) {
  test(`${codec}: what is decompressed in passing is what was compressed, byte for byte`, () => {
    for (let seed = 0; seed < 300; seed++) {
      const input = anyInput(seededRandom(seed))
      const compressed = compressSync(codec, input)
      assert.ok(decompressInPassing(codec, compressed, { maxOutputBytes: input.length })?.equals(input), `seed ${seed}`)
      if (input.length === 0) continue
      assert.throws(() => decompressInPassing(codec, compressed, { maxOutputBytes: input.length - 1 }), OutputLimitError, `seed ${seed}`)
    }
  })

  test(`${codec}: damaged input is refused, or decompressed, exactly as by a library`, () => {
    for (let seed = 0; seed < 4000; seed++) {
      const random = seededRandom(seed)
      const broken = damaged(compressSync(codec, anyInput(random).subarray(0, 2000)), random)
      const expected = libraryOutcomeOf(codec, broken)
      const found = outcomeOf(() => decompressInPassing(codec, broken, limit)!)
      if (codec === 'lz4' && found === 'INVALID_RECORD' && expected !== 'INVALID_RECORD') {
        // A frame may end between its parts there, and not in Kafka.
        assert.throws(() => decompressInPassing(codec, broken, limit), /cut off|no frame/, `seed ${seed}`)
        continue
      }
      assert.equal(
        found === 'INVALID_RECORD' ? found : found.toString('hex'),
        typeof expected === 'string' ? expected : expected.toString('hex'),
        `seed ${seed}`,
      )
    }
  })

  test(`${codec}: what is too large for the scratch is not decompressed in passing`, () => {
    const largest = Buffer.alloc(MAX_SCRATCH_OUTPUT_BYTES, 'tide')
    const enough = { maxOutputBytes: 2 * largest.length }
    assert.ok(decompressInPassing(codec, compressSync(codec, largest), enough)?.equals(largest))
    assert.equal(decompressInPassing(codec, compressSync(codec, Buffer.concat([largest, Buffer.from('x')])), enough), undefined)
    assert.equal(decompressInPassing(codec, Buffer.alloc(2_000_000), enough), undefined)
  })
}

/** What code of other authors makes of it. */
function libraryOutcomeOf(codec: CodecName, input: Buffer): Buffer | 'INVALID_RECORD' {
  if (codec !== 'lz4') return outcomeOf(() => decompressSync(codec, input, limit))
  try {
    return decompressFrameSync(input)
  } catch {
    return 'INVALID_RECORD'
  }
}

function damaged(good: Buffer, random: Random): Buffer {
  const changed = Buffer.from(good)
  for (let count = 1 + random.int(3); count > 0; count--) {
    const at = random.int(8) === 0 ? random.int(changed.length) : 7 + random.int(Math.max(1, changed.length - 7))
    if (at < changed.length) changed[at] = random.int(2) === 0 ? random.int(256) : changed[at]! ^ (1 << random.int(8))
  }
  return random.int(4) === 0 ? changed.subarray(0, random.int(changed.length + 1)) : changed
}

function outcomeOf(decompress: () => Buffer): Buffer | 'INVALID_RECORD' {
  try {
    return decompress()
  } catch (error) {
    assert.ok(error instanceof KafkaError && error.errorName === 'INVALID_RECORD', String(error))
    return 'INVALID_RECORD'
  }
}

test('lz4: checksums of blocks and a promised size are held against what is there, and a content checksum must be whole', () => {
  const content = Buffer.from('tide '.repeat(3000))
  const block = lz4BlockOf(content)
  for (const flags of [0x60, 0x64, 0x68, 0x70, 0x7c]) {
    const frame = frameOf(flags, block, content)
    assert.ok(decompressFrameSync(frame).equals(content), `library, flags ${flags}`)
    assert.ok(decompressInPassing('lz4', frame, limit)?.equals(content), `flags ${flags}`)
  }
  const endOfContent = frameOf(0x64, block, content)
  endOfContent[endOfContent.length - 1]! ^= 1
  // What Kafka's leader does not compute, ours does not: the batch's CRC covers it.
  assert.ok(decompressInPassing('lz4', endOfContent, limit)?.equals(content))
  assert.throws(() => decompressInPassing('lz4', endOfContent.subarray(0, -1), limit), /checksum/)
  const endOfBlock = frameOf(0x70, block, content)
  endOfBlock[endOfBlock.length - 5]! ^= 1
  assert.throws(() => decompressInPassing('lz4', endOfBlock, limit), /block checksum/)
  assert.throws(() => decompressInPassing('lz4', frameOf(0x68, block, content.subarray(1)), limit), /promises/)
})

function lz4BlockOf(content: Buffer): Buffer {
  const frame = compressSync('lz4', content)
  return frame.subarray(11, 11 + frame.readUInt32LE(7))
}

function frameOf(flags: number, block: Buffer, content: Buffer): Buffer {
  const descriptor: Buffer[] = [Buffer.from([flags, 0x40])]
  if ((flags & 0x08) !== 0) descriptor.push(uint32(content.length), uint32(0))
  const described = Buffer.concat(descriptor)
  const parts = [uint32(0x184d2204), described, Buffer.from([(xxHash32(described) >>> 8) & 0xff]), uint32(block.length), block]
  if ((flags & 0x10) !== 0) parts.push(uint32(longHash(block)))
  parts.push(uint32(0))
  if ((flags & 0x04) !== 0) parts.push(uint32(longHash(content)))
  return Buffer.concat(parts)
}

function uint32(value: number): Buffer {
  const bytes = Buffer.alloc(4)
  bytes.writeUInt32LE(value)
  return bytes
}

/** The decoders' own; that it is right shows in the library's taking it. */
function longHash(bytes: Buffer): number {
  const scratch = scratchFor(bytes)!
  scratch.take(bytes)
  return scratch.decoders.xxHash32(0, bytes.length) >>> 0
}
