/** Calls that users give up, and what their requests may then not do to the next transaction. */
import assert from 'node:assert/strict'
import { type TestContext, test } from 'node:test'
import {
  AddOffsetsToTxn,
  AddPartitionsToTxn,
  type Api,
  ApiVersions,
  apiByKey,
  batchHeader,
  EndTxn,
  errorTable,
  FindCoordinator,
  InitProducerId,
  Metadata,
  Produce,
  type RequestOf,
  TxnOffsetCommit,
} from '@tidelog/protocol'
import { type ProxiedClients, readCommittedValues, type ScriptedCall, startProxied, startScriptedBroker, until } from '@tidelog/testkit'
import { hasCode, TransactionAbortableError } from '../../errors.ts'
import { string } from '../../serde/serde.ts'
import { deferred } from '../../wait.ts'
import { Producer } from '../producer.ts'

const transactionalId = 'cashier'

async function ground(t: TestContext, version: 1 | 2, config: Record<string, string> = {}): Promise<ProxiedClients> {
  const clients = await startProxied(t, { topics: { a: 2 }, config })
  if (version === 1) {
    await clients.admin.updateFeatures([{ feature: 'transaction.version', maxVersionLevel: 1, upgradeType: 'safe-downgrade' }])
  }
  return clients
}

test('version 1: an abort that is given up behind its EndTxn asks for the next epoch only, when it is gone on with', async (t) => {
  const { proxy, producer: make } = await ground(t, 1)
  const producer = make({ transactionalId })
  await producer.initTransactions()
  producer.beginTransaction()
  await producer.send({ topic: 'a', partition: 0, value: 'aborted' })
  let left = 1
  proxy.onRequest(Produce, ({ request, version }) => (left-- > 0 ? { answer: refusal(request, version) } : undefined))
  await assert.rejects(producer.send({ topic: 'a', partition: 0, value: 'refused' }), { code: 'INVALID_PRODUCER_EPOCH' })
  const givenUp = new AbortController()
  // The coordinator has raised the epoch by now, and nobody has heard of it.
  proxy.onAnswer(InitProducerId, ({ errorCode }) => {
    if (errorCode !== 0) return undefined
    givenUp.abort()
    return 'cut'
  })
  await assert.rejects(producer.abortTransaction({ signal: givenUp.signal }), { name: 'AbortError' })
  proxy.onAnswer(InitProducerId, undefined)
  await producer.abortTransaction()
  assert.equal(proxy.requests(EndTxn).length, 1)
  await producer.transaction((txn) => void txn.send({ topic: 'a', partition: 0, value: 'committed' }))
  assert.deepEqual(await readCommittedValues(proxy.bootstrapServers, 'a'), [['committed'], []])
})

test('version 1: partitions that the coordinator has not answered about when the transaction is aborted cost an epoch', async (t) => {
  const { proxy, producer: make } = await ground(t, 1)
  const producer = make({ transactionalId })
  await producer.transaction((txn) => void txn.send({ topic: 'a', partition: 0, value: '0' }))
  producer.beginTransaction()
  proxy.onAnswer(AddPartitionsToTxn, () => 'drop')
  const sent = assert.rejects(producer.send({ topic: 'a', partition: 1, value: 'aborted' }), { code: 'TRANSACTION_ABORTED' })
  await until(() => proxy.requests(AddPartitionsToTxn).length === 2)
  const aborted = producer.abortTransaction()
  await sent
  proxy.onAnswer(AddPartitionsToTxn, undefined)
  proxy.breakAll()
  await aborted
  await producer.transaction((txn) => void txn.send({ topic: 'a', partition: 1, value: '1' }))
  const [first, last] = [0, -1].map((index) => proxy.requests(AddPartitionsToTxn).at(index)!.request.v3AndBelowProducerEpoch)
  assert.ok(last! > first!)
  assert.deepEqual(await readCommittedValues(proxy.bootstrapServers, 'a'), [['0'], ['1']])
})

