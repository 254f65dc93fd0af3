import assert from 'node:assert/strict'
import { readdirSync, readFileSync, statSync } from 'node:fs'
import { join } from 'node:path'
import test from 'node:test'
import { buildEndTxnMarker } from '@tidelog/protocol'
import { batchOf } from '@tidelog/testkit'
import { type ClusterMetadataRead, readClusterMetadata } from './cluster-metadata-log.ts'
import { type FileSystem, nodeFileSystem } from './file-system.ts'

const fixtures = join(import.meta.dirname, '../fixtures/kraft')
const LOG = '__cluster_metadata-0/00000000000000000000.log'

type Files = Map<string, Buffer>

/** A directory that real Kafka left, in memory, by path within it. */
function filesOf(name: string): Files {
  const dir = join(fixtures, name)
  const paths = readdirSync(dir, { recursive: true, encoding: 'utf8' }).filter((path) => statSync(join(dir, path)).isFile())
  return new Map(paths.map((path) => [path, readFileSync(join(dir, path))]))
}

/** A disk that only reads: whatever would change it is not there to be called. */
function diskOf(files: Files): FileSystem {
  const within = (path: string) => path.slice('/dir/'.length)
  const open: Buffer[] = []
  const reading: Partial<FileSystem> = {
    open: async (path) => open.push(files.get(within(path))!) - 1,
    close: async () => {},
    read: async (fd, into, position) => open[fd]!.copy(into, 0, position),
    readFile: async (path) => files.get(within(path)) ?? (await nodeFileSystem.readFile('/does/not/exist')),
    list: async (path) =>
      [...files.keys()]
        .filter((name) => name.startsWith(`${within(path)}/`))
        .map((name) => ({ name: name.split('/')[1]!, isDirectory: false })),
    stat: async (path) => {
      const file = files.get(within(path))
      const isDirectory = file === undefined && [...files.keys()].some((name) => name.startsWith(`${within(path)}/`))
      return file === undefined && !isDirectory ? undefined : { sizeBytes: file?.length ?? 0, modifiedMs: 0, isDirectory }
    },
  }
  return reading as FileSystem
}

async function read(files: Files): Promise<{ values: string[]; result: ClusterMetadataRead | undefined }> {
  const values: string[] = []
  const result = await readClusterMetadata(diskOf(files), '/dir', (value) => values.push(value.toString('hex')))
  return { values, result }
}

const ofOneLine = (files: Files, pattern: RegExp, message?: string) =>
  assert.rejects(
    read(files),
    (error: Error) => error.name === 'ClusterMetadataError' && !error.message.includes('\n') && pattern.test(error.message),
    message,
  )
const snapshotsIn = (files: Files) => [...files.keys()].filter((path) => /\d{10}\.checkpoint$/.test(path)).sort()
const replaced = (files: Files, path: string, bytes: Buffer): Files => new Map([...files, [path, bytes]])
const without = (files: Files, ...paths: string[]): Files => new Map([...files].filter(([path]) => !paths.includes(path)))

/** With one bit of one byte turned. */
function flipped(bytes: Buffer, at: number): Buffer {
  const copy = Buffer.from(bytes)
  copy[at]! ^= 1 << (at % 8)
  return copy
}

/** Where each batch of the log begins, and its end. */
function boundaries(log: Buffer): number[] {
  const places = [0]
  for (let at = 0; at < log.length; places.push(at)) at += 12 + log.readInt32BE(at + 8)
  return places
}

test('the newest snapshot and the log behind it are read, and what a directory without a snapshot holds is all of its log', async () => {
  const clean = filesOf('kafka-4.3-clean')
  const { values, result } = await read(clean)
  const newest = snapshotsIn(clean).at(-1)!
  assert.deepEqual(result?.snapshotEndOffset, Number(newest.split('/')[1]!.slice(0, 20)))
  assert.equal(result?.records, values.length)
  assert.ok(result!.nextOffset > result!.snapshotEndOffset)
  const killed = await read(filesOf('kafka-4.3-killed'))
  assert.equal(killed.result?.snapshotEndOffset, 0)
  assert.equal(killed.result?.tornBytes, 0)
  assert.ok(killed.values.length > 50)
})

test('a directory without a metadata log says so; of one that was formatted and never started, bootstrap.checkpoint speaks', async () => {
  assert.equal((await read(new Map([['meta.properties', Buffer.alloc(0)]]))).result, undefined)
  for (const files of [filesOf('kafka-4.3-formatted'), replaced(filesOf('kafka-4.3-killed'), LOG, Buffer.alloc(0))]) {
    const { values, result } = await read(files)
    assert.equal(values.length, 6, 'a feature level each')
    assert.equal(result?.nextOffset, 0)
  }
})

