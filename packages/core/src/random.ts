import { randomBytes, randomInt } from 'node:crypto'

/** Randomness as everything but this file sees it, so that a run can be repeated from its seed. */
export interface Random {
  /** A whole number from 0 to `endExclusive` − 1, each as likely; `endExclusive` lies between 1 and 2^48. */
  int(endExclusive: number): number
  bytes(length: number): Uint8Array
}

const MAX_END = 2 ** 48

function checkEnd(endExclusive: number): void {
  if (!(Number.isInteger(endExclusive) && endExclusive >= 1 && endExclusive <= MAX_END)) {
    throw new RangeError(`no whole number lies between 0 and ${endExclusive}`)
  }
}

/** Cryptographically secure. */
export const systemRandom: Random = {
  int(endExclusive) {
    checkEnd(endExclusive)
    return endExclusive === MAX_END ? randomInt(MAX_END - 1) : randomInt(endExclusive)
  },
  bytes: (length) => randomBytes(length),
}

/** The same sequence for the same seed, on every machine; fit for tests and simulation, not for secrets. */
export function seededRandom(seed: number): Random {
  // sfc32: 128 bits of state, of which the seed gives 64; the first rounds mix them.
  let a = seed >>> 0
  let b = Math.floor(seed / 2 ** 32) >>> 0
  let c = 0x9e3779b9
  let counter = 1
  const next = (): number => {
    const sum = (a + b + counter) | 0
    counter = (counter + 1) | 0
    a = b ^ (b >>> 9)
    b = (c + (c << 3)) | 0
    c = (((c << 21) | (c >>> 11)) + sum) | 0
    return sum >>> 0
  }
  for (let round = 0; round < 12; round++) next()
  return {
    int(endExclusive) {
      checkEnd(endExclusive)
      // 53 random bits against at most 48 asked for: no value is likelier than another by more than 2^-5 of 2^-48.
      const fraction = ((next() >>> 5) * 2 ** 26 + (next() >>> 6)) / 2 ** 53
      return Math.floor(fraction * endExclusive)
    },
    bytes(length) {
      const bytes = new Uint8Array(length)
      for (let index = 0; index < length; index++) bytes[index] = next() >>> 24
      return bytes
    },
  }
}
