import { ByteWriter, type Random } from '@tidelog/core'
import { type Api, type FieldShape, type Fields, isField, isFields, type Shape } from '@tidelog/protocol'

/** Names that break careless code: prototype properties, path pieces, look-alikes, empties. All are legal on the wire. */
const hostileNames = [
  '',
  '.',
  '..',
  '../../x',
  '%2e%2e%2f',
  '__proto__',
  'constructor',
  'hasOwnProperty',
  'a/b',
  'a\u0000b',
  'é你🦊',
  'x'.repeat(250),
  'fuzz',
  'fuzz_a',
  'fuzz.a',
]
const edgeInt32 = [0, 1, -1, -2, 2, 3, 100, 0x7fffffff, -0x80000000]
const edgeInt64 = [0n, 1n, -1n, -2n, -6n, 2n ** 53n + 1n, 2n ** 63n - 1n, -(2n ** 63n), 1_700_000_000_000n]
const edgeInt16 = [0, 1, -1, 2, 3, 0x7fff, -0x8000]

const pick = <T>(random: Random, values: readonly T[]): T => values[random.int(values.length)]!

/** A value that the declaration allows: the exact form, int64 as bigint. */
export function randomValue(shape: FieldShape, random: Random, depth = 0): unknown {
  if (isField(shape)) return randomValue(shape.of, random, depth)
  if (isFields(shape)) return randomStruct(shape, random, depth)
  return randomOf(shape, random, depth)
}

function randomStruct(fields: Fields, random: Random, depth: number): Record<string, unknown> {
  return Object.fromEntries(Object.entries(fields).map(([name, shape]) => [name, randomValue(shape, random, depth + 1)]))
}

function randomOf(shape: Exclude<Shape, Fields>, random: Random, depth: number): unknown {
  switch (shape.kind) {
    case 'array': {
      const count = depth > 3 ? random.int(2) : random.int(4)
      return Array.from({ length: count }, () => randomValue(shape.element, random, depth + 1))
    }
    case 'nullable':
      // Null is legal in newer versions only; the older ones have their turn through the value.
      return shape.since === 0 && random.int(4) === 0 ? null : randomValue(shape.of, random, depth)
    case 'primitive':
      switch (shape.type) {
        case 'bool':
          return random.int(2) === 1
        case 'int8':
          return random.int(8) - 2
        case 'int16':
          return pick(random, edgeInt16)
        case 'uint16':
          return random.int(0x10000)
        case 'int32':
          return random.int(3) === 0 ? random.int(100_000) : pick(random, edgeInt32)
        case 'uint32':
          return random.int(0x7fffffff)
        case 'int64':
          return pick(random, edgeInt64)
        case 'float64':
          return random.int(1000) / 7
        case 'uuid':
          return Buffer.from(random.bytes(16)).toString('base64url')
        case 'string':
          return pick(random, hostileNames)
        case 'bytes':
        case 'records':
          return random.bytes(random.int(200))
      }
  }
}

/** The body of one request of `api`, with values at their edges. */
export function randomRequestBody(api: Api, version: number, random: Random): Buffer {
  const writer = new ByteWriter()
  api.request.exactCodec(version).write(writer, randomStruct(api.request.fields, random, 0))
  return writer.toBuffer()
}

/** Breaks a body the way a broken or hostile client would; one time in four it stays whole. */
export function mutate(body: Buffer, random: Random): Buffer {
  const broken = Buffer.from(body)
  switch (random.int(8)) {
    case 0:
    case 1:
      return broken
    case 2:
      return broken.subarray(0, random.int(broken.length + 1))
    case 3: // a length, maybe, that claims the most there is
      return overwrite(broken, random, [0x7f, 0xff, 0xff, 0xff])
    case 4: // -2
      return overwrite(broken, random, [0xff, 0xff, 0xff, 0xfe])
    case 5: // a varint of many bytes
      return overwrite(broken, random, [0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x0f])
    case 6: {
      for (let i = 0; i < 4 && broken.length > 0; i++) broken[random.int(broken.length)] = random.int(256)
      return broken
    }
    default:
      return Buffer.concat([broken, random.bytes(random.int(50))])
  }
}

function overwrite(body: Buffer, random: Random, bytes: readonly number[]): Buffer {
  if (body.length === 0) return body
  const at = random.int(body.length)
  for (let i = 0; i < bytes.length && at + i < body.length; i++) body[at + i] = bytes[i]!
  return body
}
