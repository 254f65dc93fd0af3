import assert from 'node:assert/strict'
import { before, test } from 'node:test'
import { deflateRawSync } from 'node:zlib'
import { type Random, seededRandom } from '@tidelog/core'
import { KafkaError } from '../errors.ts'
import { type CodecName, codecNames, compress, compressSync, decompress, decompressSync, OutputLimitError, prepareCodec } from './index.ts'
import { xxHash32 } from './xx-hash-32.ts'
import { framesOf } from './zstd-frames.ts'
import { loadWasm, wasmCompress, wasmDecompress } from './zstd-wasm.ts'

const compressing = codecNames.filter((name) => name !== 'none')

before(() => prepareCodec('zstd'))

/** From empty to a few hundred KiB, from repetitive to random. */
function anyInput(random: Random): Buffer {
  const length = random.int(2 ** random.int(19))
  switch (random.int(3)) {
    case 0:
      return Buffer.alloc(length, random.int(256))
    case 1:
      return Buffer.from(random.bytes(length))
    default: {
      const words = Array.from({ length: 20 }, () => Buffer.from(random.bytes(1 + random.int(12))))
      return Buffer.concat(Array.from({ length: length >> 3 }, () => words[random.int(words.length)]!))
    }
  }
}

function isInvalidRecord(error: unknown): boolean {
  return error instanceof KafkaError && error.errorName === 'INVALID_RECORD'
}

for (const codec of codecNames) {
  test(`${codec}: what is compressed comes back, on the loop and aside`, async () => {
    for (let seed = 0; seed < 15; seed++) {
      const input = anyInput(seededRandom(seed))
      const limit = { maxOutputBytes: input.length }
      const output = compressSync(codec, input)
      assert.ok(decompressSync(codec, output, limit).equals(input), `seed ${seed}`)
      assert.ok((await decompress(codec, await compress(codec, input), limit)).equals(input), `seed ${seed}, aside`)
    }
  })
}

for (const codec of compressing) {
  test(`${codec}: output above the limit is refused, by a byte as by a bomb`, async () => {
    for (const input of [Buffer.alloc(100_000, 'abcdefgh'), Buffer.alloc(8_000_000)]) {
      const output = compressSync(codec, input)
      for (const maxOutputBytes of [0, 1000, input.length - 1]) {
        assert.throws(() => decompressSync(codec, output, { maxOutputBytes }), OutputLimitError)
        await assert.rejects(decompress(codec, output, { maxOutputBytes }), OutputLimitError)
      }
      assert.equal(decompressSync(codec, output, { maxOutputBytes: input.length }).length, input.length)
    }
  })

  test(`${codec}: garbage, cut and changed input is an INVALID_RECORD or other bytes, never another error`, async () => {
    for (let seed = 0; seed < 80; seed++) {
      const random = seededRandom(seed)
      const broken = brokenInput(codec, random)
      const limit = { maxOutputBytes: 1_000_000 }
      let output: Buffer | undefined
      try {
        output = decompressSync(codec, broken, limit)
        assert.ok(output.length <= limit.maxOutputBytes)
      } catch (error) {
        assert.ok(isInvalidRecord(error), `seed ${seed}: ${error}`)
      }
      const aside = await decompress(codec, broken, limit).catch((error: unknown) => error)
      if (output === undefined) assert.ok(isInvalidRecord(aside), `seed ${seed} aside: ${aside}`)
      else assert.ok(Buffer.isBuffer(aside) && aside.equals(output), `seed ${seed} aside`)
    }
  })

  test(`${codec}: no input at all is an INVALID_RECORD`, () => {
    assert.throws(() => decompressSync(codec, Buffer.alloc(0), { maxOutputBytes: 100 }), isInvalidRecord)
  })
}

function brokenInput(codec: CodecName, random: Random): Buffer {
  const good = compressSync(codec, Buffer.alloc(3000, Buffer.from(random.bytes(50))))
  switch (random.int(3)) {
    case 0:
      return Buffer.from(random.bytes(1 + random.int(200)))
    case 1:
      return good.subarray(0, random.int(good.length))
    default: {
      const changed = Buffer.from(good)
      changed[random.int(changed.length)]! ^= 1 << random.int(8)
      return changed
    }
  }
}

test('gzip: a level changes the output, and a raw deflate stream is garbage', () => {
  const input = Buffer.from(Array.from({ length: 5000 }, (_, index) => `record ${index % 97} of ${index % 13}`).join())
  assert.ok(compressSync('gzip', input, { level: 9 }).length < compressSync('gzip', input, { level: 1 }).length)
  assert.throws(() => decompressSync('gzip', deflateRawSync(input), { maxOutputBytes: 1e6 }), isInvalidRecord)
})

test('zstd: a level changes the output', () => {
  const input = Buffer.from(
    Array.from({ length: 5000 }, (_, index) => JSON.stringify({ id: index, city: index % 97, at: index * 7919 })).join(),
  )
  assert.ok(compressSync('zstd', input, { level: 19 }).length < compressSync('zstd', input, { level: 1 }).length)
})

