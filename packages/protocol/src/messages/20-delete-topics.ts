import { defineApi, type RequestOf, type ResponseOf } from '../schema/define.ts'
import { array, errorCode, int32, nullable, since, string, until, uuid, withDefault } from '../schema/types.ts'

/** Deletes topics, by name or (v6) by id. KIP-4, KIP-516. */
export const DeleteTopics = defineApi({
  key: 20,
  name: 'DeleteTopics',
  versions: [0, 6],
  flexibleFrom: 4,
  request: {
    topics: since(
      6,
      array({
        /** Null: by id. */
        name: withDefault(nullable(string), null),
        topicId: uuid,
      }),
    ),
    topicNames: until(5, array(string)),
    /** How long to wait until the topics are gone; they go all the same. */
    timeoutMs: int32,
  },
  response: {
    throttleTimeMs: since(1, int32, 0),
    responses: array({
      /** Null beside an id that no topic has. */
      name: nullable(string, { since: 6 }),
      topicId: since(6, uuid),
      errorCode,
      errorMessage: since(5, nullable(string), null),
    }),
  },
})
export type DeleteTopicsRequest = RequestOf<typeof DeleteTopics>
export type DeleteTopicsResponse = ResponseOf<typeof DeleteTopics>
