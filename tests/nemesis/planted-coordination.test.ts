import assert from 'node:assert/strict'
import { type TestContext, test } from 'node:test'
import { type Api, EndTxn, Fetch, OffsetCommit, type RequestInput, type ResponseOf, SyncGroup, TxnOffsetCommit } from '@tidelog/protocol'
import { type Call, connectForTest } from '@tidelog/testkit'
import { startTestBroker } from '@tidelog/tidelog'
import { HistoryChecker } from './checker.ts'
import { CoordinatedLoad } from './coordinated-load.ts'

/** A broker's bug in the guise of the connection to it: what it is asked, or what it answers, is changed on the way. */
type Lie = (call: Call) => Call

interface Changes<A extends Api> {
  readonly request?: (request: RequestInput<A>) => RequestInput<A>
  readonly response?: (response: ResponseOf<A>, request: RequestInput<A>) => ResponseOf<A>
  /** What stands for an answer: the broker is not asked at all. */
  readonly instead?: (request: RequestInput<A>) => ResponseOf<A> | undefined
}

function about<A extends Api>(lied: A, { request: change = (same) => same, response: retell = (same) => same, instead }: Changes<A>): Lie {
  return (call) => async (api, version, request) => {
    if (api.key !== lied.key) return call(api, version, request)
    // The keys are the same, so the types are.
    const asked = request as unknown as RequestInput<A>
    const answer = instead?.(asked) ?? (await call(lied, version, change(asked)))
    return retell(answer as ResponseOf<A>, asked) as never
  }
}

/** The history of the load, judged. @returns The kinds of what was found. */
async function found(t: TestContext, lie: Lie = (call) => call): Promise<string[]> {
  const broker = await startTestBroker({ config: { 'offsets.topic.num.partitions': '1', 'transaction.state.log.num.partitions': '1' } })
  t.after(() => broker.close())
  const connected = async () => lie(await connectForTest(t, broker))
  const checker = new HistoryChecker()
  await new CoordinatedLoad([await connected(), await connected(), await connected()], checker).run()
  return [...checker.finish().counts.keys()].sort()
}

/** Does something with the `index`th call that it is asked about. */
const only = (index: number) => {
  let calls = 0
  return () => calls++ === index
}

test('a sound broker: transactions, copies and groups without an anomaly', async (t) => {
  assert.deepEqual(await found(t), [])
})

test('planted: a broker that takes readers of committed records for any reader shows open and aborted transactions', async (t) => {
  const kinds = await found(t, about(Fetch, { request: (request) => ({ ...request, isolationLevel: 0 }) }))
  assert.ok(kinds.includes('dirty read') && kinds.includes('aborted read'), String(kinds))
})

test('planted: a broker that forgets which transactions were aborted shows their records', async (t) => {
  const forget = about(Fetch, {
    response: (answer) => ({
      ...answer,
      responses: answer.responses.map((of) => ({ ...of, partitions: of.partitions.map((row) => ({ ...row, abortedTransactions: [] })) })),
    }),
  })
  const kinds = await found(t, forget)
  assert.ok(kinds.includes('aborted read'), String(kinds))
})

test('planted: a broker that aborts what it says is committed loses a transaction', async (t) => {
  const isIt = only(0)
  const kinds = await found(t, about(EndTxn, { request: (request) => (isIt() ? { ...request, committed: false } : request) }))
  assert.ok(kinds.includes('lost commit'), String(kinds))
})

test('planted: a broker that aborts a transaction in one of its partitions tears it', async (t) => {
  const tear = about(Fetch, {
    response: (answer) => ({
      ...answer,
      responses: answer.responses.map((of) => ({
        ...of,
        // The first producer of these logs has id 0: its first transaction was committed.
        partitions: of.partitions.map((row) =>
          row.partitionIndex === 1 && of.topic === 'source' ? { ...row, abortedTransactions: [{ producerId: 0, firstOffset: 0 }] } : row,
        ),
      })),
    }),
  })
  const kinds = await found(t, tear)
  assert.ok(kinds.includes('torn transaction'), String(kinds))
})

const taken = ({ topics }: RequestInput<typeof TxnOffsetCommit>): ResponseOf<typeof TxnOffsetCommit> => ({
  throttleTimeMs: 0,
  topics: topics.map(({ name, partitions }) => ({
    name,
    partitions: partitions.map(({ partitionIndex }) => ({ partitionIndex, errorCode: 0 })),
  })),
})

test('planted: a broker that forgets the offsets of a transaction has records copied twice', async (t) => {
  const isIt = only(0)
  const kinds = await found(t, about(TxnOffsetCommit, { instead: (request) => (isIt() ? taken(request) : undefined) }))
  assert.ok(kinds.includes('copied twice'), String(kinds))
})

test('planted: a broker that forgets the last offsets of a transaction has a committed offset go back', async (t) => {
  const isIt = only(3)
  const kinds = await found(t, about(TxnOffsetCommit, { instead: (request) => (isIt() ? taken(request) : undefined) }))
  assert.deepEqual(kinds, ['committed offset'])
})

test('planted: a broker that commits larger offsets than it was told has records passed over', async (t) => {
  const isIt = only(0)
  const larger = (request: RequestInput<typeof TxnOffsetCommit>) => ({
    ...request,
    topics: request.topics.map((of) => ({
      ...of,
      partitions: of.partitions.map((row) => ({ ...row, committedOffset: row.committedOffset + 1 })),
    })),
  })
  const kinds = await found(t, about(TxnOffsetCommit, { request: (request) => (isIt() ? larger(request) : request) }))
  assert.ok(kinds.includes('not copied'), String(kinds))
})

test('planted: a broker that gives a member the partitions of another has them owned twice', async (t) => {
  const first = new Map<number, Buffer>()
  const twice = about(SyncGroup, {
    response: (answer, { generationId }) => {
      const assignment = first.get(generationId) ?? answer.assignment
      first.set(generationId, assignment)
      return { ...answer, assignment }
    },
  })
  const kinds = await found(t, twice)
  assert.ok(kinds.includes('owned twice'), String(kinds))
})

test('planted: a broker that takes commits of members that it has put out is caught', async (t) => {
  const takeAll = about(OffsetCommit, {
    response: (answer) => ({
      ...answer,
      topics: answer.topics.map((of) => ({ ...of, partitions: of.partitions.map((row) => ({ ...row, errorCode: 0 })) })),
    }),
  })
  assert.deepEqual(await found(t, takeAll), ['stale commit'])
})