test('offsets that are given up while their coordinator is looked for are not sent later, in the next transaction', async (t) => {
  const found = deferred()
  const givenUp = new AbortController()
  const commits: RequestOf<typeof TxnOffsetCommit>[] = []
  const broker = await scripted(t, async ({ api, request, version }) => {
    if (api === FindCoordinator) {
      const { coordinatorKeys } = request as RequestOf<typeof FindCoordinator>
      if (coordinatorKeys[0] === 'g') {
        givenUp.abort()
        await found.promise
      }
      return undefined
    }
    if (api !== TxnOffsetCommit) return undefined
    const commit = request as RequestOf<typeof TxnOffsetCommit>
    assert.equal(version, 5)
    commits.push(commit)
    const topics = commit.topics.map(({ name, partitions }) => ({
      name,
      partitions: partitions.map(({ partitionIndex }) => ({ partitionIndex, errorCode: 0 })),
    }))
    return { topics }
  })
  const producer = producerOf(t, broker.bootstrapServers)
  await producer.initTransactions()
  const send = (offset: number, signal?: AbortSignal) =>
    producer.sendOffsetsToTransaction([{ topic: 'a', partition: 0, offset }], { groupId: 'g' }, { signal })
  producer.beginTransaction()
  await assert.rejects(send(1, givenUp.signal), { name: 'AbortError' })
  await producer.abortTransaction()
  producer.beginTransaction()
  const second = send(2)
  found.resolve()
  await second
  await producer.commitTransaction()
  assert.deepEqual(
    commits.map(({ producerEpoch, topics }) => [producerEpoch, topics[0]!.partitions[0]!.committedOffset]),
    [[1, 2]],
  )
})

test('a commit whose end was given up, and that turns out impossible, is aborted by the next transaction(), and the one behind it works', async (t) => {
  const { proxy, admin, producer: make } = await ground(t, 2, { 'transaction.abort.timed.out.transaction.cleanup.interval.ms': '10' })
  const producer = make({ transactionalId, transactionTimeoutMs: 300 })
  await producer.initTransactions()
  const givenUp = new AbortController()
  proxy.onRequest(EndTxn, () => {
    givenUp.abort()
    return 'cut'
  })
  const late = producer.transaction((txn) => void txn.send({ topic: 'a', partition: 0, value: 'too late' }), { signal: givenUp.signal })
  await assert.rejects(late, { name: 'AbortError' })
  proxy.onRequest(EndTxn, undefined)
  await until(async () => /Abort/.test((await admin.describeTransactions([transactionalId])).get(transactionalId)!.state))
  const next = (value: string) => producer.transaction((txn) => void txn.send({ topic: 'a', partition: 0, value }))
  await assert.rejects(next('never'), (error) => error instanceof TransactionAbortableError && hasCode(error.cause, 'INVALID_TXN_STATE'))
  await next('in time')
  assert.deepEqual(await readCommittedValues(proxy.bootstrapServers, 'a'), [['in time'], []])
})

test('initTransactions() may be called again when it was not allowed, by the coordinator or to find it, or found something to abort', async (t) => {
  const { proxy, producer: make } = await ground(t, 2)
  const producer = make({ transactionalId })
  const { code: errorCode } = errorTable.TRANSACTIONAL_ID_AUTHORIZATION_FAILED
  const refused = { name: 'BrokerError', code: 'TRANSACTIONAL_ID_AUTHORIZATION_FAILED', fatal: false }
  proxy.onAnswer(FindCoordinator, (answer) => ({
    ...answer,
    coordinators: answer.coordinators.map((one) => ({ ...one, nodeId: -1, errorCode })),
  }))
  await assert.rejects(producer.initTransactions(), refused)
  proxy.onAnswer(FindCoordinator, undefined)
  proxy.onRequest(InitProducerId, () => ({ answer: { errorCode, producerEpoch: -1 } }))
  await assert.rejects(producer.initTransactions(), refused)
  assert.throws(() => producer.beginTransaction(), { code: 'ILLEGAL_STATE' })
  const abortable = errorTable.TRANSACTION_ABORTABLE.code
  proxy.onRequest(InitProducerId, () => ({ answer: { errorCode: abortable, producerEpoch: -1 } }))
  await assert.rejects(producer.initTransactions(), { name: 'BrokerError', code: 'TRANSACTION_ABORTABLE' })
  proxy.onRequest(InitProducerId, undefined)
  await producer.initTransactions()
  await producer.transaction((txn) => void txn.send({ topic: 'a', partition: 0, value: 'v' }))
  assert.deepEqual(await readCommittedValues(proxy.bootstrapServers, 'a'), [['v'], []])
})

