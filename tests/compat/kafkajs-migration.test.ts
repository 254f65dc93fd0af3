import assert from 'node:assert/strict'
import test from 'node:test'
import { startTestBroker } from '@tidelog/tidelog'
import type { IMemberAssignment } from 'kafkajs'
import { eventually } from './eventually.ts'
import { libraries } from './kafkajs-libraries.ts'
import { administering } from './kafkajs-programs/administering.ts'
import { brokering } from './kafkajs-programs/brokering.ts'
import { connecting } from './kafkajs-programs/connecting.ts'
import { batches, failing, moving, watching } from './kafkajs-programs/consuming.ts'
import { grouping, overlapping } from './kafkajs-programs/grouping.ts'
import { producing, transacting } from './kafkajs-programs/producing.ts'
import { comparable, kafkaOf } from './kafkajs-programs/program.ts'

const programs = { producing, transacting, batches, failing, moving, watching, administering, connecting, grouping, overlapping, brokering }

for (const [name, program] of Object.entries(programs)) {
  test(`a program written for kafkajs gives the same with tidelog/kafkajs: ${name}`, async () => {
    const results = await Promise.all(
      libraries.map(async ({ library }) => {
        const broker = await startTestBroker()
        try {
          return comparable(await program(library, broker.bootstrapServers))
        } finally {
          await broker.close()
        }
      }),
    )
    assert.deepEqual(results[1], results[0])
  })
}

test('members of kafkajs and of tidelog/kafkajs share a group, whichever of them leads it', async () => {
  for (const [first, second] of [libraries, [...libraries].reverse()]) {
    const broker = await startTestBroker()
    const assignments = new Map<string, IMemberAssignment>()
    const seen = new Set<string>()
    const member = async ({ name, library }: (typeof libraries)[number]) => {
      const kafka = kafkaOf(library, broker.bootstrapServers, { clientId: name })
      const consumer = kafka.consumer({ groupId: 'both', heartbeatInterval: 50, maxWaitTimeInMs: 100 })
      consumer.on(consumer.events.GROUP_JOIN, ({ payload: { memberAssignment } }) => void assignments.set(name, memberAssignment))
      await consumer.connect()
      await consumer.subscribe({ topics: ['a', 'b'], fromBeginning: true })
      await consumer.run({ eachMessage: async ({ message }) => void seen.add(String(message.value)) })
      return consumer
    }
    const kafka = kafkaOf(libraries[1]!.library, broker.bootstrapServers)
    const admin = kafka.admin()
    await admin.connect()
    await admin.createTopics({ topics: ['a', 'b'].map((topic) => ({ topic, numPartitions: 3 })) })
    const consumers = [await member(first!), await member(second!)]
    const countOf = (assignment: IMemberAssignment | undefined) => Object.values(assignment ?? {}).flat().length
    await eventually('each has half', () => libraries.every(({ name }) => countOf(assignments.get(name)) === 3))
    const producer = kafka.producer()
    await producer.connect()
    const messages = Array.from({ length: 60 }, (_, i) => ({ key: `${i}`, value: `${i}` }))
    await producer.sendBatch({
      topicMessages: ['a', 'b'].map((topic) => ({ topic, messages: messages.map(({ key }) => ({ key, value: `${topic}${key}` })) })),
    })
    await eventually('all is read', () => seen.size === 120)
    for (const client of [...consumers, producer, admin]) await client.disconnect()
    await broker.close()
  }
})
