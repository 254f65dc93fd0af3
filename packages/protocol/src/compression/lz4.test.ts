import assert from 'node:assert/strict'
import { test } from 'node:test'
import { type Random, seededRandom } from '@tidelog/core'
import { decompressFrameSync } from 'lz4-napi'
import { compress, compressSync, decompress, decompressSync, OutputLimitError } from './index.ts'

const BLOCK_BYTES = 65_536
const levels = Array.from({ length: 17 }, (_, index) => index + 1)
/** 9 is the fast compressor's, and from 10 on they are the same. */
const searching = [1, 2, 3, 4, 5, 6, 7, 8, 10]

const words = 'GET POST orders users payments ok failed retry timeout leader replica offset commit fetch'.split(' ')
const pick = (random: Random): string => words[random.int(words.length)]!

/** What topics hold, and what is hard on a compressor. */
const kinds: Record<string, (random: Random, bytes: number) => Buffer> = {
  json: (random, bytes) =>
    linesOf(bytes, (index) =>
      JSON.stringify({
        id: index,
        kind: pick(random),
        at: 1_700_000_000_000 + index * 37 + random.int(30),
        trace: random.int(2 ** 31).toString(16),
      }),
    ),
  log: (random, bytes) =>
    linesOf(
      bytes,
      (index) => `${new Date(1_700_000_000_000 + index * 50).toISOString()} ${pick(random)} ${pick(random)} ${random.int(1e6)}\n`,
    ),
  noise: (random, bytes) => Buffer.from(random.bytes(bytes)),
  'one byte': (random, bytes) => Buffer.alloc(bytes, random.int(256)),
  'two letters': (random, bytes) => Buffer.from(Array.from({ length: bytes }, () => 97 + random.int(2))),
  'long runs': (random, bytes) => linesOf(bytes, () => 'a'.repeat(4 + random.int(300)) + 'bcd'[random.int(3)]),
  'noise among json': (random, bytes) =>
    linesOf(bytes, () => JSON.stringify({ city: pick(random), data: random.int(2 ** 31) }) + random.int(1e9)),
}

function linesOf(bytes: number, line: (index: number) => string): Buffer {
  const buffer = Buffer.alloc(bytes)
  for (let at = 0, index = 0; at < bytes; index++) at += buffer.write(line(index), at, 'latin1')
  return buffer
}

/** What is written at a level, once it has been read by our decoder and by a library of other authors. */
function written(input: Buffer, level: number, what: string): Buffer {
  const frame = compressSync('lz4', input, { level })
  assert.ok(decompressSync('lz4', frame, { maxOutputBytes: input.length }).equals(input), `${what}, level ${level}`)
  assert.ok(decompressFrameSync(frame).equals(input), `${what}, level ${level}, by the library`)
  return frame
}

test('lz4: what any level writes is read, whatever it is and where its blocks end', () => {
  const sizes = [0, 1, 4, 12, 13, 14, 18, 19, 100, 4096, BLOCK_BYTES - 1, BLOCK_BYTES, BLOCK_BYTES + 1, 2 * BLOCK_BYTES + 13]
  for (const [kind, make] of Object.entries(kinds)) {
    for (const [seed, size] of sizes.entries()) {
      const input = make(seededRandom(seed), size)
      for (const level of size > 4096 ? [2, 6, 9] : levels) written(input, level, `${kind} of ${size}`)
    }
  }
})

test('lz4: counts of literals and matches are written at every length, with what does not fit into a token', () => {
  const random = seededRandom(3)
  for (let length = 0; length < 1100; length += length < 300 ? 1 : 37) {
    const literals = Buffer.from(random.bytes(length))
    const input = Buffer.concat([literals, Buffer.alloc(length + 8, 'x'), literals, Buffer.from('the end, in literals')])
    for (const level of [1, 9, 12]) written(input, level, `${length} literals`)
  }
})

test('lz4: a match may lie a whole block back, and never in the block before', () => {
  const random = seededRandom(4)
  const mark = Buffer.from(random.bytes(40))
  const other = Buffer.from(random.bytes(40))
  const inputOf = (distance: number, again: Buffer): Buffer => Buffer.concat([mark, Buffer.alloc(distance - mark.length), again])
  for (const distance of [65_000, 65_496, 65_536, 70_000]) {
    for (const level of [9, 12]) {
      const saved = written(inputOf(distance, other), level, 'another').length - written(inputOf(distance, mark), level, 'the same').length
      assert.equal(saved > 25, distance + mark.length <= BLOCK_BYTES, `${distance} back, level ${level}: ${saved} bytes less`)
    }
  }
})