test('a record that enqueue() could not take makes the transaction fail, one that it had no room for does not', async (t) => {
  const { proxy, producer: make } = await ground(t, 2)
  const producer = make({ transactionalId, maxRequestSize: 1000, bufferMemory: 1000 })
  await producer.initTransactions()
  producer.beginTransaction()
  assert.throws(() => producer.enqueue({ topic: 'a', value: 'x'.repeat(2000) }), { code: 'MESSAGE_TOO_LARGE' })
  await assert.rejects(
    producer.commitTransaction(),
    (error) => error instanceof TransactionAbortableError && hasCode(error.cause, 'MESSAGE_TOO_LARGE'),
  )
  await producer.abortTransaction()
  producer.beginTransaction()
  const half = { topic: 'a', partition: 0, value: 'x'.repeat(600) }
  assert.deepEqual([producer.enqueue(half), producer.enqueue(half)], [true, false])
  await producer.commitTransaction()
  assert.deepEqual(await readCommittedValues(proxy.bootstrapServers, 'a'), [[half.value], []])
})

/** What is under way, and unanswered, when the producer is closed. */
const phases: readonly (readonly [Api, versions: readonly (1 | 2)[], isAborted?: boolean])[] = [
  [FindCoordinator, [1, 2]],
  [InitProducerId, [1, 2]],
  [AddPartitionsToTxn, [1]],
  [Produce, [1, 2]],
  [AddOffsetsToTxn, [1]],
  [TxnOffsetCommit, [1, 2]],
  [EndTxn, [1, 2]],
  [EndTxn, [1, 2], true],
]
for (const version of [1, 2] as const) {
  test(`close() ends in time in every phase of a transaction, and so do the calls that are under way (version ${version})`, async (t) => {
    const { proxy, producer: make } = await ground(t, version)
    for (const [api, versions, isAborted] of phases) {
      if (!versions.includes(version)) continue
      const phase = `${api.name}${isAborted ? ' of an abort' : ''}`
      const producer = make({ transactionalId, retryBackoffMs: 5 })
      let isUnanswered = false
      proxy.onRequest(api, () => {
        isUnanswered = true
        return 'drop'
      })
      const worked = producer.transaction(async (txn) => {
        await txn.send({ topic: 'a', partition: 0, value: phase })
        await txn.sendOffsets([{ topic: 'a', partition: 0, offset: 1 }], { groupId: 'g' })
        if (isAborted) throw new Error('changed my mind')
      })
      const settled = Promise.allSettled([worked])
      await until(() => isUnanswered)
      const startedMs = performance.now()
      await producer.close({ timeoutMs: 50 })
      const [outcome] = await settled
      assert.ok(performance.now() - startedMs < 1500, phase)
      assert.equal(outcome!.status, 'rejected', phase)
      const { reason } = outcome as PromiseRejectedResult
      assert.ok(
        isAborted ? reason.message === 'changed my mind' : hasCode(reason, 'CLOSED', 'TRANSACTION_ABORTED', 'TRANSACTION_ABORTABLE'),
        `${phase}: ${reason}`,
      )
      assert.throws(() => producer.beginTransaction(), { code: 'CLOSED' }, phase)
      proxy.onRequest(api, undefined)
    }
    // Whoever comes next finds nothing in its way.
    await make({ transactionalId }).transaction((txn) => void txn.send({ topic: 'a', partition: 0, value: 'next' }))
    assert.deepEqual(await readCommittedValues(proxy.bootstrapServers, 'a'), [['next'], []])
  })

  test(`behind the last epoch of its id the coordinator gives another id, under which sequence numbers start again (version ${version})`, async (t) => {
    const written: (readonly number[])[] = []
    let mustRefuse = false
    const broker = await scripted(
      t,
      ({ api, request, version: apiVersion }) => {
        if (api === InitProducerId && (request as RequestOf<typeof InitProducerId>).producerId >= 0) {
          return { errorCode: 0, producerId: 8, producerEpoch: 0 }
        }
        if (api === EndTxn && version === 2) return { errorCode: 0, producerId: 8, producerEpoch: 0 }
        if (api === AddPartitionsToTxn) {
          const { v3AndBelowTopics } = request as RequestOf<typeof AddPartitionsToTxn>
          const resultsByTopicV3AndBelow = v3AndBelowTopics.map(({ name, partitions }) => ({
            name,
            resultsByPartition: partitions.map((partitionIndex) => ({ partitionIndex, partitionErrorCode: 0 })),
          }))
          return { errorCode: 0, resultsByTransaction: [], resultsByTopicV3AndBelow }
        }
        if (api !== Produce) return undefined
        const produce = request as RequestOf<typeof Produce>
        const batch = produce.topicData[0]!.partitionData[0]!.records!
        if (mustRefuse) return refusal(produce, apiVersion)
        written.push([batchHeader.producerId(batch, 0), batchHeader.producerEpoch(batch, 0), batchHeader.baseSequence(batch, 0)])
        return refusal(produce, apiVersion, 0)
      },
      { producerId: 7, producerEpoch: 32_766, version },
    )
    const producer = producerOf(t, broker.bootstrapServers)
    await producer.initTransactions()
    producer.beginTransaction()
    for (const value of ['0', '1']) await producer.send({ topic: 'a', value })
    mustRefuse = true
    await assert.rejects(producer.send({ topic: 'a', value: 'refused' }), { code: 'INVALID_PRODUCER_EPOCH' })
    mustRefuse = false
    await producer.abortTransaction()
    producer.beginTransaction()
    for (const value of ['2', '3']) await producer.send({ topic: 'a', value })
    await producer.commitTransaction()
    assert.deepEqual(written, [
      [7, 32_766, 0],
      [7, 32_766, 1],
      [8, 0, 0],
      [8, 0, 1],
    ])
  })
}

