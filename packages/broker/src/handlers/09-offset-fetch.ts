import type { OffsetOfPartition } from '@tidelog/coordinator'
import { ZERO_UUID } from '@tidelog/core'
import { errorTable, OffsetFetch, type OffsetFetchRequest, type ResponseInput } from '@tidelog/protocol'
import { defineHandler, errorCodeOf } from '../define-handler.ts'
import type { RequestContext } from '../request-context.ts'

type Response = ResponseInput<typeof OffsetFetch>
type Group = OffsetFetchRequest['groups'][number]
type GroupRow = NonNullable<Response['groups']>[number]
type WantedTopic = NonNullable<Group['topics']>[number]
type TopicRow = GroupRow['topics'][number]

/** From here on a request names several groups. Source: KIP-709. */
const groupsVersion = 8
/** From here on topics are named by id alone. Source: KIP-516. */
const topicIdVersion = 10
/** Before, an error has no place but beside each partition. */
const topLevelErrorVersion = 2

const noOffset = (partitionIndex: number, errorCode: number): OffsetOfPartition => ({
  partitionIndex,
  committedOffset: -1,
  committedLeaderEpoch: -1,
  metadata: '',
  errorCode,
})

/** The committed offsets of each group, of the partitions named or of all; -1 where none is committed. */
export const offsetFetch = defineHandler(
  OffsetFetch,
  async (request, context) => {
    const groups = await Promise.all(
      groupsOf(request, context.apiVersion).map((group) => fetchGroup(group, request.requireStable, context)),
    )
    return context.apiVersion >= groupsVersion ? { groups } : oldForm(groups[0]!)
  },
  {
    errorResponse: (request, errorCode, _, apiVersion) => {
      const groups = groupsOf(request, apiVersion).map((group) => failed(group, errorCode, apiVersion))
      return apiVersion >= groupsVersion ? { groups } : oldForm(groups[0]!)
    },
  },
)

/** Every version in the form of the newest. */
function groupsOf({ groupId, topics, groups }: OffsetFetchRequest, apiVersion: number): Group[] {
  if (apiVersion >= groupsVersion) return groups
  const named = topics?.map(({ name, partitionIndexes }) => ({ name, topicId: ZERO_UUID, partitionIndexes })) ?? null
  return [{ groupId, memberId: null, memberEpoch: -1, topics: named }]
}

const oldForm = ({ topics, errorCode }: GroupRow): Response => ({
  topics: topics.map(({ name = '', partitions }) => ({ name, partitions })),
  errorCode: errorCode ?? 0,
})

function failed({ groupId, topics }: Group, errorCode: number, apiVersion: number): GroupRow {
  if (apiVersion >= topLevelErrorVersion) return { groupId, topics: [], errorCode }
  return { groupId, topics: (topics ?? []).map((topic) => topicRow(topic, errorCode)), errorCode }
}

const topicRow = ({ name, topicId, partitionIndexes }: WantedTopic, errorCode: number): TopicRow => ({
  name,
  topicId,
  partitions: partitionIndexes.map((partitionIndex) => noOffset(partitionIndex, errorCode)),
})

async function fetchGroup(group: Group, requireStable: boolean, context: RequestContext): Promise<GroupRow> {
  const { groupId, topics } = group
  try {
    context.authorize('Describe', 'Group', groupId)
    const rows = topics === null ? await fetchAll(group, requireStable, context) : await fetchNamed(group, topics, requireStable, context)
    return { groupId, topics: rows, errorCode: 0 }
  } catch (error) {
    return failed(group, errorCodeOf(error, context).errorCode, context.apiVersion)
  }
}

async function fetchAll(group: Group, requireStable: boolean, context: RequestContext): Promise<TopicRow[]> {
  const { groups, image } = context.broker
  const rows: TopicRow[] = []
  for (const { name, partitions } of await groups.fetchOffsets({ ...group, topics: null, requireStable })) {
    const topicId = image.topic(name)?.topicId
    // By id, a topic that is gone cannot be told.
    if (!context.isAuthorized('Describe', 'Topic', name) || (topicId === undefined && context.apiVersion >= topicIdVersion)) continue
    rows.push({ name, partitions, ...(topicId === undefined ? {} : { topicId }) })
  }
  return rows
}

async function fetchNamed(group: Group, topics: WantedTopic[], requireStable: boolean, context: RequestContext): Promise<TopicRow[]> {
  const { groups, image } = context.broker
  const names = topics.map(({ name, topicId }) => (context.apiVersion < topicIdVersion ? name : image.topicName(topicId)))
  const isReadable = (name: string | undefined) => name !== undefined && context.isAuthorized('Describe', 'Topic', name)
  const readable = topics.flatMap(({ partitionIndexes }, i) => (isReadable(names[i]) ? [{ name: names[i]!, partitionIndexes }] : []))
  const offsets = (await groups.fetchOffsets({ ...group, topics: readable, requireStable })).values()
  return topics.map((topic, i) => {
    if (names[i] === undefined) return topicRow(topic, errorTable.UNKNOWN_TOPIC_ID.code)
    if (!isReadable(names[i])) return topicRow(topic, errorTable.TOPIC_AUTHORIZATION_FAILED.code)
    return { name: topic.name, topicId: topic.topicId, partitions: offsets.next().value!.partitions }
  })
}
