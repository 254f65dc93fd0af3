import assert from 'node:assert/strict'
import { type TestContext, test } from 'node:test'
import { seededRandom, silentLogger, ZERO_UUID } from '@tidelog/core'
import { type Api, KafkaError, type LeaderAndIsrRequest, type StopReplicaRequest, type UpdateMetadataRequest } from '@tidelog/protocol'
import { ManualClock, temporaryDirectory } from '@tidelog/testkit'
import { openCluster, registerBroker } from '../cluster.ts'
import { supportedFeatures } from '../features.ts'
import { MetadataImage } from '../metadata-image.ts'
import { EmbeddedStore } from '../store/embedded-store.ts'
import type { MetadataStore } from '../store/metadata-store.ts'
import { deleteTopicPath, encodeTopic, topicPath } from '../znodes.ts'
import type { BrokerChannel, ControlApi } from './broker-channel.ts'
import { Controller } from './controller.ts'
import type { NewTopic } from './create-topics.ts'

const topic = (name: string, overrides: Partial<NewTopic> = {}): NewTopic => ({
  name,
  partitions: 1,
  replicationFactor: 1,
  assignments: [],
  configs: [],
  ...overrides,
})

/** A broker without logs: it keeps what the controller told it. */
interface TestBroker {
  readonly id: number
  readonly session: MetadataStore
  readonly image: MetadataImage
  readonly controller: Controller
  readonly led: Map<string, { leader: number; leaderEpoch: number; isr: number[] }>
  readonly calls: string[]
  stop(): Promise<void>
}

class TestCluster {
  readonly brokers = new Map<number, TestBroker>()
  readonly clock = new ManualClock()
  readonly store: EmbeddedStore
  /** Set to make a broker unreachable, or to hold what it is told. */
  before: (brokerId: number, api: Api) => Promise<void> | void = () => {}

  constructor(store: EmbeddedStore) {
    this.store = store
  }

  get controller(): Controller {
    const active = [...this.brokers.values()].find(({ controller }) => controller.isActive)
    assert.ok(active, 'there is a controller')
    return active.controller
  }

  async start(id: number): Promise<TestBroker> {
    const { clock } = this
    const random = seededRandom(id)
    const session = this.store.connect()
    const clusterId = await openCluster(session, { random })
    const image = await MetadataImage.open({ clusterId, store: session, clock, logger: silentLogger })
    const endpoint = { listener: 'PLAINTEXT', host: 'localhost', port: 9092 + id, securityProtocol: 'PLAINTEXT' } as const
    await registerBroker(session, { id, endpoints: [endpoint], rack: null, features: new Map(), isCordoned: false }, { clock })
    const controller = new Controller({
      brokerId: id,
      store: session,
      channel: this.#channel,
      features: supportedFeatures,
      config: () => ({
        topicDefaults: { partitions: 2, replicationFactor: 1 },
        uncleanLeaderElection: (name) => name.startsWith('unclean'),
      }),
      validateTopicConfigs: (configs) => {
        if (configs.has('bad')) throw new KafkaError('INVALID_CONFIG', 'Unknown topic config name: bad')
      },
      clock,
      random,
      logger: silentLogger,
    })
    const broker: TestBroker = {
      id,
      session,
      image,
      controller,
      led: new Map(),
      calls: [],
      stop: async () => {
        this.brokers.delete(id)
        await controller.close()
        image.close()
        await session.close()
      },
    }
    this.brokers.set(id, broker)
    await controller.start()
    return broker
  }

  /** Resolves when every broker sees what the condition asks for. */
  async until(condition: (image: MetadataImage) => boolean): Promise<void> {
    await Promise.all([...this.brokers.values()].map(({ image }) => image.until(() => condition(image))))
  }

  readonly #channel: BrokerChannel = {
    send: async (brokerId: number, api: ControlApi, request: unknown) => {
      await this.before(brokerId, api as unknown as Api)
      const broker = this.brokers.get(brokerId)
      if (broker === undefined) throw new Error(`broker ${brokerId} is not there`)
      broker.calls.push(api.name)
      // biome-ignore lint/suspicious/noExplicitAny: the channel's type ties request and response to the API, a fake cannot
      return (await answer(broker, api, request)) as any
    },
  }
}

