import assert from 'node:assert/strict'
import { type TestContext, test } from 'node:test'
import { seededRandom } from '@tidelog/core'
import {
  errorTable,
  FindCoordinator,
  Metadata,
  type RequestOf,
  ShareAcknowledge,
  ShareFetch,
  type ShareFetchRequest,
  ShareGroupHeartbeat,
} from '@tidelog/protocol'
import { batchOf, type FakeBroker, fakeBroker, metadataOf, startTestBroker, until } from '@tidelog/testkit'
import { UnsupportedVersionError } from '../errors.ts'
import { fromProperties } from '../from-properties.ts'
import { string } from '../serde/serde.ts'
import type { AcknowledgementOutcome } from './acknowledgements.ts'
import { ShareConsumer } from './share-consumer.ts'
import type { ShareConsumerOptions } from './share-consumer-options.ts'
import type { ShareRecord } from './share-record.ts'

const topicId = 'AAAAAAAAAAAAAAAAAAAAFw'
const LOCK_MS = 30_000

/** What the fake broker answers to a fetch of partition 0 of the topic; undefined: nothing new. */
interface Acquired {
  readonly records?: Buffer
  readonly ranges?: readonly (readonly [first: number, last: number, deliveryCount: number])[]
  readonly errorCode?: number
  readonly acknowledgeErrorCode?: number
  /** Of the whole answer. */
  readonly sessionError?: number
}

/** A broker with a topic `a` of one partition that answers fetches with `answers`, one after the other, and then with nothing. */
async function shareBroker(
  t: TestContext,
  answers: (Acquired | ((request: ShareFetchRequest) => Acquired))[],
  lockMs = LOCK_MS,
): Promise<FakeBroker> {
  const broker = await fakeBroker(t)
  const { nodeId, host, port } = broker
  const partitions = [
    { errorCode: 0, partitionIndex: 0, leaderId: 1, leaderEpoch: 0, replicaNodes: [1], isrNodes: [1], offlineReplicas: [] },
  ]
  broker.serve(Metadata, () => ({ ...metadataOf([broker]), topics: [{ errorCode: 0, name: 'a', topicId, partitions }] }))
  broker.serve(FindCoordinator, ({ coordinatorKeys }) => ({
    coordinators: coordinatorKeys.map((key) => ({ key, nodeId, host, port, errorCode: 0, errorMessage: null })),
  }))
  broker.serve(ShareGroupHeartbeat, ({ memberId, memberEpoch }) => ({
    errorCode: 0,
    memberId,
    memberEpoch: memberEpoch < 0 ? -1 : 1,
    heartbeatIntervalMs: 1000,
    assignment: memberEpoch === 0 ? { topicPartitions: [{ topicId, partitions: [0] }] } : null,
  }))
  broker.serve(ShareFetch, (request) => {
    const next = answers.shift() ?? {}
    const {
      records,
      ranges = [],
      errorCode = 0,
      acknowledgeErrorCode = 0,
      sessionError = 0,
    } = typeof next === 'function' ? next(request) : next
    const row = {
      partitionIndex: 0,
      errorCode,
      acknowledgeErrorCode,
      currentLeader: { leaderId: -1, leaderEpoch: -1 },
      records: records ?? null,
      acquiredRecords: ranges.map(([firstOffset, lastOffset, deliveryCount]) => ({ firstOffset, lastOffset, deliveryCount })),
    }
    const responses = sessionError === 0 ? [{ topicId, partitions: [row] }] : []
    return { errorCode: sessionError, acquisitionLockTimeoutMs: lockMs, responses, nodeEndpoints: [] }
  })
  broker.serve(ShareAcknowledge, () => ({ errorCode: 0, acquisitionLockTimeoutMs: lockMs, responses: [], nodeEndpoints: [] }))
  return broker
}

function consumerOf(t: TestContext, broker: FakeBroker, options: Partial<ShareConsumerOptions<string, string>> = {}) {
  const share = new ShareConsumer<string, string>({
    bootstrapServers: broker.bootstrapServers,
    groupId: 'g',
    keyDeserializer: string,
    valueDeserializer: string,
    retryBackoffMs: 1,
    retryBackoffMaxMs: 2,
    reconnectBackoffMs: 1,
    ...options,
  })
  t.after(() => share.close())
  share.subscribe('a')
  return share
}

const values = (count: number) => batchOf(Array.from({ length: count }, (_, i) => ({ value: String(i) })))
const shown = (records: readonly ShareRecord<string, string>[]) => records.map(({ value, deliveryCount }) => `${value}:${deliveryCount}`)

