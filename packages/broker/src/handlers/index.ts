import type { ApiName, apis } from '@tidelog/protocol'
import type { DefinedHandler } from '../define-handler.ts'
import { apiVersions } from './18-api-versions.ts'

/** What no client can ask of this broker: later issues, other brokers' and the controller quorum's business. ApiVersions does not announce them. */
export const notServed = [] as const satisfies readonly ApiName[]

export type ServedApi = Exclude<ApiName, (typeof notServed)[number]>

/** Every served API's handler; the compiler names the one that is missing. */
export const handlers = {
  ApiVersions: apiVersions,
} satisfies { [K in ServedApi]?: DefinedHandler<(typeof apis)[K]> }
