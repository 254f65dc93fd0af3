/** Members of Apache Kafka 4.3's groups whose ACLs are missing, come, and are taken away again: who reads hears of it, and goes on by the next read. */
import assert from 'node:assert/strict'
import test, { type TestContext } from 'node:test'
import { type AclBinding, Admin, Consumer, Producer, ShareConsumer, string } from '@tidelog/client'
import { freePort } from '@tidelog/testkit'
import { startBrokerProcess } from './harness.ts'

type Member = Consumer<Buffer, string> | ShareConsumer<Buffer, string>

/** Reads until a record has come; its value. */
type Read = (member: Member) => Promise<string | null>

const viaPoll: Read = async (member) => {
  for (;;) for (const { value } of await member.poll()) return value
}
const viaRecords: Read = async (member) => {
  for await (const { value } of member.records()) return value
  return null
}
const viaRun: Read = async (member) => {
  const stop = new AbortController()
  let found: string | null = null
  const eachRecord = ({ value }: { readonly value: string | null }) => {
    found = value
    stop.abort()
  }
  await member.run({ eachRecord, signal: stop.signal })
  return found
}
const viaBatches: Read = async (member) => {
  for await (const { records } of (member as Consumer<Buffer, string>).batches()) return records[0]!.value
  return null
}

const ways: Readonly<Record<string, readonly [name: string, read: Read][]>> = {
  classic: [
    ['poll()', viaPoll],
    ['records()', viaRecords],
    ['batches()', viaBatches],
    ['run()', viaRun],
  ],
  consumer: [
    ['poll()', viaPoll],
    ['records()', viaRecords],
    ['batches()', viaBatches],
    ['run()', viaRun],
  ],
  share: [
    ['poll()', viaPoll],
    ['records()', viaRecords],
    ['run()', viaRun],
  ],
}

async function startKafka(t: TestContext) {
  const port = await freePort()
  const settings = {
    'authorizer.class.name': 'org.apache.kafka.metadata.authorizer.StandardAuthorizer',
    'super.users': 'User:ANONYMOUS',
    'listener.name.sasl.sasl.enabled.mechanisms': 'PLAIN',
    'listener.name.sasl.plain.sasl.jaas.config': 'org.apache.kafka.common.security.plain.PlainLoginModule required user_alice="secret";',
    'share.coordinator.state.topic.replication.factor': '1',
    'share.coordinator.state.topic.min.isr': '1',
    'share.coordinator.state.topic.num.partitions': '1',
    'group.consumer.heartbeat.interval.ms': '500',
    'group.consumer.min.heartbeat.interval.ms': '500',
    'group.share.heartbeat.interval.ms': '500',
    'group.share.min.heartbeat.interval.ms': '500',
  }
  const extras = { listeners: { SASL: { protocol: 'SASL_PLAINTEXT', port } }, scramUsers: [] } as const
  const broker = await startBrokerProcess(t, settings, 'kafka-4.3', extras)
  const admin = new Admin({ bootstrapServers: broker.bootstrap })
  const producer = new Producer({ bootstrapServers: broker.bootstrap, valueSerializer: string })
  t.after(async () => {
    await producer.close()
    await admin.close()
  })
  const login = { bootstrapServers: `localhost:${port}`, sasl: { mechanism: 'PLAIN', username: 'alice', password: 'secret' } } as const
  return { admin, producer, login }
}

test('a member without ACLs is refused by every read and goes on with the one behind the ACL, also when it is taken away and given back', async (t) => {
  const { admin, producer, login } = await startKafka(t)
  const allow = (resourceType: 'topic' | 'group', resourceName: string): AclBinding => ({
    resourceType,
    resourceName,
    patternType: 'literal',
    principal: 'User:alice',
    host: '*',
    operation: 'read',
    permissionType: 'allow',
  })
  for (const [kind, readers] of Object.entries(ways)) {
    for (const [way, read] of readers) {
      await t.test(`${way} (${kind})`, async (t) => {
        const name = `${kind}-${way.replace('()', '')}`
        await admin.createTopics([{ topic: name, numPartitions: 1 }])
        if (kind === 'share') {
          const ops = [{ name: 'share.auto.offset.reset', op: 'set', value: 'earliest' }] as const
          await admin.incrementalAlterConfigs([{ resource: { type: 'group', name }, ops: [...ops] }])
        }
        const common = { ...login, groupId: name, valueDeserializer: string }
        const member: Member =
          kind === 'share'
            ? new ShareConsumer(common)
            : new Consumer({
                ...common,
                groupProtocol: kind === 'classic' ? 'classic' : 'consumer',
                autoOffsetReset: 'earliest',
                ...(kind === 'classic' ? { heartbeatIntervalMs: 300 } : {}),
              })
        t.after(() => member.close())
        member.subscribe([name])
        /** Reads, again and again, until it is refused for that reason. */
        const refused = async (code: string) => {
          for (;;) {
            const failure = await read(member).then(
              () => undefined,
              (error: { code: string }) => error.code,
            )
            if (failure === code) return
            assert.ok(failure === undefined || failure.endsWith('_AUTHORIZATION_FAILED'), `refused with ${failure}`)
          }
        }
        /** Reads, again and again, until nothing refuses it. */
        const goesOn = async (value: string) => {
          for (;;) {
            try {
              assert.equal(await read(member), value)
              return
            } catch (error) {
              if (!(error as { code?: string }).code?.endsWith('_AUTHORIZATION_FAILED')) throw error
            }
          }
        }
        await producer.send({ topic: name, value: '0' })
        if (kind === 'share') {
          // The coordinator looks at the group first, the broker at the topic where it is fetched.
          await refused('GROUP_AUTHORIZATION_FAILED')
          await admin.createAcls([allow('group', name)])
          await refused('TOPIC_AUTHORIZATION_FAILED')
          await admin.createAcls([allow('topic', name)])
        } else {
          await refused('TOPIC_AUTHORIZATION_FAILED')
          await admin.createAcls([allow('topic', name)])
          await refused('GROUP_AUTHORIZATION_FAILED')
          await refused('GROUP_AUTHORIZATION_FAILED')
          await admin.createAcls([allow('group', name)])
        }
        await goesOn('0')
        if (kind === 'share') return
        await (member as Consumer<Buffer, string>).commit([{ topic: name, partition: 0, offset: 1 }])
        await admin.deleteAcls([{ resourceType: 'group', resourceName: name }])
        await refused('GROUP_AUTHORIZATION_FAILED')
        await admin.createAcls([allow('group', name)])
        await producer.send({ topic: name, value: '1' })
        ;(member as Consumer<Buffer, string>).seek({ topic: name, partition: 0 }, 1)
        await goesOn('1')
      })
    }
  }
})
