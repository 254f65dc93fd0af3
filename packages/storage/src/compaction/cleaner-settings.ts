/** What the cleaner takes from the broker's configuration; asked for anew whenever it begins something. */
export interface CleanerSettings {
  /** log.cleaner.threads: logs that are cleaned at a time. */
  readonly threads: number
  /** log.cleaner.dedupe.buffer.size: memory for the maps of all of them. */
  readonly dedupeBufferBytes: number
  /** log.cleaner.io.buffer.load.factor: share of a map that may fill. */
  readonly loadFactor: number
  /** log.cleaner.io.buffer.size: memory to read into and write from, for all of them. */
  readonly ioBufferBytes: number
  /** log.cleaner.io.max.bytes.per.second: what all of them read and write. */
  readonly maxBytesPerSecond: number
  /** log.cleaner.backoff.ms: pause when nothing is due. */
  readonly backoffMs: number
}
