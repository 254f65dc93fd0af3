import { ApiVersions, UpdateFeatures } from '@tidelog/protocol'
import { clientSoftware } from '../cluster/broker-connection.ts'
import { BrokerError, checkErrorCode } from '../errors.ts'
import { type AdminCallOptions, type AdminContext, callOptions, type ValidateOnly } from './admin-client.ts'
import { onController } from './per-item.ts'
import { allOrThrow } from './results.ts'

/** The features of a cluster and of the broker that was asked. */
export interface FeatureMetadata {
  /** Levels that the cluster runs, by feature; a feature that it runs without is not in it. */
  readonly finalizedFeatures: ReadonlyMap<string, { readonly minVersionLevel: number; readonly maxVersionLevel: number }>
  /** Grows with every change of them; undefined when the broker does not know them. */
  readonly finalizedFeaturesEpoch: number | undefined
  /** Levels that the broker can run, by feature. */
  readonly supportedFeatures: ReadonlyMap<string, { readonly minVersion: number; readonly maxVersion: number }>
}

/** What describeFeatures() takes. */
export interface DescribeFeaturesOptions extends AdminCallOptions {
  /** Asks this broker; any when absent. */
  readonly nodeId?: number | undefined
}

export async function describeFeatures(context: AdminContext, { nodeId, ...options }: DescribeFeaturesOptions): Promise<FeatureMetadata> {
  const { cluster } = context
  return cluster.retry(callOptions(context, 'describeFeatures', options), async () => {
    const connection = nodeId === undefined ? await cluster.anyConnection(options) : await cluster.connectionTo(nodeId, 'general', options)
    const response = await connection.send(ApiVersions, clientSoftware)
    checkErrorCode(response.errorCode, 'features')
    const { finalizedFeatures, finalizedFeaturesEpoch, supportedFeatures } = response
    return {
      finalizedFeatures: new Map(finalizedFeatures.map(({ name, ...levels }) => [name, levels])),
      finalizedFeaturesEpoch: finalizedFeaturesEpoch < 0 ? undefined : finalizedFeaturesEpoch,
      supportedFeatures: new Map(supportedFeatures.map(({ name, ...range }) => [name, range])),
    }
  })
}

/** A feature and the level that it shall have. */
export interface FeatureUpdate {
  readonly feature: string
  /** 0: run without the feature. */
  readonly maxVersionLevel: number
  /** `upgrade` when absent. An unsafe downgrade may lose metadata. */
  readonly upgradeType?: 'upgrade' | 'safe-downgrade' | 'unsafe-downgrade'
}

const upgradeTypeCodes = { upgrade: 1, 'safe-downgrade': 2, 'unsafe-downgrade': 3 } as const

/** All or none of them. @throws The reason, of one feature, else PartialFailureError with the reason for each */
export async function updateFeatures(
  context: AdminContext,
  updates: readonly FeatureUpdate[],
  { validateOnly = false, ...options }: ValidateOnly,
): Promise<void> {
  const retry = callOptions(context, 'updateFeatures', options)
  const outcomes = await onController(context, retry, async (connection) => {
    const { errorCode, errorMessage, results } = await connection.send(UpdateFeatures, {
      timeoutMs: context.config['request.timeout.ms'],
      featureUpdates: updates.map(({ feature, maxVersionLevel, upgradeType = 'upgrade' }) => ({
        feature,
        maxVersionLevel,
        upgradeType: upgradeTypeCodes[upgradeType],
      })),
      validateOnly,
    })
    const failure = errorCode === 0 ? undefined : new BrokerError(errorCode, 'updateFeatures', errorMessage)
    if (failure?.retriable) throw failure
    const rows = failure === undefined ? results : updates.map(({ feature }) => ({ feature, errorCode, errorMessage }))
    return rows.map(({ feature, errorCode: code, errorMessage: message }) => {
      return [feature, code === 0 ? { value: undefined } : { error: new BrokerError(code, `feature ${feature}`, message) }] as const
    })
  })
  allOrThrow('updateFeatures', outcomes)
}
