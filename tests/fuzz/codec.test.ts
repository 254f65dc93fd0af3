import assert from 'node:assert/strict'
import test from 'node:test'
import { ByteReader, MalformedError, seededRandom } from '@tidelog/core'
import { type Api, apis } from '@tidelog/protocol'
import { mutate, randomRequestBody } from './generate.ts'

const seed = Number(process.env.SEED ?? 20_261_121)
const cases = Number(process.env.CASES ?? 100_000)

test(`${cases} broken request bodies (SEED=${seed}) decode, or fail as MalformedError, and never allocate beyond their size`, () => {
  const random = seededRandom(seed)
  const all = Object.values(apis) as unknown as Api[]
  let decoded = 0
  let refused = 0
  for (let i = 0; i < cases; i++) {
    const api = all[i % all.length]!
    const version = api.versions[0] + random.int(api.versions[1] - api.versions[0] + 1)
    const body = mutate(randomRequestBody(api, version, random), random)
    try {
      const value = api.request.codec(version).read(new ByteReader(body))
      assert.ok(valuesIn(value) <= 40 * (body.length + 40), `${api.name} v${version}: case ${i} made too much of ${body.length} bytes`)
      decoded++
    } catch (error) {
      assert.ok(error instanceof MalformedError, `${api.name} v${version}, case ${i}: ${error}`)
      refused++
    }
  }
  assert.ok(decoded > cases / 10 && refused > cases / 10, `${decoded} decoded, ${refused} refused: the cases say nothing`)
})

function valuesIn(value: unknown): number {
  if (value === null || typeof value !== 'object' || value instanceof Uint8Array) return 1
  let count = 1
  for (const inner of Object.values(value)) count += valuesIn(inner)
  return count
}
