/** One value by Kafka's name of it. Totals count since the client was made; times are in ms, sizes in bytes. */
export interface Metric {
  readonly name: string
  /** As Kafka groups them: `producer-metrics`, `consumer-fetch-manager-metrics`… */
  readonly group: string
  readonly tags: Readonly<Record<string, string>>
  readonly value: number
}
