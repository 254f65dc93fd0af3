import assert from 'node:assert/strict'
import { Admin, json, Producer, ShareConsumer } from 'tidelog'

interface Job {
  readonly id: number
}

const work = async (job: Job | null): Promise<void> => {
  if (job?.id === 3) throw new Error('this one cannot be done')
}

export async function shareJobs(bootstrapServers: string): Promise<void> {
  await using admin = new Admin({ bootstrapServers })
  await admin.createTopics([{ topic: 'jobs', numPartitions: 1 }])
  // #region group
  // Groups begin with what comes after them, unless they are told otherwise.
  const resource = { type: 'group', name: 'workers' } as const
  await admin.incrementalAlterConfigs([{ resource, ops: [{ name: 'share.auto.offset.reset', op: 'set', value: 'earliest' }] }])
  // #endregion
  await using producer = new Producer({ bootstrapServers, valueSerializer: json<Job>() })
  await producer.sendMany([1, 2, 3, 4].map((id) => ({ topic: 'jobs', value: { id } })))
  const seen: number[] = []
  // #region explicit
  const consumer = new ShareConsumer({
    bootstrapServers,
    groupId: 'workers',
    acknowledgement: 'explicit',
    valueDeserializer: json<Job>(),
  })
  consumer.subscribe(['jobs'])
  for await (const record of consumer.records()) {
    try {
      await work(record.value)
      record.accept()
    } catch {
      // Somebody tries again; nobody does after the third time.
      if (record.deliveryCount < 3) record.release()
      else record.reject()
    }
    seen.push(record.value?.id ?? 0)
    if (seen.length === 6) break
  }
  await consumer.commit()
  await consumer.close()
  // #endregion
  assert.deepEqual(seen.sort(), [1, 2, 3, 3, 3, 4])
}

export async function acceptByReadingOn(bootstrapServers: string): Promise<void> {
  await using admin = new Admin({ bootstrapServers })
  await admin.createTopics([{ topic: 'mails', numPartitions: 1 }])
  const resource = { type: 'group', name: 'mailers' } as const
  await admin.incrementalAlterConfigs([{ resource, ops: [{ name: 'share.auto.offset.reset', op: 'set', value: 'earliest' }] }])
  await using producer = new Producer({ bootstrapServers, valueSerializer: json<Job>() })
  await producer.sendMany([1, 2, 3, 4].map((id) => ({ topic: 'mails', value: { id } })))
  let count = 0
  const stop = new AbortController()
  // #region run
  const consumer = new ShareConsumer({ bootstrapServers, groupId: 'mailers', valueDeserializer: json<Job>() })
  consumer.subscribe(['mails'])
  await consumer.run({
    concurrency: 16,
    signal: stop.signal,
    eachRecord: async (record) => {
      await work(record.value)
      if (++count === 3) stop.abort()
    },
    onError: (_, record) => (record.deliveryCount < 3 ? 'release' : 'reject'),
  })
  await consumer.close()
  // #endregion
  assert.ok(count >= 3)
}
