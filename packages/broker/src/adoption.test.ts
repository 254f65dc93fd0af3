import assert from 'node:assert/strict'
import { readdirSync, readFileSync, statSync } from 'node:fs'
import { cp, mkdir, rename, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { DescribeConfigs, InitProducerId, Metadata } from '@tidelog/protocol'
import { connectForTest, startTestBroker, temporaryDirectory } from '@tidelog/testkit'

const fixtures = join(import.meta.dirname, '../../storage/fixtures/kraft')
const METADATA = '__cluster_metadata-0'
const LOG = `${METADATA}/00000000000000000000.log`

async function dirOf(t: TestContext, name: string): Promise<string> {
  const dir = await temporaryDirectory(t)
  await cp(join(fixtures, name), dir, { recursive: true })
  return dir
}

/** All files below, but for the empty lock file that whoever looks at a log dir makes. */
function contentsOf(dir: string): Record<string, string> {
  const paths = readdirSync(dir, { recursive: true, encoding: 'utf8' }).filter(
    (path) => statSync(join(dir, path)).isFile() && path !== '.lock',
  )
  return Object.fromEntries(paths.sort().map((path) => [path, readFileSync(join(dir, path), 'base64')]))
}

for (const name of ['kafka-4.3-clean', 'kafka-4.3-killed', 'kafka-3.9-killed']) {
  test(`${name} is taken over with what its metadata log knows, which stays as it is`, async (t) => {
    const dir = await dirOf(t, name)
    const metadataBefore = contentsOf(join(dir, METADATA))
    const broker = await startTestBroker({ config: { 'log.dirs': dir } })
    t.after(() => broker.close())
    const call = await connectForTest(t, broker)
    const { topics } = await call(Metadata, 12, { topics: null })
    const partitions = topics.filter(({ isInternal }) => !isInternal).map((topic) => [topic.name, topic.partitions.length])
    assert.deepEqual(partitions.sort(), [
      ['orders', 3],
      ['plain', 2],
    ])
    const epochInMetadata = name.endsWith('clean') ? 1 : 0
    assert.equal(topics.find((topic) => topic.name === 'orders')?.partitions[0]?.leaderEpoch, epochInMetadata + 1)
    const described = await call(DescribeConfigs, 4, {
      resources: [
        { resourceType: 2, resourceName: 'orders', configurationKeys: ['retention.ms', 'retention.bytes'] },
        { resourceType: 4, resourceName: '1', configurationKeys: ['log.retention.ms', 'message.max.bytes'] },
      ],
    })
    const values = described.results.map(({ configs }) => Object.fromEntries(configs.map(({ name: key, value }) => [key, value])))
    assert.deepEqual(values, [
      { 'retention.ms': '123456', 'retention.bytes': '-1' },
      { 'log.retention.ms': '7000000', 'message.max.bytes': '3000000' },
    ])
    const { producerId } = await call(InitProducerId, 4, { transactionalId: null, transactionTimeoutMs: 1000 })
    assert.ok(producerId >= 1000, `Kafka had given out all before 1000, and this is ${producerId}`)
    assert.deepEqual(contentsOf(join(dir, METADATA)), metadataBefore)
  })
}

test('a damaged metadata log ends the start in one line and nothing is touched; once it is whole again the directory is taken over', async (t) => {
  const dir = await dirOf(t, 'kafka-4.3-clean')
  const whole = readFileSync(join(dir, LOG))
  const damaged = Buffer.from(whole)
  damaged[damaged.length - 200]! ^= 4
  await writeFile(join(dir, LOG), damaged)
  const before = contentsOf(dir)
  await assert.rejects(startTestBroker({ config: { 'log.dirs': dir } }), /^BrokerStartError: [^\n]*\.log is damaged: offset \d+: [^\n]*$/)
  assert.deepEqual(contentsOf(dir), before)
  await writeFile(join(dir, LOG), whole)
  await (await startTestBroker({ config: { 'log.dirs': dir } })).close()
})

test('the metadata log may lie in any one of the log dirs, or in metadata.log.dir; two are refused', async (t) => {
  const [first, second, third] = [await temporaryDirectory(t), await dirOf(t, 'kafka-4.3-killed'), await temporaryDirectory(t)]
  const topicsIn = async (config: Record<string, string>) => {
    const broker = await startTestBroker({ config })
    const { topics } = await (await connectForTest(t, broker))(Metadata, 12, { topics: null })
    await broker.close()
    for (const dir of [first, second, third])
      for (const file of readdirSync(dir).filter((path) => path.startsWith('.tidelog'))) await rm(join(dir, file))
    return topics.filter(({ isInternal }) => !isInternal).map((topic) => topic.name)
  }
  const both = `${first},${second}`
  assert.deepEqual((await topicsIn({ 'log.dirs': both })).sort(), ['orders', 'plain'])
  await cp(join(second, METADATA), join(first, METADATA), { recursive: true })
  await mkdir(join(third, METADATA))
  await assert.rejects(
    startTestBroker({ config: { 'log.dirs': `${third},${both}`, 'metadata.log.dir': join(second, 'none') } }),
    /both .* and .* have a __cluster_metadata-0: say which one counts with metadata\.log\.dir/,
  )
  await rename(join(first, METADATA), join(third, 'kept'))
  await rename(join(second, METADATA), join(first, METADATA))
  assert.deepEqual((await topicsIn({ 'log.dirs': second, 'metadata.log.dir': first })).sort(), ['orders', 'plain'])
})

test('leader epochs go on above those that Kafka has written when it had the directory again in between', async (t) => {
  const dir = await dirOf(t, 'kafka-4.3-clean')
  const epochs = async () => {
    const broker = await startTestBroker({ config: { 'log.dirs': dir } })
    const { topics } = await (await connectForTest(t, broker))(Metadata, 12, { topics: null })
    await broker.close()
    return topics.find((topic) => topic.name === 'plain')!.partitions.map(({ leaderEpoch }) => leaderEpoch)
  }
  assert.deepEqual(await epochs(), [2, 2])
  await writeFile(join(dir, 'plain-0/leader-epoch-checkpoint'), '0\n2\n0 0\n9 2\n')
  const [first, second] = await epochs()
  assert.ok(first! > 9, `leader epoch ${first}`)
  assert.ok(second! < 9, `leader epoch ${second}`)
})

for (const isAdopted of [false, true]) {
  const when = isAdopted ? 'once the cluster is known' : 'when it is taken over'
  test(`a compacted partition that kill -9 left keeps its records ${when}, whatever the broker's own cleanup.policy is`, async (t) => {
    const dir = await temporaryDirectory(t)
    const broker = () => startTestBroker({ config: { 'log.dirs': dir } })
    if (isAdopted) await (await broker()).close()
    // Its first segment is empty since all its keys were written again later: no offset is missing.
    const partition = join(dir, 'keyed-0')
    const segments = join(import.meta.dirname, '../../storage/fixtures/golden/data/golden-rolled-0')
    await cp(segments, partition, { recursive: true, filter: (path) => !path.endsWith('.snapshot') && !path.endsWith('checkpoint') })
    for (const suffix of ['log', 'index', 'timeindex']) await writeFile(join(partition, `${'0'.repeat(20)}.${suffix}`), '')
    await writeFile(join(dir, 'recovery-point-offset-checkpoint'), '0\n1\nkeyed 0 0\n')
    await rm(join(dir, '.kafka_cleanshutdown'), { force: true })
    const logs = () => readdirSync(partition).filter((name) => name.endsWith('.log'))
    const before = logs()
    assert.equal(before.length, 4)
    await (await broker()).close()
    assert.deepEqual(logs(), before)
  })
}