async function answer(broker: TestBroker, api: ControlApi, request: unknown): Promise<unknown> {
  if (api.name === 'UpdateMetadata') return broker.image.applyUpdateMetadata(request as UpdateMetadataRequest)
  if (api.name === 'StopReplica') {
    for (const { topicName, partitionStates } of (request as StopReplicaRequest).topicStates) {
      for (const { partitionIndex } of partitionStates) broker.led.delete(`${topicName}-${partitionIndex}`)
    }
    return { errorCode: 0, partitionErrors: [] }
  }
  await broker.image.readNewTopicConfigs(request as LeaderAndIsrRequest)
  for (const { topicName, partitionStates } of (request as LeaderAndIsrRequest).topicStates) {
    for (const { partitionIndex, leader, leaderEpoch, isr } of partitionStates) {
      broker.led.set(`${topicName}-${partitionIndex}`, { leader, leaderEpoch, isr })
    }
  }
  return { errorCode: 0, partitionErrors: [], topics: [] }
}

async function openStore(t: TestContext, dir?: string): Promise<{ store: EmbeddedStore; dir: string }> {
  const path = dir ?? (await temporaryDirectory(t))
  const store = await EmbeddedStore.open({ dir: path, clock: new ManualClock(), logger: silentLogger })
  t.after(() => store.close())
  return { store, dir: path }
}

async function clusterOf(t: TestContext, ...ids: number[]): Promise<TestCluster> {
  const cluster = new TestCluster((await openStore(t)).store)
  for (const id of ids) await cluster.start(id)
  await cluster.until(({ brokers }) => brokers.size === ids.length)
  return cluster
}

const inTime = { timeoutMs: 30_000 }

test('a topic is led and known by all brokers when its creation is answered', async (t) => {
  const cluster = await clusterOf(t, 1)
  const [outcome] = await cluster.controller.createTopics([topic('orders', { partitions: 3 })], inTime)
  assert.ok(outcome && 'created' in outcome)
  assert.equal(outcome.created.partitions, 3)
  const { image, led } = cluster.brokers.get(1)!
  assert.equal(image.topicById(outcome.created.topicId)?.name, 'orders')
  assert.notEqual(outcome.created.topicId, ZERO_UUID)
  assert.deepEqual([...image.topic('orders')!.partitions.keys()], [0, 1, 2])
  assert.deepEqual(image.partition('orders', 2), {
    leaderId: 1,
    leaderEpoch: 0,
    replicas: [1],
    isr: [1],
    offlineReplicas: [],
    partitionEpoch: 0,
  })
  assert.deepEqual(led.get('orders-2'), { leader: 1, leaderEpoch: 0, isr: [1] })
})

test('the store holds a topic as Kafka 3.9 writes it', async (t) => {
  const cluster = await clusterOf(t, 1)
  const configs = [{ name: 'retention.ms', value: '1000' }]
  const [outcome] = await cluster.controller.createTopics([topic('orders', { configs })], inTime)
  assert.ok(outcome && 'created' in outcome)
  const session = cluster.store.connect()
  const read = async (path: string) => JSON.parse((await session.get(path)).data.toString())
  assert.deepEqual(await read('/brokers/topics/orders'), {
    partitions: { 0: [1] },
    topic_id: outcome.created.topicId,
    adding_replicas: {},
    removing_replicas: {},
    version: 3,
  })
  assert.deepEqual(await read('/brokers/topics/orders/partitions/0/state'), {
    controller_epoch: 1,
    leader: 1,
    version: 1,
    leader_epoch: 0,
    isr: [1],
  })
  assert.deepEqual(await read('/config/topics/orders'), { version: 1, config: { 'retention.ms': '1000' } })
  assert.deepEqual(await read('/controller'), { version: 2, brokerid: 1, timestamp: '1700000000000', kraftControllerEpoch: -1 })
  assert.equal((await session.get('/controller_epoch')).data.toString(), '1')
  assert.deepEqual(await read('/brokers/ids/1'), {
    version: 5,
    host: 'localhost',
    port: 9093,
    jmx_port: -1,
    timestamp: '1700000000000',
    endpoints: ['PLAINTEXT://localhost:9093'],
    features: {},
    listener_security_protocol_map: { PLAINTEXT: 'PLAINTEXT' },
  })
})

