/** docs/guides/from-kafka-python.md names everything that kafka-python has, and what it names as ours exists. */
import assert from 'node:assert/strict'
import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { errorTable } from '@tidelog/protocol'
import * as tidelog from 'tidelog'

const root = fileURLToPath(new URL('../..', import.meta.url))
const read = (...path: string[]): string => readFileSync(join(root, ...path), 'utf8')

interface Names {
  readonly calls: readonly string[]
  readonly configurations: readonly string[]
}
type Client = 'KafkaProducer' | 'KafkaConsumer' | 'KafkaAdminClient'
/** What tests/compat/python/kafka_python_names.py printed; `npm run test:interop` compares it with the package. */
const kafkaPython: Readonly<Record<Client, Names>> & {
  readonly exports: readonly string[]
  readonly errors: Readonly<Record<string, number | null>>
} = JSON.parse(read('tests', 'compat', 'python', 'kafka-python-names.json'))

/** Rows of the table below a heading: kafka-python's name, ours, a remark. */
function rowsBelow(heading: string): [theirs: string, ours: string, remark: string][] {
  const page = read('docs', 'guides', 'from-kafka-python.md')
  const section = page.split(new RegExp(`^#+ ${heading}$`, 'm'))[1]?.split(/^#+ /m)[0]
  assert.ok(section !== undefined, `no heading ${heading}`)
  return [...section.matchAll(/^\| `([^`]+)` \| (.*?) \| (.*?) \|$/gm)].map(([, theirs, ours, remark]) => [theirs!, ours!, remark!])
}

const clients = {
  KafkaProducer: { variable: 'producer', create: tidelog.Producer },
  KafkaConsumer: { variable: 'consumer', create: tidelog.Consumer },
  KafkaAdminClient: { variable: 'admin', create: tidelog.Admin },
} as const

for (const [client, { variable, create }] of Object.entries(clients) as [Client, (typeof clients)[Client]][]) {
  test(`from-kafka-python: every call of ${client} has its row, and ours are methods`, () => {
    const rows = rowsBelow(`Calls of ${client}`)
    assert.deepEqual(rows.map(([theirs]) => theirs.replace('()', '')).sort(), [...kafkaPython[client].calls].sort())
    for (const [theirs, ours, remark] of rows) {
      for (const [, owner, method] of `${ours} ${remark}`.matchAll(/`(?:await )?(\w+)\.(\w+)\(/g)) {
        if (owner === variable)
          assert.equal(typeof (create.prototype as unknown as Record<string, unknown>)[method!], 'function', `${theirs}: ${method}`)
      }
      assert.ok(ours !== '—' || remark !== '', `${theirs} has neither an equivalent nor a reason`)
      assert.ok(ours === '—' || ours.startsWith(`\`${variable}.`), `${theirs}: ${ours}`)
    }
  })

  test(`from-kafka-python: every configuration of ${client} has its row, and ours are options`, async () => {
    const rows = rowsBelow(`Configurations of ${client}`)
    assert.deepEqual(rows.map(([theirs]) => theirs).sort(), [...kafkaPython[client].configurations].sort())
    for (const [theirs, ours, remark] of rows) {
      const option = /^`(\w+)`$/.exec(ours)?.[1]
      assert.ok(option !== undefined || (ours === '—' && remark !== ''), `${theirs}: ${ours}`)
      // An option that does not exist is refused, whatever its value.
      if (option !== undefined)
        await new create({ bootstrapServers: '127.0.0.1:1', ...(option === 'bootstrapServers' ? {} : { [option]: undefined }) }).close()
    }
  })
}

/** Names that the declarations of the published package define. */
function declared(): ReadonlySet<string> {
  const dir = join(root, 'dist', 'types', 'client')
  const files = readdirSync(dir, { recursive: true, encoding: 'utf8' }).filter((name) => name.endsWith('.d.ts'))
  const texts = files.map((name) => readFileSync(join(dir, name), 'utf8'))
  return new Set(
    texts.flatMap((text) =>
      [...text.matchAll(/\bexport (?:declare )?(?:interface|type|class|const|function) (\w+)/g)].map(([, name]) => name!),
    ),
  )
}

test('from-kafka-python: everything else that the package exports has its row', () => {
  const rows = rowsBelow('The rest of the package')
  assert.deepEqual(rows.map(([theirs]) => theirs).sort(), [...kafkaPython.exports].sort())
  const names = declared()
  for (const [theirs, ours] of rows) assert.ok(names.has(ours.replaceAll('`', '')), `${theirs}: ${ours}`)
})

test('from-kafka-python: every error has its row, with our class and the code that the broker answers', () => {
  const ofClient = rowsBelow('Errors of the client')
  const ofBroker = rowsBelow('Errors that a broker answers')
  assert.deepEqual([...ofClient, ...ofBroker].map(([theirs]) => theirs).sort(), Object.keys(kafkaPython.errors).sort())
  const codes: Readonly<Record<string, { readonly code: number }>> = errorTable
  for (const [theirs, ours, remark] of [...ofClient, ...ofBroker]) {
    const name = ours.replaceAll('`', '')
    assert.ok((name === '—' && remark !== '') || name in tidelog, `${theirs}: ${ours}`)
  }
  for (const [theirs, , code] of ofBroker) assert.equal(codes[code.replaceAll('`', '')]?.code, kafkaPython.errors[theirs], theirs)
})
