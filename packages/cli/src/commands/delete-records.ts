import { readFileSync } from 'node:fs'
import type { RecordsToDelete } from '@tidelog/client'
import { connectionOptions, connectionProperties } from '../clients.ts'
import { CommandFailure, defineCommand } from '../command.ts'
import { javaText } from '../java-error.ts'
import { text } from '../option-table.ts'
import { requireOption } from '../rules.ts'

/** kafka-delete-records. */
export const deleteRecords = defineCommand({
  name: 'delete-records',
  summary: 'Deletes the records of partitions up to an offset.',
  options: {
    ...connectionOptions,
    'offset-json-file': text('{"partitions":[{"topic":"t","partition":0,"offset":5}],"version":1}; offset -1 deletes all.', {
      required: true,
      value: 'file',
    }),
  },
  check: (values) => requireOption(values, 'bootstrap-server'),
  async run(values, { clients, stdout, interrupted: signal }) {
    const records = readOffsets(values['offset-json-file'] as string)
    const admin = await clients.admin(connectionProperties(values))
    try {
      stdout.write('Executing records delete operation\nRecords delete operation completed:\n')
      let failed = false
      for (const { topic, partition, beforeOffset } of records) {
        const result = await admin.deleteRecords([{ topic, partition, beforeOffset }], { signal }).then(
          ([deleted]) => `low_watermark: ${deleted?.lowWatermark}`,
          (error: unknown) => {
            signal.throwIfAborted()
            failed = true
            return `error: ${javaText(error)}`
          },
        )
        stdout.write(`partition: ${topic}-${partition}\t${result}\n`)
      }
      return failed ? 1 : 0
    } finally {
      await admin.close()
    }
  },
})

/** @throws CommandFailure when the file cannot be read, or is not of the form, or names a partition twice. */
function readOffsets(path: string): RecordsToDelete[] {
  try {
    const { version = 1, partitions } = JSON.parse(readFileSync(path, 'utf8')) as { version?: unknown; partitions?: unknown }
    if (version !== 1) throw new Error(`Not supported version field value ${String(version)}`)
    if (!Array.isArray(partitions)) throw new Error('Missing partitions field')
    const seen = new Set<string>()
    return partitions.map(({ topic, partition, offset }: Record<string, unknown>) => {
      if (typeof topic !== 'string' || !isCount(partition) || !(isCount(offset) || offset === -1))
        throw new Error('every partition needs a topic, a partition and an offset')
      const name = `${topic}-${partition}`
      if (seen.has(name)) throw new Error(`Offset json file contains duplicate topic partitions: ${name}`)
      seen.add(name)
      return { topic, partition, beforeOffset: offset as number }
    })
  } catch (error) {
    throw new CommandFailure(`Cannot use ${path}: ${(error as Error).message}`)
  }
}

function isCount(value: unknown): value is number {
  return Number.isSafeInteger(value) && (value as number) >= 0
}
