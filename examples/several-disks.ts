import assert from 'node:assert/strict'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Admin, startTestBroker } from 'tidelog'

export async function moveAPartition(): Promise<void> {
  const dir = mkdtempSync(join(tmpdir(), 'tidelog-disks-'))
  const logDirs = [join(dir, 'one'), join(dir, 'two')]
  const broker = await startTestBroker({ config: { 'log.dirs': logDirs.join(',') } })
  const { bootstrapServers, nodeId } = broker
  try {
    // #region move
    const admin = new Admin({ bootstrapServers })
    await admin.createTopics([{ topic: 'orders', numPartitions: 2 }])
    const replica = { topic: 'orders', partition: 1, nodeId }
    await admin.alterReplicaLogDirs([{ ...replica, logDir: logDirs[0]! }])
    const [orders1] = await admin.describeReplicaLogDirs([replica])
    const { current, future } = orders1!
    await admin.close()
    // #endregion
    assert.ok(current !== undefined || future !== undefined)
  } finally {
    await broker.close()
    rmSync(dir, { recursive: true, force: true })
  }
}
