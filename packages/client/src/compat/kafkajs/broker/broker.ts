import { type Clock, libuvOffload } from '@tidelog/core'
import { type Api, Produce } from '@tidelog/protocol'
import type { Cluster } from '../../../cluster/cluster.ts'
import { KafkaJSMemberIdRequired } from '../errors.ts'
import type { AclFilter } from '../types-admin-requests.ts'
import type { ApiVersions, Broker } from '../types-group.ts'
import { type CreateAclsGiven, createAclsCall, type DeleteAclsGiven, deleteAclsCall, describeAclsCall } from './acl-calls.ts'
import { type BrokerCall, callErrorOf } from './broker-call.ts'
import * as groups from './group-calls.ts'
import type { BatchTools } from './record-batches.ts'
import * as records from './record-calls.ts'
import * as topics from './topic-calls.ts'
import * as transactions from './transaction-calls.ts'

/** Where a broker is. */
export interface BrokerPlace {
  readonly nodeId: number
  readonly host: string
  readonly port: number
}

export interface BrokerOptions {
  /** Whose connections to the broker are used. */
  readonly cluster: Cluster
  readonly clock: Clock
  readonly allowAutoTopicCreation: boolean
}

const MOST_MS = 2_147_483_647

/**
 * kafkajs's Broker: requests to one broker, each sent once, in kafkajs's versions of them, with kafkajs's names for what they take and give.
 * It connects by itself whenever there is something to send.
 */
export class KafkaJSBroker implements Broker {
  readonly nodeId: number
  readonly #place: BrokerPlace
  readonly #options: BrokerOptions
  readonly #tools: BatchTools
  readonly #pending = new Set<Promise<unknown>>()
  /** Monotonic; until then the broker wants to hear nothing. KIP-219. */
  #quietUntilMs = 0

  constructor(place: BrokerPlace, options: BrokerOptions) {
    this.nodeId = place.nodeId
    this.#place = place
    this.#options = options
    this.#tools = { now: () => options.clock.now(), offload: libuvOffload() }
  }

  /** Is it still where it was? */
  isAt({ host, port }: BrokerPlace): boolean {
    return host === this.#place.host && port === this.#place.port
  }

  isConnected(): boolean {
    const { cluster } = this.#options
    return (['general', 'fetch', 'join'] as const).some((purpose) => cluster.openConnectionTo(this.nodeId, purpose) !== undefined)
  }

  /** @throws KafkaJSConnectionError, KafkaJSSASLAuthenticationError */
  async connect(): Promise<void> {
    try {
      await this.#options.cluster.connectionTo(this.nodeId)
    } catch (error) {
      throw callErrorOf(error, Produce)
    }
  }

