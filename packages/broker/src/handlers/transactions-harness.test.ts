import assert from 'node:assert/strict'
import { FindCoordinator } from '@tidelog/protocol'
import { addOffsetsToTransaction, type Call, type TestProducer } from '@tidelog/testkit'

/** As any client does first: asking for a coordinator makes the topic. Resolves when this broker coordinates. */
export async function createTransactionTopic(call: Call): Promise<void> {
  const { coordinators } = await call(FindCoordinator, 4, { keyType: 1, coordinatorKeys: ['t'] })
  assert.equal(coordinators[0]!.errorCode, 0)
}

/** Until the markers of the transaction before are there. */
export async function addOffsets(call: Call, producer: TestProducer, groupId: string): Promise<void> {
  let code: number = concurrentTransactions
  while (code === concurrentTransactions) code = await addOffsetsToTransaction(call, producer, groupId)
  assert.equal(code, 0)
}
const concurrentTransactions = 51

/** The same for the offsets of groups. */
export async function createGroupTopic(call: Call): Promise<void> {
  const { coordinators } = await call(FindCoordinator, 4, { keyType: 0, coordinatorKeys: ['g'] })
  assert.equal(coordinators[0]!.errorCode, 0)
}
