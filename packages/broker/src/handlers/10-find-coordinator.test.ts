import assert from 'node:assert/strict'
import test from 'node:test'
import { errorTable, KafkaError } from '@tidelog/protocol'
import { GroupHarness } from '../coordinators/group-harness.test.ts'
import { findCoordinator } from './10-find-coordinator.ts'

const code = (name: keyof typeof errorTable) => errorTable[name].code
const group = 0
const transaction = 1
const share = 2
const one = (key: string, keyType = group) => ({ key, keyType, coordinatorKeys: [] })
const several = (coordinatorKeys: string[], keyType = group) => ({ key: '', keyType, coordinatorKeys })
const node = { nodeId: 1, host: 'broker', port: 9092 }

test('a group is coordinated by the leader of its partition of the offsets topic, a transactional id by that of the transaction topic', async () => {
  const harness = await GroupHarness.start()
  assert.deepEqual(await harness.call(findCoordinator, 3, one('g')), { errorCode: 0, errorMessage: 'NONE', ...node })
  const { coordinators } = await harness.call(findCoordinator, 4, several(['g', '']))
  assert.deepEqual(coordinators, [
    { key: 'g', ...node, errorCode: 0, errorMessage: '' },
    { key: '', ...node, errorCode: 0, errorMessage: '' },
  ])
  assert.deepEqual(await harness.call(findCoordinator, 3, one('t', transaction)), { errorCode: 0, errorMessage: 'NONE', ...node })
})

test('without a leader, or when the offsets topic cannot be made, there is no coordinator', async () => {
  const harness = await GroupHarness.start()
  const errorCode = async () => (await harness.call(findCoordinator, 0, one('g'))).errorCode
  harness.leaderId = undefined
  assert.equal(await errorCode(), code('COORDINATOR_NOT_AVAILABLE'))
  harness.leaderId = 7
  assert.equal(await errorCode(), code('COORDINATOR_NOT_AVAILABLE'))
  harness.leaderId = 1
  harness.autoCreation = () => Promise.reject(new KafkaError('INVALID_REPLICATION_FACTOR'))
  assert.equal(await errorCode(), code('COORDINATOR_NOT_AVAILABLE'))
})

test('what is not coordinated here is refused, key by key', async () => {
  const harness = await GroupHarness.start()
  harness.denied.add('Describe Group secret')
  harness.denied.add('Describe TransactionalId secret')
  const codes = async (keys: string[], keyType: number) =>
    (await harness.call(findCoordinator, 6, several(keys, keyType))).coordinators?.map(({ errorCode }) => errorCode)
  assert.deepEqual(await codes(['secret', 'g'], group), [code('GROUP_AUTHORIZATION_FAILED'), 0])
  assert.deepEqual(await codes(['secret', 't'], transaction), [code('TRANSACTIONAL_ID_AUTHORIZATION_FAILED'), 0])
  assert.deepEqual(await codes(['s'], share), [code('INVALID_REQUEST')])
  assert.deepEqual(await codes(['x'], 9), [code('INVALID_REQUEST')])
  const old = await harness.call(findCoordinator, 1, one('s', share))
  assert.deepEqual([old.errorCode, old.nodeId, old.host, old.port], [code('INVALID_REQUEST'), -1, '', -1])
})
