import assert from 'node:assert/strict'
import { test } from 'node:test'
import { ByteReader, ByteWriter, MalformedError, utf8Length } from './bytes.ts'
import { isWellFormedText } from './foreign-text.ts'
import { type Random, seededRandom } from './random.ts'

const SAFE = Number.MAX_SAFE_INTEGER

/** A number of random width, so that every length of varint comes up. */
function anyInteger(random: Random, bits: number): number {
  const width = random.int(bits) + 1
  const magnitude = random.int(2 ** Math.min(width, 48)) * (width > 48 ? 2 ** (width - 48) : 1)
  return random.int(2) === 0 ? magnitude : 0 - magnitude
}

function written(write: (writer: ByteWriter) => void): Buffer {
  const writer = new ByteWriter()
  write(writer)
  return writer.toBuffer()
}

test('every primitive reads back as it was written, whatever comes before it', () => {
  for (let seed = 0; seed < 150; seed++) {
    const random = seededRandom(seed)
    const writer = new ByteWriter(1 + random.int(64))
    const checks: ((reader: ByteReader) => void)[] = []
    const add = <T>(value: T, write: (value: T) => void, read: (reader: ByteReader) => T) => {
      write(value)
      checks.push((reader) => assert.deepEqual(read(reader), value, `seed ${seed}`))
    }
    for (let step = 0; step < 40; step++) {
      const text = 'aé你😀\0'.repeat(random.int(8))
      const chunk: Buffer = Buffer.from(random.bytes(random.int(2500)))
      add(
        (random.int(256) << 24) >> 24,
        (v) => writer.int8(v),
        (r) => r.int8(),
      )
      add(
        (random.int(65536) << 16) >> 16,
        (v) => writer.int16(v),
        (r) => r.int16(),
      )
      add(
        random.int(65536),
        (v) => writer.uint16(v),
        (r) => r.uint16(),
      )
      add(
        random.int(2 ** 32) | 0,
        (v) => writer.int32(v),
        (r) => r.int32(),
      )
      add(
        random.int(2 ** 32),
        (v) => writer.uint32(v),
        (r) => r.uint32(),
      )
      add(
        anyInteger(random, 52),
        (v) => writer.int64(v),
        (r) => r.int64(),
      )
      add(
        BigInt.asIntN(64, BigInt(random.int(2 ** 48)) << BigInt(random.int(20))),
        (v) => writer.bigint64(v),
        (r) => r.bigint64(),
      )
      add(
        anyInteger(random, 52) / 7,
        (v) => writer.float64(v),
        (r) => r.float64(),
      )
      add(
        random.int(2) === 1,
        (v) => writer.boolean(v),
        (r) => r.boolean(),
      )
      add(
        Math.abs(anyInteger(random, 31)),
        (v) => writer.unsignedVarint(v),
        (r) => r.unsignedVarint(),
      )
      add(
        anyInteger(random, 30),
        (v) => writer.varint(v),
        (r) => r.varint(),
      )
      add(
        anyInteger(random, 52),
        (v) => writer.varlong(v),
        (r) => r.varlong(),
      )
      add(
        text,
        (v) => writer.string(v),
        (r) => r.string(utf8Length(text)),
      )
      add(
        chunk,
        (v) => writer.bytes(v),
        (r) => r.bytes(chunk.length),
      )
      add(
        Buffer.from(random.bytes(16)).toString('base64url'),
        (v) => writer.uuid(v),
        (r) => r.uuid(),
      )
    }
    const bytes = writer.toBuffer()
    assert.equal(bytes.length, writer.byteLength)
    assert.deepEqual(Buffer.concat(writer.toBuffers()), bytes)
    const reader = new ByteReader(bytes)
    for (const check of checks) check(reader)
    assert.equal(reader.remaining, 0)
  }
})

test('integers at their limits have the bytes that Kafka writes', () => {
  assert.equal(written((w) => w.varint(-1)).toString('hex'), '01')
  assert.equal(written((w) => w.varint(-(2 ** 31))).toString('hex'), 'ffffffff0f')
  assert.equal(written((w) => w.varint(2 ** 31 - 1)).toString('hex'), 'feffffff0f')
  assert.equal(written((w) => w.unsignedVarint(2 ** 32 - 1)).toString('hex'), 'ffffffff0f')
  assert.equal(written((w) => w.varlong(300)).toString('hex'), 'd804')
  assert.equal(written((w) => w.int64(-SAFE)).toString('hex'), 'ffe0000000000001')
  assert.equal(written((w) => w.uuid('AAAAAAAAAAAAAAAAAAAAAQ')).toString('hex'), '00000000000000000000000000000001')
})

