import avsc from 'avsc'
import { SerializationError } from '../errors.ts'

/**
 * Walks over a value's bytes without reading it. avsc trusts the counts of arrays and maps: nine bytes could make it fill memory for
 * hours. Here every block is checked against the bytes that are left first.
 * @returns Where the value ends. @throws SerializationError
 */
export type BoundsCheck = (bytes: Buffer, start: number) => number

/** Items that take no bytes, null and empty records, in one array. */
const MAX_EMPTY_ITEMS = 65_536
const MAX_VARINT_BYTES = 10

/** @returns undefined for a type that holds neither arrays nor maps: its values are no longer than their bytes. */
export function boundsCheckOf(type: avsc.Type): BoundsCheck | undefined {
  return holdsBlocks(type, new Set()) ? checkOf(type, new Map()) : undefined
}

function partsOf(type: avsc.Type): readonly avsc.Type[] {
  if (type instanceof avsc.types.RecordType) return type.fields.map((field) => field.type)
  if (type instanceof avsc.types.UnwrappedUnionType || type instanceof avsc.types.WrappedUnionType) return type.types
  if (type instanceof avsc.types.LogicalType) return [type.underlyingType]
  return []
}

function holdsBlocks(type: avsc.Type, seen: Set<avsc.Type>): boolean {
  if (type instanceof avsc.types.ArrayType || type instanceof avsc.types.MapType) return true
  if (seen.has(type)) return false
  seen.add(type)
  return partsOf(type).some((part) => holdsBlocks(part, seen))
}

/** @param made By type: a schema may contain itself. */
function checkOf(type: avsc.Type, made: Map<avsc.Type, { check: BoundsCheck }>): BoundsCheck {
  const known = made.get(type)
  if (known !== undefined) return (bytes, start) => known.check(bytes, start)
  const place: { check: BoundsCheck } = { check: afterVarint }
  made.set(type, place)
  place.check = checkOfNew(type, made)
  return place.check
}

function checkOfNew(type: avsc.Type, made: Map<avsc.Type, { check: BoundsCheck }>): BoundsCheck {
  if (type instanceof avsc.types.ArrayType) return blocksOf(checkOf(type.itemsType, made))
  if (type instanceof avsc.types.MapType) {
    const valueCheck = checkOf(type.valuesType, made)
    return blocksOf((bytes, start) => valueCheck(bytes, afterLengthAndBytes(bytes, start)))
  }
  if (type instanceof avsc.types.UnwrappedUnionType || type instanceof avsc.types.WrappedUnionType) {
    const branches = type.types.map((branch) => checkOf(branch, made))
    return (bytes, start) => {
      const branch = branches[readLong(bytes, start)]
      if (branch === undefined) throw new SerializationError(`byte ${start} names no branch of its union`)
      return branch(bytes, afterVarint(bytes, start))
    }
  }
  if (type instanceof avsc.types.RecordType || type instanceof avsc.types.LogicalType) {
    const checks = partsOf(type).map((part) => checkOf(part, made))
    return (bytes, start) => {
      let position = start
      for (const check of checks) position = check(bytes, position)
      return position
    }
  }
  if (type instanceof avsc.types.FixedType) return fixedWidth(type.size)
  switch (type.typeName) {
    case 'null':
      return fixedWidth(0)
    case 'boolean':
      return fixedWidth(1)
    case 'float':
      return fixedWidth(4)
    case 'double':
      return fixedWidth(8)
    case 'bytes':
    case 'string':
      return afterLengthAndBytes
    default: // int, long, enum
      return afterVarint
  }
}

/** Blocks of items until one of 0 items; a negative count is followed by the block's size in bytes. */
function blocksOf(item: BoundsCheck): BoundsCheck {
  return (bytes, start) => {
    let position = start
    let emptyItems = 0
    for (;;) {
      let count = readLong(bytes, position)
      position = afterVarint(bytes, position)
      if (count === 0) return position
      if (count < 0) {
        count = -count
        position = afterVarint(bytes, position)
      }
      for (; count > 0; count--) {
        const end = item(bytes, position)
        if (end === position && ++emptyItems > MAX_EMPTY_ITEMS)
          throw new SerializationError(`an array has more than ${MAX_EMPTY_ITEMS} empty items`)
        position = end
      }
    }
  }
}

const fixedWidth =
  (size: number): BoundsCheck =>
  (bytes, start) =>
    within(bytes, start + size)

function afterVarint(bytes: Buffer, start: number): number {
  // Most are of one byte.
  if (bytes[start]! < 0x80) return start + 1
  let position = start
  while ((bytes[position] ?? 0) >= 0x80) position++
  if (position - start >= MAX_VARINT_BYTES)
    throw new SerializationError(`the number at byte ${start} has more than ${MAX_VARINT_BYTES} bytes`)
  return within(bytes, position + 1)
}

function afterLengthAndBytes(bytes: Buffer, start: number): number {
  const length = readLong(bytes, start)
  if (length < 0) throw new SerializationError(`the length at byte ${start} is negative`)
  return within(bytes, afterVarint(bytes, start) + length)
}

function within(bytes: Buffer, end: number): number {
  if (end > bytes.length) throw new SerializationError('the bytes are cut short')
  return end
}

/** A zigzag varint. Beyond 2^53 it is rounded, which no length or count survives anyway. */
function readLong(bytes: Buffer, start: number): number {
  const first = bytes[start] ?? 0
  if (first < 0x80) return first % 2 === 0 ? first / 2 : -(first + 1) / 2
  let value = 0
  for (let index = 0; index < MAX_VARINT_BYTES; index++) {
    const byte = bytes[start + index] ?? 0
    value += (byte & 0x7f) * 2 ** (7 * index)
    if (byte < 0x80) break
  }
  return value % 2 === 0 ? value / 2 : -(value + 1) / 2
}
