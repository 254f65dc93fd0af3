/** As tidelog.ts, whose records are read by the batch. */
import { type Seen, subscribed } from './tidelog.ts'

export { producer, singles } from './tidelog.ts'

export async function consumer(bootstrapServers: string, topic: string, seen: Seen): Promise<void> {
  for await (const batch of subscribed(bootstrapServers, topic).batches()) {
    let bytes = 0
    for (const { value } of batch) bytes += value!.length
    if (seen(bytes)) return
  }
}