  /** Waits for what is under way. */
  async disconnect(): Promise<void> {
    await Promise.allSettled(this.#pending)
    this.#options.cluster.disconnectFrom(this.#place)
  }

  apiVersions(): Promise<ApiVersions> {
    return this.#send(topics.apiVersionsCall, undefined)
  }

  // --- records -------------------------------------------------------------------------------------------------------------------------

  /** @returns undefined with `acks: 0`, which no broker answers */
  produce(given: records.ProduceGiven) {
    const call = records.produceCall(this.#tools)
    return given.acks === 0 ? this.#sendUnanswered(call, given) : this.#send(call, given)
  }

  fetch(given: records.FetchGiven) {
    return this.#send(records.fetchCall(this.#tools), given)
  }

  listOffsets(given: records.ListOffsetsGiven) {
    return this.#send(records.listOffsetsCall, given)
  }

  deleteRecords(given: records.DeleteRecordsGiven) {
    return this.#send(records.deleteRecordsCall, given)
  }

  // --- topics --------------------------------------------------------------------------------------------------------------------------

  /** Of all topics when none are named. */
  metadata(names: readonly string[] = []) {
    return this.#send(topics.metadataCall, { topics: names, allowAutoTopicCreation: this.#options.allowAutoTopicCreation })
  }

  createTopics(given: topics.CreateTopicsGiven) {
    return this.#send(topics.createTopicsCall, given)
  }

  createPartitions(given: topics.CreatePartitionsGiven) {
    return this.#send(topics.createPartitionsCall, given)
  }

  deleteTopics(given: topics.DeleteTopicsGiven) {
    return this.#send(topics.deleteTopicsCall, given)
  }

  describeConfigs(given: topics.DescribeConfigsGiven) {
    return this.#send(topics.describeConfigsCall, given)
  }

  alterConfigs(given: topics.AlterConfigsGiven) {
    return this.#send(topics.alterConfigsCall, given)
  }

  alterPartitionReassignments(given: topics.AlterReassignmentsGiven) {
    return this.#send(topics.alterReassignmentsCall, given)
  }

  listPartitionReassignments(given: topics.ListReassignmentsGiven) {
    return this.#send(topics.listReassignmentsCall, given)
  }

  createAcls(given: CreateAclsGiven) {
    return this.#send(createAclsCall, given)
  }

  describeAcls(given: AclFilter) {
    return this.#send(describeAclsCall, given)
  }

  deleteAcls(given: DeleteAclsGiven) {
    return this.#send(deleteAclsCall, given)
  }

  // --- groups --------------------------------------------------------------------------------------------------------------------------

  findGroupCoordinator(given: groups.FindCoordinatorGiven) {
    return this.#send(groups.findCoordinatorCall, given)
  }

  /** Joins again with the id that the coordinator gives a new member. KIP-394. */
  async joinGroup(given: groups.JoinGroupGiven) {
    try {
      return await this.#send(groups.joinGroupCall, given)
    } catch (error) {
      if (!(error instanceof KafkaJSMemberIdRequired)) throw error
      return this.#send(groups.joinGroupCall, { ...given, memberId: error.memberId })
    }
  }

  syncGroup(given: groups.SyncGroupGiven) {
    return this.#send(groups.syncGroupCall, given)
  }

  heartbeat(given: groups.HeartbeatGiven) {
    return this.#send(groups.heartbeatCall, given)
  }

  leaveGroup(given: groups.LeaveGroupGiven) {
    return this.#send(groups.leaveGroupCall, given)
  }

  describeGroups(given: groups.DescribeGroupsGiven) {
    return this.#send(groups.describeGroupsCall, given)
  }

  listGroups() {
    return this.#send(groups.listGroupsCall, undefined)
  }

  deleteGroups(groupIds: string[]) {
    return this.#send(groups.deleteGroupsCall, groupIds)
  }

  offsetCommit(given: groups.OffsetCommitGiven) {
    return this.#send(groups.offsetCommitCall, given)
  }

  offsetFetch(given: groups.OffsetFetchGiven) {
    return this.#send(groups.offsetFetchCall, given)
  }

  // --- transactions --------------------------------------------------------------------------------------------------------------------

  initProducerId(given: transactions.InitProducerIdGiven) {
    return this.#send(transactions.initProducerIdCall, given)
  }

  addPartitionsToTxn(given: transactions.AddPartitionsGiven) {
    return this.#send(transactions.addPartitionsCall, given)
  }

  addOffsetsToTxn(given: transactions.AddOffsetsGiven) {
    return this.#send(transactions.addOffsetsCall, given)
  }

  txnOffsetCommit(given: transactions.TxnOffsetCommitGiven) {
    return this.#send(transactions.txnOffsetCommitCall, given)
  }

  endTxn(given: transactions.EndTxnGiven) {
    return this.#send(transactions.endTxnCall, given)
  }

  // --- sending -------------------------------------------------------------------------------------------------------------------------

  #send<A extends Api, Given, Answer>(call: BrokerCall<A, Given, Answer>, given: Given): Promise<Answer> {
    return this.#counted(call.api, async () => {
      const { cluster, clock } = this.#options
      const connection = await this.#connection(call)
      const heldMs = call.heldMs?.(given) ?? 0
      const timeoutMs = Math.min(MOST_MS, cluster.config['request.timeout.ms'] + heldMs)
      const response = await connection.send(call.api, await call.request(given), { maxVersion: call.newest, timeoutMs })
      const { throttleTimeMs = 0 } = response as { readonly throttleTimeMs?: number }
      this.#quietUntilMs = clock.monotonic() + throttleTimeMs
      return call.answer(response, given)
    })
  }

  #sendUnanswered<A extends Api, Given, Answer>(call: BrokerCall<A, Given, Answer>, given: Given): Promise<undefined> {
    return this.#counted(call.api, async () => {
      const connection = await this.#connection(call)
      const request = await call.request(given)
      await connection.sendNoResponse(call.api, () => request, { maxVersion: call.newest })
      return undefined
    })
  }

  async #connection<A extends Api, Given, Answer>({ purpose }: BrokerCall<A, Given, Answer>) {
    const { cluster, clock } = this.#options
    const quietMs = this.#quietUntilMs - clock.monotonic()
    if (quietMs > 0) await cluster.sleep(quietMs)
    return cluster.connectionTo(this.nodeId, purpose ?? 'general')
  }

  async #counted<T>(api: Api, attempt: () => Promise<T>): Promise<T> {
    const attempted = attempt()
    this.#pending.add(attempted)
    try {
      return await attempted
    } catch (error) {
      throw callErrorOf(error, api)
    } finally {
      this.#pending.delete(attempted)
    }
  }
}
