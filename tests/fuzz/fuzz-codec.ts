import assert from 'node:assert/strict'
import { ByteReader, MalformedError, seededRandom } from '@tidelog/core'
import { type Api, apis } from '@tidelog/protocol'
import { mutate, randomRequestBody } from './generate.ts'

const all = Object.values(apis) as unknown as Api[]

/** Reads broken bodies of every API and version, served or not. Each decodes or is a MalformedError, and makes no more of its bytes than they can hold. */
export function fuzzCodec({ cases, seed }: { readonly cases: number; readonly seed: number }): void {
  const random = seededRandom(seed)
  let decoded = 0
  let refused = 0
  for (let i = 0; i < cases; i++) {
    const api = all[i % all.length]!
    const version = api.versions[0] + random.int(api.versions[1] - api.versions[0] + 1)
    const body = mutate(randomRequestBody(api, version, random), random)
    if (decodes(api, version, body, `case ${i} of seed ${seed}`)) decoded++
    else refused++
  }
  assert.ok(decoded > cases / 10 && refused > cases / 10, `${decoded} decoded, ${refused} refused: the cases say nothing`)
}

/** What a length may claim that it cannot hold, in each of the forms that lengths have on the wire. */
const claims = [
  [0x7f, 0xff, 0xff, 0xff], // 2^31-1
  [0xff, 0xff, 0xff, 0xfe], // -2
  [0x00, 0x00, 0x7f, 0xff],
  [0xff, 0xff, 0xff, 0xff, 0x0f], // a varint of 2^32-1
  [0xff, 0xff, 0xff, 0xff, 0x07],
  [0x80, 0x80, 0x80, 0x80, 0x80, 0x01], // a varint that is too long
]

/** Puts every claim at every place of a sound body of every API and version, so that each length in it, however deep, has its turn. @returns how many were tried */
export function claimLengthsEverywhere(seed: number): number {
  const random = seededRandom(seed)
  let tried = 0
  for (const api of all) {
    for (let version = api.versions[0]; version <= api.versions[1]; version++) {
      const sound = randomRequestBody(api, version, random).subarray(0, 250)
      for (let at = 0; at < sound.length; at++) {
        for (const claim of claims) {
          const body = Buffer.concat([sound.subarray(0, at), Buffer.from(claim), sound.subarray(at + claim.length)])
          decodes(api, version, body, `claim ${claim} at ${at}`)
          tried++
        }
      }
    }
  }
  return tried
}

/** False when the body is refused as it should be. */
function decodes(api: Api, version: number, body: Buffer, what: string): boolean {
  let value: unknown
  try {
    value = api.request.codec(version).read(new ByteReader(body))
  } catch (error) {
    assert.ok(error instanceof MalformedError, `${api.name} ${version}, ${what}: ${error}`)
    return false
  }
  assert.ok(valuesIn(value) <= 40 * (body.length + 40), `${api.name} ${version}, ${what}: too much is made of ${body.length} bytes`)
  return true
}

function valuesIn(value: unknown): number {
  if (value === null || typeof value !== 'object' || value instanceof Uint8Array) return 1
  let count = 1
  for (const inner of Object.values(value)) count += valuesIn(inner)
  return count
}
