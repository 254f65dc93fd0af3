/** What a running broker takes as a change of its configuration, and refuses, and what follows. Each step takes back what it changed. */
import { CreateTopics, DescribeConfigs, DescribeLogDirs, IncrementalAlterConfigs } from '@tidelog/protocol'
import { freePort } from '@tidelog/testkit'
import type { Peer } from './peer.ts'

const oneBroker = '1'
const everyBroker = ''
const SETTLED_WITHIN_MS = 15_000
const operations = { set: 0, delete: 1, append: 2, subtract: 3 } as const

/** What Java puts around a sentence. */
const sentence = (message: string | null): string | null =>
  message === null
    ? null
    : message
        .replace(
          /^Invalid value org\.apache\.kafka\.common\.config\.ConfigException: (.*) for configuration Invalid dynamic configuration$/s,
          '$1',
        )
        .replace(/^requirement failed: /, '')

async function alter(
  peer: Peer,
  name: string,
  value: string | null,
  { broker = oneBroker, operation = value === null ? 'delete' : 'set' }: { broker?: string; operation?: keyof typeof operations } = {},
): Promise<{ code: number; message: string | null }> {
  const { responses } = await peer.call(IncrementalAlterConfigs, 1, {
    resources: [{ resourceType: 4, resourceName: broker, configs: [{ name, configOperation: operations[operation], value }] }],
    validateOnly: false,
  })
  const { errorCode, errorMessage } = responses[0]!
  return { code: errorCode, message: sentence(errorMessage) }
}

async function described(peer: Peer, names: readonly string[]) {
  const { results } = await peer.call(DescribeConfigs, 4, {
    resources: [{ resourceType: 4, resourceName: oneBroker, configurationKeys: [...names] }],
    includeSynonyms: true,
    includeDocumentation: false,
  })
  return results[0]!.configs
}

/** Kafka's broker follows its controller a moment later. */
async function until(what: string, holds: () => Promise<boolean>): Promise<void> {
  const deadline = performance.now() + SETTLED_WITHIN_MS
  while (!(await holds())) {
    if (performance.now() > deadline) throw new Error(`it took too long until ${what}`)
    await new Promise((resolve) => setTimeout(resolve, 20))
  }
}

const DYNAMIC_SOURCES = [2, 3]
const settled = (peer: Peer, name: string, value: string | null): Promise<void> =>
  until(`${name} is ${value}`, async () => {
    const row = (await described(peer, [name])).find((config) => config.name === name)
    const dynamic = row !== undefined && DYNAMIC_SOURCES.includes(row.configSource) ? row.value : null
    return dynamic === value || (dynamic !== null && value !== null && Number(dynamic) === Number(value)) // 7 may be 7.0
  })

const changes: readonly (readonly [name: string, value: string, broker?: string])[] = [
  ['num.io.threads', '17'],
  ['num.io.threads', '3'],
  ['num.io.threads', '16', everyBroker],
  ['background.threads', '100', everyBroker],
  ['num.replica.fetchers', '3', everyBroker],
  ['num.replica.fetchers', '2', everyBroker],
  ['num.recovery.threads.per.data.dir', '5', everyBroker],
  ['log.cleaner.threads', '3', everyBroker],
  ['log.local.retention.ms', '604800001', everyBroker],
  ['log.local.retention.ms', '1000', everyBroker],
  ['log.local.retention.bytes', '100', everyBroker],
  ['remote.log.reader.threads', '21', everyBroker],
  ['remote.log.manager.follower.thread.pool.size', '9', everyBroker],
  ['remote.log.manager.copy.max.bytes.per.second', '0', everyBroker],
  ['max.connections', '0', everyBroker],
  ['max.connections', '1000', everyBroker],
  ['max.connection.creation.rate', '0', everyBroker],
  ['max.connections.per.ip', '0', everyBroker],
  ['max.connections.per.ip.overrides', '127.0.0.9:5', everyBroker],
  ['listener.name.plaintext.max.connections', '0'],
  ['listener.name.plaintext.max.connections', 'x'],
  ['listener.name.nope.max.connections', 'x'],
  ['listener.name.plaintext.max.connections.per.ip', '4', everyBroker],
  ['listener.security.protocol.map', 'PLAINTEXT:PLAINTEXT', everyBroker],
  ['listeners', 'PLAINTEXT://127.0.0.1:1', everyBroker],
  ['advertised.listeners', 'PLAINTEXT://127.0.0.1:1'],
  ['inter.broker.listener.name', 'MORE'],
  ['unclean.leader.election.enable', 'true'],
  ['transaction.partition.verification.enable', 'false', everyBroker],
  ['producer.id.expiration.ms', '5000', everyBroker],
  ['group.coordinator.cached.buffer.max.bytes', '6', everyBroker],
  ['follower.replication.throttled.rate', '5', everyBroker],
  ['leader.replication.throttled.rate', '5'],
  ['replica.alter.log.dirs.io.max.bytes.per.second', '5', everyBroker],
  ['log.retention.hours', '5', everyBroker],
  ['log.retention.ms', '0', everyBroker],
  ['log.retention.ms', '-7', everyBroker],
  ['log.roll.ms', '0', everyBroker],
  ['log.roll.jitter.ms', '-1', everyBroker],
  ['log.segment.bytes', '100', everyBroker],
  ['message.max.bytes', '-1', everyBroker],
  ['log.cleaner.dedupe.buffer.size', '1000', everyBroker],
  ['log.cleaner.io.buffer.load.factor', '7', everyBroker],
  ['compression.type', 'nope', everyBroker],
  ['log.cleanup.policy', '', everyBroker],
  ['log.cleanup.policy', 'nope', everyBroker],
  ['log.preallocate', 'true', everyBroker],
  ['log.flush.interval.messages', '0', everyBroker],
  ['cordoned.log.dirs', '*', everyBroker],
  ['cordoned.log.dirs', '/nowhere'],
  ['cordoned.log.dirs', '/nowhere,*'],
]