test('a request is judged topic by topic, with the codes and words of Kafka 4.3', async (t) => {
  const cluster = await clusterOf(t, 1)
  await cluster.controller.createTopics([topic('taken'), topic('a.b')], inTime)
  const manual = (...assignments: [number, number[]][]) => ({
    partitions: -1,
    replicationFactor: -1,
    assignments: assignments.map(([partitionIndex, brokerIds]) => ({ partitionIndex, brokerIds })),
  })
  const cases: [NewTopic, string, string | RegExp][] = [
    [topic(''), 'INVALID_TOPIC_EXCEPTION', 'Topic name is invalid: the empty string is not allowed'],
    [topic('.'), 'INVALID_TOPIC_EXCEPTION', "Topic name is invalid: '.' is not allowed"],
    [topic('..'), 'INVALID_TOPIC_EXCEPTION', "Topic name is invalid: '..' is not allowed"],
    [topic('x'.repeat(250)), 'INVALID_TOPIC_EXCEPTION', /longer than the max allowed length 249/],
    [topic('a/b'), 'INVALID_TOPIC_EXCEPTION', /contains one or more characters other than/],
    [topic('../../x'), 'INVALID_TOPIC_EXCEPTION', /contains one or more characters other than/],
    [topic('ümlaut'), 'INVALID_TOPIC_EXCEPTION', /contains one or more characters other than/],
    [topic('a_b'), 'INVALID_TOPIC_EXCEPTION', "Topic 'a_b' collides with existing topic: a.b"],
    [topic('taken'), 'TOPIC_ALREADY_EXISTS', "Topic 'taken' already exists."],
    [topic('p0', { partitions: 0 }), 'INVALID_PARTITIONS', 'Number of partitions was set to an invalid non-positive value.'],
    [topic('r0', { replicationFactor: 0 }), 'INVALID_REPLICATION_FACTOR', /must be larger than 0/],
    [topic('r3', { replicationFactor: 3 }), 'INVALID_REPLICATION_FACTOR', /cannot be reached because only 1 broker\(s\) are registered/],
    [topic('c1', { configs: [{ name: 'bad', value: '1' }] }), 'INVALID_CONFIG', 'Unknown topic config name: bad'],
    [topic('c2', { configs: [{ name: 'x', value: null }] }), 'INVALID_CONFIG', 'Null value not supported for topic configs: x'],
    [topic('m1', manual([0, [1]], [0, [1]])), 'INVALID_REPLICA_ASSIGNMENT', /multiple manual partition assignments for partition 0/],
    [topic('m2', manual([1, [1]])), 'INVALID_REPLICA_ASSIGNMENT', 'partitions should be a consecutive 0-based integer sequence'],
    [topic('m3', manual([0, [7]])), 'INVALID_REPLICA_ASSIGNMENT', /broker 7, but no such broker is registered/],
    [topic('m4', manual([0, [1, 1]])), 'INVALID_REPLICA_ASSIGNMENT', /the broker 1 more than once/],
    [topic('m5', manual([0, []])), 'INVALID_REPLICA_ASSIGNMENT', /an empty replica list/],
    [topic('m6', { ...manual([0, [1]]), partitions: 1 }), 'INVALID_REQUEST', /numPartitions was not set to -1/],
    [topic('__cluster_metadata'), 'INVALID_REQUEST', 'Creation of internal topic __cluster_metadata is prohibited.'],
  ]
  const outcomes = await cluster.controller.createTopics(
    cases.map(([request]) => request),
    inTime,
  )
  for (const [index, [{ name }, code, message]] of cases.entries()) {
    const outcome = outcomes[index]!
    assert.ok('error' in outcome, `${name} is refused`)
    assert.equal(outcome.error.errorName, code, name)
    if (typeof message === 'string') assert.equal(outcome.error.message, message)
    else assert.match(outcome.error.message, message)
  }
  assert.deepEqual([...cluster.brokers.get(1)!.image.topics.keys()].sort(), ['a.b', 'taken'])
})

