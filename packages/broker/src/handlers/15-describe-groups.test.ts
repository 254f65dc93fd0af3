import assert from 'node:assert/strict'
import test from 'node:test'
import { errorTable } from '@tidelog/protocol'
import { commitRequest, GroupHarness } from '../coordinators/group-harness.test.ts'
import { describeGroups } from './15-describe-groups.ts'

const code = (name: keyof typeof errorTable) => errorTable[name].code
/** READ, DELETE, DESCRIBE, DESCRIBE_CONFIGS and ALTER_CONFIGS: what Kafka 4.3 answers without an authorizer. */
const allOperations = 3400
const notAsked = -2147483648

test('each group is described on its own, in the order of the request', async () => {
  const harness = await GroupHarness.start()
  await harness.groups.commitOffsets(commitRequest, { apiVersion: 8 })
  harness.denied.add('Describe Group secret')
  const describe = async (version: number, includeAuthorizedOperations: boolean) => {
    const { groups } = await harness.call(describeGroups, version, { groups: ['g', 'secret', 'unknown'], includeAuthorizedOperations })
    return groups.map(({ groupId, errorCode, groupState, authorizedOperations }) => [groupId, errorCode, groupState, authorizedOperations])
  }
  assert.deepEqual(await describe(5, true), [
    ['g', 0, 'Empty', allOperations],
    ['secret', code('GROUP_AUTHORIZATION_FAILED'), '', undefined],
    ['unknown', 0, 'Dead', allOperations],
  ])
  assert.deepEqual(await describe(6, true), [
    ['g', 0, 'Empty', allOperations],
    ['secret', code('GROUP_AUTHORIZATION_FAILED'), '', undefined],
    ['unknown', code('GROUP_ID_NOT_FOUND'), 'Dead', notAsked],
  ])
  assert.equal((await describe(5, false))[0]?.[3], notAsked)
  harness.groups.resigned(0)
  assert.equal((await describe(5, false))[0]?.[1], code('NOT_COORDINATOR'))
})
