import type { FeatureUpgradeType } from '@tidelog/metadata'
import { UpdateFeatures } from '@tidelog/protocol'
import { clusterName } from '../authorized-operations.ts'
import { defineHandler } from '../define-handler.ts'

/** By code on the wire. Version 0 says `allowDowngrade` instead, which Kafka 4's controller does not look at. */
const upgradeTypes: Readonly<Record<number, FeatureUpgradeType>> = { 1: 'upgrade', 2: 'safe-downgrade', 3: 'unsafe-downgrade' }

/** Raises or lowers the cluster's feature levels, all that are asked for or none. KIP-584; KIP-778 (v1: kinds of upgrade, validation only). */
export const updateFeatures = defineHandler(
  UpdateFeatures,
  async ({ featureUpdates, validateOnly, timeoutMs }, context) => {
    context.authorize('Alter', 'Cluster', clusterName)
    const { controller, image } = context.broker
    const updates = featureUpdates.map(({ feature, maxVersionLevel, upgradeType }) => ({
      feature,
      level: maxVersionLevel,
      upgradeType: upgradeTypes[upgradeType] ?? 'unknown',
    }))
    await controller.updateFeatures(updates, { validateOnly, timeoutMs })
    // Who is told that a level holds finds it in this broker's next answer.
    await image.refreshFeatures()
    const results = featureUpdates.map(({ feature }) => ({ feature, errorCode: 0, errorMessage: 'NONE' }))
    return { errorCode: 0, errorMessage: null, results }
  },
  { errorResponse: (_request, errorCode, errorMessage) => ({ errorCode, errorMessage, results: [] }) },
)
