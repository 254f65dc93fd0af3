import assert from 'node:assert/strict'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import test, { after, before } from 'node:test'
import { installed, root, succeed } from './harness.ts'

/** The oldest that is supported, and the newest of each line that is. */
const nodeVersions = ['20.19.0', '22.23.3', '24.21.0']
/** npm's package of Node itself. */
const nodePackage = `node-linux-${process.arch}`

/** What a user's program does: a broker, a topic, records as JSON and as Avro there and back, a codec that needs native code or WebAssembly. */
const body = `
async function main() {
  const broker = await startBroker()
  const { bootstrapServers } = broker
  const admin = new Admin({ bootstrapServers })
  await admin.createTopics([{ topic: 'orders', numPartitions: 1 }, { topic: 'points', numPartitions: 1 }])
  const points = avro({ schema: { type: 'record', name: 'Point', fields: [{ name: 'x', type: 'int' }] } })
  const read = async (topic, valueDeserializer) => {
    const consumer = new Consumer({ bootstrapServers, valueDeserializer, autoOffsetReset: 'earliest' })
    consumer.assign([{ topic, partition: 0 }])
    const values = []
    for await (const record of consumer.records()) if (values.push(record.value) === 2) break
    await consumer.close()
    return JSON.stringify(values)
  }
  for (const [compressionType, topic, serde, values] of [['zstd', 'orders', json(), [{ id: 'a' }, { id: 'ü' }]], ['lz4', 'points', points, [{ x: 1 }, { x: -1 }]]]) {
    const producer = new Producer({ bootstrapServers, valueSerializer: serde, compressionType })
    await producer.sendMany(values.map((value) => ({ topic, value })))
    await producer.close()
    console.log(await read(topic, serde))
  }
  await admin.close()
  await broker.close()
}
main().then(() => console.log('ended on', process.versions.node))
`
const programs = {
  'esm.mjs': `import { Admin, Consumer, json, Producer, startBroker } from 'tidelog'\nimport { avro } from 'tidelog/serdes/avro'\n${body}`,
  'cjs.cjs': `const { Admin, Consumer, json, Producer, startBroker } = require('tidelog')\nconst { avro } = require('tidelog/serdes/avro')\n${body}`,
}

/** A folder in which somebody has installed the packed package. */
const project = mkdtempSync(join(tmpdir(), 'tidelog-packed-'))
after(() => rmSync(project, { recursive: true, force: true }))

before(async () => {
  // The build is there already: whoever runs this file has made it.
  await succeed('npm', ['pack', '--ignore-scripts', '--pack-destination', project], { cwd: root })
  const { version, devDependencies } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8'))
  writeFileSync(join(project, 'package.json'), '{ "private": true }')
  await succeed('npm', ['install', '--ignore-scripts', `./tidelog-${version}.tgz`, `avsc@${devDependencies.avsc}`], {
    cwd: project,
    timeoutMs: 120_000,
  })
  for (const [name, program] of Object.entries(programs)) writeFileSync(join(project, name), program)
})

for (const version of nodeVersions) {
  for (const name of Object.keys(programs)) {
    test(`the packed package works on Node ${version}, in ${name}`, async () => {
      const dir = await installed(`node-${version}`, async (target) => {
        await succeed('npm', ['install', '--ignore-scripts', '--prefix', target, `${nodePackage}@${version}`], { timeoutMs: 300_000 })
      })
      const node = join(dir, 'node_modules', nodePackage, 'bin', 'node')
      const { stdout } = await succeed(node, [name], { cwd: project })
      assert.equal(stdout, `[{"id":"a"},{"id":"ü"}]\n[{"x":1},{"x":-1}]\nended on ${version}\n`)
    })
  }
}
