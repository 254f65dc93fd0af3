import { ZERO_UUID } from '@tidelog/core'
import { GetTelemetrySubscriptions } from '@tidelog/protocol'
import { checkErrorCode } from '../errors.ts'
import { type AdminCallOptions, type AdminContext, callOptions } from './admin-client.ts'

/** A broker names whoever comes without a name. KIP-714. */
export async function clientInstanceId(context: AdminContext, options: AdminCallOptions): Promise<string> {
  const response = await context.cluster.requestAny(
    GetTelemetrySubscriptions,
    { clientInstanceId: ZERO_UUID },
    callOptions(context, 'clientInstanceId', options),
    ({ errorCode }) => checkErrorCode(errorCode, 'clientInstanceId'),
  )
  return response.clientInstanceId
}