/** Acknowledgements of a request, as `first-last:types`. */
const acknowledgementsIn = ({ topics }: RequestOf<typeof ShareAcknowledge> | ShareFetchRequest) =>
  topics.flatMap(({ partitions }) =>
    partitions.flatMap(({ acknowledgementBatches }) =>
      acknowledgementBatches.map(({ firstOffset, lastOffset, acknowledgeTypes }) => `${firstOffset}-${lastOffset}:${acknowledgeTypes}`),
    ),
  )

test('a session begins with its partitions, counts on, brings acknowledgements, and ends with the consumer', async (t) => {
  const outcomes: AcknowledgementOutcome[] = []
  const broker = await shareBroker(t, [
    { records: values(4), ranges: [[0, 3, 1]] },
    { records: values(4), ranges: [[1, 1, 2]] },
  ])
  const share = consumerOf(t, broker, { acknowledgement: 'explicit', onAcknowledged: (outcome) => outcomes.push(outcome) })
  const records = await share.poll()
  assert.deepEqual(shown(records), ['0:1', '1:1', '2:1', '3:1'])
  assert.equal(share.acquisitionLockTimeoutMs, LOCK_MS)
  records[0]!.accept()
  records[1]!.release()
  records[2]!.reject()
  records[3]!.reject()
  const [again] = await share.poll()
  assert.deepEqual(shown([again!]), ['1:2'])
  await again!.renew()
  again!.accept()
  await share.commit()
  assert.deepEqual(
    outcomes.map(({ topic, partition, offsets, error }) => [topic, partition, offsets, error]),
    [
      ['a', 0, [0, 1, 2, 3], undefined],
      ['a', 0, [1], undefined],
    ],
  )
  await share.close()
  const fetches = broker.requests(ShareFetch)
  assert.deepEqual(
    fetches.slice(0, 2).map(({ shareSessionEpoch }) => shareSessionEpoch),
    [0, 1],
  )
  assert.deepEqual(fetches[0]!.topics, [{ topicId, partitions: [{ partitionIndex: 0, partitionMaxBytes: 0, acknowledgementBatches: [] }] }])
  assert.deepEqual(acknowledgementsIn(fetches[1]!), ['0-0:1', '1-1:2', '2-3:3'])
  const acknowledges = broker.requests(ShareAcknowledge)
  assert.deepEqual(
    acknowledges.map((request) => [request.shareSessionEpoch, request.isRenewAck, acknowledgementsIn(request).join()]),
    [
      [2, true, '1-1:4'],
      [3, false, '1-1:1'],
      [-1, false, ''],
    ],
  )
  assert.equal(new Set([...fetches, ...acknowledges].map(({ memberId }) => memberId)).size, 1)
  assert.equal(broker.requests(ShareGroupHeartbeat).at(-1)!.memberEpoch, -1)
})

test("what is acquired and no record is acknowledged as a gap; records that are not acquired are nobody's", async (t) => {
  const broker = await shareBroker(t, [
    {
      records: values(6),
      ranges: [
        [-5, -1, 1],
        [2, 3, 1],
        [5, 2 ** 40, 3],
      ],
    },
  ])
  const share = consumerOf(t, broker, { acknowledgement: 'explicit' })
  const records = await share.poll()
  assert.deepEqual(shown(records), ['2:1', '3:1', '5:3'])
  for (const record of records) record.accept()
  await share.commit()
  assert.deepEqual(acknowledgementsIn(broker.requests(ShareAcknowledge)[0]!), ['-5--1:0', '2-3:1', '5-5:1', `6-${2 ** 40}:0`])
})

test('records that cannot be read are an error of the next read, and are released', async (t) => {
  const broken = values(3)
  broken[broken.length - 1]! ^= 1
  const broker = await shareBroker(t, [
    { records: broken, ranges: [[0, 2, 1]] },
    { records: values(1), ranges: [[0, 0, 2]] },
  ])
  const share = consumerOf(t, broker)
  await assert.rejects(share.poll(), { code: 'CORRUPT_MESSAGE' })
  assert.deepEqual(shown(await share.poll()), ['0:2'])
  await share.commit()
  assert.deepEqual(acknowledgementsIn(broker.requests(ShareFetch)[1]!), ['0-2:2'])
})