test('lz4: frames are those of Kafka: independent blocks of 64 KiB, no checksum but the header’s, no content size', () => {
  const random = seededRandom(5)
  const input = Buffer.concat([Buffer.alloc(BLOCK_BYTES, 'tide'), Buffer.from(random.bytes(BLOCK_BYTES)), Buffer.from('tide')])
  for (const level of [9, 12]) {
    const frame = written(input, level, 'three blocks')
    assert.equal(frame.subarray(0, 7).toString('hex'), '04224d18604082')
    const compressed = frame.readUInt32LE(7)
    assert.ok(compressed < 300)
    let at = 11 + compressed
    assert.equal(frame.readUInt32LE(at), 0x80000000 + BLOCK_BYTES)
    assert.ok(frame.subarray(at + 4, at + 4 + BLOCK_BYTES).equals(input.subarray(BLOCK_BYTES, 2 * BLOCK_BYTES)))
    at += 4 + BLOCK_BYTES
    assert.equal(frame.subarray(at).toString('hex'), `04000080${Buffer.from('tide').toString('hex')}00000000`)
  }
  assert.equal(compressSync('lz4', Buffer.alloc(0)).toString('hex'), '04224d1860408200000000')
})

test('lz4: a higher level makes a corpus smaller, no part of it larger, and even the lowest searches more than the default one, which does not', () => {
  const kindsOf = ['json', 'log', 'noise among json', 'two letters', 'long runs']
  const inputs = kindsOf.map((kind, seed) => kinds[kind]!(seededRandom(seed), BLOCK_BYTES / 2))
  const framesOf = (level: number): Buffer[] => inputs.map((input) => compressSync('lz4', input, { level }))
  const total = (frames: readonly Buffer[]): number => frames.reduce((sum, { length }) => sum + length, 0)

  const fast = inputs.map((input) => compressSync('lz4', input))
  assert.deepEqual(framesOf(9), fast)
  let last = fast
  for (const level of searching) {
    const frames = framesOf(level)
    assert.ok(total(frames) <= total(last), `level ${level}: ${total(last)} → ${total(frames)}`)
    // What is found early decides where is searched for more, which is luck where almost everything matches.
    for (const [index, { length }] of frames.entries()) {
      assert.ok(
        length <= last[index]!.length + inputs[index]!.length / 500,
        `${kindsOf[index]}, level ${level}: ${last[index]!.length} → ${length}`,
      )
    }
    last = frames
  }
  for (const [index, { length }] of last.entries()) {
    assert.ok(length < fast[index]!.length * 0.96, `${kindsOf[index]}: ${fast[index]!.length} → ${length}`)
  }
  assert.deepEqual(framesOf(17), last)
})

test('lz4: a level that Kafka does not know is refused', async () => {
  for (const level of [0, -1, 18, 1.5, Number.NaN]) {
    const expected = { name: 'RangeError', message: `lz4 doesn't support given compression level: ${level}` }
    assert.throws(() => compressSync('lz4', Buffer.from('tide'), { level }), expected)
    await assert.rejects(compress('lz4', Buffer.from('tide'), { level }), expected)
  }
})

test('lz4: what is large is compressed and decompressed by another thread, to the same bytes', async () => {
  const input = kinds.json!(seededRandom(6), 3_000_000)
  for (const level of [9, 2]) {
    const frame = compressSync('lz4', input, { level })
    // A view amid other bytes, which must not travel along.
    const view = Buffer.concat([Buffer.alloc(10), input, Buffer.alloc(10)]).subarray(10, -10)
    assert.ok((await compress('lz4', view, { level })).equals(frame))
    assert.ok((await decompress('lz4', frame, { maxOutputBytes: input.length })).equals(input))
    await assert.rejects(decompress('lz4', frame, { maxOutputBytes: input.length - 1 }), OutputLimitError)
    frame[frame.length >> 1]! ^= 0xff
    const damaged = await decompress('lz4', frame, { maxOutputBytes: input.length }).catch(({ errorName }) => errorName)
    assert.ok(damaged === 'INVALID_RECORD' || !damaged.equals(input))
  }
})
