import type { FramedConnection } from '@tidelog/net'
import { errorTable, Heartbeat, JoinGroup, type JoinGroupResponse, LeaveGroup, SyncGroup } from '@tidelog/protocol'

const memberIdRequired = errorTable.MEMBER_ID_REQUIRED.code
const noGeneration = -1

export interface RawMemberOptions {
  readonly groupId: string
  readonly sessionTimeoutMs?: number
  readonly rebalanceTimeoutMs?: number
  readonly groupInstanceId?: string | null
}

/** A member of a classic group that does just what it is told, over a connection of its own. Every call answers with Kafka's error code. */
export class RawMember {
  readonly connection: FramedConnection
  readonly #options: Required<RawMemberOptions>
  /** Version 0 of a consumer's subscription, of no topics, without user data. */
  #metadata: Buffer = Buffer.from('000000000000ffffffff', 'hex')
  memberId = ''
  generation = noGeneration
  /** Undefined until it has joined; the leader's names every member. */
  joined: JoinGroupResponse | undefined
  assignment: Buffer = Buffer.alloc(0)

  constructor(connection: FramedConnection, options: RawMemberOptions) {
    this.connection = connection
    this.#options = {
      sessionTimeoutMs: 10_000,
      rebalanceTimeoutMs: 10_000,
      groupInstanceId: null,
      ...options,
    }
  }

  /**
   * Also asks for its member id first, when it has none.
   * @param metadata Sent as its subscription from now on: another one than before makes a stable group rebalance.
   */
  async join(metadata = this.#metadata): Promise<number> {
    this.#metadata = metadata
    const request = { ...this.#options, protocolType: 'consumer', protocols: [{ name: 'range', metadata }] }
    let response = await this.connection.send(JoinGroup, 9, { ...request, memberId: this.memberId })
    if (response.errorCode === memberIdRequired) {
      this.memberId = response.memberId
      response = await this.connection.send(JoinGroup, 9, { ...request, memberId: this.memberId })
    }
    if (response.errorCode !== 0) return response.errorCode
    this.memberId = response.memberId
    this.generation = response.generationId
    this.joined = response
    return 0
  }

  /** @param assign What each member gets; asked of the leader only. */
  async sync(assign: (memberIds: readonly string[]) => ReadonlyMap<string, Buffer>): Promise<number> {
    const memberIds = this.joined?.members.map(({ memberId }) => memberId) ?? []
    const assignments = memberIds.length === 0 ? [] : [...assign(memberIds)].map(([memberId, assignment]) => ({ memberId, assignment }))
    const { groupId, groupInstanceId } = this.#options
    const response = await this.connection.send(SyncGroup, 5, {
      groupId,
      groupInstanceId,
      generationId: this.generation,
      memberId: this.memberId,
      protocolType: 'consumer',
      protocolName: 'range',
      assignments,
    })
    this.assignment = response.assignment
    return response.errorCode
  }

  async heartbeat(): Promise<number> {
    const { groupId, groupInstanceId } = this.#options
    const request = { groupId, groupInstanceId, generationId: this.generation, memberId: this.memberId }
    return (await this.connection.send(Heartbeat, 4, request)).errorCode
  }

  async leave(): Promise<number> {
    const { groupId, groupInstanceId } = this.#options
    const members = [{ memberId: this.memberId, groupInstanceId, reason: null }]
    const { errorCode, members: rows } = await this.connection.send(LeaveGroup, 5, { groupId, members })
    this.forget()
    return errorCode || (rows[0]?.errorCode ?? 0)
  }

  /** As a process that starts anew. */
  forget(): void {
    this.memberId = ''
    this.generation = noGeneration
    this.joined = undefined
  }
}