/** An answer to all batches of the request. */
const refusal = (
  { topicData }: RequestOf<typeof Produce>,
  version: number,
  errorCode: number = errorTable.INVALID_PRODUCER_EPOCH.code,
) => ({
  responses: topicData.map(({ name, topicId, partitionData }) => ({
    ...(version >= 13 ? { topicId } : { name }),
    partitionResponses: partitionData.map(({ index }) => ({ index, errorCode, baseOffset: errorCode === 0 ? 0 : -1 })),
  })),
})

function producerOf(t: TestContext, bootstrapServers: string): Producer<string, string> {
  const producer = new Producer<string, string>({ bootstrapServers, transactionalId, valueSerializer: string, retryBackoffMs: 5 })
  t.after(() => producer.close({ timeoutMs: 0 }))
  return producer
}

/** A coordinator that agrees to everything, each end of a transaction (version 2) under the next epoch, but for what `answer` says. */
function scripted(
  t: TestContext,
  answer: (call: ScriptedCall) => object | undefined | Promise<object | undefined>,
  { producerId = 7, producerEpoch = 0, version = 2 }: { producerId?: number; producerEpoch?: number; version?: 1 | 2 } = {},
) {
  const served = [ApiVersions, Metadata, FindCoordinator, InitProducerId, AddPartitionsToTxn, Produce, EndTxn, TxnOffsetCommit]
  return startScriptedBroker(t, {
    async answer(call) {
      const said = await answer(call)
      if (said !== undefined) return said
      const { api, request, socket } = call
      if (api === ApiVersions) {
        const apiKeys = served.map(({ key }) => {
          const [minVersion, maxVersion] = apiByKey(key)!.announced
          return { apiKey: key, minVersion, maxVersion }
        })
        const level = { name: 'transaction.version', maxVersionLevel: version, minVersionLevel: version }
        return { errorCode: 0, apiKeys, finalizedFeaturesEpoch: 1, finalizedFeatures: [level], supportedFeatures: [] }
      }
      if (api === FindCoordinator) {
        const { coordinatorKeys } = request as RequestOf<typeof FindCoordinator>
        const place = { nodeId: 1, host: 'localhost', port: socket.localPort }
        return { coordinators: coordinatorKeys.map((key) => ({ key, errorCode: 0, errorMessage: null, ...place })) }
      }
      if (api === InitProducerId) return { errorCode: 0, producerId, producerEpoch }
      if (api !== EndTxn) return 'ordinary'
      const end = request as RequestOf<typeof EndTxn>
      return version === 1 ? { errorCode: 0 } : { errorCode: 0, producerId: end.producerId, producerEpoch: end.producerEpoch + 1 }
    },
  })
}
