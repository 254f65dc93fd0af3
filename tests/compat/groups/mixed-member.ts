/** Members of one group, each of another make, which tell alike what they own and read. */
import { join } from 'node:path'
import type { TestContext } from 'node:test'
import { Consumer, type ConsumerOptions } from '@tidelog/client'
import { BackgroundProcess } from '../background.ts'
import { compatDir, javaArgs, kafkaJars, pythonWith } from '../harness.ts'

export const GROUP = 'mixed'
export const TOPIC = 'events'

/** How a group works: what its members of each make are told. */
export interface MixedProtocol {
  readonly name: string
  readonly ours: ConsumerOptions<Buffer, Buffer>
  readonly java: readonly string[]
  /** The strategy of librdkafka, or `consumer`. */
  readonly librdkafka: string
}

/** Who has read what, in order. */
export class ReadLog {
  /** By partition and offset: the readers, the first one first. */
  readonly #readers = new Map<number, Map<number, string[]>>()
  /** By partition: who was the first to read records, as far as the one before did not do it too. */
  readonly #turns = new Map<number, string[]>()

  /** @param to Inclusive. */
  note(reader: string, partition: number, from: number, to: number): void {
    const readers = this.#readers.get(partition) ?? new Map<number, string[]>()
    const turns = this.#turns.get(partition) ?? []
    this.#readers.set(partition, readers)
    this.#turns.set(partition, turns)
    for (let offset = from; offset <= to; offset++) {
      const before = readers.get(offset)
      if (before !== undefined) before.push(reader)
      else {
        readers.set(offset, [reader])
        if (turns.at(-1) !== reader) turns.push(reader)
      }
    }
  }

  /** Of all partitions. */
  get recordCount(): number {
    let count = 0
    for (const readers of this.#readers.values()) count += readers.size
    return count
  }

  /** Records that were read more than once, and by whom. */
  get repeats(): { readonly place: string; readonly readers: readonly string[] }[] {
    return [...this.#readers].flatMap(([partition, byOffset]) =>
      [...byOffset].filter(([, readers]) => readers.length > 1).map(([offset, readers]) => ({ place: `${partition}@${offset}`, readers })),
    )
  }

  /** How often another member went on with a partition, at most. Two that own one at a time take turns all the time. */
  get mostTurns(): number {
    return Math.max(...[...this.#turns.values()].map(({ length }) => length))
  }
}

export interface MixedMember {
  readonly owned: ReadonlySet<number>
  /** Goes as one goes that means to. */
  leave(): Promise<void>
  readonly description: string
}

interface VerifiableEvent {
  readonly name: string
  readonly partitions?: readonly { readonly partition: number; readonly minOffset: number; readonly maxOffset: number }[]
}

/** A VerifiableConsumer of Kafka, or member.py, which says the same. */
class ForeignMember implements MixedMember {
  readonly owned = new Set<number>()
  readonly #process: BackgroundProcess

  constructor(t: TestContext, log: ReadLog, command: string, args: readonly string[]) {
    this.#process = new BackgroundProcess(t, command, args, (line) => {
      if (line.startsWith('{')) this.#note(log, command, JSON.parse(line) as VerifiableEvent)
    })
  }

  #note(log: ReadLog, reader: string, { name, partitions = [] }: VerifiableEvent): void {
    for (const { partition, minOffset, maxOffset } of partitions) {
      if (name === 'partitions_assigned') this.owned.add(partition)
      if (name === 'partitions_revoked' || name === 'partitions_lost') this.owned.delete(partition)
      if (name === 'records_consumed') log.note(reader, partition, minOffset, maxOffset)
    }
  }

  async leave(): Promise<void> {
    this.#process.signal('SIGTERM')
    await this.#process.end()
    this.owned.clear()
  }

  get description(): string {
    return `${this.#process.description}\nowned: [${[...this.owned]}]`
  }
}

export async function javaMember(t: TestContext, log: ReadLog, bootstrap: string, { java }: MixedProtocol): Promise<MixedMember> {
  const tool = ['-Xmx128M', ...javaArgs, '-cp', await kafkaJars('4.3.0'), 'org.apache.kafka.tools.VerifiableConsumer']
  return new ForeignMember(t, log, 'java', [...tool, '--bootstrap-server', bootstrap, '--topic', TOPIC, '--group-id', GROUP, ...java])
}

export async function librdkafkaMember(
  t: TestContext,
  log: ReadLog,
  bootstrap: string,
  { librdkafka }: MixedProtocol,
): Promise<MixedMember> {
  const python = await pythonWith('confluent-kafka-2.16.0', ['confluent-kafka==2.16.0'])
  return new ForeignMember(t, log, python, [join(compatDir, 'python', 'member.py'), bootstrap, GROUP, TOPIC, librdkafka])
}

/** What our members are called in the log. */
export const OURS = 'ours'

/** A consumer of ours in this process; it commits what it has handled when partitions go and when it closes. */
export function ourMember(t: TestContext, log: ReadLog, bootstrapServers: string, { ours }: MixedProtocol): MixedMember {
  const owned = new Set<number>()
  const name = `${OURS} ${Math.round(performance.now())}`
  const consumer = new Consumer({ bootstrapServers, groupId: GROUP, autoOffsetReset: 'earliest', fetchMaxWaitMs: 50, ...ours })
  const drop = (partitions: readonly { partition: number }[]) => {
    for (const { partition } of partitions) owned.delete(partition)
  }
  consumer.subscribe([TOPIC], {
    onAssigned: (partitions) => {
      for (const { partition } of partitions) owned.add(partition)
    },
    onRevoked: drop,
    onLost: drop,
  })
  const failures: unknown[] = []
  const running = consumer
    .run({ eachRecord: ({ partition, offset }) => log.note(name, partition, offset, offset) })
    .catch((error) => failures.push(error))
  t.after(() => consumer.close({ timeoutMs: 5000 }))
  return {
    owned,
    async leave() {
      await consumer.close()
      await running
      if (failures.length > 0) throw failures[0]
    },
    get description() {
      return `ours, owned: [${[...owned]}] ${failures.map(String)}`
    },
  }
}
