/** A group of the client's consumers that come, go and are cut off, while records are written; and what must hold meanwhile. */
import assert from 'node:assert/strict'
import type { TestContext } from 'node:test'
import { Admin, Consumer, type ConsumerOptions, Producer, string } from '@tidelog/client'
import type { Random } from '@tidelog/core'
import { ApiProxy, quickGroups, startTestBroker } from '@tidelog/testkit'

export interface Churn {
  readonly random: Random
  /** How many members there are, give or take those that come and go. */
  readonly members: number
  readonly partitions: number
  /** How often one comes, goes or is cut off. */
  readonly changes: number
  readonly options: ConsumerOptions<string, string>
}

const GROUP = 'churn'
const TOPIC = 'events'
/** A member that is cut off is put out after this long. */
const SESSION_MS = 1000
/** Written to each partition, however fast the members change. */
const MIN_RECORDS_EACH = 20
const pause = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms))

/**
 * Who owns what. A member that the coordinator has put out, for want of heartbeats, hears of it late: that others have its partitions by then
 * is right, if what it hears is that they are lost.
 */
class Owners {
  readonly #owners = new Map<number, Member>()
  /** Partitions that a member still has in its mind while another got them. */
  readonly #mustBeLost = new Map<Member, Set<number>>()
  readonly violations: string[] = []

  assigned(member: Member, partitions: readonly number[]): void {
    for (const partition of partitions) {
      const before = this.#owners.get(partition)
      this.#owners.set(partition, member)
      if (before === undefined || before === member || before.isCutOff) continue
      const lost = this.#mustBeLost.get(before) ?? new Set()
      this.#mustBeLost.set(before, lost.add(partition))
    }
  }

  revoked(member: Member, partitions: readonly number[]): void {
    for (const partition of partitions) {
      if (this.#mustBeLost.get(member)?.has(partition))
        this.violations.push(`${member.name} gave ${partition} up when another had it already`)
      this.#gone(member, partition)
    }
  }

  lost(member: Member, partitions: readonly number[]): void {
    for (const partition of partitions) this.#gone(member, partition)
  }

  #gone(member: Member, partition: number): void {
    this.#mustBeLost.get(member)?.delete(partition)
    if (this.#owners.get(partition) === member) this.#owners.delete(partition)
  }

  /** Members that go on as if they owned what others have. */
  get impostors(): string[] {
    return [...this.#mustBeLost].filter(([{ isCutOff }, lost]) => !isCutOff && lost.size > 0).map(([{ name }]) => name)
  }
}

/** A consumer that tells what it owns and has read. */
class Member {
  readonly name: string
  isCutOff = false
  readonly #proxy: ApiProxy | undefined
  readonly #consumer: Consumer<string, string>
  readonly #running: Promise<unknown>
  readonly failures: unknown[] = []

  private constructor(
    name: string,
    bootstrapServers: string,
    proxy: ApiProxy | undefined,
    churn: Churn,
    owners: Owners,
    seen: Set<string>,
  ) {
    this.name = name
    this.#proxy = proxy
    const quick = { retryBackoffMs: 10, reconnectBackoffMs: 10, reconnectBackoffMaxMs: 100, fetchMaxWaitMs: 50, clientId: name }
    this.#consumer = new Consumer<string, string>({
      ...quick,
      bootstrapServers: proxy?.bootstrapServers ?? bootstrapServers,
      groupId: GROUP,
      autoOffsetReset: 'earliest',
      valueDeserializer: string,
      ...churn.options,
      ...(churn.options.groupProtocol === 'consumer' ? {} : { heartbeatIntervalMs: 100, sessionTimeoutMs: SESSION_MS }),
    })
    const hearing = (hear: (member: Member, partitions: readonly number[]) => void) => (partitions: readonly { partition: number }[]) => {
      if (!this.isCutOff)
        hear.call(
          owners,
          this,
          partitions.map(({ partition }) => partition),
        )
    }
    this.#consumer.subscribe([TOPIC], {
      onAssigned: hearing(owners.assigned),
      onRevoked: hearing(owners.revoked),
      onLost: hearing(owners.lost),
    })
    this.#running = this.#consumer.run({ eachRecord: ({ value }) => void seen.add(value!) }).catch((error) => this.failures.push(error))
  }

  /** @param isDoomed It can be cut off. */
  static async join(
    t: TestContext,
    broker: { readonly bootstrapServers: string; readonly host: string; readonly port: number; readonly nodeId: number },
    { name, isDoomed, churn, owners, seen }: { name: string; isDoomed: boolean; churn: Churn; owners: Owners; seen: Set<string> },
  ): Promise<Member> {
    return new Member(name, broker.bootstrapServers, isDoomed ? await ApiProxy.start(t, broker) : undefined, churn, owners, seen)
  }

  get canBeCutOff(): boolean {
    return this.#proxy !== undefined
  }

  get owned(): number {
    return this.#consumer.assignment().length
  }

  async leave(): Promise<void> {
    await this.#consumer.close({ timeoutMs: 5000 })
    await this.#running
    if (!this.isCutOff && this.failures.length > 0) throw this.failures[0]
  }

  /** Nothing of what it says is heard any more; the group finds out when its session is over. */
  async cutOff(): Promise<void> {
    this.isCutOff = true
    this.#proxy!.close()
    await this.#consumer.close({ timeoutMs: 10 })
    await this.#running
  }
}

