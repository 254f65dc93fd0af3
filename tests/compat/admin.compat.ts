/** Every operation of our Admin against a real Apache Kafka: what it does, and what it says where the broker is too old for it. */
import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import test, { type TestContext } from 'node:test'
import {
  type AclBinding,
  Admin,
  type AdminOptions,
  Consumer,
  fromProperties,
  Producer,
  ShareConsumer,
  UnsupportedVersionError,
} from '@tidelog/client'
import { FindCoordinator, StreamsGroupHeartbeat } from '@tidelog/protocol'
import { connectTo, freePort } from '@tidelog/testkit'
import { eventually } from './eventually.ts'
import { type BrokerKind, type BrokerProcess, kafkaJars, root, startBrokerProcess, succeed } from './harness.ts'

interface Stage {
  readonly admin: Admin
  readonly broker: BrokerProcess
  /** Kafka 4.3; else 3.9. */
  readonly isNew: boolean
  /** An Admin that logs in. */
  login(options: Partial<AdminOptions>): Admin
  /** What Kafka 4.3 serves; a 3.9 is too old for it, and the client says so. */
  newer<T>(call: Promise<T>, check: (value: T) => void): Promise<void>
}

async function stageOf(t: TestContext, kind: BrokerKind): Promise<Stage> {
  const saslPort = await freePort()
  const broker = await startBrokerProcess(
    t,
    {
      'authorizer.class.name': 'org.apache.kafka.metadata.authorizer.StandardAuthorizer',
      'super.users': 'User:ANONYMOUS',
      'auto.create.topics.enable': 'false',
      'delegation.token.secret.key': 'secret',
      'listener.name.sasl.sasl.enabled.mechanisms': 'SCRAM-SHA-256',
      'listener.name.sasl.scram-sha-256.sasl.jaas.config': 'org.apache.kafka.common.security.scram.ScramLoginModule required;',
      ...(kind === 'kafka-4.3'
        ? {
            'share.coordinator.state.topic.replication.factor': '1',
            'share.coordinator.state.topic.min.isr': '1',
            'share.coordinator.state.topic.num.partitions': '1',
          }
        : { 'group.coordinator.rebalance.protocols': 'classic,consumer' }),
    },
    kind,
    { listeners: { SASL: { protocol: 'SASL_PLAINTEXT', port: saslPort } }, scramUsers: [] },
  )
  const admin = new Admin({ bootstrapServers: broker.bootstrap })
  t.after(() => admin.close())
  const isNew = kind === 'kafka-4.3'
  return {
    admin,
    broker,
    isNew,
    login(options) {
      const another = new Admin({ ...options, bootstrapServers: `localhost:${saslPort}` })
      t.after(() => another.close())
      return another
    },
    async newer(call, check) {
      if (isNew) check(await call)
      else await assert.rejects(call, UnsupportedVersionError)
    },
  }
}