test('names that JavaScript objects know are names like any other', async (t) => {
  const cluster = await clusterOf(t, 1)
  const names = ['__proto__', 'constructor', 'hasOwnProperty']
  const configs = [{ name: '__proto__', value: 'x' }]
  const outcomes = await cluster.controller.createTopics(
    names.map((name) => topic(name, { configs })),
    inTime,
  )
  assert.ok(outcomes.every((outcome) => 'created' in outcome))
  const { image } = cluster.brokers.get(1)!
  assert.deepEqual([...image.topics.keys()], names)
  assert.deepEqual([...image.configs.topic('__proto__')], [['__proto__', 'x']])
  assert.equal(image.topic('toString'), undefined)
})

test('a name given twice is refused once, and its neighbours are created', async (t) => {
  const cluster = await clusterOf(t, 1)
  const outcomes = await cluster.controller.createTopics([topic('twice'), topic('once'), topic('twice')], inTime)
  assert.deepEqual(
    outcomes.map((outcome) => ('error' in outcome ? outcome.error.message : outcome.name)),
    ['Duplicate topic name.', 'once'],
  )
})

test('a million partitions are refused before anything is allocated for them', async (t) => {
  const cluster = await clusterOf(t, 1)
  const policy = (error: unknown) => error instanceof KafkaError && error.errorName === 'POLICY_VIOLATION'
  await assert.rejects(cluster.controller.createTopics([topic('big', { partitions: 1_000_000 })], inTime), policy)
  await assert.rejects(
    cluster.controller.createTopics([topic('a', { partitions: 9_000 }), topic('b', { partitions: 1_001 })], inTime),
    policy,
  )
  const making = [topic('room', { partitions: -2_000_000 }), topic('big', { partitions: 1_000_000 })]
  await assert.rejects(cluster.controller.createTopics(making, inTime), policy)
  await cluster.controller.createTopics([topic('small')], inTime)
  await assert.rejects(cluster.controller.createPartitions([{ name: 'small', count: 2 ** 31 - 1, assignments: null }], inTime), policy)
  assert.equal(cluster.brokers.get(1)!.image.topic('big'), undefined)
})

test('validateOnly judges and creates nothing', async (t) => {
  const cluster = await clusterOf(t, 1)
  const outcomes = await cluster.controller.createTopics([topic('t', { partitions: -1 }), topic('.')], { validateOnly: true, ...inTime })
  assert.ok('created' in outcomes[0]! && outcomes[0].created.partitions === 2)
  assert.ok('error' in outcomes[1]!)
  assert.equal(cluster.brokers.get(1)!.image.topics.size, 0)
  assert.deepEqual(await cluster.store.connect().children('/brokers/topics'), [])
})

test('a topic of several transactions survives with all its partitions', async (t) => {
  const { store, dir } = await openStore(t)
  const cluster = new TestCluster(store)
  await cluster.start(1)
  await cluster.controller.createTopics([topic('wide', { partitions: 2_500 })], inTime)
  assert.equal(cluster.brokers.get(1)!.led.size, 2_500)
  await cluster.brokers.get(1)!.stop()
  await store.close()
  const again = new TestCluster((await openStore(t, dir)).store)
  const { image } = await again.start(1)
  assert.equal(image.topic('wide')?.partitions.size, 2_500)
  await again.controller.deleteTopics(['wide'], inTime)
  assert.deepEqual(await again.store.connect().children('/brokers/topics'), [])
})

test('a restarted broker leads its partitions in a new leader epoch, under a new controller epoch', async (t) => {
  const { store, dir } = await openStore(t)
  const cluster = new TestCluster(store)
  await cluster.start(1)
  await cluster.controller.createTopics([topic('orders', { partitions: 2 })], inTime)
  await cluster.brokers.get(1)!.stop()
  await store.close()
  const again = new TestCluster((await openStore(t, dir)).store)
  const { led, image } = await again.start(1)
  assert.deepEqual(led.get('orders-1'), { leader: 1, leaderEpoch: 1, isr: [1] })
  assert.equal(image.partition('orders', 1)?.leaderEpoch, 1)
  assert.equal((await again.store.connect().get('/controller_epoch')).data.toString(), '2')
})

