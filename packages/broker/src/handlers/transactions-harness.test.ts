import assert from 'node:assert/strict'
import { FindCoordinator } from '@tidelog/protocol'
import type { Call } from '@tidelog/testkit'

/** As any client does first: asking for a coordinator makes the topic. Resolves when this broker coordinates. */
export async function createTransactionTopic(call: Call): Promise<void> {
  const { coordinators } = await call(FindCoordinator, 4, { keyType: 1, coordinatorKeys: ['t'] })
  assert.equal(coordinators[0]!.errorCode, 0)
}
