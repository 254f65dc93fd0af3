/** Topics as a client sees them come and go: Metadata, CreateTopics, DeleteTopics, ids of deleted topics, ApiVersions. */
import { ZERO_UUID } from '@tidelog/core'
import { ApiVersions, CreateTopics, DeleteTopics, Fetch, Metadata, Produce, type RequestInput } from '@tidelog/protocol'
import { batch, someRecords } from './odd-batches.ts'
import type { Peer } from './peer.ts'

const noTopic = 'no-such-topic'
const nobodysId = 'bm8tdG9waWMtd2l0aC1pZA'

export async function askForMetadata(peer: Peer): Promise<void> {
  await peer.topic('described', { partitions: 2 })
  await peer.topic('described.too')
  for (const version of peer.versions(Metadata)) {
    const see = (what: string, topics: RequestInput<typeof Metadata>['topics'], options: object = {}) =>
      peer.see(`Metadata ${version}: ${what}`, Metadata, version, {
        topics,
        ...(version >= 4 ? { allowAutoTopicCreation: false } : {}),
        ...options,
      })
    await see('a topic', [{ name: 'described' }])
    await see('two topics', [{ name: 'described.too' }, { name: 'described' }])
    await see('a topic twice', [{ name: 'described' }, { name: 'described' }])
    if (version >= 1) await see('no topics', [])
    if (version >= 4) {
      await see('unknown topics', [{ name: noTopic }, { name: 'described' }])
      await see('bad names', [{ name: 'a/b' }, { name: '' }, { name: '..' }, { name: 'x'.repeat(250) }])
    }
    if (version >= 8) {
      await see('operations', [{ name: 'described' }, { name: noTopic }], {
        includeTopicAuthorizedOperations: true,
        ...(version <= 10 ? { includeClusterAuthorizedOperations: true } : {}),
      })
    }
    if (version >= 10) {
      await see('by id', [{ name: null, topicId: peer.idOf('described') }])
      await see('by unknown id', [{ name: null, topicId: nobodysId }])
      await see('by id and name', [{ name: 'described', topicId: peer.idOf('described') }])
      await see('by id, and another by name', [{ name: null, topicId: peer.idOf('described') }, { name: 'described.too' }])
      await see('by id of one and name of another', [{ name: 'described.too', topicId: peer.idOf('described') }])
      await see('neither name nor id', [{ name: null }])
    }
  }
}

export async function createTopics(peer: Peer): Promise<void> {
  for (const version of peer.versions(CreateTopics)) {
    const see = (what: string, topics: readonly object[], options: object = {}) =>
      peer.see(`CreateTopics ${version}: ${what}`, CreateTopics, version, {
        topics: topics.map((topic) => ({ numPartitions: 1, replicationFactor: 1, assignments: [], configs: [], ...topic })) as never,
        timeoutMs: 10_000,
        ...options,
      })
    const name = `made-${version}`
    await see('a topic', [{ name }])
    await see('again', [{ name }])
    await see(
      'bad names',
      ['a/b', '', '.', 'x'.repeat(250)].map((bad) => ({ name: bad })),
    )
    await see('a name twice', [{ name: `${name}-twice` }, { name: `${name}-twice` }, { name: `${name}-beside` }])
    await see('no partitions', [{ name: `${name}-none`, numPartitions: 0 }])
    await see('negative partitions', [{ name: `${name}-none`, numPartitions: -2 }])
    await see('replication factor 3', [{ name: `${name}-none`, replicationFactor: 3 }])
    await see('replication factor 0', [{ name: `${name}-none`, replicationFactor: 0 }])
    await see('defaults', [{ name: `${name}-defaults`, numPartitions: -1, replicationFactor: -1 }])
    const none = { numPartitions: -1, replicationFactor: -1 }
    await see('assignment', [{ name: `${name}-assigned`, ...none, assignments: [{ partitionIndex: 0, brokerIds: [1] }] }])
    await see('assignment with a hole', [{ name: `${name}-none`, ...none, assignments: [{ partitionIndex: 1, brokerIds: [1] }] }])
    await see('assignment to nobody', [{ name: `${name}-none`, ...none, assignments: [{ partitionIndex: 0, brokerIds: [] }] }])
    await see('assignment to a stranger', [{ name: `${name}-none`, ...none, assignments: [{ partitionIndex: 0, brokerIds: [9] }] }])
    await see('assignment and partitions', [{ name: `${name}-none`, assignments: [{ partitionIndex: 0, brokerIds: [1] }] }])
    await see('unknown config', [{ name: `${name}-none`, configs: [{ name: 'no.such', value: '1' }] }])
    await see('bad config', [{ name: `${name}-none`, configs: [{ name: 'retention.ms', value: 'x' }] }])
    await see('null config', [{ name: `${name}-none`, configs: [{ name: 'retention.ms', value: null }] }])
    await see('name with a dot', [{ name: `${name}.dot` }])
    await see('name that collides', [{ name: `${name}_dot` }])
    if (version >= 1) await see('validate only', [{ name: `${name}-validated` }], { validateOnly: true })
    await see('no topics', [])
  }
}

