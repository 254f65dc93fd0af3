import assert from 'node:assert/strict'
import { readdirSync } from 'node:fs'
import { join } from 'node:path'
import test from 'node:test'
import { temporaryDirectory } from '@tidelog/testkit'
import { writeDumpedGroups } from './dumped-groups.ts'
import { kafkaTool, root, run } from './harness.ts'

const golden = join(root, 'packages', 'storage', 'fixtures', 'golden', 'data')
const kraft = join(root, 'packages', 'storage', 'fixtures', 'kraft')
const named = (pattern: RegExp, dir = golden): string =>
  readdirSync(dir, { recursive: true, encoding: 'utf8' })
    .filter((path) => pattern.test(path))
    .sort()
    .map((path) => join(dir, path))
    .join(',')

const dumps: string[][] = [
  ['--files', named(/\.log$/)],
  ['--deep-iteration', '--files', named(/\.log$/)],
  ['--print-data-log', '--files', named(/\.log$/)],
  ['--print-data-log', '--skip-record-metadata', '--files', named(/\.log$/)],
  ['--max-bytes', '30000', '--files', named(/rolled.*\.log$/)],
  ['--files', named(/(index|snapshot)$/)],
  ['--index-sanity-check', '--files', named(/\.(time)?index$/)],
  ['--verify-index-only', '--files', named(/\.(time)?index$/)],
  ['--offsets-decoder', '--files', named(/__consumer_offsets.*\.log$/)],
  ['--offsets-decoder', '--skip-record-metadata', '--files', named(/__consumer_offsets.*\.log$/)],
  ['--transaction-log-decoder', '--files', named(/__transaction_state.*\.log$/)],
  ['--cluster-metadata-decoder', '--files', named(/__cluster_metadata.*\.(log|checkpoint)$/, kraft)],
  ['--print-data-log', '--files', named(/bootstrap\.checkpoint$/, kraft)],
]

test('dump-log prints what kafka-dump-log 4.3 prints of a directory that Kafka wrote, byte for byte, and of records of every kind of group', async (t) => {
  const { groups, shareStates } = writeDumpedGroups(await temporaryDirectory(t))
  for (const args of [...dumps, ['--offsets-decoder', '--files', groups], ['--share-group-state-decoder', '--files', shareStates]]) {
    const kafkas = await kafkaTool('4.3.0', 'org.apache.kafka.tools.DumpLogSegments', args)
    const ours = await run(join(root, 'bin', 'kafka-dump-log.sh'), args)
    const shown = args.slice(0, -1).join(' ')
    assert.equal(ours.stdout, kafkas.stdout, shown)
    assert.equal(ours.stderr, kafkas.stderr, shown)
    assert.equal(ours.code, kafkas.code, shown)
  }
})
