import type { Caller } from '@tidelog/coordinator'
import type { RequestContext } from '../request-context.ts'

/** Who sent a request, as groups keep it and tools show it: the address as Java prints it. */
export const groupCaller = ({ apiVersion, clientId, connection }: RequestContext): Caller => ({
  apiVersion,
  clientId: clientId ?? '',
  clientHost: `/${connection.remoteAddress}`,
})
