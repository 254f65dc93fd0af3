/** The programs of the guides: every function that a file under examples/ exports is run against one broker, by the published files. */
import { after, before, describe, test } from 'node:test'
import { startTestRegistry } from '@tidelog/testkit'
import { startTestBroker } from 'tidelog'
import { examples } from './examples.ts'

/** Ours serves no share groups: `npm run test:interop` runs these, and all the others once more, against Apache Kafka. */
const all = (await examples()).filter(([name]) => !name.startsWith('share-consumer'))

describe('the examples of the guides run', () => {
  let broker: Awaited<ReturnType<typeof startTestBroker>> | undefined
  before(async () => {
    broker = await startTestBroker()
  })
  after(() => broker?.close())
  for (const [name, example] of all) {
    test(name, async (t) => {
      const { url } = await startTestRegistry(t)
      await example(broker!.bootstrapServers, url)
    })
  }
})
