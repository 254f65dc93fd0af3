import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { readdir } from 'node:fs/promises'
import { join } from 'node:path'
import test from 'node:test'
import { verifyPartition } from '@tidelog/storage'
import { type BrokerKind, type BrokerProcess, brokersInTurn, compatDir, kafkaJars, kafkaTool, succeed } from './harness.ts'

const withUsers = {
  'authorizer.class.name': 'org.apache.kafka.metadata.authorizer.StandardAuthorizer',
  'super.users': 'User:ANONYMOUS',
}
const common = { 'offsets.topic.num.partitions': '3' }
const ours = { ...common, 'log.cleaner.backoff.ms': '500' }

/** Runs steps of RoundTrip.java. @returns What each printed. */
async function steps(broker: BrokerProcess, ...wanted: string[]): Promise<Map<string, string[]>> {
  const program = [join(compatDir, 'java', 'RoundTrip.java'), broker.bootstrap, ...wanted]
  const { stdout } = await succeed('java', ['-Xmx512M', '-XX:+UseSerialGC', '-cp', await kafkaJars('4.3.0'), ...program], {
    timeoutMs: 240_000,
  })
  const printed = new Map<string, string[]>(wanted.map((step) => [step.split(':')[0]!, []]))
  for (const line of stdout.split('\n')) printed.get(line.split(' ')[0]!)?.push(line.slice(line.indexOf(' ') + 1))
  return printed
}

/** Every record of `before` is there unchanged. */
function assertKept(before: readonly string[], after: readonly string[]): void {
  const there = new Set(after)
  assert.deepEqual(
    before.filter((line) => !there.has(line)),
    [],
  )
}

/** Our own check of every partition, and Kafka's of every segment and index. */
async function assertSound(dir: string): Promise<void> {
  const folders = (await readdir(dir)).filter((name) => /^(moved-|keyed-|__consumer_offsets-)/.test(name) && !name.endsWith('-delete'))
  const files: string[] = []
  for (const folder of folders) {
    assert.deepEqual((await verifyPartition(join(dir, folder))).problems, [])
    for (const name of await readdir(join(dir, folder))) files.push(join(dir, folder, name))
  }
  const logs = files.filter((name) => name.endsWith('.log'))
  const indexes = files.filter((name) => /index$/.test(name))
  assert.ok(folders.filter((folder) => logs.filter((log) => log.includes(`/${folder}/`)).length > 1).length > 0, 'something was rolled')
  const dump = async (option: string, of: readonly string[]): Promise<void> => {
    const { code, stdout, stderr } = await kafkaTool('4.3.0', 'org.apache.kafka.tools.DumpLogSegments', [option, '--files', of.join(',')])
    assert.equal(code, 0, stderr)
    // A batch that compaction has emptied has its time in the header alone, and the tool looks at records (log timestamp: -1).
    const isWrong = /isvalid: false|Mismatches in|log timestamp: \d|corrupt|Exception|not found|Found out of order/i
    const wrong = (stdout + stderr).split('\n').filter((line) => isWrong.test(line))
    assert.deepEqual(wrong, [], option)
  }
  await dump('--deep-iteration', logs)
  await dump('--index-sanity-check', indexes)
  await dump('--verify-index-only', indexes)
}

const idsIn = (lines: readonly string[] | undefined): number[] => [...new Set((lines ?? []).map((line) => Number(line.split(' ').at(-1))))]