export async function alterBrokers(peer: Peer): Promise<void> {
  for (const [name, value, broker = oneBroker] of changes) {
    const result = await alter(peer, name, value, { broker })
    const of = broker === everyBroker ? 'all brokers' : 'a broker'
    peer.note(`dynamic: ${name}=${value} of ${of}`, result)
    if (result.code !== 0) continue
    await settled(peer, name, value)
    const row = (await described(peer, [name])).find((config) => config.name === name)
    peer.note(`dynamic: ${name}=${value} of ${of}, shown`, row)
    await alter(peer, name, null, { broker })
    await settled(peer, name, null)
  }
}

/** Only whether they are taken: the sentences quote each broker's own addresses. */
export async function alterListeners(peer: Peer): Promise<void> {
  const map = 'listener.security.protocol.map'
  const protocols = 'PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT'
  const before = (await described(peer, ['listeners']))[0]!.value!
  const more = `${before},MORE://127.0.0.1:${await freePort()}`
  const steps: readonly (readonly [what: string, name: string, value: string | null])[] = [
    ['one without a protocol', 'listeners', more],
    ['a protocol that does not exist', map, `${protocols},MORE:NOPE`],
    ['a map that is none', map, 'PLAINTEXT'],
    ['its protocol', map, `${protocols},MORE:PLAINTEXT`],
    ['it', 'listeners', more],
    ['another protocol for it', map, `${protocols},MORE:SSL`],
    ['no protocol for it', map, protocols],
    ['a name twice', 'listeners', `${more},MORE://127.0.0.1:1`],
    ['no port', 'listeners', `${before},MORE`],
    ['none', 'listeners', ''],
    ['none for brokers', 'listeners', before.replace(/^PLAINTEXT:[^,]*,?/, '') || 'MORE://127.0.0.1:1'],
    ['without it', 'listeners', before],
    ['as at the start', 'listeners', null],
    ['the map as at the start', map, null],
  ]
  for (const [what, name, value] of steps) {
    const { code } = await alter(peer, name, value)
    peer.note(`listeners: ${what}`, code)
    if (code === 0) await settled(peer, name, value)
  }
}

export async function cordonLogDirs(peer: Peer): Promise<void> {
  const name = 'cordoned.log.dirs'
  const isCordoned = async (): Promise<boolean> =>
    (await peer.call(DescribeLogDirs, 5, { topics: [] })).results.every((dir) => dir.isCordoned)
  const create = (label: string, validateOnly: boolean) => {
    const topics = [{ name: 'cordoned', numPartitions: 1, replicationFactor: 1, assignments: [], configs: [] }]
    const request = { topics, timeoutMs: 10_000, validateOnly }
    return label === '' ? peer.call(CreateTopics, 7, request) : peer.see(label, CreateTopics, 7, request)
  }
  const isRefused = async (): Promise<boolean> => (await create('', true))!.topics[0]!.errorCode !== 0
  const [dir] = (await peer.call(DescribeLogDirs, 5, { topics: [] })).results.map(({ logDir }) => logDir)
  for (const [what, value] of [
    ['*', '*'],
    ['by name', dir!],
  ] as const) {
    peer.note(`cordoned: ${what}`, (await alter(peer, name, value)).code)
    await until('it is cordoned', async () => (await isCordoned()) && (await isRefused()))
    await create(`cordoned: CreateTopics, ${what}`, false)
  }
  peer.note('cordoned: taken away', (await alter(peer, name, dir!, { operation: 'subtract' })).code)
  await until('it is not cordoned', async () => !(await isCordoned()) && !(await isRefused()))
  peer.note('cordoned: shown', await described(peer, [name]))
  await alter(peer, name, null)
}
