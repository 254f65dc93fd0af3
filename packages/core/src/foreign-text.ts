/**
 * Text of bytes that are not UTF-8: a byte that belongs to no character becomes the lone surrogate U+DC00 + byte, as Python's `surrogateescape`
 * has it. Valid UTF-8 never holds one, so two byte strings never become one text (as they do where each becomes U+FFFD), a name of such bytes
 * is seen to be none, and writing the text gives the bytes again.
 */

const FOREIGN = 0xdc00
const loneSurrogate = /\p{Surrogate}/u

/** False for text that was read from bytes that are no UTF-8, and for any other with half a surrogate pair in it. */
export function isWellFormedText(text: string): boolean {
  return !loneSurrogate.test(text)
}

export function textOfForeignBytes(bytes: Uint8Array): string {
  const units = new Uint16Array(bytes.length)
  let count = 0
  for (let at = 0; at < bytes.length; ) {
    const size = characterSize(bytes, at)
    if (size === 0) {
      units[count++] = FOREIGN + bytes[at++]!
      continue
    }
    let code = size === 1 ? bytes[at]! : bytes[at]! & (0x7f >> size)
    for (let next = 1; next < size; next++) code = (code << 6) | (bytes[at + next]! & 0x3f)
    at += size
    if (code < 0x10000) units[count++] = code
    else {
      units[count++] = 0xd7c0 + (code >> 10)
      units[count++] = 0xdc00 + (code & 0x3ff)
    }
  }
  return Buffer.from(units.buffer, 0, count * 2).toString('utf16le')
}

/** Bytes of the character that begins at `at`; 0 when none does. Over-long forms, surrogates and what lies above U+10FFFF are none. */
function characterSize(bytes: Uint8Array, at: number): number {
  const lead = bytes[at]!
  if (lead < 0x80) return 1
  const size = lead < 0xc2 ? 0 : lead < 0xe0 ? 2 : lead < 0xf0 ? 3 : lead < 0xf5 ? 4 : 0
  for (let next = 1; next < size; next++) if (((bytes[at + next] ?? 0) & 0xc0) !== 0x80) return 0
  const second = bytes[at + 1] ?? 0
  if ((lead === 0xe0 && second < 0xa0) || (lead === 0xed && second >= 0xa0)) return 0
  if ((lead === 0xf0 && second < 0x90) || (lead === 0xf4 && second >= 0x90)) return 0
  return size
}

/** The bytes that `textOfForeignBytes` was given; any other half of a surrogate pair becomes U+FFFD. */
export function bytesOfForeignText(text: string): Buffer {
  const parts: Buffer[] = []
  for (const character of text) {
    const code = character.codePointAt(0)!
    parts.push(code >= FOREIGN + 0x80 && code <= FOREIGN + 0xff ? Buffer.from([code - FOREIGN]) : Buffer.from(character, 'utf8'))
  }
  return Buffer.concat(parts)
}