test('a log that a crash cut off at any byte ends behind its last whole batch; after a clean stop that is damage', async () => {
  const files = filesOf('kafka-4.3-killed')
  const log = files.get(LOG)!
  const all = (await read(files)).values
  const whole = boundaries(log)
  const clean = replaced(files, '.kafka_cleanshutdown', Buffer.alloc(0))
  for (let length = whole.at(2)!; length < log.length; length += 7) {
    const end = whole.findLast((place) => place <= length)!
    const { values, result } = await read(replaced(files, LOG, log.subarray(0, length)))
    assert.equal(result?.tornBytes, length - end)
    assert.deepEqual(values, all.slice(0, values.length))
    if (length !== end) await ofOneLine(replaced(clean, LOG, log.subarray(0, length)), /\.log is damaged: offset \d+: /)
  }
  const zeros = Buffer.concat([log, Buffer.alloc(4096)])
  assert.deepEqual((await read(replaced(files, LOG, zeros))).values, all)
})

test('a bit that has turned is refused in one line or changes nothing, but for the last batch, which may have been cut off', async () => {
  for (const name of ['kafka-4.3-killed', 'kafka-4.3-clean', 'kafka-3.9-killed']) {
    const files = filesOf(name)
    const all = (await read(files)).values
    const log = files.get(LOG)!
    const lastBatch = boundaries(log).at(-2)!
    for (const path of [LOG, ...snapshotsIn(files).slice(-1)]) {
      const bytes = files.get(path)!
      for (let at = 0; at < bytes.length; at += 5) {
        const damaged = replaced(files, path, flipped(bytes, at))
        const outcome = await read(damaged).catch((error: Error) => error)
        if (outcome instanceof Error)
          assert.match(outcome.message, /^\/dir\/[^\n]* (is damaged|cannot be read): [^\n]*$/, `${path} at ${at}`)
        else if (path === LOG && at >= lastBatch && outcome.result!.tornBytes > 0)
          assert.deepEqual(outcome.values, all.slice(0, outcome.values.length))
        else assert.deepEqual(outcome.values, all, `${name}/${path} at ${at}`)
      }
    }
  }
})

test('a snapshot that is cut off, or goes on behind its end, is refused', async () => {
  const files = filesOf('kafka-4.3-clean')
  const path = snapshotsIn(files).at(-1)!
  const bytes = files.get(path)!
  for (let length = 0; length < bytes.length; length += 13)
    await ofOneLine(replaced(files, path, bytes.subarray(0, length)), /\.checkpoint is damaged: /)
  const marker = buildEndTxnMarker({ type: 'commit', coordinatorEpoch: 0, producerId: 1, producerEpoch: 0, timestamp: 0 })
  await ofOneLine(replaced(files, path, Buffer.concat([bytes, marker])), /\.checkpoint is damaged: /)
  await ofOneLine(replaced(files, path, marker), /does not begin with a header/)
})

test('a gap between snapshot and log, or between segments, is refused', async () => {
  const files = filesOf('kafka-4.3-killed')
  const log = files.get(LOG)!
  const cut = boundaries(log)[4]!
  const second = (offset: number) => `__cluster_metadata-0/${String(offset).padStart(20, '0')}.log`
  const offset = Number(log.readBigInt64BE(cut))
  const halves = replaced(replaced(files, LOG, log.subarray(0, cut)), second(offset), log.subarray(cut))
  assert.deepEqual((await read(halves)).values, (await read(files)).values)
  await ofOneLine(without(halves, LOG), /the log begins at offset \d+, but there is no snapshot/)
  const misplaced = replaced(without(halves, second(offset)), second(offset + 1), log.subarray(cut))
  await ofOneLine(misplaced, /the segment begins at/)
  await ofOneLine(replaced(halves, LOG, log.subarray(0, cut - 1)), /\.log is damaged/)
})

test('what the visitor says against a record names file and offset', async () => {
  const refusing = readClusterMetadata(diskOf(filesOf('kafka-4.3-killed')), '/dir', () => {
    throw new Error('metadata record of unknown type 99')
  })
  await assert.rejects(
    refusing,
    /^ClusterMetadataError: \/dir\/__cluster_metadata-0\/0{20}\.log cannot be read: offset \d+: metadata record of unknown type 99$/,
  )
  await ofOneLine(replaced(filesOf('kafka-4.3-killed'), LOG, batchOf([{ value: null }])), /a record without a value/)
})
