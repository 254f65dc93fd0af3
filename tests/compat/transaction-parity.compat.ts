import assert from 'node:assert/strict'
import test, { type TestContext } from 'node:test'
import { type BrokerKind, startBrokerProcess } from './harness.ts'
import { differences } from './wire/normal-form.ts'
import { Peer } from './wire/peer.ts'
import { intendedDifferences, listTransactionsKey, runOutOfEpochs, runTransactions } from './wire/scenario-transactions.ts'

const settings = {
  'log.retention.ms': '-1',
  'offsets.topic.num.partitions': '1',
  'transaction.state.log.num.partitions': '1',
}

async function compare(t: TestContext, scenario: (peer: Peer) => Promise<void>): Promise<void> {
  const run = async (kind: BrokerKind) => {
    const broker = await startBrokerProcess(t, settings, kind)
    const peer = new Peer(broker.port, new Map([[listTransactionsKey, [0, 2]]]))
    await scenario(peer)
    peer.close()
    return peer
  }
  const [kafka, ours] = await Promise.all([run('kafka-4.3'), run('tidelog')])
  assert.ok(kafka.seen.size > 50)
  assert.deepEqual([...ours.seen.keys()], [...kafka.seen.keys()])
  const found = [...kafka.seen].flatMap(([label, answer]) => differences(label, answer, ours.seen.get(label)))
  const unwanted = found.filter((difference) => !intendedDifferences.some(({ covers }) => covers(difference)))
  const lines = unwanted.map(
    ({ label, path, kafka: theirs, ours: our }) =>
      `${label} | ${path}\n    Kafka: ${JSON.stringify(theirs)}\n    ours:  ${JSON.stringify(our)}`,
  )
  assert.equal(unwanted.length, 0, `${unwanted.length} answers differ\n${lines.join('\n')}`)
}

test('T3, T5, T6, T9: transactions of both versions get the answers, the records and the markers of Kafka 4.3', (t) =>
  compare(t, runTransactions))

test('producers whose epochs are used up get what Kafka 4.3 gives them', (t) => compare(t, runOutOfEpochs))
