/** Varints at positions of a plain buffer, for records: as ByteWriter's, without a call to make room for each. */

const TWO_POW_27 = 2 ** 27

export function unsignedVarintSize(value: number): number {
  if (value < 0x80) return 1
  if (value < 0x4000) return 2
  if (value < 0x200000) return 3
  return value < 0x10000000 ? 4 : 5
}

/** `value` is a signed 32-bit number. */
export function varintSize(value: number): number {
  return unsignedVarintSize(((value << 1) ^ (value >> 31)) >>> 0)
}

/** `value` is a safe integer. */
export function varlongSize(value: number): number {
  const magnitude = value < 0 ? -value - 1 : value
  return magnitude < TWO_POW_27 ? unsignedVarintSize(magnitude * 2) : 4 + unsignedVarintSize(Math.floor(magnitude / TWO_POW_27))
}

/** Returns the position after it. */
export function writeUnsignedVarint(buffer: Buffer, at: number, value: number): number {
  let position = at
  let rest = value
  while (rest > 0x7f) {
    buffer[position++] = (rest & 0x7f) | 0x80
    rest >>>= 7
  }
  buffer[position++] = rest
  return position
}

export function writeVarint(buffer: Buffer, at: number, value: number): number {
  return writeUnsignedVarint(buffer, at, ((value << 1) ^ (value >> 31)) >>> 0)
}

export function writeVarlong(buffer: Buffer, at: number, value: number): number {
  const magnitude = value < 0 ? -value - 1 : value
  const high = Math.floor(magnitude / TWO_POW_27)
  let low = (magnitude - high * TWO_POW_27) * 2 + (value < 0 ? 1 : 0)
  if (high === 0) return writeUnsignedVarint(buffer, at, low)
  for (let group = 0; group < 4; group++) {
    buffer[at + group] = (low & 0x7f) | 0x80
    low >>>= 7
  }
  return writeUnsignedVarint(buffer, at + 4, high)
}
