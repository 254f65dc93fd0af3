import { onFirstUse } from './on-first-use.ts'

const native = onFirstUse<typeof import('@node-rs/crc32')>('@node-rs/crc32')

/**
 * CRC-32C (Castagnoli) of `bytes`, as an unsigned 32-bit number.
 * @param seed The CRC of what comes before `bytes`, to go on from.
 */
export function crc32c(bytes: Uint8Array, seed = 0): number {
  return native().crc32c(bytes as Buffer, seed)
}