test('P10: answers with random bytes changed never get more than an error out of a share consumer', async (t) => {
  const random = seededRandom(10)
  const answer = { records: values(3), ranges: [[0, 2, 1]] } as const
  const broker = await shareBroker(t, Array(1000).fill(answer))
  const shareApis: readonly number[] = [ShareGroupHeartbeat.key, ShareFetch.key, ShareAcknowledge.key]
  broker.damage = (api, body) => {
    if (!shareApis.includes(api.key)) return
    for (let flips = random.int(4); flips > 0; flips--) body[random.int(body.length)] = random.int(256)
  }
  const isCoded = (error: { code?: string; stack?: string }) => assert.ok(error.code !== undefined, error.stack)
  for (let round = 0; round < 40; round++) {
    const share = consumerOf(t, broker, { acknowledgement: 'explicit', requestTimeoutMs: 50 })
    const records = await share.poll({ timeoutMs: 20 }).catch(isCoded)
    for (const record of records ?? []) record.release()
    await share.commit({ timeoutMs: 20 }).catch(isCoded)
    await share.close({ timeoutMs: 20 })
  }
})

test('a session that the broker has forgotten begins anew; what it had acquired is acknowledged in vain, and commit() says so', async (t) => {
  const broker = await shareBroker(t, [
    { records: values(2), ranges: [[0, 1, 1]] },
    { sessionError: errorTable.SHARE_SESSION_NOT_FOUND.code },
    { records: values(2), ranges: [[0, 1, 2]] },
  ])
  const share = consumerOf(t, broker)
  assert.deepEqual(shown(await share.poll()), ['0:1', '1:1'])
  assert.deepEqual(shown(await share.poll()), ['0:2', '1:2'])
  assert.deepEqual(
    broker.requests(ShareFetch).map(({ shareSessionEpoch }) => shareSessionEpoch),
    [0, 1, 0],
  )
  await assert.rejects(share.commit(), { code: 'SHARE_SESSION_NOT_FOUND' })
  await share.commit()
  const metrics = new Map(share.metrics().map(({ name, value }) => [name, value]))
  assert.deepEqual([metrics.get('acknowledgements-send-total'), metrics.get('acknowledgements-error-total')], [4, 2])
})

test('a broken connection ends the session with everything in it; the records come again', async (t) => {
  const broker = await shareBroker(t, [
    { records: values(2), ranges: [[0, 1, 1]] },
    { records: values(2), ranges: [[0, 1, 2]] },
  ])
  const share = consumerOf(t, broker, { acknowledgement: 'explicit' })
  const [one, two] = await share.poll()
  broker.disconnect()
  one!.accept()
  await assert.rejects(share.commit())
  two!.accept()
  await assert.rejects(share.commit(), { code: 'SHARE_SESSION_NOT_FOUND' })
  assert.deepEqual(shown(await share.poll()), ['0:2', '1:2'])
  assert.equal(broker.requests(ShareFetch).at(-1)!.shareSessionEpoch, 0)
})

test('an acknowledgement that the broker refuses is told to the callback and to commit(), by its partition', async (t) => {
  const broker = await shareBroker(t, [{ records: values(1), ranges: [[0, 0, 1]] }])
  const failed: (string | undefined)[] = []
  const share = consumerOf(t, broker, { onAcknowledged: ({ error }) => failed.push(error?.code) })
  await share.poll()
  const row = { partitionIndex: 0, errorCode: errorTable.INVALID_RECORD_STATE.code, currentLeader: { leaderId: -1, leaderEpoch: -1 } }
  broker.serve(ShareAcknowledge, () => ({
    errorCode: 0,
    acquisitionLockTimeoutMs: LOCK_MS,
    responses: [{ topicId, partitions: [row] }],
    nodeEndpoints: [],
  }))
  await assert.rejects(share.commit(), { code: 'INVALID_RECORD_STATE', message: /a-0/ })
  assert.deepEqual(failed, ['INVALID_RECORD_STATE'])
})

test('a member that the group does not know joins again', async (t) => {
  const broker = await shareBroker(t, [])
  let beats = 0
  broker.serve(ShareGroupHeartbeat, ({ memberId, memberEpoch }) => {
    const isFenced = ++beats === 2
    return {
      errorCode: isFenced ? errorTable.FENCED_MEMBER_EPOCH.code : 0,
      memberId,
      memberEpoch: isFenced ? 0 : 7,
      heartbeatIntervalMs: 0,
      assignment: memberEpoch === 0 ? { topicPartitions: [{ topicId, partitions: [0] }] } : null,
    }
  })
  const share = consumerOf(t, broker, { clientRack: 'r' })
  await until(() => beats >= 4 && share.assignment().length === 1)
  const joins = broker.requests(ShareGroupHeartbeat)
  assert.deepEqual(
    joins.slice(0, 4).map(({ memberEpoch, subscribedTopicNames, rackId }) => [memberEpoch, subscribedTopicNames?.join() ?? null, rackId]),
    [
      [0, 'a', 'r'],
      [7, null, null],
      [0, 'a', 'r'],
      [7, null, null],
    ],
  )
})

