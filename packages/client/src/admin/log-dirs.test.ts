import assert from 'node:assert/strict'
import { join } from 'node:path'
import { test } from 'node:test'
import { alterConfig, connectTo, startTestBroker, temporaryDirectory } from '@tidelog/testkit'
import { Producer } from '../producer/producer.ts'
import { string } from '../serde/serde.ts'
import { Admin } from './admin.ts'

test('a replica moves to another log dir, and what does not go is told replica by replica', async (t) => {
  const base = await temporaryDirectory(t)
  const [one, two] = [join(base, 'one'), join(base, 'two')] as const
  const broker = await startTestBroker({ config: { 'node.id': '1', 'log.dirs': `${one},${two}` } })
  const { bootstrapServers } = broker
  const admin = new Admin({ bootstrapServers })
  const producer = new Producer({ bootstrapServers, keySerializer: string, valueSerializer: string })
  t.after(async () => {
    await producer.close()
    await admin.close()
    await broker.close()
  })
  await admin.createTopics([{ topic: 't', numPartitions: 1 }])
  await producer.send({ topic: 't', key: 'k', value: 'v' })
  const replica = { topic: 't', partition: 0, nodeId: 1 }
  const unknown = { topic: 't', partition: 9, nodeId: 1 }
  assert.deepEqual(await admin.describeReplicaLogDirs([unknown, replica]), [
    { ...unknown, current: undefined, future: undefined },
    { ...replica, current: { path: one, offsetLag: 0 }, future: undefined },
  ])

  const connection = await connectTo(t, broker)
  const rate = 'replica.alter.log.dirs.io.max.bytes.per.second'
  assert.equal((await alterConfig(connection, { broker: '1' }, rate, '1')).errorCode, 0)
  await admin.alterReplicaLogDirs([{ ...replica, logDir: two }])
  const [moving] = await admin.describeReplicaLogDirs([replica])
  assert.deepEqual([moving!.current!.path, moving!.future?.path ?? two], [one, two])
  assert.equal((await alterConfig(connection, { broker: '1' }, rate, null)).errorCode, 0)
  const place = async () => (await admin.describeReplicaLogDirs([replica]))[0]!
  while ((await place()).future !== undefined || (await place()).current?.path !== two) await new Promise(setImmediate)

  await assert.rejects(admin.alterReplicaLogDirs([{ ...replica, logDir: join(base, 'three') }]), { code: 'LOG_DIR_NOT_FOUND' })
  await assert.rejects(
    admin.alterReplicaLogDirs([
      { ...replica, logDir: two },
      { topic: 'missing', partition: 0, nodeId: 1, logDir: two },
    ]),
    (error: { failures: Map<string, { code: string }>; succeeded: string[] }) => {
      assert.deepEqual(
        [...error.failures].map(([name, { code }]) => [name, code]),
        [['missing-0 on broker 1', 'UNKNOWN_TOPIC_OR_PARTITION']],
      )
      assert.deepEqual(error.succeeded, ['t-0 on broker 1'])
      return true
    },
  )
})

test('log dirs tell what they hold and whether they are cordoned', async (t) => {
  const broker = await startTestBroker({ config: { 'node.id': '1', 'cordoned.log.dirs': '*' } })
  const admin = new Admin({ bootstrapServers: broker.bootstrapServers })
  t.after(async () => {
    await admin.close()
    await broker.close()
  })
  const [dir] = (await admin.describeLogDirs({ brokers: [1] })).get(1)!
  assert.deepEqual([dir!.error, dir!.isCordoned, dir!.replicas], [undefined, true, []])
  assert.ok(dir!.totalBytes > 0)
})
