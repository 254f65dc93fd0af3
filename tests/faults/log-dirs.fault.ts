import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { basename, join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { DescribeLogDirs, Fetch, Metadata, Produce } from '@tidelog/protocol'
import { batchOf, connectTo, createTopic, recordsIn } from '@tidelog/testkit'
import { startBrokerProcess, temporaryDir } from './broker-process.ts'

const done = (command: string, ...args: string[]) => spawnSync(command, args, { encoding: 'utf8' })

/** An ext4 file system that turns read-only on its first error, and what brings that about; undefined where the machine allows none. */
function failingVolume(t: TestContext): { path: string; fail(): void; repair(): void } | undefined {
  const base = mkdtempSync(join(tmpdir(), 'tidelog-volume-'))
  const image = join(base, 'image')
  const path = join(base, 'volume')
  mkdirSync(path)
  t.after(() => {
    done('umount', '-l', path)
    rmSync(base, { recursive: true, force: true })
  })
  const mount = () => done('mount', '-o', 'loop,errors=remount-ro', image, path).status === 0
  if (done('truncate', '-s', '64M', image).status !== 0 || done('mkfs.ext4', '-q', image).status !== 0 || !mount()) return undefined
  return {
    path,
    fail() {
      const device = basename(done('findmnt', '-n', '-o', 'SOURCE', path).stdout.trim())
      writeFileSync(`/sys/fs/ext4/${device}/trigger_fs_error`, 'test')
    },
    repair() {
      assert.equal(done('umount', path).status, 0)
      done('fsck.ext4', '-p', '-f', image)
      assert.ok(mount())
    },
  }
}

type Connection = Awaited<ReturnType<typeof connectTo>>

async function codeOf(connection: Connection, index: number, value: string): Promise<number> {
  const topicData = [{ name: 'disk', partitionData: [{ index, records: batchOf([{ value }]) }] }]
  const { responses } = await connection.send(Produce, 9, { transactionalId: null, acks: -1, timeoutMs: 5000, topicData })
  return responses[0]!.partitionResponses[0]!.errorCode
}

test('L20: a volume under one of two log dirs turns read-only under load: it goes offline alone, and is whole again once it is repaired', async (t) => {
  const volume = failingVolume(t)
  if (volume === undefined) return t.skip('no ext4 may be mounted')
  const dir = temporaryDir(t)
  const lost = join(volume.path, 'logs')
  // What such a volume had in the page cache only is gone, as after a power cut: acks wait for the disk.
  const overrides = { 'log.dirs': `${join(dir, 'logs')},${lost}`, 'log.flush.interval.messages': '1' }
  const broker = await startBrokerProcess(dir, { overrides })
  const connection = await connectTo(t, broker)
  await createTopic(connection, 'disk', { partitions: 2 })
  const { results } = await connection.send(DescribeLogDirs, 4, { topics: [{ topic: 'disk', partitions: [0, 1] }] })
  const lostIndex = results.find(({ logDir }) => logDir === lost)!.topics[0]!.partitions[0]!.partitionIndex
  const acked: string[][] = [[], []]
  for (let round = 0; round < 200; round++) {
    if (round === 100) volume.fail()
    await Promise.all(
      [0, 1].map(async (index) => {
        const value = `${index}:${round}:${'x'.repeat(500)}`
        const code = await codeOf(connection, index, value)
        assert.ok(code === 0 || (code === 56 && index === lostIndex), `partition ${index}, round ${round}: ${code}`)
        if (code === 0) acked[index]!.push(value)
      }),
    )
  }
  assert.deepEqual([acked[lostIndex]!.length, acked[1 - lostIndex]!.length], [100, 200])
  const described = await connection.send(DescribeLogDirs, 4, { topics: null })
  assert.deepEqual(new Map(described.results.map(({ logDir, errorCode }) => [logDir, errorCode])).get(lost), 56)
  const { topics } = await connection.send(Metadata, 9, { topics: [{ name: 'disk' }], allowAutoTopicCreation: false })
  assert.deepEqual(
    topics[0]!.partitions.map(({ leaderId, offlineReplicas }) => [leaderId, offlineReplicas.length]),
    [0, 1].map((index) => (index === lostIndex ? [-1, 1] : [1, 0])),
  )
  broker.child.kill('SIGTERM')
  assert.equal((await broker.ended).code, 0)
  volume.repair()

  const again = await connectTo(t, await startBrokerProcess(dir, { overrides }))
  for (const index of [0, 1]) {
    assert.equal(await codeOf(again, index, 'again'), 0)
    const fetched: (string | null)[] = []
    while (fetched.length < acked[index]!.length) {
      const wanted = [{ topic: 'disk', partitions: [{ partition: index, fetchOffset: fetched.length, partitionMaxBytes: 4 << 20 }] }]
      const { responses } = await again.send(Fetch, 11, { maxWaitMs: 0, minBytes: 0, topics: wanted, forgottenTopicsData: [] })
      const records = recordsIn(responses[0]!.partitions[0]!.records)
      assert.ok(records.length > 0)
      fetched.push(...records.map(({ value }) => value))
    }
    assert.deepEqual(fetched.slice(0, acked[index]!.length), acked[index])
  }
})
