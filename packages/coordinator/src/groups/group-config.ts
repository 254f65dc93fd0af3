/** The broker configurations that the group coordinator follows. */
export interface GroupCoordinatorConfig {
  /** group.min.session.timeout.ms */
  readonly minSessionTimeoutMs: number
  /** group.max.session.timeout.ms */
  readonly maxSessionTimeoutMs: number
  /** group.max.size: members a group may have */
  readonly maxSize: number
  /** group.initial.rebalance.delay.ms */
  readonly initialRebalanceDelayMs: number
  /** offset.metadata.max.bytes: UTF-16 units, as Kafka counts them */
  readonly offsetMetadataMaxBytes: number
  /** offsets.retention.minutes */
  readonly offsetsRetentionMs: number
  /** offsets.retention.check.interval.ms */
  readonly offsetsRetentionCheckIntervalMs: number
  readonly consumer: ConsumerGroupConfig
}

/** Of groups of the consumer protocol. */
export interface ConsumerGroupConfig {
  /** group.consumer.max.size */
  readonly maxSize: number
  /** group.consumer.assignors: names, the first of which serves where no member asks for one. */
  readonly assignors: readonly string[]
  /** group.consumer.migration.policy: whether groups with members go from the classic protocol to the consumer protocol, and back. */
  readonly migrationPolicy: 'disabled' | 'upgrade' | 'downgrade' | 'bidirectional'
  /** What holds for one group: its own configurations before the broker's. */
  settingsOf(groupId: string): ConsumerGroupSettings
}

export interface ConsumerGroupSettings {
  /** consumer.session.timeout.ms */
  readonly sessionTimeoutMs: number
  /** consumer.heartbeat.interval.ms */
  readonly heartbeatIntervalMs: number
  /** consumer.assignment.interval.ms: least time between two assignments */
  readonly assignmentIntervalMs: number
}