test('partitions are added, and only added', async (t) => {
  const cluster = await clusterOf(t, 1)
  await cluster.controller.createTopics([topic('orders')], inTime)
  const requests = [
    { name: 'orders', count: 3, assignments: null },
    { name: 'none', count: 3, assignments: null },
  ]
  const outcomes = await cluster.controller.createPartitions(requests, inTime)
  assert.equal(outcomes.get('orders'), undefined)
  assert.equal(outcomes.get('none')?.errorName, 'UNKNOWN_TOPIC_OR_PARTITION')
  const { image, led } = cluster.brokers.get(1)!
  assert.equal(image.topic('orders')?.partitions.size, 3)
  assert.ok(led.has('orders-2'))
  const refused = async (count: number, assignments: { brokerIds: number[] }[] | null) =>
    (await cluster.controller.createPartitions([{ name: 'orders', count, assignments }], inTime)).get('orders')
  assert.equal((await refused(3, null))?.message, 'Topic already has 3 partition(s).')
  assert.equal((await refused(2, null))?.message, 'The topic orders currently has 3 partition(s); 2 would not be an increase.')
  assert.equal((await refused(5, [{ brokerIds: [1] }]))?.errorName, 'INVALID_REPLICA_ASSIGNMENT')
  assert.equal((await refused(4, [{ brokerIds: [9] }]))?.errorName, 'INVALID_REPLICA_ASSIGNMENT')
  assert.equal((await refused(4, [{ brokerIds: [1] }]))?.errorName, undefined)
})

test('a deleted topic is gone from brokers, image and store, and can be created anew', async (t) => {
  const cluster = await clusterOf(t, 1)
  const [first] = await cluster.controller.createTopics([topic('orders', { configs: [{ name: 'a', value: 'b' }] })], inTime)
  const outcomes = await cluster.controller.deleteTopics(['orders', 'none'], inTime)
  assert.equal(outcomes.get('orders'), undefined)
  assert.equal(outcomes.get('none')?.errorName, 'UNKNOWN_TOPIC_OR_PARTITION')
  const { image, led } = cluster.brokers.get(1)!
  assert.equal(image.topic('orders'), undefined)
  assert.equal(led.size, 0)
  const session = cluster.store.connect()
  for (const path of ['/brokers/topics', '/config/topics', '/admin/delete_topics']) assert.deepEqual(await session.children(path), [], path)
  const [second] = await cluster.controller.createTopics([topic('orders')], inTime)
  assert.ok(first && second && 'created' in first && 'created' in second)
  assert.notEqual(first.created.topicId, second.created.topicId)
  assert.equal(image.topicById(first.created.topicId), undefined)
  assert.equal(image.configs.topic('orders').size, 0, 'nor are the configs of the first one there')
})

test('a deletion that a stop interrupted is completed after the restart', async (t) => {
  const { store, dir } = await openStore(t)
  const cluster = new TestCluster(store)
  await cluster.start(1)
  await cluster.controller.createTopics([topic('orders')], inTime)
  await cluster.brokers.get(1)!.stop()
  await store.connect().create(deleteTopicPath('orders'), Buffer.from(''))
  await store.close()
  const again = new TestCluster((await openStore(t, dir)).store)
  const { calls, image } = await again.start(1)
  await again.controller.deleteTopics(['orders'], inTime)
  assert.ok(calls.includes('StopReplica'))
  assert.equal(image.topic('orders'), undefined)
  assert.deepEqual(await again.store.connect().children('/brokers/topics'), [])
})

test('a topic that a tool writes into the store, and a deletion it asks for, are carried out', async (t) => {
  const cluster = await clusterOf(t, 1)
  const tool = cluster.store.connect()
  const partitions = new Map([[0, { replicas: [1], addingReplicas: [], removingReplicas: [] }]])
  await tool.create(topicPath('tooled'), encodeTopic('_____w__TUyAAAAAAAAAAA', partitions))
  await cluster.until((image) => image.topic('tooled') !== undefined)
  assert.equal(cluster.brokers.get(1)!.led.get('tooled-0')?.leader, 1)
  await tool.create(deleteTopicPath('tooled'), Buffer.from(''))
  await cluster.until((image) => image.topic('tooled') === undefined)
})

