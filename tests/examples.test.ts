/** The programs of the guides: every function that a file under examples/ exports is run against one broker, by the published files. */
import { existsSync, readdirSync } from 'node:fs'
import { join } from 'node:path'
import { after, before, describe, test } from 'node:test'
import { fileURLToPath, pathToFileURL } from 'node:url'
import { startTestRegistry } from '@tidelog/testkit'
import { startTestBroker } from 'tidelog'

type Example = (bootstrapServers: string, registryUrl: string) => Promise<void>

const root = fileURLToPath(new URL('../..', import.meta.url))
const files = readdirSync(join(root, 'examples', 'dist')).filter(
  (name) => name.endsWith('.js') && existsSync(join(root, 'examples', name.replace(/\.js$/, '.ts'))),
)
const modules = await Promise.all(
  files.map(
    async (file) => [file, (await import(pathToFileURL(join(root, 'examples', 'dist', file)).href)) as Record<string, Example>] as const,
  ),
)

describe('the examples of the guides run', () => {
  let broker: Awaited<ReturnType<typeof startTestBroker>> | undefined
  before(async () => {
    broker = await startTestBroker()
  })
  after(() => broker?.close())
  for (const [file, examples] of modules) {
    for (const [name, example] of Object.entries(examples)) {
      test(`${file.replace(/\.js$/, '')}: ${name.replace(/[A-Z]/g, (letter) => ` ${letter.toLowerCase()}`)}`, async (t) => {
        const { url } = await startTestRegistry(t)
        await example(broker!.bootstrapServers, url)
      })
    }
  }
})
