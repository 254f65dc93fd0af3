import { type ApiName, apis } from './messages/index.ts'
import type { Api } from './schema/define.ts'

const byKey: ReadonlyMap<number, Api> = new Map(Object.values(apis).map((api) => [api.key, api as unknown as Api]))

/** The API of a key from the wire; undefined when Kafka 3.9 and 4.3 know none. */
export const apiByKey = (key: number): Api | undefined => byKey.get(key)

export const apiNames = Object.keys(apis) as readonly ApiName[]