export async function deleteTopics(peer: Peer): Promise<void> {
  for (const version of peer.versions(DeleteTopics)) {
    const see = (what: string, topics: readonly { name?: string | null; topicId?: string }[]) =>
      peer.see(
        `DeleteTopics ${version}: ${what}`,
        DeleteTopics,
        version,
        version < 6
          ? { topicNames: topics.map(({ name }) => name!), timeoutMs: 10_000 }
          : { topics: topics.map(({ name = null, topicId = ZERO_UUID }) => ({ name, topicId })), timeoutMs: 10_000 },
      )
    const topic = `gone-${version}`
    await peer.topic(topic)
    await peer.topic(`${topic}-too`)
    await see('a topic', [{ name: topic }])
    await see('again', [{ name: topic }])
    await see('unknown beside known', [{ name: noTopic }, { name: `${topic}-too` }])
    await see('bad names', [{ name: 'a/b' }, { name: '' }])
    await see('no topics', [])
    await peer.topic(`${topic}-twice`)
    await see('twice', [{ name: `${topic}-twice` }, { name: `${topic}-twice` }])
    if (version < 6) continue
    await peer.topic(`${topic}-by-id`)
    const topicId = peer.idOf(`${topic}-by-id`)
    await see('name and id', [{ name: `${topic}-by-id`, topicId }])
    await see('by id and by name', [{ topicId }, { name: `${topic}-by-id` }])
    await see('by id', [{ topicId }])
    await see('by id again', [{ topicId }])
    await see('neither', [{}])
    await see('null name', [{ name: null }])
  }
}

/** A topic that is deleted and made again has another id; the old one means nothing any more. KIP-516. */
export async function useOldTopicIds(peer: Peer): Promise<void> {
  const name = 'reborn'
  await peer.topic(name)
  await peer.append(name, batch(someRecords(2)))
  const oldId = peer.idOf(name)
  const version = peer.newest(Fetch)
  const session = (await peer.call(Fetch, version, peer.fetchRequest(version, [[name, 0]], { sessionId: 0, sessionEpoch: 0 }))).sessionId
  await peer.call(DeleteTopics, 6, { topics: [{ name, topicId: ZERO_UUID }], timeoutMs: 10_000 })
  await peer.topic(name)
  const partitions = [{ partition: 0, fetchOffset: 0, partitionMaxBytes: 1000 }]
  const fetchOld = { maxWaitMs: 0, minBytes: 0, topics: [{ topicId: oldId, partitions }] }
  await peer.see('old id: Fetch', Fetch, version, fetchOld as never)
  await peer.see('old id: session', Fetch, version, peer.fetchRequest(version, [], { sessionId: session, sessionEpoch: 1 }))
  await peer.see(
    'old id: session with the new id',
    Fetch,
    version,
    peer.fetchRequest(version, [[name, 0]], { sessionId: session, sessionEpoch: 2 }),
  )
  await peer.see('old id: session goes on', Fetch, version, peer.fetchRequest(version, [], { sessionId: session, sessionEpoch: 3 }))
  const row = [{ index: 0, records: batch() }]
  await peer.see('old id: Produce', Produce, 13, {
    acks: -1,
    timeoutMs: 5000,
    topicData: [{ topicId: oldId, partitionData: row }],
  } as never)
  await peer.see('old id: Metadata', Metadata, 12, { topics: [{ name: null, topicId: oldId }], allowAutoTopicCreation: false })
  await peer.stored('old id: what the new topic holds', name)
  await peer.see('zero id: Fetch', Fetch, version, {
    maxWaitMs: 0,
    minBytes: 0,
    topics: [{ topicId: ZERO_UUID, partitions }],
  } as never)
}

export async function askForApiVersions(peer: Peer): Promise<void> {
  for (const version of peer.versions(ApiVersions)) {
    const response = await peer.call(ApiVersions, version, clientOf(version, 'parity', '1.0'))
    // Which APIs and features there are is compared elsewhere.
    peer.note(`ApiVersions ${version}`, {
      ...response,
      apiKeys: [],
      supportedFeatures: [],
      finalizedFeatures: [],
      finalizedFeaturesEpoch: 0,
    })
  }
  for (const [name, of] of [
    ['', '1'],
    ['a', ''],
    ['-a', '1'],
    ['a b', '1'],
    ['a.b-c', '1.0-x'],
    ['ä', '1'],
    ['a', '1_0'],
  ] as const) {
    const response = await peer.call(ApiVersions, 3, { clientSoftwareName: name, clientSoftwareVersion: of })
    peer.note(`ApiVersions 3: client '${name}' '${of}'`, { errorCode: response.errorCode, keys: response.apiKeys.length > 0 })
  }
}

const clientOf = (version: number, clientSoftwareName: string, clientSoftwareVersion: string) =>
  version >= 3 ? { clientSoftwareName, clientSoftwareVersion } : {}