const moves: [kafka: BrokerKind, end: 'stopped' | 'killed'][] = [
  ['kafka-4.3', 'stopped'],
  ['kafka-4.3', 'killed'],
  ['kafka-3.9', 'stopped'],
  ['kafka-3.9', 'killed'],
]
for (const [kind, end] of moves) {
  test(`a directory of ${kind}, ${end}, goes on here and back there: records, compacted keys, offsets, configurations, users, producer ids`, async (t) => {
    const { dir, start } = brokersInTurn(t)
    const kafkas = { ...withUsers, ...common }
    const kafka = await start(kind, kafkas)
    const first = await steps(
      kafka,
      'topics',
      'users',
      'show-users',
      'write:1',
      'commit:travellers',
      'offsets:travellers',
      'producers',
      'keys:1',
      'latest',
      'read',
    )
    const [written, offsets] = [first.get('read')!, first.get('offsets')!]
    assert.equal(written.length, 1500)
    if (end === 'stopped') await kafka.stop()
    else await kafka.kill()

    const metadata = join(dir, '__cluster_metadata-0')
    const metadataBefore = await contentsOf(metadata)
    const tidelog = await start('tidelog', ours)
    const here = await steps(tidelog, 'read', 'latest', 'offsets:travellers', 'write:2', 'producers', 'resume:travellers')
    assert.deepEqual(here.get('read'), written)
    assert.deepEqual(here.get('latest'), first.get('latest'))
    assert.deepEqual(here.get('offsets'), offsets)
    const resumed = here.get('resume')
    assert.deepEqual(resumed, offsets)
    const kafkasIds = idsIn(first.get('producers'))
    const newIds = idsIn(here.get('producers')).filter((id) => !kafkasIds.includes(id))
    assert.equal(newIds.length, 5)
    assert.ok(Math.min(...newIds) > Math.max(...kafkasIds))
    const compacted = await steps(tidelog, 'keys:2', 'compacted', 'latest')
    await tidelog.crash()
    const recovered = await steps(tidelog, 'read', 'latest', 'offsets:travellers')
    assert.deepEqual(recovered.get('latest'), compacted.get('latest'))
    assertKept(written, recovered.get('read')!)
    assert.equal(recovered.get('read')!.length, 3000)
    await tidelog.stop()
    assert.deepEqual(await contentsOf(metadata), metadataBefore)
    await assertSound(dir)

    const ourEpoch = Math.max(...(await lastLeaderEpochs(dir)))
    const again = await start(kind, kafkas)
    const seenAgain = await steps(again, 'read', 'latest')
    assert.deepEqual(seenAgain.get('read'), recovered.get('read'))
    assert.deepEqual(seenAgain.get('latest'), recovered.get('latest'))
    // What is written now would go back in leader epochs, and a consumer that has seen ours takes no older leader, and Kafka's go on where they were: see docs/guides/moving-from-kafka.md.
    for (let restarts = 0; Math.min(...(await lastLeaderEpochs(dir))) < ourEpoch && restarts < 3; restarts++) {
      await again.restart()
      await steps(again, 'offsets:travellers') // Kafka 3.9 takes half a minute to stop when it has just begun to start
    }
    const back = await steps(again, 'offsets:travellers', 'show-users', 'write:3', 'keys:3', 'resume:travellers', 'latest', 'read')
    const all = back.get('read')!
    assert.deepEqual(back.get('offsets'), recovered.get('offsets'))
    assert.deepEqual(back.get('resume'), recovered.get('offsets'))
    assert.deepEqual(back.get('show-users'), first.get('show-users'))
    assertKept(recovered.get('read')!, all)
    assert.equal(new Set(all).size, 4500)
    await again.stop()

    const hereAgain = await start('tidelog', ours)
    const last = await steps(hereAgain, 'read', 'latest', 'write:4', 'resume:travellers')
    assert.deepEqual(last.get('read'), all)
    assert.deepEqual(last.get('latest'), back.get('latest'))
    assert.deepEqual(idsIn(last.get('resume')), [450], 'the group goes on behind what it has read in Kafka')
    await hereAgain.stop()
    await assertSound(dir)
  })
}

/** Of each partition that has records. */
async function lastLeaderEpochs(dir: string): Promise<number[]> {
  const folders = (await readdir(dir)).filter((name) => /^moved-.*-\d+$/.test(name))
  return folders.map((folder) =>
    Number(
      readFileSync(join(dir, folder, 'leader-epoch-checkpoint'), 'utf8')
        .trim()
        .split('\n')
        .at(-1)!
        .split(' ')[0],
    ),
  )
}

async function contentsOf(dir: string): Promise<[string, string][]> {
  return (await readdir(dir)).sort().map((name) => [name, readFileSync(join(dir, name), 'base64')])
}
