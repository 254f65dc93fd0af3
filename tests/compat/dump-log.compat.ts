import assert from 'node:assert/strict'
import { readdirSync } from 'node:fs'
import { join } from 'node:path'
import test from 'node:test'
import { kafkaTool, root, run } from './harness.ts'

const golden = join(root, 'packages', 'storage', 'fixtures', 'golden', 'data')
const named = (pattern: RegExp): string =>
  readdirSync(golden, { recursive: true, encoding: 'utf8' })
    .filter((path) => pattern.test(path))
    .sort()
    .map((path) => join(golden, path))
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
]

test('dump-log prints what kafka-dump-log 4.3 prints of a directory that Kafka wrote, byte for byte', async () => {
  for (const args of dumps) {
    const kafkas = await kafkaTool('4.3.0', 'org.apache.kafka.tools.DumpLogSegments', args)
    const ours = await run(join(root, 'bin', 'kafka-dump-log.sh'), args)
    const shown = args.slice(0, -1).join(' ')
    assert.equal(ours.stdout, kafkas.stdout, shown)
    assert.equal(ours.stderr, kafkas.stderr, shown)
    assert.equal(ours.code, kafkas.code, shown)
  }
})