test('what a broker does not take in time is answered with REQUEST_TIMED_OUT, and done all the same', async (t) => {
  const cluster = await clusterOf(t, 1)
  let release: () => void = () => {}
  const held = new Promise<void>((resolve) => {
    release = resolve
  })
  let reached: () => void = () => {}
  const asked = new Promise<void>((resolve) => {
    reached = resolve
  })
  cluster.before = () => {
    reached()
    return held
  }
  const creating = cluster.controller.createTopics([topic('slow')], { timeoutMs: 100 })
  await asked
  await new Promise(setImmediate)
  cluster.clock.advance(100)
  const [outcome] = await creating
  assert.ok(outcome && 'error' in outcome && outcome.error.errorName === 'REQUEST_TIMED_OUT')
  release()
  await cluster.until((image) => image.topic('slow') !== undefined)
})

test('when the controller stops, another broker takes over and leads what the first one led', async (t) => {
  const cluster = await clusterOf(t, 1, 2, 3)
  await cluster.controller.createTopics([topic('orders', { partitions: 6, replicationFactor: 3 })], inTime)
  const first = cluster.brokers.get(1)!
  assert.ok(first.controller.isActive)
  const leaders = new Set([...cluster.brokers.get(2)!.image.topic('orders')!.partitions.values()].map(({ leaderId }) => leaderId))
  assert.deepEqual([...leaders].sort(), [1, 2, 3], 'leaders are spread')
  await first.stop()
  await cluster.until((image) =>
    [...image.topic('orders')!.partitions.values()].every(({ leaderId, isr }) => leaderId > 1 && !isr.includes(1)),
  )
  await assert.rejects(first.controller.createTopics([topic('late')], inTime), { errorName: 'NOT_CONTROLLER' })
  const [outcome] = await cluster.controller.createTopics([topic('after', { replicationFactor: 2 })], inTime)
  assert.ok(outcome && 'created' in outcome)
  await cluster.start(1)
  await cluster.until(({ brokers }) => brokers.size === 3)
  const { image } = cluster.brokers.get(1)!
  assert.deepEqual(image.partition('orders', 0)?.offlineReplicas, [])
  assert.ok(!image.partition('orders', 0)?.isr.includes(1), 'it is out of sync until it has caught up')
})

test('a partition without a live replica in sync has no leader, unless unclean election is on', async (t) => {
  const cluster = await clusterOf(t, 1, 2)
  const assignments = [{ partitionIndex: 0, brokerIds: [2] }]
  const both = [{ partitionIndex: 0, brokerIds: [2, 1] }]
  const manual = { partitions: -1, replicationFactor: -1 }
  await cluster.controller.createTopics(
    [topic('lonely', { ...manual, assignments }), topic('clean', { ...manual, assignments: both })],
    inTime,
  )
  await cluster.brokers.get(2)!.stop()
  await cluster.until((image) => image.partition('lonely', 0)?.leaderId === -1)
  const { image } = cluster.brokers.get(1)!
  assert.deepEqual(image.partition('lonely', 0)?.isr, [2], 'the last one in sync stays')
  assert.deepEqual(image.partition('lonely', 0)?.offlineReplicas, [2])
  await cluster.until((image) => image.partition('clean', 0)?.leaderId === 1)
  await cluster.start(2)
  await cluster.until((image) => image.partition('lonely', 0)?.leaderId === 2)
  const elected = await cluster.controller.electLeaders('preferred', new Map([['clean', [0, 7]]]), inTime)
  assert.deepEqual(
    elected.map(({ error }) => error?.errorName),
    ['PREFERRED_LEADER_NOT_AVAILABLE', 'UNKNOWN_TOPIC_OR_PARTITION'],
  )
})

test('a second broker with the same id is refused', async (t) => {
  const cluster = await clusterOf(t, 1)
  await assert.rejects(cluster.start(1), /a broker with id 1 is registered already/)
})

test('a controller whose term is over writes nothing', async (t) => {
  const cluster = await clusterOf(t, 1)
  const other = cluster.store.connect()
  const { stat } = await other.get('/controller_epoch')
  await other.set('/controller_epoch', Buffer.from('9'), stat.version)
  const { controller } = cluster.brokers.get(1)!
  await assert.rejects(controller.createTopics([topic('t')], inTime), { errorName: 'NOT_CONTROLLER' })
  assert.equal(controller.isActive, false)
  assert.deepEqual(await other.children('/brokers/topics'), [])
})
