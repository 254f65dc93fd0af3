import type { MetadataImage } from '@tidelog/metadata'

/** The level of transaction.version that the cluster runs: 0 to 2. KIP-890. */
export const transactionVersionOf = (image: MetadataImage): number => image.featureLevel('transaction.version')
