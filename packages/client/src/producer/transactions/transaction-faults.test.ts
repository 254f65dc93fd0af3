import assert from 'node:assert/strict'
import { type TestContext, test } from 'node:test'
import {
  AddOffsetsToTxn,
  AddPartitionsToTxn,
  type Api,
  EndTxn,
  type ErrorName,
  errorTable,
  InitProducerId,
  Produce,
  type RequestOf,
  type ResponseInput,
  TxnOffsetCommit,
} from '@tidelog/protocol'
import { ApiProxy, readCommittedValues, startTestBroker } from '@tidelog/testkit'
import { Admin } from '../../admin/admin.ts'
import { ClientError, TransactionAbortableError } from '../../errors.ts'
import { string } from '../../serde/serde.ts'
import { Producer } from '../producer.ts'

type Outcome = 'recovers' | 'abortable' | 'fatal'

/** How a request of an API is refused: every part of it with that code. */
const refusals: ReadonlyMap<Api, (request: never, errorCode: number, version: number) => object> = new Map<
  Api,
  (request: never, errorCode: number, version: number) => object
>([
  [InitProducerId, (_: RequestOf<typeof InitProducerId>, errorCode: number) => ({ errorCode, producerEpoch: -1 })],
  [EndTxn, (_: RequestOf<typeof EndTxn>, errorCode: number) => ({ errorCode })],
  [AddOffsetsToTxn, (_: RequestOf<typeof AddOffsetsToTxn>, errorCode: number) => ({ errorCode })],
  [
    AddPartitionsToTxn,
    ({ v3AndBelowTopics }: RequestOf<typeof AddPartitionsToTxn>, partitionErrorCode: number) => ({
      resultsByTransaction: [],
      errorCode: 0,
      resultsByTopicV3AndBelow: v3AndBelowTopics.map(({ name, partitions }) => ({
        name,
        resultsByPartition: partitions.map((partitionIndex) => ({ partitionIndex, partitionErrorCode })),
      })),
    }),
  ],
  [
    TxnOffsetCommit,
    ({ topics }: RequestOf<typeof TxnOffsetCommit>, errorCode: number) => ({
      topics: topics.map(({ name, partitions }) => ({
        name,
        partitions: partitions.map(({ partitionIndex }) => ({ partitionIndex, errorCode })),
      })),
    }),
  ],
  [
    Produce,
    ({ topicData }: RequestOf<typeof Produce>, errorCode: number, version: number) => ({
      responses: topicData.map(({ name, topicId, partitionData }) => ({
        ...(version >= 13 ? { topicId } : { name }),
        partitionResponses: partitionData.map(({ index }) => ({ index, errorCode, baseOffset: -1 })),
      })),
    }),
  ],
])

async function start(t: TestContext, version: 1 | 2) {
  const broker = await startTestBroker()
  t.after(() => broker.close())
  const admin = new Admin({ bootstrapServers: broker.bootstrapServers })
  t.after(() => admin.close())
  await admin.createTopics([{ topic: 'a', numPartitions: 2 }])
  if (version === 1) await admin.updateFeatures([{ feature: 'transaction.version', maxVersionLevel: 1, upgradeType: 'safe-downgrade' }])
  const proxy = await ApiProxy.start(t, broker)
  const make = () => {
    const producer = new Producer({
      bootstrapServers: proxy.bootstrapServers,
      transactionalId: 'cashier',
      valueSerializer: string,
      retryBackoffMs: 2,
    })
    t.after(() => producer.close({ timeoutMs: 500 }))
    return producer
  }
  /** The next `times` requests of the API are refused and never reach the broker. */
  const refuse = (api: Api, name: ErrorName, times = 1) => {
    let left = times
    proxy.onRequest(api, ({ request, version: apiVersion }) => {
      if (left-- <= 0) return undefined
      return { answer: refusals.get(api)!(request as never, errorTable[name].code, apiVersion) as ResponseInput<Api> }
    })
  }
  return { proxy, make, refuse, read: () => readCommittedValues(broker.bootstrapServers, 'a') }
}