test('P15: an int64 or varlong beyond the safe integers never reads as a safe one', () => {
  const beyond = [2n ** 53n, 2n ** 53n + 1n, -(2n ** 53n), -(2n ** 53n) - 1n, 2n ** 63n - 1n, -(2n ** 63n), 2n ** 62n + 1n]
  for (const value of beyond) {
    const int64 = new ByteReader(written((w) => w.bigint64(value))).int64()
    assert.ok(!Number.isSafeInteger(int64), `${value} read as ${int64}`)
    assert.equal(int64, Number(value))
    const varlong = new ByteReader(varlongBytes(value)).varlong()
    assert.ok(!Number.isSafeInteger(varlong), `${value} read as ${varlong}`)
  }
  for (const value of [BigInt(SAFE), -BigInt(SAFE), -(2n ** 52n), 2n ** 52n]) {
    assert.equal(new ByteReader(varlongBytes(value)).varlong(), Number(value))
  }
})

function varlongBytes(value: bigint): Buffer {
  let rest = BigInt.asUintN(64, (value << 1n) ^ (value >> 63n))
  const bytes: number[] = []
  while (rest > 0x7fn) {
    bytes.push(Number(rest & 0x7fn) | 0x80)
    rest >>= 7n
  }
  bytes.push(Number(rest))
  return Buffer.from(bytes)
}

test('P10: over-long varints are refused', () => {
  for (const hex of ['8080808080', 'ffffffff1f', '808080808001']) {
    assert.throws(() => new ByteReader(Buffer.from(hex, 'hex')).unsignedVarint(), MalformedError, hex)
  }
  for (const hex of ['80808080808080808080', 'ffffffffffffffffff02']) {
    assert.throws(() => new ByteReader(Buffer.from(hex, 'hex')).varlong(), MalformedError, hex)
  }
})

test('a read beyond the end is refused, and so is a negative length', () => {
  const reads: ((reader: ByteReader) => unknown)[] = [
    (r) => r.int16(),
    (r) => r.int32(),
    (r) => r.int64(),
    (r) => r.bigint64(),
    (r) => r.float64(),
    (r) => r.uuid(),
    (r) => r.bytes(2),
    (r) => r.bytes(-1),
    (r) => r.bytes(2 ** 31),
    (r) => r.string(2),
    (r) => r.string(-5),
    (r) => r.varint(),
    (r) => r.varlong(),
  ]
  const bytes = Buffer.from([1, 2, 0x80, 9, 9, 9, 9, 9, 9, 9, 9, 9, 9, 9, 9, 9, 9, 9, 9, 9])
  for (const read of reads) assert.throws(() => read(new ByteReader(bytes, 2, 3)), MalformedError, String(read))
  assert.throws(() => new ByteReader(bytes, 0, 21), RangeError)
})

test('P11: bytes that are not UTF-8 become text that no other bytes give, and bytes again', () => {
  const random = seededRandom(11)
  const foreign = ['ff', 'c0af', 'eda080', '61e28261', 'f4908080', 'efbfbdff', 'edb2ff', 'e2', 'f09f92', 'f09f9280ff', 'f08080af', 'c3a9ff']
    .map((hex) => Buffer.from(hex, 'hex'))
    .concat(Array.from({ length: 2000 }, () => Buffer.from(random.bytes(1 + random.int(6)))))
  const seen = new Map<string, string>()
  for (const bytes of foreign) {
    const text = new ByteReader(bytes).string(bytes.length)
    assert.equal(seen.get(text) ?? bytes.toString('hex'), bytes.toString('hex'))
    seen.set(text, bytes.toString('hex'))
    const isUtf8 = Buffer.from(bytes.toString('utf8')).equals(bytes)
    assert.equal(isWellFormedText(text), isUtf8, bytes.toString('hex'))
    assert.equal(utf8Length(text), bytes.length)
    const writer = new ByteWriter()
    writer.string(text)
    assert.ok(writer.toBuffer().equals(bytes), bytes.toString('hex'))
  }
  assert.equal(new ByteReader(Buffer.from('\ufffdx')).string(4), '\ufffdx')
  assert.equal(new ByteReader(Buffer.from('\ufeffx')).string(4), '\ufeffx')
})

test('a value outside of its type is refused by the writer', () => {
  const writes: ((writer: ByteWriter) => void)[] = [
    (w) => w.int8(128),
    (w) => w.int16(-32769),
    (w) => w.uint16(65536),
    (w) => w.int32(2 ** 31),
    (w) => w.uint32(-1),
    (w) => w.int64(2 ** 53),
    (w) => w.int64(1.5),
    (w) => w.varint(2 ** 31),
    (w) => w.varlong(-(2 ** 53)),
    (w) => w.unsignedVarint(-1),
    (w) => w.int32(Number.NaN),
    (w) => w.uuid('AAAA'),
    (w) => w.uuid('AAAAAAAAAAAAAAAAAAAAA!'),
  ]
  for (const write of writes) assert.throws(() => written(write), RangeError, String(write))
})

test('long chunks are kept by reference, in order with what surrounds them', () => {
  const long = Buffer.alloc(5000, 7)
  const writer = new ByteWriter()
  writer.int8(1)
  writer.bytes(long)
  writer.int8(2)
  const buffers = writer.toBuffers()
  assert.deepEqual(
    buffers.map(({ length }) => length),
    [1, 5000, 1],
  )
  assert.equal(buffers[1]!.buffer, long.buffer)
})
