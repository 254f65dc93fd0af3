import assert from 'node:assert/strict'
import {
  BrokerError,
  ClientError,
  Consumer,
  json,
  NoOffsetError,
  Producer,
  RecordTooLargeError,
  SerializationError,
  TimeoutError,
} from 'tidelog'

export async function tellErrorsApart(bootstrapServers: string): Promise<void> {
  await using producer = new Producer({ bootstrapServers, valueSerializer: json(), maxBlockMs: 10_000 })
  const outcomes: string[] = []
  const send = async (topic: string, value: unknown, partition?: number) => {
    // #region kinds
    try {
      await producer.send({ topic, value, partition })
    } catch (error) {
      if (!(error instanceof ClientError)) throw error // an aborted signal's reason, or a defect
      if (error instanceof SerializationError) outcomes.push('the value is not what the serializer takes')
      else if (error instanceof RecordTooLargeError) outcomes.push('larger than maxRequestSize')
      else if (error instanceof TimeoutError) outcomes.push(`too late: ${error.message}`)
      else if (error instanceof BrokerError) outcomes.push(`the broker says ${error.code} (${error.errorCode})`)
      if (error.fatal) outcomes.push('this client will not recover: close it and make a new one')
      else if (error.retriable) outcomes.push('the same call may succeed later')
    }
    // #endregion
  }
  await send('errors', () => {})
  await send('errors', 'x'.repeat(2_000_000))
  await send('no such topic!', 1)
  assert.deepEqual(outcomes.slice(0, 2), ['the value is not what the serializer takes', 'larger than maxRequestSize'])
  assert.match(outcomes[2] ?? '', /INVALID_TOPIC_EXCEPTION/)
}

export async function goOnBehindABadRecord(bootstrapServers: string): Promise<void> {
  {
    await using producer = new Producer({ bootstrapServers })
    for (const value of ['1', '{', '3']) await producer.send({ topic: 'bad-json', value })
  }
  const values: number[] = []
  // #region poison
  const consumer = new Consumer({ bootstrapServers, groupId: 'careful', autoOffsetReset: 'earliest', valueDeserializer: json<number>() })
  const deadLetters = new Producer({ bootstrapServers })
  consumer.subscribe(['bad-json'])
  for await (const record of consumer.records()) {
    try {
      if (record.value !== null) values.push(record.value)
    } catch (error) {
      if (!(error instanceof SerializationError)) throw error
      // Decoding fails where the value is asked for, so the loop goes on; the bytes are there.
      const headers = { error: error.message }
      await deadLetters.send({ topic: 'bad-json-dead', key: record.keyBytes, value: record.valueBytes, headers })
    }
    if (record.offset === 2) break
  }
  // #endregion
  await Promise.all([consumer.close(), deadLetters.close()])
  assert.deepEqual(values, [1, 3])
}

export async function decideWhereToStart(bootstrapServers: string): Promise<void> {
  {
    await using producer = new Producer({ bootstrapServers })
    await producer.send({ topic: 'no-offset', value: 'a' })
  }
  // #region no-offset
  const consumer = new Consumer({ bootstrapServers, groupId: 'strict', autoOffsetReset: 'none' })
  consumer.subscribe(['no-offset'])
  try {
    await consumer.poll()
  } catch (error) {
    if (!(error instanceof NoOffsetError)) throw error
    consumer.seekToBeginning(error.partitions)
  }
  const polled = await consumer.poll()
  // #endregion
  assert.equal(polled.count, 1)
  await consumer.close()
}
