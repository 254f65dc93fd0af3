import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { mkdtemp, readdir, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import test from 'node:test'
import { fileURLToPath } from 'node:url'
import type { ICustomPartitioner, PartitionMetadata } from 'kafkajs'
import { libraries } from './kafkajs-libraries.ts'

const [kafkajs, ours] = libraries.map(({ library }) => library as unknown as Record<string, unknown>) as [
  Record<string, unknown>,
  Record<string, unknown>,
]
const root = fileURLToPath(new URL('../../..', import.meta.url))

test('tidelog/kafkajs exports what kafkajs exports, and its enumerations have the same numbers', () => {
  assert.deepEqual(Object.keys(ours).sort(), Object.keys(kafkajs).sort())
  for (const [name, value] of Object.entries(kafkajs)) {
    if (typeof value !== 'object' || value === null) assert.equal(typeof ours[name], typeof value, name)
    else assert.deepEqual(Object.keys(ours[name] as object).sort(), Object.keys(value).sort(), name)
    const isEnumeration = typeof value === 'object' && value !== null && Object.values(value).every((one) => typeof one === 'number')
    if (isEnumeration) assert.deepEqual({ ...(ours[name] as object) }, { ...value }, name)
  }
})

test('errors made the same way are the same: classes above them, names, codes, whether to try again', () => {
  const told = (error: Error, exports: Record<string, unknown>) => {
    const { stack, helpUrl, ...fields } = { ...error } as Error & Record<string, unknown>
    const above = Object.entries(exports).filter(([, one]) => typeof one === 'function' && error instanceof one)
    return {
      ...fields,
      cause: error.cause instanceof Error ? error.cause.name : undefined,
      name: error.name,
      text: error.message,
      above: above.map(([name]) => name).sort(),
    }
  }
  const source = Object.assign(new Error('what the broker said'), { type: 'NOT_CONTROLLER', code: 41, retriable: true })
  const metadata = {
    retriable: false,
    topic: 't',
    partition: 3,
    memberId: 'm',
    retryCount: 4,
    retryTime: 5,
    broker: 'b:1',
    code: 'ECONNREFUSED',
    host: 'b',
    port: 1,
    correlationId: 6,
    createdAt: 7,
    sentAt: 8,
    pendingDuration: 9,
    apiKey: 10,
    apiName: 'Fetch',
    unknownPartitions: [],
    partitions: [{ partition: 0, offset: '1', error: { retriable: true } }],
  }
  for (const [name, Made] of Object.entries(kafkajs)) {
    if (!/^KafkaJS.*[a-z]$/.test(name) || typeof Made !== 'function') continue
    const makeBoth = (...args: unknown[]) =>
      [kafkajs, ours].map((exports) => told(new (exports[name] as new (...given: unknown[]) => Error)(...args), exports))
    const isOfRecords = name === 'KafkaJSDeleteTopicRecordsError'
    const cases = isOfRecords
      ? [[metadata]]
      : [
          ['text', metadata],
          [source, metadata],
        ]
    for (const args of cases) {
      const [expected, actual] = makeBoth(...args)
      // The words of these two are kafkajs's own.
      if (isOfRecords || /Invariant|NoBroker/.test(name)) expected!.text = actual!.text
      assert.deepEqual(actual, expected, `${name}(${JSON.stringify(args)})`)
    }
  }
})

test("both partitioners give the partitions of kafkajs's, for every key", () => {
  const partitionMetadata: PartitionMetadata[] = Array.from({ length: 100 }, (_, partitionId) => ({
    partitionErrorCode: 0,
    partitionId,
    leader: 1,
    replicas: [1],
    isr: [1],
  }))
  const keys = Array.from({ length: 3000 }, (_, i) => (i % 3 === 0 ? `key-${i}-å😀` : randomBytes(i % 40)))
  for (const name of ['DefaultPartitioner', 'LegacyPartitioner', 'JavaCompatiblePartitioner']) {
    const [theirs, mine] = [kafkajs, ours].map(({ Partitioners }) => (Partitioners as Record<string, ICustomPartitioner>)[name]!())
    for (const key of keys) {
      const args = { topic: 't', partitionMetadata, message: { key, value: null } }
      assert.equal(mine!(args), theirs!(args), `${name} ${JSON.stringify(key)}`)
    }
    const inTurn = [0, 1, 2].map(() => mine!({ topic: 't', partitionMetadata, message: { value: null } }))
    assert.deepEqual(
      inTurn.map((partition) => (partition - inTurn[0]! + 100) % 100),
      [0, 1, 2],
    )
  }
})

test('what assigners write is byte for byte what those of kafkajs write, and reads the same', () => {
  type Protocol = Record<string, { encode(value: object): Buffer; decode(bytes: Buffer): unknown }>
  const [theirs, mine] = [kafkajs, ours].map(({ AssignerProtocol }) => AssignerProtocol as Protocol) as [Protocol, Protocol]
  for (const [name, value] of [
    ['MemberMetadata', { version: 1, topics: ['a', 'ü'], userData: Buffer.from('mine') }],
    ['MemberMetadata', { version: 0, topics: [] }],
    ['MemberAssignment', { version: 1, assignment: { a: [0, 7], ü: [] }, userData: Buffer.from('mine') }],
    ['MemberAssignment', { version: 0, assignment: {} }],
  ] as const) {
    const bytes = mine[name]!.encode(value)
    assert.deepEqual(bytes, theirs[name]!.encode(value))
    assert.deepEqual(mine[name]!.decode(bytes), theirs[name]!.decode(bytes))
  }
  assert.equal(mine.MemberAssignment!.decode(Buffer.alloc(0)), null)
})

test('programs typed against kafkajs compile against tidelog/kafkajs', async (t) => {
  const dir = await mkdtemp(join(tmpdir(), 'tidelog-types-'))
  t.after(() => rm(dir, { recursive: true, force: true }))
  const programs = join(root, 'tests', 'compat', 'kafkajs-programs')
  const files = (await readdir(programs)).map((name) => join(programs, name))
  const project = join(dir, 'tsconfig.json')
  await writeFile(
    project,
    JSON.stringify({
      extends: join(root, 'tsconfig.base.json'),
      compilerOptions: {
        noEmit: true,
        composite: false,
        typeRoots: [join(root, 'node_modules', '@types')],
        paths: { kafkajs: [join(root, 'dist', 'types', 'client', 'compat', 'kafkajs', 'index.d.ts')] },
      },
      files,
    }),
  )
  const compiler = join(root, 'node_modules', 'typescript', 'bin', 'tsc')
  const { status, stdout } = spawnSync(process.execPath, [compiler, '-p', project], { encoding: 'utf8' })
  assert.equal(status, 0, stdout)
})