const steps: Readonly<Record<string, (stage: Stage, t: TestContext) => Promise<void>>> = {
  async 'topics by name and by id'({ admin }) {
    const [created] = await admin.createTopics([
      { topic: 'a', numPartitions: 5, replicationFactor: 1, configs: { 'retention.ms': '1234' } },
    ])
    const { topicId } = created!
    assert.deepEqual([created!.numPartitions, created!.configs.get('retention.ms')], [5, '1234'])
    await admin.createPartitions([{ topic: 'a', totalCount: 7 }])
    await eventually('brokers know it', async () => (await admin.describeTopics(['a'])).get('a')!.partitions.length === 7)
    const described = await admin.describeTopics(['a'], { partitionSizeLimitPerResponse: 2, includeAuthorizedOperations: true })
    assert.deepEqual(
      described.get('a')!.partitions.map(({ partition, leaderId }) => [partition, leaderId]),
      [0, 1, 2, 3, 4, 5, 6].map((partition) => [partition, 1]),
    )
    assert.ok(described.get('a')!.authorizedOperations!.includes('alter-configs'))
    assert.equal((await admin.describeTopics({ topicIds: [topicId] })).get(topicId)!.name, 'a')
    assert.equal((await admin.describeTopics(['a'])).get('a')!.authorizedOperations, undefined)
    await assert.rejects(admin.describeTopics({ topicIds: ['AAAAAAAAAAAAAAAAAAAAFw'] }), { code: 'UNKNOWN_TOPIC_ID' })
    assert.deepEqual(await admin.listTopics(), [{ name: 'a', topicId, isInternal: false }])
    const [doomed] = await admin.createTopics([{ topic: 'doomed' }])
    await admin.deleteTopics({ topicIds: [doomed!.topicId] })
    await assert.rejects(admin.deleteTopics(['doomed']), { code: 'UNKNOWN_TOPIC_OR_PARTITION' })
  },

  async 'configurations and the resources that have some'({ admin, newer }) {
    const topic = { type: 'topic', name: 'a' } as const
    await admin.incrementalAlterConfigs([{ resource: topic, ops: [{ name: 'cleanup.policy', op: 'append', value: 'compact' }] }])
    const policy = async () => {
      const [{ configs } = { configs: [] }] = await admin.describeConfigs([topic], { names: ['cleanup.policy'], includeSynonyms: true })
      return configs[0]!.value
    }
    await eventually('it is appended', async () => (await policy()) === 'delete,compact')
    await admin.alterConfigs([{ resource: topic, configs: { 'cleanup.policy': 'delete' } }])
    await eventually('it is replaced', async () => (await policy()) === 'delete')
    const metrics = { type: 'client-metrics', name: 'cpu' } as const
    await admin.incrementalAlterConfigs([{ resource: metrics, ops: [{ name: 'interval.ms', op: 'set', value: '60000' }] }])
    await eventually('brokers know it', async () => (await admin.listClientMetricsResources()).includes('cpu'))
    await newer(admin.listConfigResources(['topic']), (listed) =>
      assert.ok(listed.some(({ type, name }) => type === 'topic' && name === 'a')),
    )
    await newer(admin.listConfigResources(), (listed) =>
      assert.ok(listed.some(({ type, name }) => type === 'client-metrics' && name === 'cpu')),
    )
  },

  async 'the cluster, its features and its controllers'({ admin, isNew, newer }) {
    const cluster = await admin.describeCluster({ includeAuthorizedOperations: true })
    assert.deepEqual([cluster.clusterId, cluster.controllerId, cluster.brokers.length], ['abcdefghijklmnopqrstug', 1, 1])
    assert.ok(cluster.authorizedOperations!.includes('cluster-action'))
    await newer(admin.describeCluster({ includeFencedBrokers: true }), ({ brokers }) => assert.equal(brokers[0]!.isFenced, false))
    const features = await admin.describeFeatures({ nodeId: 1 })
    const metadataVersion = features.finalizedFeatures.get('metadata.version')!
    await assert.rejects(
      admin.updateFeatures([{ feature: 'metadata.version', maxVersionLevel: 3, upgradeType: 'safe-downgrade' }], { validateOnly: true }),
      { code: 'INVALID_UPDATE_VERSION' },
    )
    assert.ok(metadataVersion.maxVersionLevel > 1)
    const quorum = await admin.describeMetadataQuorum()
    assert.deepEqual([quorum.leaderId, quorum.voters.map(({ replicaId }) => replicaId), quorum.observers], [1, [1], []])
    assert.ok(quorum.highWatermark > 0 && quorum.voters[0]!.logEndOffset > 0)
    if (isNew) {
      assert.equal(quorum.nodes.get(1)?.[0]?.name, 'CONTROLLER')
      await admin.updateFeatures([{ feature: 'kraft.version', maxVersionLevel: 1 }])
    }
    const stranger = { voterId: 7, voterDirectoryId: 'AAAAAAAAAAAAAAAAAAAAFw' }
    await assert.rejects(admin.removeRaftVoter(stranger, { timeoutMs: 5000 }), (error: { code: string }) => {
      assert.equal(error.code, isNew ? 'VOTER_NOT_FOUND' : 'UNSUPPORTED_VERSION')
      return true
    })
    const endpoints = [{ name: 'CONTROLLER', host: '127.0.0.1', port: 9 }]
    await assert.rejects(admin.addRaftVoter({ ...stranger, endpoints }, { clusterId: 'another' }), (error: { code: string }) => {
      assert.equal(error.code, 'INCONSISTENT_CLUSTER_ID')
      return true
    })
    await assert.rejects(admin.unregisterBroker(99), { code: 'BROKER_ID_NOT_REGISTERED' })
  },

  async 'the active controller itself, past the brokers'({ admin, broker }, t) {
    const [{ host, port } = assert.fail()] = (await admin.describeMetadataQuorum()).nodes.get(1) ?? []
    const direct = new Admin({ bootstrapControllers: `${host}:${port}` })
    t.after(() => direct.close())
    assert.deepEqual(
      (await direct.describeCluster()).brokers.map((node) => [node.nodeId, node.port]),
      [[1, port]],
    )
    assert.equal((await direct.describeMetadataQuorum()).leaderId, 1)
    assert.ok((await direct.describeFeatures()).finalizedFeatures.has('metadata.version'))
    const topic = { type: 'topic', name: 'a' } as const
    await direct.incrementalAlterConfigs([{ resource: topic, ops: [{ name: 'retention.ms', op: 'set', value: '4321' }] }])
    await eventually('brokers know it', async () => {
      const [described] = await admin.describeConfigs([topic], { names: ['retention.ms'] })
      return described!.configs[0]!.value === '4321'
    })
    await assert.rejects(direct.unregisterBroker(99), { code: 'BROKER_ID_NOT_REGISTERED' })
    await assert.rejects(direct.listTopics(), UnsupportedVersionError)
    await assert.rejects(direct.describeConsumerGroups(['g']), UnsupportedVersionError)
    const mistaken = new Admin({ bootstrapControllers: broker.bootstrap })
    t.after(() => mistaken.close())
    await assert.rejects(mistaken.describeCluster(), { code: 'MISMATCHED_ENDPOINT_TYPE' })
  },

  async 'offsets, records, producers, leaders and log dirs of partitions'({ admin, broker }, t) {
    const producer = new Producer({ bootstrapServers: broker.bootstrap })
    t.after(() => producer.close())
    for (let i = 0; i < 10; i++) await producer.send({ topic: 'a', partition: 0, value: `v${i}` })
    const partition = { topic: 'a', partition: 0 }
    assert.deepEqual(await admin.deleteRecords([{ ...partition, beforeOffset: 3 }]), [{ ...partition, lowWatermark: 3 }])
    const offsets = await admin.listOffsets([
      { ...partition, spec: 'earliest' },
      { ...partition, spec: 'latest' },
      { ...partition, spec: 'max-timestamp' },
    ])
    assert.deepEqual(
      offsets.slice(0, 2).map(({ offset }) => offset),
      [3, 10],
    )
    const [{ activeProducers } = { activeProducers: [] }] = await admin.describeProducers([partition])
    assert.equal(activeProducers[0]!.lastSequence, 9)
    await assert.rejects(
      admin.electLeaders('preferred', [{ topic: 'none', partition: 0 }]).then(([row]) => Promise.reject(row!.error)),
      {
        code: 'UNKNOWN_TOPIC_OR_PARTITION',
      },
    )
    const [dirs] = (await admin.describeLogDirs({ partitions: [partition] })).values()
    assert.ok(dirs![0]!.replicas[0]!.sizeBytes > 0)
    const replica = { ...partition, nodeId: 1 }
    assert.equal((await admin.describeReplicaLogDirs([replica]))[0]!.current!.path, dirs![0]!.path)
    await admin.alterReplicaLogDirs([{ ...replica, logDir: dirs![0]!.path }])
  },

  async reassignments({ admin, newer }) {
    const partition = { topic: 'a', partition: 1 }
    await admin.alterPartitionReassignments([{ ...partition, replicas: [1] }])
    await assert.rejects(admin.alterPartitionReassignments([{ ...partition, replicas: [8] }]), { code: 'INVALID_REPLICA_ASSIGNMENT' })
    await assert.rejects(admin.alterPartitionReassignments([{ ...partition, replicas: null }]), { code: 'NO_REASSIGNMENT_IN_PROGRESS' })
    await newer(admin.alterPartitionReassignments([{ ...partition, replicas: [1] }], { allowReplicationFactorChange: false }), () => {})
    assert.deepEqual(await admin.listPartitionReassignments(), [])
    assert.deepEqual(await admin.listPartitionReassignments([partition]), [])
  },

  async ACLs({ admin }) {
    const base = { principal: 'User:alice', host: '*', permissionType: 'allow' } as const
    const read: AclBinding = { ...base, resourceType: 'topic', resourceName: 'a', patternType: 'literal', operation: 'read' }
    const write: AclBinding = { ...read, resourceName: 'logs-', patternType: 'prefixed', operation: 'write' }
    const group: AclBinding = { ...read, resourceType: 'group', resourceName: '*', permissionType: 'deny' }
    await admin.createAcls([read, write, group])
    await assert.rejects(
      admin.createAcls([read, { ...read, principal: 'nobody' }]),
      ({ failures, succeeded }: { failures: Map<string, { code: string }>; succeeded: string[] }) => {
        assert.deepEqual([[...failures.values()].map(({ code }) => code), succeeded.length], [['INVALID_REQUEST'], 1])
        return true
      },
    )
    await eventually('brokers know it', async () => (await admin.describeAcls()).length === 3)
    const byName = (a: AclBinding, b: AclBinding) => (a.resourceName < b.resourceName ? -1 : 1)
    assert.deepEqual((await admin.describeAcls()).sort(byName), [group, read, write])
    assert.deepEqual(await admin.describeAcls({ resourceType: 'topic', resourceName: 'logs-1', patternType: 'match' }), [write])
    assert.deepEqual(await admin.describeAcls({ principal: 'User:bob' }), [])
    assert.deepEqual(
      await admin.deleteAcls([{ resourceType: 'topic', operation: 'read' }, { resourceType: 'group' }, { principal: 'User:bob' }]),
      [[read], [group], []],
    )
    await eventually('brokers know it', async () => (await admin.describeAcls()).length === 1)
  },

  async 'client quotas'({ admin }) {
    const alice = { user: 'alice', 'client-id': null }
    const everybody = { 'client-id': null }
    const limit = (value: number | null) => [{ key: 'producer_byte_rate', value }]
    await admin.alterClientQuotas([{ entity: everybody, ops: limit(1) }], { validateOnly: true })
    await admin.alterClientQuotas([
      { entity: alice, ops: limit(1024) },
      { entity: everybody, ops: [...limit(2048), { key: 'request_percentage', value: 50 }] },
    ])
    await eventually('brokers know it', async () => (await admin.describeClientQuotas()).length === 2)
    const all = await admin.describeClientQuotas()
    assert.deepEqual(
      new Map(all.map(({ entity, quotas }) => [JSON.stringify(Object.entries(entity).sort()), quotas])),
      new Map([
        [
          JSON.stringify([
            ['client-id', null],
            ['user', 'alice'],
          ]),
          new Map([['producer_byte_rate', 1024]]),
        ],
        [
          JSON.stringify([['client-id', null]]),
          new Map([
            ['producer_byte_rate', 2048],
            ['request_percentage', 50],
          ]),
        ],
      ]),
    )
    assert.equal((await admin.describeClientQuotas({ components: [{ entityType: 'user', match: { name: 'alice' } }] })).length, 1)
    assert.equal(
      (await admin.describeClientQuotas({ components: [{ entityType: 'client-id', match: 'default' }], strict: true })).length,
      1,
    )
    assert.equal((await admin.describeClientQuotas({ components: [{ entityType: 'ip', match: 'any' }] })).length, 0)
    await admin.alterClientQuotas([{ entity: alice, ops: limit(null) }])
    await eventually('brokers know it', async () => (await admin.describeClientQuotas()).length === 1)
    await assert.rejects(admin.alterClientQuotas([{ entity: alice, ops: [{ key: 'bytes', value: 1 }] }]), { code: 'INVALID_REQUEST' })
  },

  async 'SCRAM credentials'({ admin }) {
    await admin.alterUserScramCredentials([
      { user: 'alice', mechanism: 'SCRAM-SHA-256', password: 'wonderland' },
      { user: 'bob', mechanism: 'SCRAM-SHA-512', password: 'builder' },
    ])
    const second = { user: 'alice', mechanism: 'SCRAM-SHA-512', password: 'wonderland', iterations: 8192 } as const
    await admin.alterUserScramCredentials([second])
    await assert.rejects(admin.alterUserScramCredentials([second, second]), { code: 'DUPLICATE_RESOURCE' })
    const credentials = async (users?: string[]) => {
      const found = [...(await admin.describeUserScramCredentials(users))]
      return found.map(([user, infos]) => `${user}: ${infos.map((info) => `${info.mechanism} ${info.iterations}`).sort()}`).sort()
    }
    await eventually('brokers know it', async () => (await credentials()).length === 2 && (await credentials())[0]!.includes('512'))
    assert.deepEqual(await credentials(['alice']), ['alice: SCRAM-SHA-256 4096,SCRAM-SHA-512 8192'])
    await admin.alterUserScramCredentials([{ user: 'bob', mechanism: 'SCRAM-SHA-512', delete: true }])
    await eventually('brokers know it', async () => (await credentials()).length === 1)
    await assert.rejects(admin.describeUserScramCredentials(['alice', 'bob']), { code: 'RESOURCE_NOT_FOUND' })
    await assert.rejects(admin.alterUserScramCredentials([{ user: 'carol', mechanism: 'SCRAM-SHA-256', password: 'x', iterations: 1 }]), {
      code: 'UNACCEPTABLE_CREDENTIAL',
    })
  },

  async 'a user whose credential was set logs in and gets delegation tokens, which are refused to who has not'({ admin, login }) {
    await assert.rejects(admin.createDelegationToken(), { code: 'DELEGATION_TOKEN_REQUEST_NOT_ALLOWED' })
    await admin.createAcls([
      {
        resourceType: 'user',
        resourceName: 'User:bob',
        patternType: 'literal',
        principal: 'User:alice',
        host: '*',
        operation: 'create-tokens',
        permissionType: 'allow',
      },
    ])
    const alice = login({ sasl: { mechanism: 'SCRAM-SHA-256', username: 'alice', password: 'wonderland' } })
    const own = await alice.createDelegationToken({ renewers: ['User:carol'], maxLifetimeMs: 3_600_000 })
    assert.deepEqual([own.owner, own.requester, own.renewers], ['User:alice', 'User:alice', ['User:carol']])
    assert.equal(own.maxTimestamp - own.issueTimestamp, 3_600_000)
    const another = await alice.createDelegationToken({ owner: 'User:bob' })
    assert.deepEqual([another.owner, another.requester], ['User:bob', 'User:alice'])
    const described = async () =>
      (await alice.describeDelegationToken({ owners: ['User:alice'] })).find(({ tokenId }) => tokenId === own.tokenId)
    await eventually('the token is known', async () => (await described()) !== undefined)
    assert.deepEqual((await described())!.hmac, own.hmac)
    assert.ok((await alice.renewDelegationToken(own.hmac, { renewPeriodMs: 60_000 })) <= own.maxTimestamp)
    const byToken = login(
      fromProperties({
        'security.protocol': 'SASL_PLAINTEXT',
        'sasl.mechanism': 'SCRAM-SHA-256',
        'sasl.jaas.config': `org.apache.kafka.common.security.scram.ScramLoginModule required username="${own.tokenId}" password="${own.hmac.toString('base64')}" tokenauth="true";`,
      }),
    )
    assert.equal((await byToken.describeCluster()).clusterId, 'abcdefghijklmnopqrstug')
    await assert.rejects(byToken.createDelegationToken(), { code: 'DELEGATION_TOKEN_REQUEST_NOT_ALLOWED' })
    await alice.expireDelegationToken(own.hmac)
    await eventually('the token is gone', async () => (await described()) === undefined)
    await assert.rejects(alice.renewDelegationToken(own.hmac), { code: 'DELEGATION_TOKEN_NOT_FOUND' })
  },

  async 'consumer groups and their offsets'({ admin, broker }, t) {
    const at = (partition: number, offset: number) => ({ topic: 'a', partition, offset })
    for (const groupId of ['g1', 'g2']) await admin.alterConsumerGroupOffsets(groupId, [at(0, 5), at(1, 6)])
    const listed = await admin.listConsumerGroupOffsets(
      new Map([
        ['g1', undefined],
        ['g2', [{ topic: 'a', partition: 1 }]],
      ]),
    )
    assert.deepEqual(
      [...listed].map(([groupId, offsets]) => [groupId, [...offsets.values()].map(({ offset }) => offset)]),
      [
        ['g1', [5, 6]],
        ['g2', [6]],
      ],
    )
    assert.equal((await admin.listConsumerGroupOffsets('g1')).get({ topic: 'a', partition: 0 })!.offset, 5)
    await admin.deleteConsumerGroupOffsets('g1', [{ topic: 'a', partition: 0 }])
    assert.equal((await admin.listConsumerGroupOffsets('g1')).size, 1)
    const consumer = new Consumer({ bootstrapServers: broker.bootstrap, groupId: 'g1', heartbeatIntervalMs: 100 })
    t.after(() => consumer.close())
    consumer.subscribe(['a'])
    while (consumer.assignment().length === 0) await consumer.poll({ timeoutMs: 50 })
    const described = await admin.describeConsumerGroups(['g1', 'g2'], { includeAuthorizedOperations: true })
    assert.deepEqual(
      [...described].map(([id, { state, type, members }]) => [id, state, type, members.length]),
      [
        ['g1', 'Stable', 'classic', 1],
        ['g2', 'Empty', 'classic', 0],
      ],
    )
    assert.ok(described.get('g1')!.authorizedOperations!.includes('read'))
    assert.equal((await admin.describeClassicGroups(['g1'])).get('g1')!.members[0]!.assignment.length, 7)
    assert.deepEqual(
      (await admin.listConsumerGroups()).map(({ groupId }) => groupId),
      ['g1', 'g2'],
    )
    assert.deepEqual(
      (await admin.listGroups({ states: ['Stable'], types: ['classic'] })).map(({ groupId }) => groupId),
      ['g1'],
    )
    await assert.rejects(
      admin.deleteConsumerGroups(['g1', 'g2']),
      ({ failures, succeeded }: { failures: Map<string, { code: string }>; succeeded: string[] }) => {
        assert.deepEqual([failures.get('g1')?.code, succeeded], ['NON_EMPTY_GROUP', ['g2']])
        return true
      },
    )
    await admin.removeMembersFromConsumerGroup('g1', 'all', { reason: 'a test' })
    await consumer.close()
    await eventually('brokers know it', async () => (await admin.describeConsumerGroups(['g1'])).get('g1')!.state === 'Empty')
    await admin.deleteConsumerGroups(['g1'])
  },

  async transactions({ admin, broker }, t) {
    const connection = await connectTo(t, { host: '127.0.0.1', port: broker.port })
    await eventually(
      'brokers know it',
      async () =>
        (await connection.send(FindCoordinator, 4, { key: '', keyType: 1, coordinatorKeys: ['t'] })).coordinators[0]!.errorCode === 0,
    )
    const fenced = await admin.fenceProducers(['t', 'u'])
    assert.deepEqual([...fenced.keys()], ['t', 'u'])
    assert.equal((await admin.describeTransactions(['t'])).get('t')!.state, 'Empty')
    assert.deepEqual(
      [...(await admin.listTransactions()).values()]
        .flat()
        .map(({ transactionalId }) => transactionalId)
        .sort(),
      ['t', 'u'],
    )
    await admin.forceTerminateTransaction('t')
    const { producerId, producerEpoch } = fenced.get('u')!
    await admin.abortTransaction({ topic: 'a', partition: 2, producerId, producerEpoch, coordinatorEpoch: 0 })
  },

  async 'share groups'({ admin, newer }) {
    const partition = { topic: 'a', partition: 0 }
    await newer(admin.alterShareGroupOffsets('s', [{ ...partition, offset: 4 }]), () => {})
    await newer(admin.listShareGroupOffsets(new Map([['s', [partition]]])), (offsets) => {
      assert.equal(offsets.get('s')!.get(partition)!.startOffset, 4)
    })
    await newer(admin.describeShareGroups(['s'], { includeAuthorizedOperations: true }), (groups) => {
      assert.deepEqual([groups.get('s')!.state, groups.get('s')!.members, groups.get('s')!.coordinator.nodeId], ['Empty', [], 1])
    })
    await newer(admin.deleteShareGroupOffsets('s', ['a']), () => {})
    await newer(admin.describeShareGroups(['none']), () => assert.fail('there is no such group')).catch((error) => {
      assert.equal(error.code, 'GROUP_ID_NOT_FOUND')
    })
    await admin.deleteShareGroups(['s']).catch((error) => assert.equal(error.code, 'GROUP_ID_NOT_FOUND'))
  },

  async 'a share consumer, whom only newer brokers take in'({ broker, isNew }, t) {
    if (isNew) return
    const share = new ShareConsumer({ bootstrapServers: broker.bootstrap, groupId: 's' })
    t.after(() => share.close())
    share.subscribe('a')
    await assert.rejects(share.poll({ timeoutMs: 30_000 }), UnsupportedVersionError)
  },

  async 'streams groups'({ admin, broker, isNew, newer }, t) {
    const partition = { topic: 'a', partition: 0 }
    if (isNew) {
      const connection = await connectTo(t, { host: '127.0.0.1', port: broker.port })
      const beat = (memberEpoch: number) =>
        connection.send(StreamsGroupHeartbeat, 0, {
          groupId: 'st',
          memberId: 'AAAAAAAAAAAAAAAAAAAAFw',
          memberEpoch,
          endpointInformationEpoch: 0,
          instanceId: null,
          rackId: null,
          rebalanceTimeoutMs: memberEpoch === 0 ? 1000 : -1,
          topology:
            memberEpoch === 0
              ? {
                  epoch: 0,
                  subtopologies: [
                    {
                      subtopologyId: '0',
                      sourceTopics: ['a'],
                      sourceTopicRegex: [],
                      stateChangelogTopics: [],
                      repartitionSinkTopics: [],
                      repartitionSourceTopics: [],
                      copartitionGroups: [],
                    },
                  ],
                }
              : null,
          activeTasks: memberEpoch === 0 ? [] : null,
          standbyTasks: memberEpoch === 0 ? [] : null,
          warmupTasks: memberEpoch === 0 ? [] : null,
          processId: memberEpoch === 0 ? 'p' : null,
          userEndpoint: null,
          clientTags: memberEpoch === 0 ? [{ key: 'zone', value: 'z' }] : null,
          taskOffsets: null,
          taskEndOffsets: null,
          shutdownApplication: false,
        })
      const joined = await beat(0)
      assert.equal(joined.errorCode, 0, joined.errorMessage ?? '')
      const group = (await admin.describeStreamsGroups(['st'])).get('st')!
      assert.deepEqual(
        [group.subtopologies[0]!.sourceTopics, group.members[0]!.clientTags.get('zone'), group.members[0]!.processId],
        [['a'], 'z', 'p'],
      )
      await beat(-1)
    }
    await newer(admin.describeStreamsGroups(['st']), (groups) => assert.equal(groups.get('st')!.members.length, 0))
    await admin.alterStreamsGroupOffsets('st', [{ ...partition, offset: 8 }])
    assert.equal((await admin.listStreamsGroupOffsets('st')).get(partition)!.offset, 8)
    assert.equal((await admin.listStreamsGroupOffsets(new Map([['st', undefined]]))).get('st')!.size, 1)
    await admin.deleteStreamsGroupOffsets('st', [partition])
    await admin.deleteStreamsGroups(['st'])
  },

  async 'telemetry, which this admin client is not told to push'({ admin }) {
    await assert.rejects(admin.clientInstanceId(), { code: 'ILLEGAL_STATE' })
    const metrics = new Map(admin.metrics().map(({ name, value }) => [name, value]))
    assert.ok(metrics.get('request-total')! > 10 && metrics.get('connection-count')! >= 1)
  },
}

test("every method of Java's Admin stands in the reference page", async () => {
  const jars = await kafkaJars('4.3.0')
  const { stdout } = await succeed('javap', ['-cp', jars.replace('*', 'kafka-clients-4.3.0.jar'), 'org.apache.kafka.clients.admin.Admin'])
  const methods = new Set([...stdout.matchAll(/(\w+)\(/g)].map(([, name]) => name!))
  methods.delete('create') // static: what `new Admin()` is here
  const page = readFileSync(join(root, 'docs', 'reference', 'admin.md'), 'utf8')
  const rows = [...page.matchAll(/^\| `(\w+)` \| /gm)].map(([, name]) => name!)
  assert.deepEqual(rows.filter((name) => methods.has(name)).sort(), [...methods].sort())
})

for (const kind of ['kafka-4.3', 'kafka-3.9'] as const) {
  test(`Admin against ${kind}`, async (t) => {
    const stage = await stageOf(t, kind)
    for (const [name, step] of Object.entries(steps)) await t.test(name, (inner) => step(stage, inner))
  })
}
