/** docs/guides/metrics.md names every metric of our clients, and each of Java's that they lack, with the reason. */
import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { Admin, Consumer, type Metric, Producer, ShareConsumer } from '@tidelog/client'
import { startTestBroker } from '@tidelog/testkit'
import { javaMetrics } from './java-metrics.ts'

const page = readFileSync(join(fileURLToPath(new URL('../..', import.meta.url)), 'docs', 'guides', 'metrics.md'), 'utf8')
const [described, lacking] = page.split("## Java's that have no counterpart") as [string, string]
const quoted = (text: string): string[] => [...text.matchAll(/`([^`]+)`/g)].map(([, name]) => name!)

/** Rows of the table of what has no counterpart. */
const without = [...lacking.matchAll(/^\| (`.*?) \| (`.*?) \| .+ \|$/gm)].map(([, groups, names]) => ({
  groups: quoted(groups!),
  names: quoted(names!),
}))

const fits = (patterns: readonly string[], name: string): boolean =>
  patterns.some((pattern) => new RegExp(`^${pattern.replaceAll('*', '.*')}$`).test(name))

const keyOf = (client: string, { group, name, tags }: { group: string; name: string; tags: readonly string[] }) =>
  `${client} ${group} ${name} [${[...tags].sort()}]`

/** What our clients have when each has worked a little. */
async function ourMetrics(t: TestContext): Promise<Map<string, readonly Metric[]>> {
  const broker = await startTestBroker()
  const { bootstrapServers } = broker
  const ours = new Map<string, readonly Metric[]>()
  const producer = new Producer({ bootstrapServers, transactionalId: 'metrics' })
  await producer.transaction(async (txn) => {
    await txn.send({ topic: 'a', value: 'v' })
  })
  ours.set('producer', producer.metrics())
  const closing: { close(): Promise<void> }[] = [producer]
  for (const groupProtocol of ['classic', 'consumer'] as const) {
    const consumer = new Consumer({ bootstrapServers, groupId: groupProtocol, groupProtocol, autoOffsetReset: 'earliest' })
    closing.push(consumer)
    consumer.subscribe('a')
    await consumer.poll()
    ours.set(groupProtocol, consumer.metrics())
  }
  const share = new ShareConsumer({ bootstrapServers, groupId: 'share' })
  const admin = new Admin({ bootstrapServers })
  closing.push(share, admin)
  share.subscribe('a')
  await assert.rejects(share.poll(), { code: 'UNSUPPORTED_VERSION' })
  await admin.createTopics([{ topic: 'b', numPartitions: 1 }])
  ours.set('share', share.metrics())
  ours.set('admin', admin.metrics())
  t.after(async () => {
    await Promise.all(closing.map((client) => client.close()))
    await broker.close()
  })
  return ours
}

test("every metric of Java's clients is there, by group, name and tags, or has a reason why not", async (t) => {
  const ours = new Set<string>()
  for (const [client, metrics] of await ourMetrics(t))
    for (const { group, name, tags } of metrics) ours.add(keyOf(client, { group, name, tags: Object.keys(tags) }))
  const used = new Set<(typeof without)[number]>()
  const missing: string[] = []
  const reasonless: string[] = []
  for (const { client, ...metric } of javaMetrics()) {
    const row = without.find(({ groups, names }) => fits(groups, metric.group) && fits(names, metric.name))
    const key = keyOf(client, metric)
    if (ours.has(key)) {
      if (row !== undefined) reasonless.push(key)
    } else if (row === undefined) missing.push(key)
    else used.add(row)
  }
  assert.deepEqual(missing, [], 'neither there nor in the table')
  assert.deepEqual(reasonless, [], 'in the table, and there')
  assert.deepEqual(
    without.filter((row) => !used.has(row)),
    [],
    'rows that fit nothing',
  )
})

test('the page has every metric of our clients, and no other', async (t) => {
  const ours = new Set([...(await ourMetrics(t)).values()].flatMap((metrics) => metrics.map(({ name }) => name)))
  const named = new Set(quoted(described))
  assert.deepEqual(
    [...ours].filter((name) => !named.has(name)),
    [],
  )
  const isMetric = (name: string) =>
    /^[a-z]+(-[a-z]+)+$/.test(name) && !name.endsWith('-metrics') && !['client-id', 'node-id'].includes(name)
  assert.deepEqual(
    [...named].filter((name) => isMetric(name) && !ours.has(name)),
    [],
  )
})
