/** A broker on one of the disks of lying-disks.ts, as a process, so that it can be killed: `node planted-broker.js DISK DIR PORT CONTROL`. */
import { createLogger } from '@tidelog/core'
import { startBroker } from '@tidelog/tidelog'
import { type DiskName, disks } from './lying-disks.ts'

const [disk, dir, port, control] = process.argv.slice(2) as [DiskName, string, string, string]
const broker = await startBroker({
  config: { listeners: `PLAINTEXT://127.0.0.1:${port}`, 'log.dirs': dir, 'offsets.topic.num.partitions': '1' },
  fs: disks[disk](control),
  logger: createLogger({ level: 'warn' }),
})
process.stdout.write('serves\n')
await broker.closed.catch((error: unknown) => {
  process.stderr.write(`${error}\n`)
  process.exitCode = 1
})
