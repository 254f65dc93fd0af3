import type { Random } from './random.ts'

/** Kafka's "no id". A Uuid is a string of 22 base64url characters everywhere in our code, as Kafka prints it. */
export const ZERO_UUID = 'AAAAAAAAAAAAAAAAAAAAAA'

/** 22 characters, the last of which leaves the 4 bits that 16 bytes do not fill at zero: one id has one spelling. */
const UUID_PATTERN = /^[A-Za-z0-9_-]{21}[AQgw]$/

export function isUuid(text: string): boolean {
  return UUID_PATTERN.test(text)
}

/** A version 4 UUID that does not begin with '-', so that it can stand as a command's argument. Source: Kafka's Uuid.randomUuid. */
export function randomUuid(random: Random): string {
  for (;;) {
    const bytes = Buffer.from(random.bytes(16))
    bytes[6] = (bytes[6]! & 0x0f) | 0x40
    bytes[8] = (bytes[8]! & 0x3f) | 0x80
    const uuid = bytes.toString('base64url')
    if (!uuid.startsWith('-')) return uuid
  }
}
