import assert from 'node:assert/strict'
import test from 'node:test'
import { errorTable } from '@tidelog/protocol'
import { GroupHarness, MemoryLog } from '../coordinators/group-harness.test.ts'
import { heartbeat } from './12-heartbeat.ts'

const request = { groupId: 'g', generationId: 1, memberId: 'x', groupInstanceId: null }

test('a stranger is told so, at the wrong broker too; while groups are being loaded everyone may go on', async () => {
  const harness = await GroupHarness.start()
  const errorCode = async () => (await harness.call(heartbeat, 4, request)).errorCode
  assert.equal(await errorCode(), errorTable.UNKNOWN_MEMBER_ID.code)
  const log = new MemoryLog()
  log.hold()
  const loading = harness.groups.elected(0, 1, log)
  assert.equal(await errorCode(), 0)
  log.release()
  await loading
  harness.groups.resigned(0)
  assert.equal(await errorCode(), errorTable.NOT_COORDINATOR.code)
})
