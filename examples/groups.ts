import assert from 'node:assert/strict'
import { Consumer, json, Producer, SubscriptionPattern, type TopicPartition } from 'tidelog'

export async function followRebalances(bootstrapServers: string): Promise<void> {
  await using producer = new Producer({ bootstrapServers, valueSerializer: json<number>() })
  await producer.send({ topic: 'rebalanced', value: 1 })
  // #region listener
  const open = new Map<string, number>()
  const nameOf = ({ topic, partition }: TopicPartition) => `${topic}-${partition}`

  const consumer = new Consumer({
    bootstrapServers,
    groupId: 'counters',
    partitionAssignmentStrategy: 'cooperative-sticky',
    autoOffsetReset: 'earliest',
    valueDeserializer: json<number>(),
  })
  consumer.subscribe(['rebalanced'], {
    onAssigned(partitions) {
      for (const partition of partitions) open.set(nameOf(partition), 0)
    },
    // Awaited: the partitions are still this member's, and a commit here still counts.
    async onRevoked(partitions) {
      await consumer.commit()
      for (const partition of partitions) open.delete(nameOf(partition))
    },
    // They are somebody else's already: nothing can be committed any more.
    onLost(partitions) {
      for (const partition of partitions) open.delete(nameOf(partition))
    },
  })
  // #endregion
  for await (const record of consumer.records()) {
    open.set(nameOf(record), (open.get(nameOf(record)) ?? 0) + 1)
    break
  }
  assert.deepEqual([...open], [['rebalanced-0', 1]])
  await consumer.close()
  assert.equal(open.size, 0)
}

export async function keepPartitionsOverARestart(bootstrapServers: string): Promise<void> {
  await using producer = new Producer({ bootstrapServers, valueSerializer: json<number>() })
  await producer.send({ topic: 'static', value: 1 })
  // #region static
  const consumer = new Consumer({
    bootstrapServers,
    groupId: 'counters-static',
    groupInstanceId: 'pod-1',
    sessionTimeoutMs: 45_000,
    autoOffsetReset: 'earliest',
  })
  // #endregion
  consumer.subscribe(['static'])
  await consumer.poll()
  assert.equal(consumer.groupMetadata().groupInstanceId, 'pod-1')
  await consumer.close()
}

export async function joinByTheNewProtocol(bootstrapServers: string): Promise<void> {
  await using producer = new Producer({ bootstrapServers, valueSerializer: json<number>() })
  await producer.send({ topic: 'metrics-cpu', value: 1 })
  // #region consumer-protocol
  const consumer = new Consumer({
    bootstrapServers,
    groupId: 'dashboards',
    groupProtocol: 'consumer',
    autoOffsetReset: 'earliest',
    valueDeserializer: json<number>(),
  })
  consumer.subscribe(new SubscriptionPattern('metrics-.*'))
  const polled = await consumer.poll()
  // #endregion
  assert.equal(polled.count, 1)
  await consumer.close()
}
