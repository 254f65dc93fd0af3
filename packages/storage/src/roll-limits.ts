/** When a segment makes way for a new one, as its topic is configured. */
export interface RollLimits {
  readonly segmentBytes: number
  readonly maxIndexBytes: number
  /** segment.ms less the jitter of this segment. */
  readonly segmentMs: number
  readonly nowMs: number
  /** When the segment was opened or made; its age counts from here when its records have no timestamps. */
  readonly createdMs: number
}
