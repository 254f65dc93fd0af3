import assert from 'node:assert/strict'
import { copyFileSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import test from 'node:test'
import { temporaryDirectory } from '@tidelog/testkit'
import { runWith } from '../command-harness.ts'
import { dumpLog } from './dump-log.ts'

const golden = join(import.meta.dirname, '../../../storage/fixtures/golden/data')
const rolled = join(golden, 'golden-rolled-0/00000000000000000000')
const dump = (...args: string[]) => runWith(dumpLog, {}, ...args)

test('batches, records with keys and values, markers and what belongs to producers are printed as kafka-dump-log does', async () => {
  const txn = join(golden, 'golden-txn-0/00000000000000000000')
  const { code, stdout } = await dump(
    '--print-data-log',
    '--files',
    `${txn}.log,${txn}.txnindex,${join(golden, 'golden-txn-0/00000000000000000026.snapshot')}`,
  )
  assert.equal(code, 0)
  const lines = stdout.split('\n')
  assert.deepEqual(lines.slice(1, 5), [
    'Log starting offset: 0',
    'baseOffset: 0 lastOffset: 0 count: 1 baseSequence: -1 lastSequence: -1 producerId: 270 producerEpoch: 1 partitionLeaderEpoch: 0 isTransactional: true isControl: true deleteHorizonMs: OptionalLong.empty position: 0 CreateTime: 1795245842334 size: 78 magic: 2 compresscodec: none crc: 3742409489 isvalid: true',
    '| offset: 0 CreateTime: 1795245842334 keySize: 4 valueSize: 6 sequence: -1 headerKeys: [] endTxnMarker: ABORT coordinatorEpoch: 0',
    lines[4],
  ])
  assert.match(
    lines[5]!,
    /^\| offset: 1 CreateTime: 1700000000000 keySize: 2 valueSize: 5 sequence: 0 headerKeys: \[\] key: \S+ payload: \S+$/,
  )
  assert.ok(lines.includes('version: 0 producerId: 270 firstOffset: 7 lastOffset: 12 lastStableOffset: 13'))
  assert.equal(
    lines.at(-2),
    'producerId: 270 producerEpoch: 2 coordinatorEpoch: 0 currentTxnFirstOffset: OptionalLong[25] lastTimestamp: 1700000000999 firstSequence: 20 lastSequence: 20 lastOffset: 25 offsetDelta: 0 timestamp: 1700000000999',
  )
})

test('records of internal topics and of KRaft are decoded as kafka-dump-log does; what consumers say to each other is shown as what it says', async () => {
  const ofFirst = async (option: string, path: string, pattern: RegExp) => {
    const { code, stdout } = await dump(option, '--files', path)
    assert.equal(code, 0)
    return stdout.split('\n').find((line) => pattern.test(line))
  }
  const offsets = join(golden, '__consumer_offsets-49/00000000000000000000.log')
  assert.equal(
    await ofFirst('--offsets-decoder', offsets, /offset: 2 CreateTime/),
    '| offset: 2 CreateTime: 1795245105095 keySize: 40 valueSize: 82 sequence: 0 headerKeys: [] key: {"type":"1","data":{"group":"kbench-cl1795245104457138972","topic":"cl","partition":0}} payload: {"version":"4","data":{"offset":307528,"leaderEpoch":0,"metadata":"kgo-20d88941-8675-4d12-8f36-21617ce9c675","commitTimestamp":1795245105095,"topicId":"Lp6zmGrkR7es2P4tgbetNw"}}',
  )
  assert.match(
    (await ofFirst('--offsets-decoder', offsets, /offset: 1 CreateTime/))!,
    /"subscription":\{"topics":\["cl"\],"userData":"AAAAAA==","ownedPartitions":\[\],"generationId":-1,"rackId":null\},"assignment":\{"assignedPartitions":\[\{"topic":"cl","partitions":\[3,4\]\}\],"userData":null\}/,
  )
  assert.match(
    (await ofFirst('--transaction-log-decoder', join(golden, '__transaction_state-34/00000000000000000000.log'), /offset: 0 CreateTime/))!,
    / key: \{"type":"0","data":\{"transactionalId":"fecef3b2\w+"\}\} payload: \{"version":"1","data":\{"producerId":44,"previousProducerId":44,"producerEpoch":0,"transactionTimeoutMs":60000,"transactionStatus":0,"transactionPartitions":null,"transactionLastUpdateTimestampMs":1795245246697,"transactionStartTimestampMs":-1\}\}$/,
  )
  const metadata = join(golden, '../../kraft/kafka-4.3-clean/__cluster_metadata-0/00000000000000000000.log')
  assert.match(
    (await ofFirst('--cluster-metadata-decoder', metadata, /offset: 0 CreateTime/))!,
    / LeaderChange: \{"version":0,"leaderId":1,"voters":\[\{"voterId":1\}\],"grantingVoters":\[\{"voterId":1\}\]\}$/,
  )
  assert.match(
    (await ofFirst('--cluster-metadata-decoder', metadata, /FEATURE_LEVEL_RECORD/))!,
    / payload: \{"type":"FEATURE_LEVEL_RECORD","version":0,"data":\{"name":"metadata\.version","featureLevel":\d+\}\}$/,
  )
  const bootstrap = await dump('--cluster-metadata-decoder', '--files', join(golden, '../../kraft/kafka-4.3-clean/bootstrap.checkpoint'))
  assert.match(bootstrap.stdout, /^KRaft bootstrap snapshot$/m)
})

test('every codec is read, and nothing is wrong with the indexes of a sound segment', async () => {
  for (const codec of ['plain', 'gzip', 'snappy', 'lz4', 'zstd']) {
    const { stdout } = await dump('--deep', '--files', join(golden, `golden-${codec}-0/00000000000000000000.log`))
    assert.equal(stdout.split('\n').filter((line) => line.startsWith('| offset: ')).length, 200, codec)
  }
  const { code, stdout, stderr } = await dump('--verify-index-only', '--files', `${rolled}.index,${rolled}.timeindex`)
  assert.deepEqual([code, stdout, stderr], [0, `Dumping ${rolled}.index\nDumping ${rolled}.timeindex\n`, ''])
  assert.match((await dump('--index-sanity-check', '--files', `${rolled}.index`)).stdout, /passed sanity check\.$/m)
})

test('index entries that do not fit their segment, a wrong checksum and bytes that are no batch are told', async (t) => {
  const dir = await temporaryDirectory(t)
  const bad = join(dir, '00000000000000000000')
  const damaged = (suffix: string, damage: (bytes: Buffer) => Buffer) =>
    writeFileSync(`${bad}.${suffix}`, damage(readFileSync(`${rolled}.${suffix}`)))
  copyFileSync(`${rolled}.log`, `${bad}.log`)
  damaged('index', (bytes) => {
    bytes[3]! += 1
    return bytes
  })
  damaged('timeindex', (bytes) => {
    bytes[7]! ^= 1
    bytes[23]! += 1
    return bytes
  })
  const { stderr } = await dump('--verify-index-only', '--files', `${bad}.index,${bad}.timeindex`)
  assert.match(
    stderr,
    new RegExp(`^Mismatches in :${bad}\\.index\n {2}Index offset: 38, log offset: 37\nFound timestamp mismatch in :${bad}\\.timeindex\n`),
  )
  assert.match(stderr, /The following indexed offsets are not found in :/)
  damaged('log', (bytes) => {
    bytes[100]! ^= 1
    return Buffer.concat([bytes, Buffer.alloc(7)])
  })
  const { stdout } = await dump('--files', `${bad}.log`)
  assert.match(stdout, /isvalid: false\n/)
  assert.match(stdout, /Found 7 invalid bytes at the end of 0{20}\.log\n$/)
  writeFileSync(`${bad}.index`, 'odd')
  const odd = await dump('--files', `${bad}.index`)
  assert.equal(odd.code, 1)
  assert.match(odd.stderr, /is corrupt/)
  assert.match((await dump('--files', join(dir, 'nothing.log'))).stderr, /does not exist/)
})
