/** How fast are records checked, patched, built and compressed on one core? */
import { libuvOffload } from '@tidelog/core'
import {
  BatchBuilder,
  batchAt,
  batchHeader,
  buildBatch,
  type CodecName,
  codecNames,
  compressSync,
  decompressSync,
  iterateBatches,
  type NewRecord,
  prepareCodec,
  readRecords,
  validateRecords,
} from '@tidelog/protocol'

const WARM_UP_MS = 200
const MEASURE_MS = 700
const RECORDS = 1000
const RECORD_BYTES = 100

/** Runs `once` for a while and tells how often a second it can. */
function rate(once: () => void): number {
  const until = (ms: number): number => {
    const start = performance.now()
    let rounds = 0
    while (performance.now() - start < ms) {
      once()
      rounds++
    }
    return (rounds / (performance.now() - start)) * 1000
  }
  until(WARM_UP_MS)
  return until(MEASURE_MS)
}

function report(what: string, perSecond: number, bytes: number, records?: number): void {
  const megabytes = `${((perSecond * bytes) / 1e6).toFixed(0)} MB/s`.padStart(12)
  const millions = records === undefined ? '' : `${((perSecond * records) / 1e6).toFixed(1)} M records/s`.padStart(18)
  process.stdout.write(`${what.padEnd(34)}${megabytes}${millions}\n`)
}

function someRecords(): NewRecord[] {
  return Array.from({ length: RECORDS }, (_, index) => {
    const value = Buffer.from(JSON.stringify({ id: index, city: index % 97, at: index * 7919 }).padEnd(RECORD_BYTES - 16))
    return { timestamp: 1_700_000_000_000 + index, key: Buffer.from(String(index % 500)), value }
  })
}

const records = someRecords()
const batch = buildBatch(records)
const view = batchAt(batch, 0, batch.length)!
const offload = libuvOffload()
const rules = { requireKeys: true, minTimestampMs: 0, maxTimestampMs: Number.MAX_SAFE_INTEGER, maxOutputBytes: 100_000_000 }

report(
  'CRC check and header patch',
  rate(() => {
    for (const { at, isCrcValid } of iterateBatches(batch)) {
      if (!isCrcValid) throw new Error('CRC')
      batchHeader.setBaseOffset(batch, at, 12345)
      batchHeader.setPartitionLeaderEpoch(batch, at, 3)
    }
  }),
  batch.length,
  RECORDS,
)
report(
  'walk',
  rate(() => void validateRecords(view, rules, offload)),
  batch.length,
  RECORDS,
)
report(
  'read offset and value',
  rate(() => {
    let bytes = 0
    for (const { value } of readRecords(view, rules)) bytes += value?.length ?? 0
    if (bytes === 0) throw new Error('nothing read')
  }),
  batch.length,
  RECORDS,
)
report(
  'build',
  rate(() => {
    const builder = new BatchBuilder({ expectedBytes: batch.length })
    for (const record of records) builder.append(record)
    builder.build()
  }),
  batch.length,
  RECORDS,
)

async function codec(name: CodecName): Promise<void> {
  await prepareCodec(name)
  const payload = view.payload
  const compressed = compressSync(name, payload)
  report(
    `${name} compress (${(payload.length / compressed.length).toFixed(1)}:1)`,
    rate(() => void compressSync(name, payload)),
    payload.length,
  )
  report(
    `${name} decompress`,
    rate(() => void decompressSync(name, compressed, rules)),
    payload.length,
  )
}

for (const name of codecNames) if (name !== 'none') await codec(name)
