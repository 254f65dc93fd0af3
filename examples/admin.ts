import assert from 'node:assert/strict'
import { Admin, BrokerError, Consumer, PartialFailureError, Producer, string } from 'tidelog'

export async function lookAfterTopics(bootstrapServers: string): Promise<void> {
  // #region topics
  const admin = new Admin({ bootstrapServers })
  await admin.createTopics([{ topic: 'audit', numPartitions: 3, configs: { 'cleanup.policy': 'compact' } }])
  await admin.createPartitions([{ topic: 'audit', totalCount: 6 }])

  const description = (await admin.describeTopics(['audit'])).get('audit')
  const [resource] = await admin.describeConfigs([{ type: 'topic', name: 'audit' }], { names: ['cleanup.policy'] })
  await admin.incrementalAlterConfigs([
    { resource: { type: 'topic', name: 'audit' }, ops: [{ name: 'retention.ms', op: 'set', value: '3600000' }] },
  ])
  // #endregion
  // Kafka tells of new partitions a little later.
  assert.ok([3, 6].includes(description?.partitions.length ?? 0))
  assert.equal(resource?.configs[0]?.value, 'compact')
  // #region failures
  try {
    await admin.createTopics([{ topic: 'audit' }, { topic: 'events' }])
  } catch (error) {
    // What was asked for in one call fails or succeeds one by one.
    if (!(error instanceof PartialFailureError)) throw error
    for (const failure of error.failures.values()) if (failure.code !== 'TOPIC_ALREADY_EXISTS') throw failure
  }
  // #endregion
  await assert.rejects(admin.createTopics([{ topic: 'audit' }]), BrokerError)
  await admin.deleteTopics(['audit', 'events'])
  await admin.close()
}

export async function lookAfterGroups(bootstrapServers: string): Promise<void> {
  await using producer = new Producer({ bootstrapServers, valueSerializer: string })
  for (const value of ['a', 'b', 'c']) await producer.send({ topic: 'watched', value })
  {
    await using consumer = new Consumer({ bootstrapServers, groupId: 'watchers', autoOffsetReset: 'earliest' })
    consumer.subscribe(['watched'])
    await consumer.commit((await consumer.poll()).offsets())
  }
  await using admin = new Admin({ bootstrapServers })
  // #region groups
  const groups = await admin.listGroups()
  const committed = await admin.listConsumerGroupOffsets('watchers')
  const ends = await admin.listOffsets([...committed.keys()].map((partition) => ({ ...partition, spec: 'latest' })))
  const lag = [...committed.values()].reduce((sum, { offset }, index) => sum + (ends[index]?.offset ?? offset) - offset, 0)

  // From the beginning again, once nobody is in the group.
  await admin.alterConsumerGroupOffsets('watchers', [{ topic: 'watched', partition: 0, offset: 0 }])
  await admin.deleteConsumerGroups(['watchers'])
  // #endregion
  assert.ok(groups.some(({ groupId }) => groupId === 'watchers'))
  assert.ok(lag >= 0 && lag <= 2)
}
