import assert from 'node:assert/strict'
import { createServer } from 'node:net'
import { type TestContext, test } from 'node:test'
import { ConnectionError, type FramedConnection } from '@tidelog/net'
import { DescribeCluster, DescribeConfigs, ListOffsets, Metadata, Produce } from '@tidelog/protocol'
import { alterConfig, batchOf, connectTo, createTopic, startTestBroker, temporaryDirectory } from '@tidelog/testkit'
import type { Broker } from './broker.ts'

const one = { broker: '1' }
const host = '127.0.0.1'
const MAP = 'listener.security.protocol.map'
const withMore = 'PLAINTEXT:PLAINTEXT,MORE:PLAINTEXT,SECURE:SSL'

/** A port that was free a moment ago. */
async function freePort(): Promise<number> {
  const server = createServer()
  await new Promise<void>((resolve) => server.listen(0, host, resolve))
  const { port } = server.address() as { port: number }
  await new Promise((resolve) => server.close(resolve))
  return port
}

async function brokerOf(t: TestContext, config: Record<string, string> = {}) {
  const broker = await startTestBroker({ config: { 'node.id': '1', [MAP]: withMore, ...config } })
  t.after(() => broker.close())
  const connection = await connectTo(t, broker)
  const own = `PLAINTEXT://${host}:0`
  return { broker, connection, own, set: (listeners: string | null) => alterConfig(connection, one, 'listeners', listeners) }
}

async function shown(connection: FramedConnection, name: string): Promise<string | null> {
  const resources = [{ resourceType: 4, resourceName: '1', configurationKeys: [name] }]
  const { results } = await connection.send(DescribeConfigs, 4, { resources, includeSynonyms: false, includeDocumentation: false })
  return results[0]!.configs[0]!.value
}

const addresses = async (connection: FramedConnection): Promise<string[]> =>
  (await connection.send(Metadata, 9, { topics: [], allowAutoTopicCreation: false })).brokers.map((node) => `${node.host}:${node.port}`)

const isClosed = (port: number) => (t: TestContext) =>
  assert.rejects(connectTo(t, { host, port }), (error) => error instanceof ConnectionError && error.reason === 'refused')

const produceTo = async (connection: FramedConnection, topic: string) => {
  const topicData = [{ name: topic, partitionData: [{ index: 0, records: batchOf() }] }]
  const { responses } = await connection.send(Produce, 9, { transactionalId: null, acks: -1, timeoutMs: 5000, topicData })
  return responses[0]!.partitionResponses[0]!
}

test('a listener that is added serves at once, and its clients are told its own address', async (t) => {
  const { broker, connection, own, set } = await brokerOf(t)
  const port = await freePort()
  assert.deepEqual(await set(`${own},MORE://${host}:${port}`), { errorCode: 0, errorMessage: null })
  assert.equal(await shown(connection, 'listeners'), `${own},MORE://${host}:${port}`)
  const more = await connectTo(t, { host, port })
  assert.deepEqual(await addresses(more), [`${host}:${port}`])
  assert.deepEqual(await addresses(connection), [`${host}:${broker.port}`])
  await createTopic(more, 't')
  assert.equal((await produceTo(more, 't')).errorCode, 0)
})

test('a listener that is removed takes no more connections and closes those it has; those of the others live on', async (t) => {
  const { connection, own, set } = await brokerOf(t)
  const port = await freePort()
  await set(`${own},MORE://${host}:${port}`)
  const more = await connectTo(t, { host, port })
  await addresses(more)
  const gone = new Promise((resolve) => more.onClose(resolve))
  assert.equal((await set(own)).errorCode, 0)
  await isClosed(port)(t)
  await gone
  assert.equal((await addresses(connection)).length, 1, 'the connection that it was asked on')
  assert.equal((await set(`${own},MORE://${host}:${port}`)).errorCode, 0, 'it may come back')
  assert.equal((await addresses(await connectTo(t, { host, port }))).length, 1)
  assert.equal((await set(null)).errorCode, 0)
  await isClosed(port)(t)
})

test('the answer to its own removal reaches a client on that listener', async (t) => {
  const { own, set } = await brokerOf(t)
  const port = await freePort()
  await set(`${own},MORE://${host}:${port}`)
  const more = await connectTo(t, { host, port })
  const gone = new Promise((resolve) => more.onClose(resolve))
  assert.equal((await alterConfig(more, one, 'listeners', own)).errorCode, 0)
  await gone
})

test('a listener at another port moves there', async (t) => {
  const { own, set } = await brokerOf(t)
  const [before, after] = [await freePort(), await freePort()]
  await set(`${own},MORE://${host}:${before}`)
  assert.equal((await set(`${own},MORE://${host}:${after}`)).errorCode, 0)
  await isClosed(before)(t)
  const more = await connectTo(t, { host, port: after })
  assert.deepEqual(await addresses(more), [`${host}:${after}`])
})

test('where advertised.listeners names others, a listener that is added is not told to anybody, as in Kafka', async (t) => {
  const { own, connection, set } = await brokerOf(t, { 'advertised.listeners': `PLAINTEXT://${host}:0` })
  const port = await freePort()
  assert.equal((await set(`${own},MORE://${host}:${port}`)).errorCode, 0)
  await createTopic(connection, 't')
  const more = await connectTo(t, { host, port })
  const { brokers, topics } = await more.send(Metadata, 9, { topics: [{ name: 't' }], allowAutoTopicCreation: false })
  assert.deepEqual([brokers, topics[0]!.partitions[0]!.errorCode], [[], 72], 'LISTENER_NOT_FOUND')
  assert.deepEqual((await more.send(DescribeCluster, 1, { includeClusterAuthorizedOperations: false, endpointType: 1 })).brokers, [])
  const partitions = [{ partitionIndex: 0, timestamp: -1 }]
  const offsets = await more.send(ListOffsets, 5, { replicaId: -1, isolationLevel: 0, topics: [{ name: 't', partitions }] })
  assert.equal(offsets.topics[0]!.partitions[0]!.errorCode, 0, 'it is served all the same')
})