/** @returns Counts for a diagnostic. */
export async function churn(t: TestContext, given: Churn): Promise<string> {
  const { random, members: size, partitions, changes } = given
  const config = {
    ...quickGroups,
    'group.min.session.timeout.ms': String(SESSION_MS),
    'group.consumer.min.session.timeout.ms': String(SESSION_MS),
    'group.consumer.session.timeout.ms': String(SESSION_MS),
  }
  const broker = await startTestBroker({ config })
  const { bootstrapServers } = broker
  const admin = new Admin({ bootstrapServers })
  const producer = new Producer({ bootstrapServers, valueSerializer: string })
  let members: Member[] = []
  t.after(async () => {
    await Promise.all(members.map((member) => member.leave().catch(() => {})))
    await producer.close({ timeoutMs: 2000 })
    await admin.close()
    await broker.close()
  })
  await admin.createTopics([{ topic: TOPIC, numPartitions: partitions }])

  const written = new Set<string>()
  let isWriting = true
  const writing = (async () => {
    for (let n = 0; isWriting || n < MIN_RECORDS_EACH; n++) {
      const records = Array.from({ length: partitions }, (_, partition) => ({ topic: TOPIC, partition, value: `${partition}:${n}` }))
      await producer.sendMany(records)
      for (const { value } of records) written.add(value)
      await pause(5)
    }
  })()

  const owners = new Owners()
  const seen = new Set<string>()
  let count = 0
  let cuts = 0
  const join = () => {
    const details = { name: `member-${count++}`, isDoomed: random.int(3) === 0, churn: given, owners, seen }
    return Member.join(t, broker, details).then((member) => void members.push(member))
  }
  const going: Promise<void>[] = []
  for (let first = 0; first < size; first++) await join()
  for (let change = 0; change < changes; change++) {
    await pause(random.int(120))
    const goes = members.length > 1 && random.int(2 * size) < members.length
    if (!goes) {
      await join()
      continue
    }
    const member = members[random.int(members.length)]!
    members = members.filter((other) => other !== member)
    if (member.canBeCutOff) cuts++
    going.push(member.canBeCutOff ? member.cutOff() : member.leave())
  }
  await Promise.all(going)
  isWriting = false
  await writing
  const deadline = performance.now() + 60_000
  const settled = () =>
    seen.size === written.size && members.reduce((sum, { owned }) => sum + owned, 0) === partitions && owners.impostors.length === 0
  while (!settled()) {
    assert.ok(
      performance.now() < deadline,
      `${seen.size} of ${written.size} records read; owned: ${members.map(({ name, owned }) => `${name} ${owned}`)}; ${owners.impostors}`,
    )
    for (const { name, failures } of members) assert.deepEqual(failures, [], name)
    await pause(20)
  }
  assert.deepEqual(owners.violations, [])
  return `${count} members, ${cuts} of them cut off, ${written.size} records`
}
