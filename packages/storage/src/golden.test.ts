import assert from 'node:assert/strict'
import { cp, readdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { seededRandom, silentLogger, systemClock } from '@tidelog/core'
import { iterateBatches, prepareCodec, readRecords } from '@tidelog/protocol'
import { temporaryDirectory } from '@tidelog/testkit'
import { Log, resolveLogConfig } from './index.ts'

const golden = join(import.meta.dirname, '../fixtures/golden')

async function copyOfGolden(t: TestContext): Promise<string> {
  const dir = await temporaryDirectory(t)
  await cp(join(golden, 'data'), dir, { recursive: true })
  return dir
}

async function filesOf(dir: string): Promise<Map<string, string>> {
  const files = new Map<string, string>()
  for (const name of (await readdir(dir)).sort()) files.set(name, (await readFile(join(dir, name))).toString('base64'))
  return files
}

function openGolden(
  dir: string,
  topic: string,
  partition: number,
  options: { cleanShutdown: boolean; recoveryPoint: number },
): Promise<Log> {
  return Log.open({
    dir: join(dir, `${topic}-${partition}`),
    topic,
    partition,
    config: resolveLogConfig(new Map()),
    clock: systemClock,
    random: seededRandom(1),
    logger: silentLogger,
    ...options,
  })
}

interface ExpectedRecord {
  offset: number
  timestamp: number
  key: string | null
  value: string | { length: number; prefix: string } | null
  headers: [string, string | null][]
}

interface Expected {
  low: number
  high: number
  records: ExpectedRecord[]
}

async function allRecords(log: Log): Promise<ExpectedRecord[]> {
  const records: ExpectedRecord[] = []
  let startOffset = log.logStartOffset
  while (startOffset < log.logEndOffset) {
    const { records: bytes } = await log.read({ startOffset, maxBytes: 10_000, endOffset: log.logEndOffset, atLeastOneBatch: true })
    assert.ok(bytes.length > 0, `nothing at ${startOffset}`)
    for (const batch of iterateBatches(bytes)) {
      startOffset = batch.lastOffset + 1
      if (batch.isControl) continue
      for (const { offset, timestamp, key, value, headers } of readRecords(batch, { maxOutputBytes: 1 << 20 })) {
        records.push({
          offset,
          timestamp,
          key: key?.toString() ?? null,
          value: value?.toString() ?? null,
          headers: headers.map((header) => [header.key, header.value?.toString() ?? null]),
        })
      }
    }
  }
  return records
}

for (const how of [
  { cleanShutdown: false, recoveryPoint: 0 },
  { cleanShutdown: false, recoveryPoint: 4000 },
  { cleanShutdown: true, recoveryPoint: 0 },
]) {
  test(`Kafka's own directory reads as librdkafka read it and stays as it was: ${JSON.stringify(how)}`, async (t) => {
    await prepareCodec('zstd')
    const expected = JSON.parse(await readFile(join(golden, 'expected.json'), 'utf8')) as Record<string, Expected | undefined>
    const dir = await copyOfGolden(t)
    for (const folder of await readdir(join(golden, 'data'))) {
      const match = /^(.+)-(\d+)$/.exec(folder)
      if (match === null) continue
      const before = await filesOf(join(dir, folder))
      const log = await openGolden(dir, match[1]!, Number(match[2]), how)
      const want = expected[match[1]!] ?? expected[`${match[1]!} read_uncommitted`]
      if (want !== undefined) {
        assert.equal(log.logStartOffset, want.low, folder)
        assert.equal(log.logEndOffset, want.high, folder)
        const got = await allRecords(log)
        assert.equal(got.length, want.records.length)
        for (const [index, record] of got.entries())
          assert.deepEqual(shortened(record, want.records[index]!), want.records[index], `${folder} ${index}`)
      }
      await log.close()
      assert.deepEqual(await filesOf(join(dir, folder)), before, folder)
    }
  })
}

/** `record` with a long value as length and prefix, as `expected` gives it. */
function shortened(record: ExpectedRecord, expected: ExpectedRecord): ExpectedRecord {
  const { value } = record
  if (typeof value !== 'string' || expected.value === null || typeof expected.value === 'string') return record
  return { ...record, value: { length: Buffer.byteLength(value), prefix: value.slice(0, expected.value.prefix.length) } }
}