test('run() handles several records at a time, and waits for its handlers when it is stopped', async (t) => {
  const broker = await shareBroker(t, [{ records: values(5), ranges: [[0, 4, 1]] }])
  const share = consumerOf(t, broker)
  const stop = new AbortController()
  let running = 0
  let most = 0
  const done: string[] = []
  await share.run({
    concurrency: 3,
    signal: stop.signal,
    eachRecord: async ({ value }, { signal }) => {
      most = Math.max(most, ++running)
      for (let i = 0; i < 3; i++) await new Promise(setImmediate)
      running--
      if (done.push(value!) === 5) stop.abort()
      assert.equal(signal.aborted, done.length === 5)
    },
  })
  assert.deepEqual([most, running, done.length], [3, 0, 5])
  await share.commit()
  const accepted = [...broker.requests(ShareFetch), ...broker.requests(ShareAcknowledge)].flatMap((request) =>
    request.topics.flatMap(({ partitions }) => partitions.flatMap(({ acknowledgementBatches }) => acknowledgementBatches)),
  )
  assert.equal(
    accepted.reduce((sum, { firstOffset, lastOffset }) => sum + lastOffset - firstOffset + 1, 0),
    5,
  )
  assert.ok(accepted.every(({ acknowledgeTypes }) => acknowledgeTypes.join() === '1'))
})

test('reading takes a subscription and one reader, acknowledging the right mode; close() ends whoever reads', async (t) => {
  const broker = await shareBroker(t, [{ records: values(1), ranges: [[0, 0, 1]] }])
  assert.throws(() => new ShareConsumer({ bootstrapServers: 'a:1' }), /groupId/)
  assert.throws(() => new ShareConsumer({ bootstrapServers: 'a:1', groupId: 'g', autoOffsetReset: 'latest' } as never), /autoOffsetReset/)
  // A consumer's properties serve as well: what is not for share consumers is overlooked.
  const shared = {
    'group.id': 'g',
    'auto.offset.reset': 'latest',
    'share.acknowledgement.mode': 'EXPLICIT',
    'share.acquire.mode': 'record_limit',
  }
  const idle = new ShareConsumer(fromProperties({ 'bootstrap.servers': broker.bootstrapServers, ...shared }))
  await assert.rejects(idle.poll(), { code: 'ILLEGAL_STATE' })
  await idle.close()
  const share = consumerOf(t, broker)
  const [record] = await share.poll()
  assert.throws(() => record!.accept(), { code: 'ILLEGAL_STATE' })
  await assert.rejects(record!.renew(), { code: 'ILLEGAL_STATE' })
  const loop = (async () => {
    for await (const _ of share.records()) assert.fail('there are no more')
  })()
  await assert.rejects(share.poll(), { code: 'ILLEGAL_STATE' })
  await share.close()
  await loop
  await assert.rejects(share.poll(), { code: 'CLOSED' })
  await assert.rejects(share.commit(), { code: 'CLOSED' })
})

test('brokers without share groups, and without record_limit, are told by an UnsupportedVersionError', async (t) => {
  const broker = await startTestBroker()
  t.after(() => broker.close())
  const share = new ShareConsumer({ bootstrapServers: broker.bootstrapServers, groupId: 'g' })
  t.after(() => share.close())
  share.subscribe('a')
  await assert.rejects(share.poll(), UnsupportedVersionError)
  await assert.rejects(share.records().next(), UnsupportedVersionError)

  const older = await shareBroker(t, [])
  older.serve(ShareFetch, () => assert.fail('nothing is to be fetched'), [1, 1])
  const limited = consumerOf(t, older, { shareAcquireMode: 'record_limit' })
  await assert.rejects(limited.poll(), UnsupportedVersionError)
})

