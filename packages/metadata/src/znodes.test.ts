import assert from 'node:assert/strict'
import { test } from 'node:test'
import {
  BadNodeError,
  type BrokerRegistration,
  decodeBroker,
  decodeController,
  decodeControllerEpoch,
  decodePartitionState,
  decodeProducerIdBlock,
  decodeTopic,
  encodeBroker,
  encodeFeatures,
  encodeTopic,
} from './znodes.ts'

test('a broker registration of Kafka 3.9 is read, and ours reads the same', () => {
  const kafka =
    '{"features":{},"listener_security_protocol_map":{"PLAINTEXT":"PLAINTEXT","IN":"SSL"},' +
    '"endpoints":["PLAINTEXT://10.0.0.1:9092","IN://[::1]:9093"],"jmx_port":-1,"port":9092,"host":"10.0.0.1","version":5,"timestamp":"1732000000000","rack":"r1"}'
  const expected: BrokerRegistration = {
    id: 7,
    endpoints: [
      { listener: 'PLAINTEXT', host: '10.0.0.1', port: 9092, securityProtocol: 'PLAINTEXT' },
      { listener: 'IN', host: '::1', port: 9093, securityProtocol: 'SSL' },
    ],
    rack: 'r1',
    features: new Map(),
    isCordoned: false,
  }
  assert.deepEqual(decodeBroker(7, Buffer.from(kafka)), expected)
  assert.deepEqual(JSON.parse(encodeBroker(expected, 1732000000000).toString()), JSON.parse(kafka))
  const featured = { ...expected, features: new Map([['group.version', { minVersion: 0, maxVersion: 1 }]]) }
  assert.deepEqual(decodeBroker(7, encodeBroker(featured, 0)), featured)
  const cordoned = { ...expected, isCordoned: true }
  assert.deepEqual(decodeBroker(7, encodeBroker(cordoned, 0)), cordoned)
})

test("a topic's reassignment survives, and a topic of an old Kafka has no id", () => {
  const partitions = new Map([
    [0, { replicas: [1, 2], addingReplicas: [2], removingReplicas: [] }],
    [10, { replicas: [3], addingReplicas: [], removingReplicas: [] }],
    [2, { replicas: [3], addingReplicas: [], removingReplicas: [] }],
  ])
  const decoded = decodeTopic('t', encodeTopic('IQPsQipHTsKy71ijwH7wGA', partitions))
  assert.deepEqual([...decoded.partitions.keys()], [0, 2, 10])
  assert.deepEqual(decoded.partitions.get(0), partitions.get(0))
  assert.deepEqual(decodeTopic('t', Buffer.from('{"version":1,"partitions":{"0":[1]}}')).topicId, undefined)
})

test('features are written as Kafka 3.9 does', () => {
  const expected = { version: 2, status: 1, features: { 'group.version': { max_version_level: 1 } } }
  assert.deepEqual(JSON.parse(encodeFeatures(new Map([['group.version', 1]])).toString()), expected)
})

test('a node that holds something else is refused with its path', () => {
  const cases: (() => unknown)[] = [
    () => decodeController(Buffer.from('{')),
    () => decodeController(Buffer.from('[]')),
    () => decodeController(Buffer.from('{"brokerid":"1"}')),
    () => decodeControllerEpoch(Buffer.from('')),
    () => decodeControllerEpoch(Buffer.from('x')),
    () => decodePartitionState('t', 0, Buffer.from('{"leader":1,"leader_epoch":0,"isr":[null],"controller_epoch":1}')),
    () => decodeTopic('t', Buffer.from('{"partitions":{"x":[1]}}')),
    () => decodeTopic('t', Buffer.from('{"partitions":[1]}')),
    () => decodeBroker(1, Buffer.from('{"endpoints":["nowhere"]}')),
    () => decodeBroker(1, Buffer.from('{"endpoints":["X://h:1"]}')),
    () => decodeProducerIdBlock(Buffer.from('{"broker":1,"block_start":"0","block_end":"9223372036854775807"}')),
  ]
  for (const [index, decode] of cases.entries()) {
    assert.throws(decode, (error) => error instanceof BadNodeError && error.message.includes('/'), `case ${index}`)
  }
})
