import assert from 'node:assert/strict'
import { test } from 'node:test'
import { type Admin, BrokerError, type LogDirDescription } from '@tidelog/client'
import { errorTable } from '@tidelog/protocol'
import { runWith } from '../command-harness.ts'
import { logDirs } from './log-dirs.ts'

const server = ['--bootstrap-server', 'b:1', '--describe']
const node = (nodeId: number) => ({ nodeId, host: 'h', port: 1, rack: null })
const replica = (topic: string, partition: number, more = {}) => ({
  topic,
  partition,
  sizeBytes: 10,
  offsetLag: 0,
  isFuture: false,
  ...more,
})
const dir = (path: string, more: Partial<LogDirDescription> = {}): LogDirDescription => ({
  path,
  error: undefined,
  totalBytes: 100,
  usableBytes: 50,
  isCordoned: false,
  replicas: [],
  ...more,
})

/** A cluster of brokers 1 and 2, of which 2 has an offline directory. */
const cluster: Partial<Admin> = {
  describeCluster: async () => ({ clusterId: 'c', controllerId: 1, brokers: [node(2), node(1)] }),
  describeLogDirs: async ({ brokers } = {}) =>
    new Map(
      brokers!.map((id) => [
        id,
        id === 1
          ? [
              dir('/b', { isCordoned: true }),
              dir('/a', { replicas: [replica('t', 1), replica('u', 0), replica('t', 0, { isFuture: true, offsetLag: 7 })] }),
            ]
          : [dir('/c', { error: new BrokerError(errorTable.KAFKA_STORAGE_ERROR.code, '/c'), totalBytes: -1, usableBytes: -1 })],
      ]),
    ),
}

test('every broker is described in the one line of JSON that Kafka prints', async () => {
  const { code, stdout } = await runWith(logDirs, { admin: cluster }, ...server)
  assert.equal(code, 0)
  const [first, second, json] = stdout.split('\n')
  assert.equal(first, 'Querying brokers for log directories information')
  assert.equal(second, 'Received log directory information from brokers 1,2')
  const of1 =
    '{"partitions":[{"partition":"t-1","size":10,"offsetLag":0,"isFuture":false},{"partition":"t-0","size":10,"offsetLag":7,"isFuture":true},' +
    '{"partition":"u-0","size":10,"offsetLag":0,"isFuture":false}],"error":null,"logDir":"/a"},{"partitions":[],"error":null,"logDir":"/b"}'
  const of2 = '{"partitions":[],"error":"org.apache.kafka.common.errors.KafkaStorageException","logDir":"/c"}'
  assert.equal(json, `{"brokers":[{"broker":1,"logDirs":[${of1}]},{"broker":2,"logDirs":[${of2}]}],"version":1}`)
})

test('brokers and topics can be chosen; a broker that is not there is an error', async () => {
  const { stdout } = await runWith(logDirs, { admin: cluster }, ...server, '--broker-list', '1', '--topic-list', 'u,v')
  assert.match(stdout, /from brokers 1\n/)
  assert.deepEqual(
    [...stdout.matchAll(/"partition":"([^"]+)"/g)].map(([, name]) => name),
    ['u-0'],
  )
  const { code, stderr } = await runWith(logDirs, { admin: cluster }, ...server, '--broker-list', '7,1,9')
  assert.equal(code, 1)
  assert.equal(stderr, 'ERROR: The given brokers do not exist from --broker-list: 7,9. Current existent brokers: 1,2\n')
  assert.equal((await runWith(logDirs, { admin: cluster }, ...server, '--broker-list', 'x')).stderr, 'For input string: "x"\n')
})

test('without --describe it is a mistake', async () => {
  const { code, stderr } = await runWith(logDirs, { admin: cluster }, '--bootstrap-server', 'b:1')
  assert.equal(code, 1)
  assert.match(stderr, /^Missing required argument "\[describe\]"\nUsage: tidelog log-dirs/)
})

test('--output csv and json give a row a replica, with what the line of JSON leaves out', async () => {
  const { stdout } = await runWith(logDirs, { admin: cluster }, ...server, '--output', 'csv')
  assert.deepEqual(stdout.trim().split('\n'), [
    'broker,logDir,error,isCordoned,totalBytes,usableBytes,topic,partition,size,offsetLag,isFuture',
    '1,/a,,false,100,50,t,1,10,0,false',
    '1,/a,,false,100,50,t,0,10,7,true',
    '1,/a,,false,100,50,u,0,10,0,false',
    '1,/b,,true,100,50,,,,,',
    '2,/c,KAFKA_STORAGE_ERROR,false,-1,-1,,,,,',
  ])
  assert.equal(JSON.parse((await runWith(logDirs, { admin: cluster }, ...server, '--output', 'json')).stdout).length, 5)
})