for (const way of ['poll()', 'records()', 'run()'] as const) {
  test(`a member that its group does not let in hears so of ${way}, and asks again by the next: what has been mended goes on`, async (t) => {
    const broker = await shareBroker(t, [{ records: values(1), ranges: [[0, 0, 1]] }])
    let isRefused = true
    let asked = 0
    broker.serve(ShareGroupHeartbeat, ({ memberId, memberEpoch }) => {
      asked++
      const { code } = errorTable.GROUP_AUTHORIZATION_FAILED
      if (isRefused) return { errorCode: code, memberId: null, memberEpoch: 0, heartbeatIntervalMs: 0, assignment: null }
      const assignment = memberEpoch === 0 ? { topicPartitions: [{ topicId, partitions: [0] }] } : null
      return { errorCode: 0, memberId, memberEpoch: memberEpoch < 0 ? -1 : 1, heartbeatIntervalMs: 1000, assignment }
    })
    const share = consumerOf(t, broker)
    const read = async (): Promise<unknown> => {
      if (way === 'poll()') return (await share.poll())[0]!.value
      if (way === 'records()') {
        for await (const { value } of share.records()) return value
      }
      const stop = new AbortController()
      let found: unknown
      await share.run({
        eachRecord: ({ value }) => {
          found = value
          stop.abort()
        },
        signal: stop.signal,
      })
      return found
    }
    await assert.rejects(read(), { code: 'GROUP_AUTHORIZATION_FAILED' })
    const before = asked
    await assert.rejects(read(), { code: 'GROUP_AUTHORIZATION_FAILED' })
    assert.ok(asked > before, 'it has asked again')
    isRefused = false
    assert.equal(await read(), '0')
    const metrics = new Map(share.metrics().map(({ name, value }) => [name, value]))
    assert.deepEqual(
      [metrics.get('records-consumed-total'), metrics.get('records-per-request-max'), metrics.get('rebalance-total')],
      [1, 1, 1],
    )
  })
}

/** Offsets that each request has renewed, as `first-last`. */
const renewalsIn = (broker: FakeBroker) =>
  broker.requests(ShareAcknowledge).flatMap((request) => (request.isRenewAck ? [acknowledgementsIn(request).join()] : []))

test('run() renews the locks of what it handles and of what waits, and nothing else: a slow handler loses no record', async (t) => {
  const broker = await shareBroker(t, [{ records: values(3), ranges: [[0, 2, 1]] }], 300)
  const share = consumerOf(t, broker)
  const stop = new AbortController()
  const seen: string[] = []
  await share.run({
    async eachRecord({ value }) {
      seen.push(value!)
      const before = renewalsIn(broker).length
      if (value !== '1') await until(() => renewalsIn(broker).length > before + 3)
      if (value === '2') stop.abort()
    },
    signal: stop.signal,
  })
  assert.deepEqual(seen, ['0', '1', '2'], 'beyond the time of their locks')
  const renewed = renewalsIn(broker)
  assert.equal(renewed[0], '0-2:4')
  assert.equal(renewed.at(-1), '2-2:4')
  await share.commit()
  assert.ok(renewed.length >= 8 && renewed.length < 200, `${renewed.length} renewals`)
})

test('what is acknowledged leaves well within the time of its lock, which nobody renews any more', async (t) => {
  const broker = await shareBroker(t, [{ records: values(2), ranges: [[0, 1, 1]] }], 300)
  const share = consumerOf(t, broker)
  const stop = new AbortController()
  const acceptedAt = () => broker.requests(ShareAcknowledge).findIndex((request) => acknowledgementsIn(request).includes('0-0:1'))
  await share.run({
    async eachRecord({ value }) {
      if (value === '0') return
      await until(() => acceptedAt() >= 0)
      stop.abort()
    },
    signal: stop.signal,
  })
  assert.ok(acceptedAt() <= 2, `the other record's lock was renewed ${acceptedAt()} times before, at three a lock`)
})

test('run() renews no locks when it is told not to: what waited too long is handed out no more', async (t) => {
  const broker = await shareBroker(
    t,
    [
      { records: values(2), ranges: [[0, 1, 1]] },
      { records: values(2), ranges: [[1, 1, 2]] },
    ],
    100,
  )
  const share = consumerOf(t, broker)
  const stop = new AbortController()
  const seen: string[] = []
  await share.run({
    renewLocks: false,
    async eachRecord({ value, deliveryCount }) {
      seen.push(`${value}:${deliveryCount}`)
      if (seen.length === 1) await new Promise((resolve) => setTimeout(resolve, 150))
      else stop.abort()
    },
    signal: stop.signal,
  })
  assert.deepEqual(seen, ['0:1', '1:2'])
  assert.deepEqual(renewalsIn(broker), [])
})
