import assert from 'node:assert/strict'
import test from 'node:test'
import { connect } from '@tidelog/net'
import { ApiVersions, prepareCodec } from '@tidelog/protocol'
import { type BrokerKind, type BrokerProcess, startBrokerProcess } from './harness.ts'
import { intendedDifferences } from './wire/intended-differences.ts'
import { type Difference, differences } from './wire/normal-form.ts'
import { Peer, type Range } from './wire/peer.ts'
import * as configs from './wire/scenario-configs.ts'
import * as fetch from './wire/scenario-fetch.ts'
import * as idempotence from './wire/scenario-idempotence.ts'
import * as offsets from './wire/scenario-offsets.ts'
import * as produce from './wire/scenario-produce.ts'
import { afterRestart, beforeRestart } from './wire/scenario-restart.ts'
import * as topics from './wire/scenario-topics.ts'

type Scenario = (peer: Peer) => Promise<void>

const inEveryVersion: readonly Scenario[] = [
  topics.askForMetadata,
  topics.createTopics,
  topics.deleteTopics,
  produce.produceInEveryVersion,
  fetch.fetchInEveryVersion,
  fetch.fetchInSessions,
  offsets.listOffsets,
  offsets.offsetsForLeaderEpochs,
  offsets.deleteRecords,
  offsets.describeLogDirs,
  idempotence.askForProducerIds,
  idempotence.describeProducers,
]
const ofToday: readonly Scenario[] = [
  topics.useOldTopicIds,
  topics.askForApiVersions,
  produce.produceTwiceToOnePartition,
  produce.produceBrokenBatches,
  produce.produceBrokenRecords,
  produce.produceAgainstTopicLimits,
  produce.produceIntoOtherCodecs,
  fetch.fetchInTurns,
  idempotence.sendSequences,
  configs.alterBrokers,
  configs.alterListeners,
  configs.cordonLogDirs,
  beforeRestart,
]
const ofOldVersions: readonly Scenario[] = [produce.produceOldFormats, fetch.fetchOldFormats]

const settings = { 'log.retention.ms': '-1', 'offsets.topic.num.partitions': '1' }
const produceKey = 0

type Ranges = ReadonlyMap<number, Range>

async function announcedBy({ port }: BrokerProcess): Promise<Map<number, Range>> {
  const connection = await connect({ host: '127.0.0.1', port, clientId: 'parity', requestTimeoutMs: 10_000 })
  const { apiKeys } = await connection.send(ApiVersions, 3, { clientSoftwareName: 'parity', clientSoftwareVersion: '1' })
  connection.close()
  return new Map(apiKeys.map(({ apiKey, minVersion, maxVersion }) => [apiKey, [minVersion, maxVersion]]))
}

/** The versions that 4.3 has given up. */
function versionsOnlyIn(older: Ranges, newer: Ranges): Ranges {
  const only = new Map<number, Range>()
  for (const [key, [min, max]] of older) {
    const firstLeft = newer.get(key)?.[0]
    if (firstLeft !== undefined && firstLeft > min) only.set(key, [min, Math.min(max, firstLeft - 1)])
  }
  return only
}

async function watch(broker: BrokerProcess, ranges: Ranges, scenarios: readonly Scenario[]): Promise<Peer> {
  const peer = new Peer(broker.port, ranges)
  for (const scenario of scenarios) await scenario(peer)
  return peer
}

function compare(kafka: Peer, ours: Peer): Difference[] {
  assert.deepEqual([...ours.seen.keys()], [...kafka.seen.keys()])
  return [...kafka.seen].flatMap(([label, answer]) => differences(label, answer, ours.seen.get(label)))
}

function report(found: readonly Difference[]): string {
  const lines = found.map(
    ({ label, path, kafka, ours }) => `${label} | ${path}\n    Kafka: ${JSON.stringify(kafka)}\n    ours:  ${JSON.stringify(ours)}`,
  )
  return `${found.length} answers differ\n${lines.join('\n')}`
}

test("our answers are Kafka 4.3's, and Kafka 3.9's in the versions that only it knows, but for the differences we want", async (t) => {
  await prepareCodec('zstd')
  const start = (kind: BrokerKind) => startBrokerProcess(t, settings, kind)
  const [kafka43, kafka39, ours, oursForOld] = await Promise.all([
    start('kafka-4.3'),
    start('kafka-3.9'),
    start('tidelog'),
    start('tidelog'),
  ])
  const [today, old, served] = await Promise.all([kafka43, kafka39, ours].map(announcedBy))
  for (const [key, [min, max]] of served!) {
    const [of39, of43] = [old!.get(key), today!.get(key)]
    const oldest = Math.min(of39?.[0] ?? Number.POSITIVE_INFINITY, of43?.[0] ?? Number.POSITIVE_INFINITY)
    assert.deepEqual([min, max], [oldest, (of43 ?? of39)?.[1]], `versions of API ${key}`)
  }
  today!.set(produceKey, [3, today!.get(produceKey)![1]]) // announced from 0 on for librdkafka's sake, served from 3 on: KIP-896
  const onlyOld = versionsOnlyIn(old!, today!)

  const scenarios = [...inEveryVersion, ...ofToday]
  const scenariosForOld = [...inEveryVersion, ...ofOldVersions]
  const [kafkaToday, oursToday, kafkaOld, oursOld] = await Promise.all([
    watch(kafka43, today!, scenarios),
    watch(ours, today!, scenarios),
    watch(kafka39, onlyOld, scenariosForOld),
    watch(oursForOld, onlyOld, scenariosForOld),
  ])
  await Promise.all([kafka43.restart(), ours.restart()])
  await Promise.all([kafkaToday, oursToday].map(afterRestart))
  for (const peer of [kafkaToday, oursToday, kafkaOld, oursOld]) peer.close()

  const found = [...compare(kafkaToday, oursToday), ...compare(kafkaOld, oursOld)]
  const unwanted = found.filter((difference) => !intendedDifferences.some(({ covers }) => covers(difference)))
  assert.equal(unwanted.length, 0, report(unwanted))
  const gone = intendedDifferences.filter(({ covers }) => !found.some(covers)).map(({ name }) => name)
  assert.deepEqual(gone, [], 'differences that are there no more: their rows can go')
})
