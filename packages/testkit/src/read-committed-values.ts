import { Admin, Consumer, string } from '@tidelog/client'

/** What a reader of committed records finds in a topic up to its end, partition by partition; waits for the markers of transactions that are there. */
export async function readCommittedValues(bootstrapServers: string, topic: string): Promise<string[][]> {
  const admin = new Admin({ bootstrapServers })
  const { partitions } = (await admin.describeTopics([topic])).get(topic)!
  // Not the last stable offset: a commit is answered before its markers are written.
  const ends = await admin.listOffsets(partitions.map(({ partition }) => ({ topic, partition, spec: 'latest' })))
  await admin.close()
  const consumer = new Consumer({ bootstrapServers, valueDeserializer: string, isolationLevel: 'read_committed' })
  try {
    const all = partitions.map(({ partition }) => ({ topic, partition }))
    consumer.assign(all)
    consumer.seekToBeginning()
    const values: string[][] = partitions.map(() => [])
    const isThere = async (): Promise<boolean> => {
      const positions = await Promise.all(all.map((partition) => consumer.position(partition)))
      return all.every((_, index) => positions[index]! >= ends[index]!.offset)
    }
    while (!(await isThere())) {
      for (const { partition, value } of await consumer.poll({ timeoutMs: 100 })) values[partition]!.push(value ?? '')
    }
    return values
  } finally {
    await consumer.close()
  }
}