test('snappy: is written in the framing of the Java library, and raw blocks are read too', () => {
  const input = Buffer.alloc(70_000, 'tide')
  const framed = compressSync('snappy', input)
  assert.equal(framed.subarray(0, 16).toString('latin1'), '\x82SNAPPY\0\0\0\0\x01\0\0\0\x01')
  const limit = { maxOutputBytes: input.length }
  const length = framed.readInt32BE(16)
  assert.ok(decompressSync('snappy', framed.subarray(20, 20 + length), limit).equals(input.subarray(0, 32768)))
  assert.ok(decompressSync('snappy', Buffer.concat([framed, framed]), { maxOutputBytes: 140_000 }).equals(Buffer.concat([input, input])))
  assert.equal(decompressSync('snappy', compressSync('snappy', Buffer.alloc(0)), limit).length, 0)
})

test('snappy: a length that the block cannot hold is refused before anything is allocated', () => {
  const claims2GiB = Buffer.from('ffffffff0700', 'hex')
  assert.throws(() => decompressSync('snappy', claims2GiB, { maxOutputBytes: 2 ** 31 }), isInvalidRecord)
})

test('lz4: format v0 has its own header checksum, which newer formats refuse', () => {
  const input = Buffer.from('tide'.repeat(100))
  const frame = compressSync('lz4', input, { magic: 0 })
  assert.equal(frame[6], (xxHash32(frame.subarray(0, 6)) >>> 8) & 0xff)
  const limit = { maxOutputBytes: 1000 }
  assert.ok(decompressSync('lz4', frame, { ...limit, magic: 0 }).equals(input))
  assert.ok(decompressSync('lz4', compressSync('lz4', input), { ...limit, magic: 0 }).equals(input))
  assert.throws(() => decompressSync('lz4', frame, limit), isInvalidRecord)
})

test('lz4: many blocks that each hold little are counted in one pass and read', () => {
  const header = compressSync('lz4', Buffer.alloc(0)).subarray(0, 7)
  header[5] = 0x70 // blocks of up to 4 MiB
  header[6] = (xxHash32(header.subarray(4, 6)) >>> 8) & 0xff
  const block = Buffer.from('0200000010' + '61', 'hex') // one literal
  const frame = Buffer.concat([header, ...Array.from({ length: 20_000 }, () => block), Buffer.alloc(4)])
  assert.equal(decompressSync('lz4', frame, { maxOutputBytes: 20_000 }).toString(), 'a'.repeat(20_000))
  assert.throws(() => decompressSync('lz4', frame, { maxOutputBytes: 19_999 }), OutputLimitError)
})

test('zstd: frames without a content size, several frames and skippable ones are read', async () => {
  await loadWasm()
  const input = Buffer.from('tide '.repeat(60_000))
  const frame = wasmCompress(input, 3)
  const [outline] = framesOf(frame, { maxOutputBytes: input.length })
  assert.equal(outline!.contentSize, input.length)
  const unsized = withoutContentSize(frame)
  assert.equal(framesOf(unsized, { maxOutputBytes: 1e6 })[0]!.contentSize, undefined)
  const skippable = Buffer.from('502a4d1803000000616263', 'hex')
  const limit = { maxOutputBytes: 2 * input.length }
  for (const joined of [Buffer.concat([unsized, skippable, frame]), Buffer.concat([skippable, frame, unsized])]) {
    assert.ok(wasmDecompress(joined, limit).equals(Buffer.concat([input, input])))
    assert.ok(decompressSync('zstd', joined, limit).equals(Buffer.concat([input, input])))
    assert.ok((await decompress('zstd', joined, limit)).equals(Buffer.concat([input, input])))
    assert.throws(() => decompressSync('zstd', joined, { maxOutputBytes: limit.maxOutputBytes - 1 }), OutputLimitError)
  }
  assert.throws(() => wasmDecompress(unsized, { maxOutputBytes: input.length - 1 }), OutputLimitError)
})

/** The same frame with a window instead of a content size, as a stream writes it. */
function withoutContentSize(frame: Buffer): Buffer {
  const sizeBytes = [1, 2, 4, 8][frame[4]! >> 6]!
  assert.equal(frame[4]! & 0x23, 0x20) // single segment, no dictionary
  const windowOf1MiB = 10 << 3
  return Buffer.concat([frame.subarray(0, 4), Buffer.from([frame[4]! & 0x04, windowOf1MiB]), frame.subarray(5 + sizeBytes)])
}

test('zstd: a promise that the blocks cannot keep is refused before anything is allocated', () => {
  const promises1GiB = Buffer.from('28b52ffda000000040' + '010000', 'hex') // single segment, one empty last block
  assert.throws(() => framesOf(promises1GiB, { maxOutputBytes: 2 ** 31 }), isInvalidRecord)
  assert.throws(() => framesOf(promises1GiB, { maxOutputBytes: 2 ** 20 }), isInvalidRecord)
})