/** What each error comes to when it is the answer to the first request of the kind. */
const faults: readonly (readonly [Api, ErrorName, Outcome])[] = [
  [AddPartitionsToTxn, 'CONCURRENT_TRANSACTIONS', 'recovers'],
  [AddPartitionsToTxn, 'NOT_COORDINATOR', 'recovers'],
  [AddPartitionsToTxn, 'COORDINATOR_LOAD_IN_PROGRESS', 'recovers'],
  [AddPartitionsToTxn, 'TOPIC_AUTHORIZATION_FAILED', 'abortable'],
  [AddPartitionsToTxn, 'UNKNOWN_PRODUCER_ID', 'abortable'],
  [AddPartitionsToTxn, 'PRODUCER_FENCED', 'fatal'],
  [AddOffsetsToTxn, 'COORDINATOR_NOT_AVAILABLE', 'recovers'],
  [AddOffsetsToTxn, 'GROUP_AUTHORIZATION_FAILED', 'abortable'],
  [AddOffsetsToTxn, 'INVALID_TXN_STATE', 'fatal'],
  [TxnOffsetCommit, 'NOT_COORDINATOR', 'recovers'],
  [TxnOffsetCommit, 'UNKNOWN_TOPIC_OR_PARTITION', 'recovers'],
  [TxnOffsetCommit, 'UNKNOWN_MEMBER_ID', 'abortable'],
  [TxnOffsetCommit, 'TRANSACTION_ABORTABLE', 'abortable'],
  [TxnOffsetCommit, 'INVALID_PRODUCER_EPOCH', 'fatal'],
  [Produce, 'NOT_LEADER_OR_FOLLOWER', 'recovers'],
  [Produce, 'CONCURRENT_TRANSACTIONS', 'recovers'],
  [Produce, 'TRANSACTION_ABORTABLE', 'abortable'],
  [Produce, 'INVALID_PRODUCER_EPOCH', 'abortable'],
  [Produce, 'OUT_OF_ORDER_SEQUENCE_NUMBER', 'abortable'],
  [Produce, 'INVALID_TXN_STATE', 'abortable'],
  [Produce, 'PRODUCER_FENCED', 'fatal'],
  [EndTxn, 'CONCURRENT_TRANSACTIONS', 'recovers'],
  [EndTxn, 'NOT_COORDINATOR', 'recovers'],
  [EndTxn, 'TRANSACTION_ABORTABLE', 'abortable'],
  [EndTxn, 'INVALID_PRODUCER_ID_MAPPING', 'abortable'],
  [EndTxn, 'PRODUCER_FENCED', 'fatal'],
]
const onlyVersion1: ReadonlySet<Api> = new Set<Api>([AddPartitionsToTxn, AddOffsetsToTxn])

for (const version of [1, 2] as const) {
  test(`each error of each request in a transaction is recovered from, or aborts it, or is the producer's end (version ${version})`, async (t) => {
    const { proxy, make, refuse, read } = await start(t, version)
    const expected: [string[], string[]] = [[], []]
    let producer = make()
    const run = (name: string) =>
      producer.transaction((txn) => {
        for (const partition of [0, 1]) txn.send({ topic: 'a', partition, value: name })
        txn.sendOffsets([{ topic: 'a', partition: 0, offset: 1 }], { groupId: 'g' })
      })
    const committed = (name: string) => {
      for (const values of expected) values.push(name)
    }
    for (const [api, error, ofVersion1] of faults) {
      if (version === 2 && onlyVersion1.has(api)) continue
      const outcome = version === 2 && api === TxnOffsetCommit && error === 'INVALID_PRODUCER_EPOCH' ? 'abortable' : ofVersion1
      // The broker behind knows the id after all, and under version 1 fences who asks for its next epoch amid a transaction.
      if (version === 1 && error === 'INVALID_PRODUCER_ID_MAPPING') continue
      const name = `${api.name} ${error}`
      refuse(api, error)
      const result = await run(name).then(
        () => 'recovers',
        (failure: ClientError) => {
          assert.ok(failure instanceof ClientError, name)
          return failure.fatal ? 'fatal' : failure instanceof TransactionAbortableError ? 'abortable' : failure.code
        },
      )
      assert.equal(result, outcome, name)
      proxy.onRequest(api, undefined)
      if (outcome === 'recovers') committed(name)
      if (outcome === 'fatal') {
        await assert.rejects(run('never'), { fatal: true }, name)
        producer = make()
      }
      await run(`after ${name}`)
      committed(`after ${name}`)
    }
    assert.deepEqual(await read(), expected)
    // Whoever speaks version 1 with these is taken for version 2.
    const newest = (api: Api) => Math.max(...proxy.requests(api).map((asked) => asked.version))
    const first = { Produce: 12, EndTxn: 5, TxnOffsetCommit: 5 }
    assert.equal(newest(Produce) >= first.Produce, version === 2)
    assert.equal(newest(EndTxn) >= first.EndTxn, version === 2)
    assert.equal(newest(TxnOffsetCommit) >= first.TxnOffsetCommit, version === 2)
    for (const api of onlyVersion1) assert.equal(proxy.requests(api).length > 0, version === 1, api.name)
  })
}

test('initTransactions() goes on while the coordinator loads, moves or completes what was open, and says what is the end', async (t) => {
  const { proxy, make, refuse } = await start(t, 2)
  for (const error of ['COORDINATOR_LOAD_IN_PROGRESS', 'NOT_COORDINATOR', 'CONCURRENT_TRANSACTIONS'] as const) {
    refuse(InitProducerId, error, 3)
    await make().initTransactions()
  }
  for (const error of ['INVALID_TRANSACTION_TIMEOUT', 'PRODUCER_FENCED', 'UNSUPPORTED_VERSION'] as const) {
    refuse(InitProducerId, error)
    const producer = make()
    await assert.rejects(producer.initTransactions(), { code: error, fatal: true })
    assert.throws(() => producer.beginTransaction(), { code: error })
  }
  proxy.onRequest(InitProducerId, undefined)
})