test('what Kafka refuses is refused, says why, and changes nothing', async (t) => {
  const { broker, connection, own, set } = await brokerOf(t)
  const [port, other] = [await freePort(), await freePort()]
  await set(`${own},MORE://${host}:${port}`)
  const refused = async (name: string, value: string | null, message: RegExp) => {
    const { errorCode, errorMessage } = await alterConfig(connection, one, name, value)
    assert.equal(errorCode, 42, `${name}=${value}`)
    assert.match(errorMessage!, message)
  }
  await refused('listeners', '', /no listener is left/)
  await refused('listeners', `MORE://${host}:${port}`, /inter.broker.listener.name must be a listener name defined in advertised.listeners/)
  await refused('listeners', `${own},NEW://${host}:${other}`, /No security protocol defined for listener NEW/)
  await refused('listeners', `${own},MORE://${host}:${other},MORE://${host}:${port}`, /Each listener must have a different name/)
  await refused('listeners', `${own},MORE`, /Unable to parse MORE to a broker endpoint/)
  await refused('listeners', `${own},MORE://${host}:${port},SECURE://${host}:${other}`, /only PLAINTEXT is served yet/)
  await refused('listeners', `${own},MORE://${host}:${broker.port}`, /MORE:\/\/127.0.0.1:\d+ is in use by another process/)
  await refused(MAP, 'PLAINTEXT:PLAINTEXT', /No security protocol defined for listener MORE/)
  await refused(MAP, 'PLAINTEXT:PLAINTEXT,MORE:SSL', /Security protocol cannot be updated for existing listener MORE/)
  await refused(MAP, 'PLAINTEXT:PLAINTEXT,MORE:NOISE', /Invalid security protocol `NOISE`/)
  await refused('advertised.listeners', `PLAINTEXT://${host}:1`, /^Cannot update these configs dynamically: \[advertised.listeners\]$/)
  const ofAll = await alterConfig(connection, { broker: '' }, 'listeners', own)
  assert.match(ofAll.errorMessage!, /broker id must be specified: \[listeners\]/)
  const onTrial = await alterConfig(connection, one, 'listeners', `${own},MORE://${host}:${other}`, { validateOnly: true })
  assert.equal(onTrial.errorCode, 0)
  await isClosed(other)(t)
  assert.equal(await shown(connection, 'listeners'), `${own},MORE://${host}:${port}`)
  assert.equal((await addresses(await connectTo(t, { host, port }))).length, 1)
})

test('a new name enters the map of protocols first, then the listeners', async (t) => {
  const { connection, own, set } = await brokerOf(t)
  const port = await freePort()
  assert.equal((await alterConfig(connection, one, MAP, `${withMore},NEW:PLAINTEXT`)).errorCode, 0)
  assert.equal((await set(`${own},NEW://${host}:${port}`)).errorCode, 0)
  assert.deepEqual(await addresses(await connectTo(t, { host, port })), [`${host}:${port}`])
  assert.equal((await alterConfig(connection, one, MAP, null)).errorCode, 42, 'it is in use')
})

test('what was changed is open after a restart; a listener whose port is taken meanwhile does not keep the broker from starting', async (t) => {
  const dir = await temporaryDirectory(t)
  const config = { 'node.id': '1', 'log.dirs': dir, [MAP]: withMore }
  const start = async (): Promise<Broker> => {
    const broker = await startTestBroker({ config })
    t.after(() => broker.close())
    return broker
  }
  const port = await freePort()
  const before = await start()
  const connection = await connectTo(t, before)
  assert.equal((await alterConfig(connection, one, 'listeners', `PLAINTEXT://${host}:0,MORE://${host}:${port}`)).errorCode, 0)
  await before.close()
  await isClosed(port)(t)
  const again = await start()
  assert.deepEqual(await addresses(await connectTo(t, { host, port })), [`${host}:${port}`])
  await again.close()
  const taken = createServer()
  await new Promise<void>((resolve) => taken.listen(port, host, resolve))
  t.after(() => taken.close())
  const third = await start()
  const left = await connectTo(t, third)
  assert.deepEqual(await addresses(left), [`${host}:${third.port}`])
  assert.equal((await alterConfig(left, one, 'listeners', null)).errorCode, 0)
})

test('changes that come at the same time are made one after the other', async (t) => {
  const { broker, own } = await brokerOf(t)
  const ports = [await freePort(), await freePort(), await freePort()]
  const results = await Promise.all(
    ports.map(async (port) => alterConfig(await connectTo(t, broker), one, 'listeners', `${own},MORE://${host}:${port}`)),
  )
  assert.deepEqual(
    results.map(({ errorCode }) => errorCode),
    [0, 0, 0],
  )
  const open = await Promise.all(
    ports.map((port) =>
      connectTo(t, { host, port }).then(
        () => true,
        () => false,
      ),
    ),
  )
  assert.equal(open.filter(Boolean).length, 1)
})
